"""What the workloads' kernels take of an H200 at full sizes: plans and NVRTC alone, no GPU and no driver.

``python -m tests.cuda.resources`` writes the table anew into ``tests/cuda/resources.txt``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

import gpuscan as gs
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Program, Workload
from gpuscan.cuda import launch
from gpuscan.cuda.binding import BoundKernel
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.kernel import Kernel
from gpuscan.cuda.runner import LoopRunner
from gpuscan.graph import Graph, TensorType
from gpuscan.host.residence import host_values
from gpuscan.loop import Scan
from tests.cuda.gradients import float_outputs, gradient_of

FILE = Path(__file__).with_suffix(".txt")
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")

HEADER = """\
# The kernels of the workloads at full sizes, in float32, for an H200. `python -m tests.cuda.resources` writes it anew;
# look at what changed. Bytes of the stack and of spilled registers are a thread's, of shared memory (what the text
# declares + what the launch adds) a block's. Barriers are those in the text of a step, without those inside of sums.
# Instructions are those of the whole kernel, with the padding at its end.
"""


class H200:
    """What plans are made for; nothing runs on it."""

    name = "cuda:0"
    gpu = KNOWN_GPUS["NVIDIA H200"]
    records = True

    def spilled_bytes(self, kernel: Kernel) -> int:
        return launch.resources(kernel, self.gpu.arch).spill_bytes


@dataclass(frozen=True)
class Row:
    """One loop of a workload."""

    workload: str
    graph: str
    loop: str
    team: str
    block: str = "-"
    grid: str = "-"
    registers: str = "-"
    spilled: str = "-"
    stack: str = "-"
    shared: str = "-"
    barriers: str = "-"
    instructions: str = "-"


@dataclass(frozen=True)
class Planned:
    """One loop of a workload as it would run at full size; without a kernel the host drives it, for a reason."""

    workload: str
    graph: str
    loop: str
    team: str
    kernel: BoundKernel | None
    refusals: Mapping[str, str]

    @property
    def name(self) -> str:
        """Which loop it is."""
        return f"{self.workload} {self.graph} {self.loop}"

    def row(self) -> Row:
        """Return what it takes."""
        bound = self.kernel
        if bound is None:
            return Row(self.workload, self.graph, self.loop, self.team)
        taken = launch.resources(bound.kernel, "sm_90")
        numbers = bound.block, bound.grid, taken.registers, taken.spill_bytes, taken.local_bytes
        shared = f"{taken.shared_bytes}+{bound.shared_bytes}"
        count = instructions(launch.compile_cubin(bound.kernel, "sm_90"), bound.kernel.name)
        ends = shared, str(barriers(bound.kernel.source)), str(count)
        return Row(self.workload, self.graph, self.loop, self.team, *map(str, numbers), *ends)


@cache
def planned(name: str, which: str = "full", strategy: str = "auto") -> tuple[Planned, ...]:
    """Plan every loop of the workload of that name and of its gradient, at its ``full`` or ``test`` sizes.

    With a `strategy` for the team of that name, as far as it takes the loops.
    """
    workload = next(w for w in WORKLOADS if w.name == name)
    sizes = getattr(workload, which)
    # Plans do not depend on the number of steps, and inputs of two steps are short.
    sizes = {**sizes, **{size: 2 for size in ("steps", "segments") if size in sizes}}
    program = workload.build(sizes, "float32")
    inputs = workload.make_inputs(np.random.default_rng(0), sizes, "float32")
    types = [TensorType(v.dtype, np.shape(a)) for v, a in zip(program.inputs, inputs, strict=True)]
    with gs.config.change_flags(strategy=strategy):
        found = list(_planned(workload, "forward", program, types))
        if (gradient := gradient_of(workload, program)) is not None:
            differentiated = Program(program.inputs, float_outputs(program))
            owed = [v.type for v in _graph(differentiated, types).outputs]
            found += _planned(workload, "gradient", gradient, [*types, *owed])
    return tuple(found)


def _planned(workload: Workload, kind: str, program: Program, types: list[TensorType]) -> Iterator[Planned]:
    graph = _graph(program, types)
    on_host = host_values(graph.nodes, [v for v in graph.parameters[: len(types)] if v.ndim == 0])
    for node in graph.nodes:
        if isinstance(node.op, Scan):
            plan, kernel = LoopRunner(node, H200(), on_host).static()
            yield Planned(workload.name, kind, plan.loop.title, plan.team, kernel, plan.refusals)


def _graph(program: Program, types: list[TensorType]) -> Graph:
    """Return the graph that `function` compiles, with all shapes known that a call would find."""
    f = gs.function(list(program.inputs), list(program.outputs), device="cpu", on_unused_input="ignore")
    return f.graph.specialise([*types, *(v.type for v in f.graph.parameters[len(types) :])])


def barriers(source: str) -> int:
    """Count the barriers of the team in the text of one step."""
    if "bool advance(" not in source:  # a loop along time has barriers for each tile
        return 0
    step = source[source.rindex("bool advance(") : source.rindex("void finish(")]
    return len(re.findall(r"\bteam\.sync\(\)|\b__syncthreads\(\)", step))


def instructions(cubin: bytes, kernel: str) -> int:
    """Count the instructions of a kernel, of 16 bytes each since Volta, by the size of its section of the ELF file."""
    headers, size, count, names = struct.unpack_from("<Q", cubin, 40) + struct.unpack_from("<3H", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQ", cubin, headers + i * size) for i in range(count)]
    text = sections[names][4]
    wanted = f".text.{kernel}\0".encode()
    return next(s[5] for s in sections if cubin.startswith(wanted, text + s[0])) // 16


def nvrtc_version() -> str:
    """Return the version of NVRTC, on which registers depend."""
    from cupy.cuda import nvrtc

    return ".".join(map(str, nvrtc.getVersion()))


def table(rows: list[Row]) -> str:
    """Return the file's text."""
    lines = [[f.name for f in fields(Row)], *(list(astuple(row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = (" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return f"{HEADER}# NVRTC {nvrtc_version()}\n" + "".join(f"{line}\n" for line in text)


def read_table() -> tuple[str, list[Row]]:
    """Return the version of NVRTC and the rows on file."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    version = next(line.removeprefix("# NVRTC ") for line in lines if line.startswith("# NVRTC "))
    rows = [line for line in lines if not line.startswith("#")][1:]
    return version, [Row(*(cell.strip() for cell in line.split("|"))) for line in rows]


if __name__ == "__main__":
    FILE.write_text(table([p.row() for w in WORKLOADS for p in planned(w.name)]), encoding="utf-8")
