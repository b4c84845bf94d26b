"""The team of all SMs, and the shapes of grids that it chooses among."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import final

from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.step.analysis import Analysis, refuse_any_team
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import size_of
from gpuscan.cuda.step_plan import on_tensor_cores, refuse_registers, step_plan
from gpuscan.cuda.strategy import Strategy

GRID_BLOCK = 256
"""Threads of each SM in a grid: with more of them each would have too few registers for weights."""

LONG_SUM = 64
"""Terms from which on the threads of a warp share a sum in a grid."""


@final
class GridTeam(Strategy):
    """All lanes by all SMs: what they exchange goes through the L2 cache, with a barrier of the whole grid."""

    team = "grid"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        whole = analysis.without_lanes()
        if (reason := refuse_any_team(whole)) is not None:
            return reason
        reasons = [refuse_registers(whole, shape) for shape in self._shapes(whole, gpu)]
        return None if None in reasons else reasons[0]

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        whole = analysis.without_lanes()
        shapes = [shape for shape in self._shapes(whole, gpu) if refuse_registers(whole, shape) is None]
        return [step_plan(whole, shape, 1, gpu) for shape in shapes]

    def _shapes(self, analysis: Analysis, gpu: GPU) -> list[Team]:
        if (tiled := _grid_of_tiles(analysis, gpu)) is not None:
            return [tiled]
        elements, last = prod(analysis.widest()), analysis.widest()[-1] if analysis.widest() else 1
        if analysis.longest_sum() < LONG_SUM:
            block = 256
            ranks = min(elements, gpu.sms * block)
            return [Team("grid", ranks, 1, block, -(-ranks // block))]
        return _grids_of_columns(analysis, last, elements // last, gpu)


def _grids_of_columns(analysis: Analysis, columns: int, rows: int, gpu: GPU) -> list[Team]:
    """Return grids in which a rank has a column of the weights and some of the rows, of all lanes together.

    The threads of a rank divide the terms of its sums, and do everything else alike: the more there are, the fewer
    weights each holds, and the more often the rest is done. First come those that need the fewest registers for both.
    """
    threads = gpu.sms * GRID_BLOCK
    found: list[tuple[int, Team]] = []
    for parts in (32, 16, 8, 4, 2, 1):
        groups = max(min(threads // (columns * parts), rows), 1)
        ranks = columns * groups
        if ranks * parts <= threads:
            registers = -(-rows // groups) + -(-analysis.longest_sum() // parts)
            # Whole ranks to a block, spread over all SMs.
            block = -(-(-(-ranks // gpu.sms) * parts) // 32) * 32
            found.append((registers, Team("grid", ranks, parts, block, -(-ranks * parts // block))))
    if not found:
        return [Team("grid", threads, 1, GRID_BLOCK, gpu.sms)]
    return [team for _, team in sorted(found, key=lambda pair: pair[0])]


def _grid_of_tiles(analysis: Analysis, gpu: GPU) -> Team | None:
    """Return the grid whose blocks own whole columns of the largest product; None if none is for tensor cores."""
    best: tuple[int, Team] | None = None
    for node in analysis.nodes():
        size = size_of(node, analysis.shape)
        if size is None:
            continue
        width = 8 * -(-size.columns // (8 * gpu.sms))
        rows = min(size.rows, GRID_BLOCK // width)
        if rows:
            blocks = -(-size.columns // width)
            team = Team("grid", rows * size.columns, 1, GRID_BLOCK, blocks, width, size.columns)
            fits = node in on_tensor_cores(analysis, team, gpu) and refuse_registers(analysis, team) is None
            if fits and (best is None or size.work > best[0]):
                best = size.work, team
    return best[1] if best else None
