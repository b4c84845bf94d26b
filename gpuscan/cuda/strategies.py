"""The teams that can carry a loop, smallest first, and the choice between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import replace
from math import prod
from typing import ClassVar, final

import numpy as np

from gpuscan.config import config
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan, Place, Traffic, row_of
from gpuscan.cuda.step.analysis import Analysis, analyse, refuse_any_team
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import FEWEST_COLUMNS, FEWEST_ROWS, FEWEST_TERMS, OLDEST, size_of, taken
from gpuscan.graph import Apply, TensorType
from gpuscan.loop import Loop, result_type
from gpuscan.tensor.products import MatMul

MOST_REGISTERS_PER_LANE = 96
"""32-bit registers for the state, the windows of sequences and the constants of one lane. A thread has 255, and the
step's own temporaries and addresses need some."""

MOST_UNROLLED = 4096
"""Operations of a step of which a thread's text is made: NVRTC takes a second for some thousands."""

MOST_AHEAD_OPS = 64
"""A step of more operations than this is not unrolled: its own arithmetic covers the wait for the next rows."""

WIDEST_OF_WARP = 128
"""Elements of the widest value up to which a warp carries a lane: four for each of its threads."""


LONG_SUM = 64
"""Terms from which on the threads of a warp share a sum in a grid."""

GRID_BLOCK = 256
"""Threads of a block of a grid."""

MOST_LANES_OF_A_BLOCK = 64
"""Lanes up to which one block may carry all of them, so that they are the rows of products on tensor cores."""


class Strategy(ABC):
    """One team: whether it takes a loop, and how."""

    team: ClassVar[str]

    @abstractmethod
    def refuse(self, loop: Analysis, gpu: GPU) -> str | None:
        """Return why this team does not take `loop`, None if it does."""

    @abstractmethod
    def plan(self, loop: Analysis, gpu: GPU) -> KernelPlan:
        """Return how this team runs `loop`, which it has not refused."""


@final
class ThreadTeam(Strategy):
    """A lane a thread: what a lane has is in registers, small inner axes unrolled."""

    team = "thread"

    def refuse(self, loop: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(loop)) is not None:
            return reason
        if (registers := _registers(loop)) > MOST_REGISTERS_PER_LANE:
            return f"a lane carries {registers} registers of state; a thread has room for {MOST_REGISTERS_PER_LANE}"
        if (work := loop.work()) > MOST_UNROLLED:
            return f"a lane's step takes {work} operations; a thread's text is made of at most {MOST_UNROLLED}"
        return None

    def plan(self, loop: Analysis, gpu: GPU) -> KernelPlan:
        return _kernel_plan(loop, Team("thread", block=_block(loop.lanes.count, gpu)), _ahead(loop), gpu)


@final
class WarpTeam(Strategy):
    """A lane a warp: inner axes across its threads, exchanged through shared memory without barriers of the block."""

    team = "warp"

    def refuse(self, loop: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(loop)) is not None:
            return reason
        if (widest := prod(loop.widest())) > WIDEST_OF_WARP:
            return f"a lane has {widest} elements of a value; a warp has room for {WIDEST_OF_WARP}"
        return _refuse_registers(loop, self._shape(loop))

    def plan(self, loop: Analysis, gpu: GPU) -> KernelPlan:
        return _kernel_plan(loop, self._shape(loop), 1, gpu)

    def _shape(self, loop: Analysis) -> Team:
        elements = prod(loop.widest())
        ranks = min(32, 1 << max(elements - 1, 0).bit_length())
        return Team("warp", ranks, 32 // ranks, block=128)


@final
class BlockTeam(Strategy):
    """A lane a block: its state in shared memory and in the registers of the threads that own it."""

    team = "block"

    def refuse(self, loop: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(loop)) is not None:
            return reason
        if config.strategy != self.team and (tile := _tiled_grid(loop, gpu)) is not None:
            return f"its products run on the tensor cores of {tile.blocks} SMs if a grid carries all lanes"
        return _refuse_registers(loop, self._shape(loop))

    def plan(self, loop: Analysis, gpu: GPU) -> KernelPlan:
        whole = loop.without_lanes()
        if self._takes_all(loop, whole, gpu):
            return _kernel_plan(whole, self._shape_of_all(whole), 1, gpu)
        return _kernel_plan(loop, self._shape(loop), 1, gpu)

    def _takes_all(self, loop: Analysis, whole: Analysis, gpu: GPU) -> bool:
        """Whether one block carries all lanes, which are few, because its products then run on tensor cores."""
        if loop.lanes.count > MOST_LANES_OF_A_BLOCK or _on_tensor_cores(loop, self._shape(loop), gpu):
            return False
        shape = self._shape_of_all(whole)
        return bool(_on_tensor_cores(whole, shape, gpu)) and _refuse_registers(whole, shape) is None

    def _shape_of_all(self, whole: Analysis) -> Team:
        ranks = min(prod(whole.widest()), 512)
        return Team("block", ranks, block=-(-ranks // 32) * 32)

    def _shape(self, loop: Analysis) -> Team:
        elements = prod(loop.widest())
        last = loop.widest()[-1] if loop.widest() else 1
        ranks = elements if elements <= 1024 else last if last <= 1024 else 1024
        parts = 1
        while parts < 8 and ranks * parts * 2 <= 256 and loop.longest_sum() >= 16 * parts:
            parts *= 2
        return Team("block", ranks, parts, block=min(-(-ranks * parts // 32) * 32, 1024))


@final
class GridTeam(Strategy):
    """All lanes by all SMs: what they exchange goes through the L2 cache, with a barrier of the whole grid."""

    team = "grid"

    def refuse(self, loop: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(loop)) is not None:
            return reason
        whole = loop.without_lanes()
        return _refuse_registers(whole, self._shape(whole, gpu))

    def plan(self, loop: Analysis, gpu: GPU) -> KernelPlan:
        whole = loop.without_lanes()
        return _kernel_plan(whole, self._shape(whole, gpu), 1, gpu)

    def _shape(self, loop: Analysis, gpu: GPU) -> Team:
        if (tiled := _tiles(loop, gpu)) is not None:
            return tiled
        elements, last = prod(loop.widest()), loop.widest()[-1] if loop.widest() else 1
        if loop.longest_sum() < LONG_SUM:
            block = 256
            ranks = min(elements, gpu.sms * block)
            return Team("grid", ranks, 1, block, -(-ranks // block))
        # A column of the weights to a rank, whatever the lanes: each is read once for all of them.
        ranks = min(last, gpu.sms * 256)
        units = -(-ranks // gpu.sms)
        parts = 32
        while parts > 1 and units * parts > 256:
            parts //= 2
        block = -(-units * parts // 32) * 32
        return Team("grid", ranks, parts, block, -(-ranks * parts // block))


@final
class HostTeam(Strategy):
    """The host drives: every node of a step is an operation of the array module. It takes every loop."""

    team = "host"

    def refuse(self, loop: Analysis, gpu: GPU) -> str | None:
        return None

    def plan(self, loop: Analysis, gpu: GPU) -> KernelPlan:
        inner = loop.loop
        records = [*(s.name for s in inner.states), *(e.name for e in inner.emits)]
        return KernelPlan(self.team, inner, places=tuple(Place(name, "arrays in device memory") for name in records))


STRATEGIES: tuple[Strategy, ...] = (ThreadTeam(), WarpTeam(), BlockTeam(), GridTeam(), HostTeam())


def choices(loop: Loop, gpu: GPU) -> Iterator[KernelPlan]:
    """Yield how to run a loop: the plans of the teams that take it, best first, each with why others did not.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps.
    gpu : GPU
        What to plan for.
    """
    analysis = analyse(loop)
    refusals: dict[str, str] = {}
    for strategy in sorted(STRATEGIES, key=lambda s: s.team != config.strategy):
        if (reason := strategy.refuse(analysis, gpu)) is None:
            yield replace(strategy.plan(analysis, gpu), refusals=dict(refusals))
        else:
            refusals[strategy.team] = reason


def choose(loop: Loop, gpu: GPU) -> KernelPlan:
    """Return the best of `choices`."""
    return next(choices(loop, gpu))


# ---- what plans are made of ----


def _kernel_plan(loop: Analysis, shape: Team, ahead: int, gpu: GPU) -> KernelPlan:
    chosen = _on_tensor_cores(loop, shape, gpu)
    return KernelPlan(
        team=shape.kind,
        loop=loop.loop,
        opened=loop.opened,
        lanes=loop.lanes,
        shape=shape,
        random=loop.random,
        totals=loop.totals,
        ahead=ahead,
        places=tuple(_places(loop.loop)),
        traffic=_traffic(loop.loop),
        precision=config.matmul_precision if chosen else "highest",
        on_tensor_cores=chosen,
        notes=tuple(_notes(loop, len(chosen), gpu)),
    )


# ---- products on tensor cores ----


def _on_tensor_cores(loop: Analysis, shape: Team, gpu: GPU) -> frozenset[Apply]:
    """Return the products of a loop that a team computes on tensor cores, as far as ``config`` and the GPU allow."""
    if config.matmul_precision == "highest" or gpu.capability < OLDEST:
        return frozenset()
    return taken(loop.nodes(), loop.shape, shape)


def _tiles(whole: Analysis, gpu: GPU) -> Team | None:
    """Return the grid whose blocks own whole columns of the largest product; None if none is for tensor cores."""
    best: tuple[int, Team] | None = None
    for node in whole.nodes():
        size = size_of(node, whole.shape)
        if size is None:
            continue
        width = 8 * -(-size.columns // (8 * gpu.sms))
        rows = min(size.rows, GRID_BLOCK // width)
        if rows:
            blocks = -(-size.columns // width)
            team = Team("grid", rows * size.columns, 1, GRID_BLOCK, blocks, width, size.columns)
            fits = node in _on_tensor_cores(whole, team, gpu) and _refuse_registers(whole, team) is None
            if fits and (best is None or size.work > best[0]):
                best = size.work, team
    return best[1] if best else None


def _tiled_grid(loop: Analysis, gpu: GPU) -> Team | None:
    """Return the grid that suits a loop better than a block for each lane, None if none does.

    Such blocks read weights anew at each step that are too large for the registers of an SM; warps of a grid hold them.
    """
    whole = loop.without_lanes()
    if (team := _tiles(whole, gpu)) is None:
        return None
    weights = {n.inputs[1]: size_of(n, whole.shape) for n in _on_tensor_cores(whole, team, gpu)}
    total = sum(size.terms * size.columns for size in weights.values() if size is not None)
    return team if total > gpu.registers_per_sm // 2 else None


def _notes(loop: Analysis, chosen: int, gpu: GPU) -> Iterator[str]:
    products = sum(isinstance(node.op, MatMul) for node in loop.nodes())
    if config.matmul_precision == "highest" or not products:
        return
    if gpu.capability < OLDEST:
        yield f"products in full precision: {gpu.arch} has no instructions for {config.matmul_precision}"
    elif chosen:
        yield f"{chosen} of {products} products on tensor cores, operands rounded to {config.matmul_precision}"
    else:
        yield (
            f"products in full precision: none has {FEWEST_ROWS} rows in a team, {FEWEST_TERMS} terms and "
            f"{FEWEST_COLUMNS} columns of float32"
        )


def window(offsets: Collection[int]) -> int:
    """Return how many rows of a sequence a thread keeps, so that each is read from memory once."""
    return max(offsets) - min(offsets) + 1 if offsets else 0


def _registers(loop: Analysis, ranks: int = 1) -> int:
    """Return the 32-bit registers that each of a lane's threads carries from step to step."""
    inner = loop.loop
    total = sum(loop.registers(s.next, ranks) * s.depth for s in inner.states)
    total += sum(loop.registers(v, ranks) * window(s.reads) for s in inner.sequences for v in [*s.reads.values()][:1])
    return total + sum(min(loop.registers(n.read, ranks), 32) for n in inner.non_sequences)


def _refuse_registers(loop: Analysis, shape: Team) -> str | None:
    if (registers := _registers(loop, shape.ranks)) > MOST_REGISTERS_PER_LANE:
        return f"each of {shape.ranks} threads carries {registers} registers; it has room for {MOST_REGISTERS_PER_LANE}"
    return None


def _block(lanes: int, gpu: GPU) -> int:
    """Return the threads of a block: fewer where there are too few lanes to give every SM work."""
    for block in (256, 128, 64):
        if lanes >= block * gpu.sms:
            return block
    return 32


def _ahead(loop: Analysis) -> int:
    reads = sum(1 for s in loop.loop.sequences if s.reads)
    if not reads:
        return 1
    return 1 if loop.work() > MOST_AHEAD_OPS else 8 if reads == 1 else 4


def _places(loop: Loop) -> list[Place]:
    places = []
    for s in loop.sequences:
        if s.reads:
            kept = f", the last {window(s.reads)} kept in registers" if window(s.reads) > 1 else ""
            places.append(Place(s.name, f"rows read once from device memory, ahead of use{kept}"))
    for state in loop.states:
        places.append(Place(state.name, f"registers, {state.depth} past value{'s' * (state.depth > 1)}"))
    places += [Place(n.name, "a register, read once") for n in loop.non_sequences]
    for result in loop.results:
        how = "written at each step" if result.kind in ("history", "last") else "written after the last step"
        places.append(Place(f"{result}", how))
    return places


def _traffic(loop: Loop) -> Traffic:
    once = sum(_bytes(s.init.type) for s in loop.states) + sum(_bytes(n.source.type) for n in loop.non_sequences)
    per_step = 0
    for s in loop.sequences:
        row = _row_bytes(s.source.dtype, s.source.type.shape[1:])
        per_step += row if s.reads else 0
        once += (window(s.reads) - 1) * row if s.reads else 0
    for result in loop.results:
        if result.kind == "steps":
            continue
        value = loop.value_of(result.record)
        row = _row_bytes(value.dtype, row_of(value))
        if result.kind == "history":
            per_step += row
        elif result.kind == "last":
            once += row * result.rows
        else:
            once += _bytes(result_type(loop, result))
    return Traffic(once, per_step)


def _bytes(type_: TensorType) -> int:
    return _row_bytes(type_.dtype, type_.shape)


def _row_bytes(dtype: str, shape: tuple[int | None, ...]) -> int:
    return int(np.prod([n for n in shape if n is not None], dtype=np.int64)) * np.dtype(dtype).itemsize
