"""The teams that can carry a loop, fastest first, and the choice between them."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np

from gpuscan.config import config
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.lanes import lane_shape, random_states, refuse_lanes, step_nodes
from gpuscan.cuda.plan import KernelPlan, Place
from gpuscan.cuda.prefix import PrefixTeam
from gpuscan.cuda.strategy import Strategy, refuse_dtypes, traffic_of, window
from gpuscan.loop import Loop

MOST_REGISTERS_PER_LANE = 96
"""32-bit registers for the state, the windows of sequences and the constants of one lane. A thread has 255, and the
step's own temporaries and addresses need some."""

MOST_AHEAD_OPS = 64
"""A step of more nodes than this is not unrolled: its own arithmetic covers the wait for the next rows."""


@final
class ThreadTeam(Strategy):
    """A lane a thread: pointwise steps, the state in registers, rows of sequences read coalesced."""

    team = "thread"

    def refuse(self, loop: Loop, gpu: GPU) -> str | None:
        if loop.stop is not None:
            return "the loop stops on a condition"
        if (reason := refuse_dtypes(loop)) or (reason := refuse_lanes(loop)):
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
            traffic=traffic_of(loop),
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


STRATEGIES: tuple[Strategy, ...] = (PrefixTeam(), ThreadTeam(), HostTeam())


def choose(loop: Loop, gpu: GPU, steps: int | None = None) -> KernelPlan:
    """Return how to run a loop: the plan of the first team that takes it, with why the others did not.

    ``config.strategy`` names a team that comes first, whether or not another is faster.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps.
    gpu : GPU
        What to plan for.
    steps : int, optional
        How many steps the call has. A plan is right for any number.
    """
    refusals: dict[str, str] = {}
    for strategy in sorted(STRATEGIES, key=lambda s: s.team != config.strategy):
        reason = strategy.refuse(loop, gpu)
        if reason is None and strategy.team != config.strategy:
            reason = strategy.decline(loop, gpu, steps)
        if reason is None:
            return replace(strategy.plan(loop, gpu), refusals=refusals)
        refusals[strategy.team] = reason
    raise AssertionError("the last team takes every loop")


# ---- what the thread team needs to know ----


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
