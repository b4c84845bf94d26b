"""How long a team takes for a step, estimated from counts: what the choice between teams goes by.

Five things bound a step: how long its operations wait for each other, how many instructions the SMs can issue, what
its products read from shared memory, what they read of fixed arrays that do not fit on chip, and what goes through
device memory. The largest is the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from gpuscan.cuda.costs import (
    BLOCK_BARRIER,
    DRAM_LATENCY_CLOCKS,
    GRID_BARRIER,
    L2_BYTES,
    L2_LATENCY_CLOCKS,
    LOOK_BACK,
    WARP_SHUFFLE_CLOCKS,
    specials_of,
)
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.step.analysis import Analysis
from gpuscan.cuda.step.operands import Operands, operands
from gpuscan.cuda.step.registers import REGISTERS_PER_SM, REGISTERS_PER_THREAD
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import cost_of
from gpuscan.cuda.step.totals import is_sum
from gpuscan.cuda.step.work import work_of
from gpuscan.graph import Apply
from gpuscan.tensor.reduction import Reduce, SumTo

DEPENDENT_CLOCKS = 4
"""From one operation to one that needs its result."""

INSTRUCTIONS_PER_CLOCK = 128
"""Instructions that the threads of one SM begin in a clock."""

SPECIAL_INSTRUCTIONS = 8
"""Instructions around each that a special function unit executes: tanh is 16 to 19 with two of them."""

LOADS_PER_CLOCK = 32
"""Words of 32 bits that the threads of one SM take from its shared memory in a clock."""

SET_UP = 16
"""Instructions between two barriers that a thread executes whether it has an element or not."""

INDEPENDENT = {"thread": 2, "warp": 3, "block": 3, "grid": 4}
"""Operations of a thread that do not wait for each other, on average: teams have several sums at once."""

MOST_INDEPENDENT = 16
"""The same of a thread that has several lanes: from so many on the scheduler has no use for more."""

MOVED = 32
"""Instructions for a step of a lane that goes through shared memory on its way from and to device memory."""

TAKE_TURNS = 4
"""Blocks for each SM from which on it does not matter that some have one more than others."""

MANY_STEPS = 1000
"""Steps that a loop is taken to have where nobody knows."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of a step, by what they are spent on, and how many lanes run at once."""

    waiting: float
    issuing: float
    loading: float
    fetching: float
    memory: float

    @property
    def seconds(self) -> float:
        """Of a step."""
        return max(self.waiting, self.issuing, self.loading, self.fetching, self.memory)

    @property
    def bound(self) -> str:
        """What bounds it."""
        named = {
            "how long its operations wait for each other": self.waiting,
            "how many instructions the SMs issue": self.issuing,
            "what its products read from shared memory": self.loading,
            "reading fixed arrays from the L2 cache": self.fetching,
            "device memory": self.memory,
        }
        return max(named, key=lambda name: named[name])


def estimate(
    analysis: Analysis,
    team: Team,
    gpu: GPU,
    bytes_per_step: int,
    chosen: frozenset[Apply] = frozenset(),
    precision: str = "",
) -> Estimate:
    """Return how long a team takes for a step.

    Parameters
    ----------
    analysis : Analysis
        Of the loop.
    team : Team
        The team.
    gpu : GPU
        What it runs on.
    bytes_per_step : int
        What all lanes together read from and write to device memory.
    chosen : frozenset of Apply
        Products on tensor cores.
    precision : str
        What their operands are rounded to.
    """
    needed = operands(analysis, team, gpu, chosen, precision)
    counts = _counted(analysis, team, chosen, precision)
    together = _steps_together(analysis, team)
    teams = max(analysis.lanes.count, 1) * together
    busiest, waves = _on_busiest(teams, team, gpu), -(-teams // _at_once(analysis, team, gpu, needed))
    clock, loaded = gpu.clock_ghz * 1e9, team.threads * needed.loads
    instructions = _instructions(analysis, team, counts) + loaded
    return Estimate(
        waiting=waves * _waiting(analysis, team, counts, needed, clock) / together,
        issuing=busiest * instructions / (INSTRUCTIONS_PER_CLOCK * clock) / together,
        loading=busiest * loaded / (LOADS_PER_CLOCK * clock) / together,
        fetching=busiest * needed.fetched / (L2_BYTES * clock) / together,
        memory=bytes_per_step / (gpu.bandwidth_gbs * 1e9),
    )


@dataclass(frozen=True)
class _Counts:
    """What a team does in a step.

    Attributes
    ----------
    nodes : tuple of Apply
        Those that compute, but for products on tensor cores.
    sums : int
        How many of them the threads of a team share.
    work, products, specials : float
        Operations of these nodes, those of products among them, and instructions of special function units.
    on_cores, calls : int
        Instructions of a thread for products on tensor cores, and how often it waits for others in them.
    """

    nodes: tuple[Apply, ...]
    sums: int
    work: float
    products: float
    specials: float
    on_cores: float
    calls: int


def _counted(analysis: Analysis, team: Team, chosen: frozenset[Apply], precision: str) -> _Counts:
    teams = max(analysis.lanes.count, 1)
    nodes = tuple(node for node in analysis.nodes() if work_of(node) and node not in chosen)
    elsewhere = sum(map(work_of, chosen)) // teams
    on_cores, calls = cost_of(analysis.opened, chosen, analysis.shape, team, precision) if chosen else (0, 0)
    return _Counts(
        nodes=nodes,
        sums=sum(map(is_sum, nodes)) if team.kind != "thread" else 0,
        work=analysis.work() - elsewhere,
        products=analysis.multiplied() - elsewhere,
        specials=sum(map(specials_of, nodes)) / teams,
        on_cores=on_cores,
        calls=calls,
    )


def _waiting(analysis: Analysis, team: Team, counts: _Counts, needed: Operands, clock: float) -> float:
    """Return the seconds from the beginning of a team's step to its end, if nobody else is in the way."""
    elements = prod(analysis.widest())
    busy = min(team.ranks, elements) * (team.parts if counts.sums else 1)
    independent = INDEPENDENT[team.kind if elements > 1 else "thread"]
    if analysis.lanes.tile:  # neighbouring lanes do not wait for each other
        independent = max(independent, min(needed.sums, MOST_INDEPENDENT))
    clocks = DEPENDENT_CLOCKS / independent * counts.work / busy
    clocks += DEPENDENT_CLOCKS * (len(counts.nodes) + _in_turn(analysis, team, counts.nodes) + counts.on_cores)
    clocks += L2_LATENCY_CLOCKS if needed.fetched else 0
    if team.kind != "thread" and any(s.reads for s in analysis.loop.sequences):
        clocks += DRAM_LATENCY_CLOCKS / 2
    meeting = {
        "thread": 0.0,
        "warp": 2 * WARP_SHUFFLE_CLOCKS / clock,
        "block": BLOCK_BARRIER,
        "grid": GRID_BARRIER + L2_LATENCY_CLOCKS / clock,
    }[team.kind]
    return clocks / clock + (counts.sums + 1) * meeting + counts.calls * BLOCK_BARRIER


def _instructions(analysis: Analysis, team: Team, counts: _Counts) -> float:
    """Return the instructions of a team's threads in a step, but for those that read operands of products."""
    around = team.threads * (counts.sums + 1) * SET_UP if team.kind != "thread" else 0
    apiece = counts.work - counts.products + SPECIAL_INSTRUCTIONS * counts.specials
    return around + counts.products / 2 + _times(analysis, team) * apiece + team.threads * counts.on_cores


def _times(analysis: Analysis, team: Team) -> int:
    """Return how many threads compute an element each, if they share the sums of its rank and do not divide it."""
    return 1 if team.divides(analysis.widest()) else team.parts


def _in_turn(analysis: Analysis, team: Team, nodes: Sequence[Apply]) -> float:
    """Return how many terms of sums are added one after the other where sums are fewer than the threads of a team."""
    if team.kind == "thread":
        return 0.0
    sizes = (
        (analysis.elements(node.inputs[0]), analysis.elements(node.outputs[0]))
        for node in nodes
        if isinstance(node.op, Reduce | SumTo)
    )
    return sum(terms / sums / team.parts for terms, sums in sizes if sums > 1)


def _on_busiest(teams: int, team: Team, gpu: GPU) -> float:
    """Return how many teams, or which part of one, the SM with the most of them has."""
    if team.kind == "grid":
        return 1 / gpu.sms
    blocks = teams / (team.per_block * gpu.sms)
    return min(team.per_block, teams) * (blocks if blocks > TAKE_TURNS else ceil(blocks))


def estimate_prefix(analysis: Analysis, span: int, gpu: GPU, bytes_per_step: int) -> Estimate:
    """Return how long a step takes of many that run side by side, in tiles of `span` steps that hand on their state.

    Steps are composed and then run, so that their operations count twice. `analysis`, `gpu` and `bytes_per_step` are
    those of `estimate`.
    """
    instructions = analysis.lanes.count * (2 * analysis.work() + MOVED)
    return Estimate(
        waiting=LOOK_BACK / span,
        issuing=instructions / (gpu.sms * INSTRUCTIONS_PER_CLOCK * gpu.clock_ghz * 1e9),
        loading=0.0,
        fetching=0.0,
        memory=bytes_per_step / (gpu.bandwidth_gbs * 1e9),
    )


def _steps_together(analysis: Analysis, team: Team) -> int:
    """Return how many steps run side by side: all, of a loop that carries nothing from one to the next."""
    if analysis.loop.states or analysis.loop.stop is not None or team.kind == "grid":
        return 1
    return max(analysis.loop.length.known or MANY_STEPS, 1)


def _at_once(analysis: Analysis, team: Team, gpu: GPU, needed: Operands) -> int:
    """Return how many teams run at the same time, as registers and shared memory allow."""
    if team.kind == "grid":
        return 1
    state = sum(analysis.registers(s.next, team.ranks) for s in analysis.loop.states)
    registers = min(32 + 2 * state + needed.registers + needed.sums, REGISTERS_PER_THREAD)
    per_sm = min(REGISTERS_PER_SM // (registers * team.block), gpu.threads_per_sm // team.block, gpu.blocks_per_sm)
    if needed.shared:
        per_sm = min(per_sm, gpu.shared_per_sm // (needed.shared * team.per_block))
    return max(per_sm, 1) * team.per_block * gpu.sms
