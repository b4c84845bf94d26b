"""A kernel's sections put together: the struct ``Step`` and the function that runs it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpuscan.cuda.step.frame import Frame
from gpuscan.cuda.step.struct import indented, method, one_line

KERNEL_NAME = "gpuscan_lane_loop"

LIBRARIES = {
    "matrices.cuh": "inverse|cholesky|solve|solve_triangular|determinant|sign_and_log_determinant",
    "jacobi.cuh": "eigh|svd|singular_values",
    "qr.cuh": "qr",
    "mma.cuh": "Tiles|Tf32|Bf16",
    "copies.cuh": "copy_from_l2",
    "parts.cuh": "across_each",
    "ordering.cuh": "sort|argsort|searchsorted|cumulate",
}
"""Files of ``kernels/`` with functions on whole arrays, and those functions; each is included only where one is."""


def assemble(frame: Frame, team_made: str) -> str:
    """Return the text of a kernel.

    Parameters
    ----------
    frame : Frame
        What was written.
    team_made : str
        What makes the team, where it does not make itself.
    """
    team, w = frame.plan.shape, frame.w
    return "\n".join(
        [
            f"// {one_line(frame.plan.loop.title)}: {frame.plan.headline()}.",
            *(f'#include "{name}"' for name in _included(frame)),
            "",
            *([f"constexpr int TEAM_BYTES = {w.arrays.memory.rounded};", ""] if team.kind == "warp" else []),
            *_step(frame),
            "",
            *_function(frame, team_made),
            "",
        ]
    )


def _included(frame: Frame) -> list[str]:
    """Return the files of ``kernels/`` that the text needs."""
    code, w = frame.code, frame.w
    body = [*code.begin, *code.advance, *code.finish]
    needed = {
        "base.cuh": True,
        "team.cuh": True,
        "tiled_grid.cuh": frame.plan.shape.width,
        "totals.cuh": code.total,
        "report.cuh": w.failures,
        "pointwise.cuh": any("gs::" in line for line in body),
        "random.cuh": w.random,
        **{name: _calls(body, functions) for name, functions in LIBRARIES.items()},
        "lane_loop.cuh": True,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _calls(body: Sequence[str], functions: str) -> bool:
    return any(re.search(rf"gs::({functions})<", line) for line in body)


def _step(frame: Frame) -> list[str]:
    """Return the struct ``Step``."""
    code, given, w = frame.code, frame.given, frame.w
    shared = list(w.arrays.declarations.values())
    begin = ["lane = which;", "steps = length;", *shared, *given.begin, *code.begin, *w.at_start]
    return [
        "struct Step {",
        "    // What one step reads of the sequences.",
        "    struct Row {",
        *indented(code.row, 2),
        "    };",
        "",
        "    // The kernel's parameters.",
        *indented([f"{text};" for text in given.declarations()], 1),
        "",
        "    // What this thread holds.",
        f"    {frame.plan.shape.c_type()} team;",
        "    long long lane, steps;",
        *indented([*given.fields, *code.fields, *w.held], 1),
        "",
        *method("void begin(long long which)", begin),
        "",
        *method("void read(long long t, Row& row)", code.read),
        "",
        *method("bool advance(long long t, Row const& row)", [*shared, *code.advance]),
        "",
        *method("void finish()", [*shared, *code.finish]),
        *(["", *method("void total(bool idle)", [*shared, *code.total])] if code.total else []),
        "};",
    ]


def _function(frame: Frame, team_made: str) -> list[str]:
    """Return the function that is launched."""
    team = frame.plan.shape
    return [
        f'extern "C" __global__ void __launch_bounds__({team.block}, 1) {KERNEL_NAME}(',
        ",\n".join(f"    {text}" for text in frame.given.declarations()) + ") {",
        f"    long long const {'index' if frame.plan.over_steps else 'lane'} = {_lane(team.kind)};",
        *indented(list(dict.fromkeys(frame.code.assumed)), 1),
        *indented(_main(frame, team_made), 1),
        "}",
    ]


def _main(frame: Frame, team_made: str) -> list[str]:
    """Return the statements that make a ``Step`` and run it."""
    made = f"Step step = {{{', '.join(p.name for p in frame.given.parameters)}{team_made}}};"
    run = ["step.begin(lane);", f"step.steps = lane_loop<{frame.plan.ahead}>(step, length);", "step.finish();"]
    if frame.plan.over_steps:
        loop = f"lane_loop<{frame.plan.ahead}>(step, length, index / lanes, strides);"
        return ["if (index >= lanes * strides) return;", made, "step.begin(index % lanes);", loop]
    if not frame.code.total:
        return ["if (lane >= lanes) return;", made, *run]
    # The threads of a block meet once more, those without a lane too.
    return [made, "bool const idle = lane >= lanes;", "if (!idle) {", *indented(run, 1), "}", "step.total(idle);"]


def _lane(kind: str) -> str:
    """Return which lane, or which tile of them, a thread's team carries."""
    if kind == "thread":
        return "blockIdx.x * (long long)blockDim.x + threadIdx.x"
    if kind == "warp":
        return "(blockIdx.x * (long long)blockDim.x + threadIdx.x) / 32"
    return "blockIdx.x" if kind == "block" else "0"
