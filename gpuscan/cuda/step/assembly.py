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


def _libraries(body: Sequence[str]) -> list[str]:
    return [
        name for name, functions in LIBRARIES.items() if any(re.search(rf"gs::({functions})<", line) for line in body)
    ]


def assemble(frame: Frame, team_made: str) -> str:
    """Return the text of a kernel.

    Parameters
    ----------
    frame : Frame
        What was written.
    team_made : str
        What makes the team, where it does not make itself.
    """
    team, code, w = frame.plan.shape, frame.code, frame.w
    declared = frame.given.declarations()
    body = [*code.begin, *code.advance, *code.finish]
    shared = list(w.shared_arrays.values())
    begin = [*shared, *frame.given.begin, *code.begin, *w.at_start]
    return "\n".join(
        [
            f"// {one_line(frame.plan.loop.title)}: {frame.plan.headline()}.",
            '#include "base.cuh"',
            '#include "team.cuh"',
            *(['#include "tiled_grid.cuh"'] if team.width else []),
            *(['#include "totals.cuh"'] if code.total else []),
            *(['#include "report.cuh"'] if w.failures else []),
            *(['#include "pointwise.cuh"'] if any("gs::" in line for line in body) else []),
            *(['#include "random.cuh"'] if w.random else []),
            *(f'#include "{name}"' for name in _libraries(body)),
            '#include "lane_loop.cuh"',
            "",
            *([f"constexpr int TEAM_BYTES = {w.memory.rounded};", ""] if team.kind == "warp" else []),
            "struct Step {",
            "    // What one step reads of the sequences.",
            "    struct Row {",
            *indented(code.row, 2),
            "    };",
            "",
            "    // The kernel's parameters.",
            *indented([f"{text};" for text in declared], 1),
            "",
            "    // What this thread holds.",
            f"    {team.c_type()} team;",
            "    long long lane, steps;",
            *indented([*frame.given.fields, *code.fields, *w.held], 1),
            "",
            *method("void begin(long long which)", ["lane = which;", "steps = length;", *begin]),
            "",
            *method("void read(long long t, Row& row)", code.read),
            "",
            *method("bool advance(long long t, Row const& row)", [*shared, *code.advance]),
            "",
            *method("void finish()", [*shared, *code.finish]),
            *(["", *method("void total(bool idle)", [*shared, *code.total])] if code.total else []),
            "};",
            "",
            f'extern "C" __global__ void __launch_bounds__({team.block}, 1) {KERNEL_NAME}(',
            ",\n".join(f"    {text}" for text in declared) + ") {",
            f"    long long const {'index' if frame.plan.over_steps else 'lane'} = {_lane(team.kind)};",
            *indented(list(dict.fromkeys(code.assumed)), 1),
            *indented(_main(frame, team_made), 1),
            "}",
            "",
        ]
    )


def _main(frame: Frame, team_made: str) -> list[str]:
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
    if kind == "thread":
        return "blockIdx.x * (long long)blockDim.x + threadIdx.x"
    if kind == "warp":
        return "(blockIdx.x * (long long)blockDim.x + threadIdx.x) / 32"
    return "blockIdx.x" if kind == "block" else "0"
