"""The team of tiles: a block carries several lanes, so that it reads each weight once for all of them.

What the search for a shape weighs: a thread that has several columns of a product uses what it reads of the left side
for all of them, and one that has several rows uses each weight for all of those; a tile of few lanes leaves more blocks
for the SMs, and threads that share a sum leave each with fewer weights to hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import NamedTuple, final

from gpuscan.config import config
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.step.analysis import Analysis, refuse_any_team
from gpuscan.cuda.step.operands import busy_registers
from gpuscan.cuda.step.registers import registers_for_weights
from gpuscan.cuda.step.resident import is_fixed
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.work import work_of
from gpuscan.cuda.step_plan import on_tensor_cores, refuse_registers, step_plan
from gpuscan.cuda.strategy import Strategy
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.products import MatMul

MARGIN = 1.25
"""How many times the seconds of a tile others may take: its barriers join lanes that else do not wait for each other,
and each of them can have an SM's other blocks cover its waits."""

LANES_PER_SM = 2
"""Lanes for each SM up to which they have blocks of their own, as these have registers for all their weights."""

MOST_LANES = 64
"""Lanes of a tile: with more, weights are read seldom enough, and SMs want blocks."""

COLUMNS = (1, 2, 4, 8)
"""Columns of a product that a thread may have."""

PARTS = (1, 2, 4)
"""Threads that may share a sum."""

MOST_SUMS = 32
"""Elements of a product that a thread may have."""

MOST_THREADS = 512
"""Threads of a block: with more of them each would have too few registers for weights."""


@final
class TileTeam(Strategy):
    """Several lanes a block, where lanes share the fixed right side of a product, whose rows they are."""

    team = "tile"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        if (reason := refuse_any_team(analysis)) is not None:
            return reason
        if not analysis.loop.states:
            return "no state is carried: steps need not wait for each other"
        if (shared := _shared(analysis)) is None:
            return "no product has lanes for rows and a fixed matrix on its right"
        size = analysis.lanes.sizes[shared.axis]
        if not list(_heights(size)):
            return f"{size} lanes cannot be divided into tiles of up to {MOST_LANES} lanes"
        if next(_tilings(analysis, shared), None) is None:
            return "no shape of a tile leaves a thread registers enough for the sums of its rows"
        return None

    def decline(self, analysis: Analysis, gpu: GPU, steps: int | None) -> str | None:
        lanes, most, shared = analysis.lanes.count, LANES_PER_SM * gpu.sms, _shared(analysis)
        assert shared is not None
        if lanes > most:
            return None
        if config.matmul_precision != "highest" and any(on_tensor_cores(*t, gpu) for t in _tilings(analysis, shared)):
            return None
        return f"{lanes} lanes have a block each, with weights of its own; more than {most} share them"

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        """Return the best plan for each height of a tile: the low ones need less shared memory."""
        shared = _shared(analysis)
        assert shared is not None
        found: dict[int, list[KernelPlan]] = defaultdict(list)
        for tiled, shape in _tilings(analysis, shared):
            found[prod(tiled.lanes.tile)].append(replace(step_plan(tiled, shape, 1, gpu), team=self.team))
        return sorted((min(plans, key=_cost) for plans in found.values()), key=_cost)


def _cost(plan: KernelPlan) -> tuple[float, float]:
    """Return what a step takes; where device memory bounds it, shapes differ in the rest."""
    assert plan.estimate is not None
    return plan.seconds, plan.estimate.waiting + plan.estimate.issuing + plan.estimate.loading


def _axis(analysis: Analysis, node: Apply) -> int | None:
    """Return the axis of lanes along which the rows of a product by a fixed matrix lie, None without one."""
    if not isinstance(node.op, MatMul):
        return None
    left, right = node.inputs
    if right.ndim < 2 or not is_fixed(right, analysis.loop) or prod(analysis.shape(right)[:-2]) != 1:
        return None
    rows = {label for label in analysis.lanes.of(left) if label is not None} - set(analysis.lanes.of(right))
    return max(rows, key=lambda label: analysis.lanes.sizes[label], default=None)


class _Shared(NamedTuple):
    """An axis of lanes that share fixed matrices, and the result of the largest product by one."""

    axis: int
    product: Variable


def _shared(analysis: Analysis) -> _Shared | None:
    """Return where most work of products is by matrices that lanes share."""
    found: dict[int, list[Apply]] = defaultdict(list)
    for node in analysis.nodes():
        axis = _axis(analysis, node)
        if axis is not None:
            found[axis].append(node)
    if not found:
        return None
    axis = max(found, key=lambda axis: sum(map(work_of, found[axis])))
    return _Shared(axis, max(found[axis], key=work_of).outputs[0])


def _heights(lanes: int) -> Iterator[int]:
    """Yield the numbers of lanes of a tile worth trying, divisors each well below the one before."""
    before = 2 * MOST_LANES
    for height in range(min(lanes, MOST_LANES), 1, -1):
        if lanes % height == 0 and height <= 0.75 * before:
            before = height
            yield height


def _tilings(analysis: Analysis, shared: _Shared) -> Iterator[tuple[Analysis, Team]]:
    """Yield the loop in tiles along an axis of lanes, with teams for them."""
    for height in _heights(analysis.lanes.sizes[shared.axis]):
        tiled = analysis.in_tiles(shared.axis, height)
        for shape in _shapes(height, tiled.shape(shared.product)[-1]):
            left = registers_for_weights(shape, busy_registers(tiled.opened, shape, tiled.space, tiled.random))
            if left >= 0 and refuse_registers(tiled, shape) is None:
                yield tiled, shape


def _shapes(height: int, columns: int) -> Iterator[Team]:
    """Yield teams for tiles of so many lanes, the rows of a product of so many columns."""
    for each, parts in product(COLUMNS, PARTS):
        if columns % each:
            continue
        across = columns // each
        stripes = [n for n in range(height, 0, -1) if height % n == 0 and across * parts * n <= MOST_THREADS]
        for count in stripes[:2]:
            if height // count * each <= MOST_SUMS:
                block = -(-across * parts * count // 32) * 32
                yield Team("block", across * count, parts, block, stripes=count)
