"""Device functions on a team's own arrays, run by the emulator: what each test of a function of ``kernels/`` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gpuscan.cuda.emulator import find_compiler, load
from gpuscan.cuda.kernel import C_TYPES, Kernel, Parameter
from gpuscan.cuda.launch import compile_kernel
from gpuscan.cuda.source import splice
from gpuscan.errors import KernelError

try:
    find_compiler()
except KernelError as error:
    pytest.skip(str(error), allow_module_level=True)

TEAMS = {"thread": ("ThreadTeam", 1), "warp": ("WarpTeam<32, 1>", 32), "block": ("BlockTeam<64, 64, 1>", 64)}
"""C++ type and number of threads."""

FLOATS = ("float32", "float64")

REDUCTION_BYTES = 512  # of kernels/team.cuh


@dataclass(frozen=True)
class Call:
    """One call of a device function, for each row of its inputs by a team of its own.

    Attributes
    ----------
    text : str
        C++ expression over ``team`` and the names of the arrays, of a function in the namespace ``gs``.
    inputs : dict of str to ndarray
        Axis 0 counts teams.
    outputs : dict of str to tuple of str and int
        Element type and number of elements; the call's own value too if it is called ``returned``, one for each thread.
    work : int
        Elements of the array ``work``, of the type of the first input.
    """

    text: str
    inputs: dict[str, np.ndarray]
    outputs: dict[str, tuple[str, int]]
    work: int = 0
    teams: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "teams", len(next(iter(self.inputs.values()))))


def kernel(files: Sequence[str], team: str, calls: Sequence[Call], name: str = "calls") -> tuple[Kernel, int]:
    """Return a kernel that makes calls one after the other, and the bytes of shared memory that it needs.

    Its parameters are ``a_0``, ``x_0``, ``a_1``, ...
    """
    team_type, threads = TEAMS[team]
    parameters: list[Parameter] = []
    body, shared_bytes = "", REDUCTION_BYTES
    for i, call in enumerate(calls):
        parameters += [Parameter(f"{a.name}_{i}", a.dtype, writes=a.writes) for a in _arrays(call, threads)]
        text, shared_bytes = _text(i, call, threads, shared_bytes)
        body += text
    declared = ", ".join(f"Global<{'' if p.writes else 'const '}{C_TYPES[p.dtype]}> {p.name}" for p in parameters)
    includes = "".join(f'#include "{file}"\n' for file in ("base.cuh", *files))
    text = f'{includes}extern "C" __global__ void {name}({declared}) {{\n    gs::{team_type} team;\n{body}}}\n'
    return Kernel(name, splice(text), tuple(parameters)), shared_bytes


def run(files: Sequence[str], team: str, calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Return the outputs of each call, stacked along axis 0."""
    threads = TEAMS[team][1]
    given: list[Any] = []
    results: list[dict[str, Any]] = []
    for call in calls:
        out = {a.name: np.zeros((call.teams, a.size), a.dtype) for a in _arrays(call, threads) if a.writes}
        given += [*(np.ascontiguousarray(x.reshape(call.teams, -1)) for x in call.inputs.values()), *out.values()]
        results.append(out)
    grid = (max(call.teams for call in calls), 1, 1)
    text, shared_bytes = kernel(files, team, calls)
    load(text)(grid, (threads, 1, 1), shared_bytes, given)
    return results


@dataclass(frozen=True)
class _Array:
    name: str
    dtype: str
    size: int
    writes: bool


def _arrays(call: Call, threads: int) -> list[_Array]:
    return [
        *(_Array(name, str(x.dtype), x[0].size, False) for name, x in call.inputs.items()),
        *(_Array(name, dtype, threads if name == "returned" else size, True)
          for name, (dtype, size) in call.outputs.items()),
    ]  # fmt: skip


def _text(i: int, call: Call, threads: int, offset: int) -> tuple[str, int]:
    """Return a scope with the call's arrays: loads, the call, stores; and the end of the shared memory that they take.

    The arrays are the thread's own, or shared, and then no call's memory is another's: the emulator sees what is read
    before it was written.
    """
    arrays = [a for a in _arrays(call, threads) if a.name != "returned"]
    lines = [f"    if (blockIdx.x < {call.teams}) {{\n"]
    work = [_Array("work", arrays[0].dtype, call.work, True)] if call.work else []
    for a in arrays + work:
        c_type = C_TYPES[a.dtype]
        if threads == 1:
            lines.append(f"        {c_type} {a.name}[{a.size}];\n")
        else:
            lines.append(f"        GPUSCAN_DYNAMIC_SHARED_AT({c_type}, {a.name}, {offset}, {a.size});\n")
            offset += -(-a.size * np.dtype(a.dtype).itemsize // 16) * 16
    for a in arrays:
        if not a.writes:
            lines.append(_loop(a.size, threads, f"{a.name}[e] = {a.name}_{i}[blockIdx.x * {a.size} + e]"))
    returned = f"returned_{i}[blockIdx.x * {threads} + team.thread] = " if "returned" in call.outputs else ""
    lines += ["        team.sync();\n", f"        {returned}gs::{call.text};\n"]
    for a in arrays:
        if a.writes:
            what = f"static_cast<{C_TYPES[a.dtype]}>({a.name}[e])"
            lines.append(_loop(a.size, threads, f"{a.name}_{i}[blockIdx.x * {a.size} + e] = {what}"))
    return "".join([*lines, "    }\n"]), offset


def _loop(size: int, threads: int, statement: str) -> str:
    return f"        for (int e = team.thread; e < {size}; e += {threads}) {statement};\n"


def compile_with_nvrtc(files: Sequence[str], team: str, calls: Sequence[Call], arch: str) -> str:
    """Compile the kernel of these calls and return what the compiler printed; skip the test where there is no NVRTC."""
    nvrtc = pytest.importorskip("cupy", reason="CuPy is in the extra `nvrtc`").cuda.nvrtc
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"no NVRTC: {error}")
    return compile_kernel(kernel(files, team, calls)[0], arch).log
