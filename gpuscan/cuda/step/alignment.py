"""Which axes of an op's operands and results run side by side, and which it mixes: one rule an op.

Element i along an axis of a result depends on element i along the axis of an operand that runs beside it, and on no
other element of that operand there. Every other axis of an operand is mixed: a result may need all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gpuscan.cuda.step.room import Appended, AtEnd
from gpuscan.cuda.step.selections import Selections, selections
from gpuscan.graph import Apply, RuleTable, Variable
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.guards import Assert, SpecifyShape
from gpuscan.tensor.indexing import Index, New, Pattern, Range, WriteIndex
from gpuscan.tensor.matrices import (
    QR,
    SVD,
    Cholesky,
    Det,
    Eigh,
    Inverse,
    SingularValues,
    SlogDet,
    Solve,
    SolveTriangular,
)
from gpuscan.tensor.ordering import ArgSort, SearchSorted, Sort
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Join, Repeat, Reshape, Stack

Axis = tuple[Variable, int]
Pair = tuple[Axis, Axis]
Rule = Callable[[Any, Apply], Iterator[Pair]]
RULES: RuleTable[Rule] = RuleTable()


def aligned_axes(node: Apply) -> list[Pair] | None:
    """Return the pairs of axes, of an operand and of a result, that run side by side; None for an op without a rule.

    Axes of size 1 are not told of: nothing runs along them.
    """
    rule = RULES.get(type(node.op))
    return None if rule is None else [pair for pair in rule(node.op, node) if all(_long(*axis) for axis in pair)]


def _long(variable: Variable, axis: int) -> bool:
    return variable.type.shape[axis] != 1


def _from_right(x: Variable, y: Variable) -> Iterator[Pair]:
    """Pair the axes of two values that broadcast against each other."""
    for back in range(1, min(x.ndim, y.ndim) + 1):
        yield (x, x.ndim - back), (y, y.ndim - back)


@RULES.rule(Pointwise, Cast)
def _pointwise(op: Pointwise | Cast, node: Apply) -> Iterator[Pair]:
    for v in node.inputs:
        yield from _from_right(v, node.outputs[0])


@RULES.rule(BroadcastTo, SpecifyShape, Barrier, Assert)
def _first(op: Any, node: Apply) -> Iterator[Pair]:
    yield from _from_right(node.inputs[0], node.outputs[0])


@RULES.rule(Stack, Arange, Eye)
def _nothing(op: Any, node: Apply) -> Iterator[Pair]:
    return iter(())


@RULES.rule(Draw)
def _draw(op: Draw, node: Apply) -> Iterator[Pair]:
    for v in op.split(node.inputs)[2]:
        yield from _from_right(v, node.outputs[1])


@RULES.rule(DimShuffle)
def _dimshuffle(op: DimShuffle, node: Apply) -> Iterator[Pair]:
    for position, axis in enumerate(op.order):
        if axis is not None:
            yield (node.inputs[0], axis), (node.outputs[0], position)


@RULES.rule(Reshape)
def _reshape(op: Reshape, node: Apply) -> Iterator[Pair]:
    x, y = node.inputs[0], node.outputs[0]
    for i, j in same_axes(x.type.shape, y.type.shape):
        yield (x, i), (y, j)


def same_axes(old: Sequence[int | None], new: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Yield the axes of a shape and of another for the same elements that are the same axis in both."""
    i = j = 0
    before_old = before_new = 1  # elements in the axes passed
    while i < len(old) and j < len(new):
        m, n = old[i] or 0, new[j] or 0
        if before_old == before_new and m == n:
            yield i, j
            i, j = i + 1, j + 1
        elif before_old * m <= before_new * n:
            before_old, i = before_old * m, i + 1
            continue
        else:
            before_new, j = before_new * n, j + 1
            continue
        before_old, before_new = before_old * m, before_new * n


@RULES.rule(Join, Appended)
def _join(op: Join | Appended, node: Apply) -> Iterator[Pair]:
    for v in node.inputs:
        for axis in range(v.ndim):
            if axis != op.axis:
                yield (v, axis), (node.outputs[0], axis)


@RULES.rule(Repeat, Sort, ArgSort, Cumulate, AtEnd)
def _along(op: Repeat | Sort | ArgSort | Cumulate | AtEnd, node: Apply) -> Iterator[Pair]:
    for axis in range(node.inputs[0].ndim):
        if axis != op.axis:
            yield (node.inputs[0], axis), (node.outputs[0], axis)


@RULES.rule(SearchSorted)
def _searchsorted(op: SearchSorted, node: Apply) -> Iterator[Pair]:
    yield from _from_right(node.inputs[1], node.outputs[0])


@RULES.rule(Reduce)
def _reduce(op: Reduce, node: Apply) -> Iterator[Pair]:
    x = node.inputs[0]
    for position, axis in enumerate(a for a in range(x.ndim) if a not in op.axes):
        yield (x, axis), (node.outputs[0], position)


@RULES.rule(SumTo)
def _sum_to(op: SumTo, node: Apply) -> Iterator[Pair]:
    x, y = node.inputs[0], node.outputs[0]
    for (_, i), (_, j) in _from_right(x, y):
        if x.type.shape[i] == y.type.shape[j]:
            yield (x, i), (y, j)


@RULES.rule(MatMul)
def _matmul(op: MatMul, node: Apply) -> Iterator[Pair]:
    (a, b), y = node.inputs, node.outputs[0]
    core = (a.ndim > 1) + (b.ndim > 1)
    batch = y.ndim - core
    for v in (a, b):
        for back in range(1, max(v.ndim - 2, 0) + 1):
            yield (v, v.ndim - 2 - back), (y, batch - back)
    if a.ndim > 1:
        yield (a, a.ndim - 2), (y, batch)
    if b.ndim > 1:
        yield (b, b.ndim - 1), (y, y.ndim - 1)


@RULES.rule(Index)
def _index(op: Index, node: Apply) -> Iterator[Pair]:
    x, *slots = node.inputs
    yield from _part(op.pattern, slots, x, node.outputs[0])


@RULES.rule(WriteIndex)
def _write_index(op: WriteIndex, node: Apply) -> Iterator[Pair]:
    x, value, *slots = node.inputs
    yield from _from_right(x, node.outputs[0])
    found = selections(op.pattern, slots)
    if found is None:
        return
    ndim = part_ndim(found, op.pattern)
    for axis, selection in enumerate(found.along):
        own = selection.axis - (ndim - value.ndim)  # the value broadcasts to the part
        if selection.item == Range() and own >= 0:
            yield (value, own), (node.outputs[0], axis)


def _part(pattern: Pattern, slots: Sequence[Variable], x: Variable, part: Variable) -> Iterator[Pair]:
    found = selections(pattern, slots)
    if found is None:
        return
    for axis, selection in enumerate(found.along):
        if selection.item == Range():
            yield (x, axis), (part, selection.axis)
    for v in slots:
        for axis in range(v.ndim):
            yield (v, axis), (part, found.start + found.gathered - v.ndim + axis)


def part_ndim(found: Selections, pattern: Pattern) -> int:
    """Return how many axes the part of an array has that an index selects."""
    return found.gathered + sum(isinstance(item, Range | New) for item in pattern)


@RULES.rule(Inverse, Solve, SolveTriangular, Cholesky, Det, SlogDet, Eigh, SVD, SingularValues, QR)
def _matrices(op: Any, node: Apply) -> Iterator[Pair]:
    stack = max(v.ndim for v in node.inputs) - 2
    for v in node.inputs:
        for y in node.outputs:
            for back in range(1, v.ndim - 1):
                yield (v, v.ndim - 2 - back), (y, stack - back)
