"""A plan of a team that runs one step after another: what its registers must hold, and its products on tensor cores."""

from __future__ import annotations

from collections.abc import Iterator

from gpuscan.config import config
from gpuscan.cuda.estimate import estimate
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.step.analysis import Analysis
from gpuscan.cuda.step.registers import MOST_AHEAD, MOST_HELD, MOST_OWN
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import FEWEST_COLUMNS, FEWEST_ROWS, FEWEST_TERMS, OLDEST, taken
from gpuscan.cuda.strategy import traffic_of, window
from gpuscan.graph import Apply
from gpuscan.tensor.products import MatMul

MOST_REGISTERS_PER_RANK = 144
"""32-bit registers for the state, the windows of sequences and the constants of a thread that shares a lane with
others. It computes fewer elements at once than a thread that has a lane to itself."""

TIMES_FILLED = 4
"""How many times over the teams of a loop without states fill the GPU: some end sooner than others."""


def step_plan(analysis: Analysis, shape: Team, ahead: int, gpu: GPU) -> KernelPlan:
    """Return how a team of that shape runs a loop, with rows of sequences loaded `ahead` steps before their use."""
    traffic = traffic_of(analysis.loop)
    chosen = on_tensor_cores(analysis, shape, gpu)
    return KernelPlan(
        team=shape.kind,
        loop=analysis.loop,
        opened=analysis.opened,
        lanes=analysis.lanes,
        shape=shape,
        random=analysis.random,
        totals=analysis.totals,
        ahead=ahead,
        traffic=traffic,
        estimate=estimate(analysis, shape, gpu, traffic.per_step, chosen, config.matmul_precision),
        precision=config.matmul_precision if chosen else "highest",
        on_tensor_cores=chosen,
        notes=tuple(_notes(analysis, len(chosen), gpu)),
        teams_to_fill=TIMES_FILLED * gpu.sms * gpu.threads_per_sm // shape.threads,
    )


def on_tensor_cores(analysis: Analysis, shape: Team, gpu: GPU) -> frozenset[Apply]:
    """Return the products of a loop that a team computes on tensor cores, as far as ``config`` and the GPU allow."""
    if config.matmul_precision == "highest" or gpu.capability < OLDEST:
        return frozenset()
    return taken(analysis.nodes(), analysis.shape, shape)


def _notes(analysis: Analysis, chosen: int, gpu: GPU) -> Iterator[str]:
    """Yield what ``config.matmul_precision`` comes to."""
    products = sum(isinstance(node.op, MatMul) for node in analysis.nodes())
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


def carried_registers(analysis: Analysis, ranks: int = 1) -> int:
    """Return the 32-bit registers that each of a lane's threads carries from step to step.

    What is too large for that is not counted where a lane has several threads: they have it in memory that they share.
    """
    loop = analysis.loop
    states = ((analysis.registers(s.next, ranks), s.depth) for s in loop.states)
    read = ((next(iter(s.reads.values())), window(s.reads)) for s in loop.sequences if s.reads)
    rows = ((analysis.registers(row, ranks), kept) for row, kept in read)
    fixed = (analysis.registers(n.read, ranks) for n in loop.non_sequences)
    total = sum(n * depth for n, depth in states if ranks == 1 or n <= MOST_OWN)
    total += sum(n * kept for n, kept in rows if n <= MOST_AHEAD)
    return total + sum(n for n in fixed if n <= MOST_HELD)


def refuse_registers(analysis: Analysis, shape: Team) -> str | None:
    """Return why threads have no room for what they carry from step to step, None if they have."""
    if (registers := carried_registers(analysis, shape.ranks)) > MOST_REGISTERS_PER_RANK:
        return f"each of {shape.ranks} threads carries {registers} registers; it has room for {MOST_REGISTERS_PER_RANK}"
    return None
