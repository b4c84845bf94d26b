"""The teams that can carry a loop, smallest first, and the choice between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import final

from gpuscan.config import config
from gpuscan.cuda.binding import BoundKernel, Place
from gpuscan.cuda.costs import cheaper_team, host_seconds, on_chip_bytes, step_work
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.grids import GridTeam
from gpuscan.cuda.plan import KernelPlan, seconds_text
from gpuscan.cuda.prefix import PrefixTeam
from gpuscan.cuda.prefix_text import prefix_kernel
from gpuscan.cuda.step.analysis import Analysis, analyse, refuse_any_team
from gpuscan.cuda.step.kernel_text import step_kernel
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step_plan import carried_registers, refuse_registers, step_plan
from gpuscan.cuda.strategy import Strategy
from gpuscan.cuda.tiles import MARGIN, TileTeam
from gpuscan.loop import Loop

MOST_REGISTERS_PER_LANE = 160
"""32-bit registers for the state, the windows of sequences and the constants of one lane. A thread has 255, and the
step's own temporaries and addresses need some."""

MOST_UNROLLED = 4096
"""Operations of a step of which a thread's text is made: NVRTC takes a second for some thousands."""

MOST_AHEAD_OPS = 64
"""A step of more operations than this is not unrolled: its own arithmetic covers the wait for the next rows."""

WIDEST_OF_WARP = 128
"""Elements of the widest value up to which a warp carries a lane: four for each of its threads."""

MANY_BLOCKS = 4
"""Lanes for each SM from which on a block has fewer threads, each with several elements: blocks hide each other's
waits, and what every thread does at every step is done by fewer."""


@final
class ThreadTeam(Strategy):
    """A lane a thread: what a lane has is in registers, small inner axes unrolled."""

    team = "thread"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(analysis)) is not None:
            return reason
        if (registers := carried_registers(analysis)) > MOST_REGISTERS_PER_LANE:
            return f"a lane carries {registers} registers of state; a thread has room for {MOST_REGISTERS_PER_LANE}"
        if (work := analysis.written()) > MOST_UNROLLED:
            return f"a lane's step takes {work} operations; a thread's text is made of at most {MOST_UNROLLED}"
        return None

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        lanes = analysis.lanes.count if analysis.loop.states else gpu.sms * 256  # else steps are lanes too
        return [step_plan(analysis, Team("thread", block=_block(lanes, gpu)), _ahead(analysis), gpu)]


@final
class WarpTeam(Strategy):
    """A lane a warp: inner axes across its threads, exchanged through shared memory without barriers of the block."""

    team = "warp"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(analysis)) is not None:
            return reason
        if (widest := prod(analysis.widest())) > WIDEST_OF_WARP:
            return f"a lane has {widest} elements of a value; a warp has room for {WIDEST_OF_WARP}"
        return refuse_registers(analysis, self._shape(analysis))

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        return [step_plan(analysis, self._shape(analysis), 1, gpu)]

    def _shape(self, analysis: Analysis) -> Team:
        elements = prod(analysis.widest())
        ranks = min(32, 1 << max(elements - 1, 0).bit_length())
        return Team("warp", ranks, 32 // ranks, block=128)


@final
class BlockTeam(Strategy):
    """A lane a block: its state in shared memory and in the registers of the threads that own it."""

    team = "block"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(analysis)) is not None:
            return reason
        return refuse_registers(analysis, self._shape(analysis, gpu))

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        return [step_plan(analysis, self._shape(analysis, gpu), 1, gpu)]

    def _shape(self, analysis: Analysis, gpu: GPU) -> Team:
        elements = prod(analysis.widest())
        last = analysis.widest()[-1] if analysis.widest() else 1
        most = 256 if analysis.lanes.count >= MANY_BLOCKS * gpu.sms else 1024
        ranks = elements if elements <= most else last if last <= most else -(-last // -(-last // most))
        parts = 1
        while parts < 8 and ranks * parts * 2 <= 256 and analysis.longest_sum() >= 16 * parts:
            parts *= 2
        return Team("block", ranks, parts, block=min(-(-ranks * parts // 32) * 32, 1024))


@final
class HostTeam(Strategy):
    """The host drives: every node of a step is an operation of the array module. It takes every loop."""

    team = "host"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        return None

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        loop = analysis.loop
        records = [*(s.name for s in loop.states), *(e.name for e in loop.emits)]
        places = tuple(Place(name, "arrays in device memory") for name in records)
        return [KernelPlan(self.team, loop, places=places)]


def _host_wins(plans: list[KernelPlan], loop: Loop, gpu: GPU) -> bool:
    """Whether products whose fixed side has no room on chip are better left to cuBLAS."""
    work = step_work(loop)
    if plans[0].team != "grid" or work.weight_bytes <= on_chip_bytes(gpu):
        return False
    if plans[0].on_tensor_cores:
        return host_seconds(work, gpu) < plans[0].seconds
    return cheaper_team(work, gpu) == "host"


STRATEGIES: tuple[Strategy, ...] = (
    PrefixTeam(),
    ThreadTeam(),
    WarpTeam(),
    BlockTeam(),
    TileTeam(),
    GridTeam(),
    HostTeam(),
)
"""Of two with the same estimate the first is taken."""


def choices(loop: Loop, gpu: GPU, steps: int | None = None) -> Iterator[KernelPlan]:
    """Yield how to run a loop: the plans of the teams that take it, best first, each with why others did not.

    A team that `config.strategy` names comes first, if it takes the loop.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps.
    gpu : GPU
        What to plan for.
    steps : int, optional
        How many steps the call has. A plan is right for any number.
    """
    analysis = analyse(loop)
    refusals: dict[str, str] = {}
    plans: list[KernelPlan] = []
    for strategy in STRATEGIES:
        reason = strategy.refuse(analysis, gpu)
        if reason is None and strategy.team != config.strategy:
            reason = strategy.decline(analysis, gpu, steps)
        if reason is None:
            plans += strategy.plans(analysis, gpu)
        else:
            refusals[strategy.team] = reason
    plans.sort(key=lambda plan: (plan.team != config.strategy, _rank(plan)))
    if plans[0].team != config.strategy and _host_wins(plans, analysis.loop, gpu):
        refusals["grid"] = "cuBLAS takes less time for products of this size, also with a launch for each operation"
        plans = [plan for plan in plans if plan.team != "grid"]
        plans.sort(key=lambda plan: plan.team != "host")
    for i, plan in enumerate(plans):
        why = dict(refusals)
        for other in plans[i + 1 :]:
            if other.estimate is not None and other.team != plan.team:
                why.setdefault(other.team, _slower(other, plan))
        yield replace(plan, refusals=why)


def _rank(plan: KernelPlan) -> float:
    """Return the seconds that a plan competes with."""
    return plan.seconds * (MARGIN if plan.team == "tile" and not plan.on_tensor_cores else 1)


def _slower(plan: KernelPlan, chosen: KernelPlan) -> str:
    assert plan.estimate is not None
    if chosen.team == config.strategy:
        return f"config.strategy asks for {config.strategy}"
    if chosen.estimate is None:
        return f"a step would take {seconds_text(plan.estimate.seconds)}; cuBLAS takes less time for its products"
    taken, others = seconds_text(plan.seconds), seconds_text(chosen.seconds)
    if plan.seconds < chosen.seconds:
        return f"a step would take {taken}, which is no quarter less than the {others} of {chosen.team}"
    return f"a step would take {taken} where {chosen.team} takes {others}"


def choose(loop: Loop, gpu: GPU, steps: int | None = None) -> KernelPlan:
    """Return the best of `choices`."""
    return next(choices(loop, gpu, steps))


def write_kernel(plan: KernelPlan, by_value: frozenset[str], gpu: GPU) -> BoundKernel:
    """Return the kernel for a plan of any team but the host.

    Parameters
    ----------
    plan : KernelPlan
        What to write.
    by_value : frozenset of str
        Names of the non-sequences that are numbers on the host rather than arrays on the device.
    gpu : GPU
        What the plan is for.

    Raises
    ------
    RefusalError
        If the team cannot carry the loop after all.
    """
    if plan.team == "prefix":
        return prefix_kernel(plan, by_value)
    return step_kernel(plan, by_value, gpu.shared_per_block)


def _block(lanes: int, gpu: GPU) -> int:
    """Return the threads of a block: fewer where there are too few lanes to give every SM work."""
    for block in (256, 128, 64):
        if lanes >= block * gpu.sms:
            return block
    return 32


def _ahead(analysis: Analysis) -> int:
    reads = sum(1 for s in analysis.loop.sequences if s.reads)
    if not reads:
        return 1
    return 1 if analysis.work() > MOST_AHEAD_OPS else 8 if reads == 1 else 4
