"""The teams that can carry a loop, fastest first, and the choice between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import replace
from typing import ClassVar, final

import numpy as np

from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.lanes import lane_shape, random_states, refuse_lanes, step_nodes
from gpuscan.cuda.plan import KernelPlan, Place, Traffic, row_of
from gpuscan.graph import TensorType
from gpuscan.loop import Loop, result_type

MOST_REGISTERS_PER_LANE = 96
"""32-bit registers for the state, the windows of sequences and the constants of one lane. A thread has 255, and the
step's own temporaries and addresses need some."""

MOST_AHEAD_OPS = 64
"""A step of more nodes than this is not unrolled: its own arithmetic covers the wait for the next rows."""


class Strategy(ABC):
    """One team: whether it takes a loop, and how."""

    team: ClassVar[str]

    @abstractmethod
    def refuse(self, loop: Loop, gpu: GPU) -> str | None:
        """Return why this team does not take `loop`, None if it does."""

    @abstractmethod
    def plan(self, loop: Loop, gpu: GPU) -> KernelPlan:
        """Return how this team runs `loop`, which it has not refused."""


@final
class ThreadTeam(Strategy):
    """A lane a thread: pointwise steps, the state in registers, rows of sequences read coalesced."""

    team = "thread"

    def refuse(self, loop: Loop, gpu: GPU) -> str | None:
        if loop.stop is not None:
            return "the loop stops on a condition"
        if (reason := _refuse_dtypes(loop)) or (reason := refuse_lanes(loop)):
            return reason
        if (registers := _registers(loop)) > MOST_REGISTERS_PER_LANE:
            return f"a lane carries {registers} registers of state; a thread has room for {MOST_REGISTERS_PER_LANE}"
        return None

    def plan(self, loop: Loop, gpu: GPU) -> KernelPlan:
        lanes = lane_shape(loop)
        count = int(np.prod(lanes, dtype=np.int64))
        return KernelPlan(
            team=self.team,
            loop=loop,
            lanes=lanes,
            block=_block(count, gpu),
            ahead=_ahead(loop),
            places=tuple(_places(loop)),
            traffic=_traffic(loop),
        )


@final
class HostTeam(Strategy):
    """The host drives: every node of a step is an operation of the array module. It takes every loop."""

    team = "host"

    def refuse(self, loop: Loop, gpu: GPU) -> str | None:
        return None

    def plan(self, loop: Loop, gpu: GPU) -> KernelPlan:
        records = [*(s.name for s in loop.states), *(e.name for e in loop.emits)]
        return KernelPlan(self.team, loop, places=tuple(Place(name, "arrays in device memory") for name in records))


STRATEGIES: tuple[Strategy, ...] = (ThreadTeam(), HostTeam())


def choose(loop: Loop, gpu: GPU) -> KernelPlan:
    """Return how to run a loop: the plan of the first team that takes it, with why the others did not.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps.
    gpu : GPU
        What to plan for.
    """
    refusals: dict[str, str] = {}
    for strategy in STRATEGIES:
        if (reason := strategy.refuse(loop, gpu)) is None:
            return replace(strategy.plan(loop, gpu), refusals=refusals)
        refusals[strategy.team] = reason
    raise AssertionError("the last team takes every loop")


# ---- what the thread team needs to know ----


def window(offsets: Collection[int]) -> int:
    """Return how many rows of a sequence a thread keeps, so that each is read from memory once."""
    return max(offsets) - min(offsets) + 1 if offsets else 0


def _refuse_dtypes(loop: Loop) -> str | None:
    outside = [*(s.source for s in loop.sequences), *(s.init for s in loop.states)]
    inside = [v for node in step_nodes(loop) for v in (*node.inputs, *node.outputs)]
    for v in (*outside, *(n.source for n in loop.non_sequences), *inside):
        if v.dtype not in C_TYPES:
            return f"{v.dtype} has no kernel type yet"
    return None


def _registers(loop: Loop) -> int:
    """Return the 32-bit registers that a lane carries from step to step."""
    states = random_states(loop)
    carried = [(s.next.dtype, s.depth * (2 if s.next in states else 1)) for s in loop.states]
    carried += [(s.source.dtype, window(s.reads)) for s in loop.sequences]
    carried += [(n.source.dtype, 1) for n in loop.non_sequences]
    return sum(count * max(np.dtype(dtype).itemsize // 4, 1) for dtype, count in carried)


def _block(lanes: int, gpu: GPU) -> int:
    """Return the threads of a block: fewer where there are too few lanes to give every SM work."""
    for block in (256, 128, 64):
        if lanes >= block * gpu.sms:
            return block
    return 32


def _ahead(loop: Loop) -> int:
    reads = sum(1 for s in loop.sequences if s.reads)
    if not reads:
        return 1
    return 1 if len(step_nodes(loop)) > MOST_AHEAD_OPS else 8 if reads == 1 else 4


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
