"""Moves of elements that follow one another become one; a move to where the elements are becomes none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import Rules, operands, rewrite_nodes, same_shape
from gpuscan.rewrite.sizes import identity, size_of
from gpuscan.tensor.indexing import At, Gather, Index, Item, Mask, New, Range
from gpuscan.tensor.pointwise import Cast
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Join, Reshape, Stack


def compose_moves(graph: Graph) -> Graph | None:
    """Compose transpositions and reshapes; drop those, broadcasts and slices that change nothing.

    A reshape that only adds or drops axes of size 1 becomes a transposition, whose axes the planners see through.
    One of several rows that were stacked is read as it was before.
    """
    return rewrite_nodes(graph, RULES)


def _transposed(node: Apply) -> Variable | None:
    (x,) = node.inputs
    assert isinstance(node.op, DimShuffle)
    if _same_places(x, node.op.order):
        return x
    if x.owner is None or not isinstance(x.owner.op, DimShuffle):
        return None
    inner = x.owner.op.order
    composed = tuple(None if axis is None else inner[axis] for axis in node.op.order)
    return DimShuffle(composed)(x.owner.inputs[0])


# ---- reshapes ----


def _reshaped(node: Apply) -> Variable | None:
    x, *sizes = node.inputs
    if (order := _only_ones(x, sizes)) is not None:
        return x if order == tuple(range(x.ndim)) else DimShuffle(order)(x)
    if x.owner is None:
        return None
    origin, *between = x.owner.inputs
    if isinstance(x.owner.op, Reshape) and _holds_all(origin, between):
        return Reshape()(origin, *sizes)
    if isinstance(x.owner.op, DimShuffle) and _adds_ones(x.owner.op, origin):
        return Reshape()(origin, *sizes)
    return None


def _only_ones(x: Variable, sizes: Sequence[Variable]) -> tuple[int | None, ...] | None:
    """Return the order of axes that a reshape to `sizes` amounts to, if it only adds and drops axes of size 1."""
    order: list[int | None] = []
    waiting = [axis for axis in range(x.ndim) if x.type.shape[axis] != 1]
    for size in sizes:
        if size.known == 1:
            order.append(None)
        elif waiting and size.known != -1 and identity(size) == identity(size_of(x, waiting[0])):
            order.append(waiting.pop(0))
        else:
            return None
    if waiting:
        return None
    # Axes of size 1 that stay are taken from where they are, in the same order, as long as there are any.
    return tuple(range(x.ndim)) if _same_places(x, order) else tuple(order)


def _same_places(x: Variable, order: Sequence[int | None]) -> bool:
    return len(order) == x.ndim and all(a == i or (a is None and x.type.shape[i] == 1) for i, a in enumerate(order))


def _holds_all(x: Variable, sizes: Sequence[Variable]) -> bool:
    """Whether a reshape of `x` to `sizes` is certain to be possible, so that nothing is lost if it is not done."""
    if all(size.known is not None for size in sizes):
        return x.type.size is not None
    own = [size_of(x, axis) for axis in range(x.ndim)]
    return _factors(own) == _factors(sizes)


def _factors(sizes: Sequence[Variable]) -> tuple[int, Counter[Any]]:
    """Return a product of sizes as what is known of it and what is not."""
    known, others = 1, Counter[Any]()
    stack = list(sizes)
    while stack:
        size = stack.pop()
        if size.known is not None:
            known *= size.known
        elif pair := operands(size, "mul"):
            stack.extend(pair)
        else:
            others[identity(size)] += 1
    return known, others


def _adds_ones(op: DimShuffle, x: Variable) -> bool:
    """Whether a transposition only adds axes of size 1, or drops those known to have it."""
    kept = [axis for axis in op.order if axis is not None]
    return kept == sorted(kept) and all(x.type.shape[axis] == 1 for axis in op.dropped(x.ndim))


# ---- broadcasts and slices ----


def _broadcast(node: Apply) -> Variable | None:
    x, *sizes = node.inputs
    if x.ndim == len(sizes) and all(identity(size_of(x, i)) == identity(size) for i, size in enumerate(sizes)):
        return x
    if (shorter := without_leading_ones(x)) is not x:
        return BroadcastTo()(shorter, *sizes)
    if x.owner is None or not isinstance(x.owner.op, BroadcastTo):
        return None
    origin, *between = x.owner.inputs
    outer = sizes[len(sizes) - len(between) :]
    # One that was to fail must still fail.
    certain = all(identity(a) == identity(b) or a.known == 1 for a, b in zip(between, outer, strict=True))
    return BroadcastTo()(origin, *sizes) if certain else None


def without_leading_ones(x: Variable) -> Variable:
    """Return a value without the leading axes of size 1 that it was given, as broadcasting adds them by itself."""
    if x.owner is None or not isinstance(x.owner.op, DimShuffle):
        return x
    order, origin = x.owner.op.order, x.owner.inputs[0]
    rest = order[next((i for i, axis in enumerate(order) if axis is not None), len(order)) :]
    if len(rest) == len(order):
        return x
    return origin if rest == tuple(range(origin.ndim)) else DimShuffle(rest)(origin)


def _whole(node: Apply) -> Variable | None:
    """Read an index that takes everything, and at most adds axes."""
    assert isinstance(node.op, Index)
    pattern = node.op.pattern
    if not all(item == Range() or isinstance(item, New) for item in pattern):
        return None
    axes = iter(range(node.inputs[0].ndim))
    order = tuple(None if isinstance(item, New) else next(axes) for item in pattern)
    return DimShuffle(order)(node.inputs[0]) if None in order else node.inputs[0]


def _one_of_stacked(node: Apply) -> Variable | None:
    """Read one row of rows that were stacked."""
    assert isinstance(node.op, Index)
    x, *slots = node.inputs
    first, rest = node.op.pattern[0], node.op.pattern[1:]
    if not isinstance(first, At) or not isinstance(first.position, int) or any(map(_is_advanced, rest)):
        return None
    rows = _stacked(x)
    if not rows or not all(same_shape(v, rows[0]) for v in rows):  # stacking would have found out
        return None
    row = rows[first.position]
    return row if all(item == Range() for item in rest) else Index(rest)(row, *slots)


def _of_one(node: Apply) -> Variable | None:
    """Join nothing to an array."""
    return node.inputs[0] if len(node.inputs) == 1 else None


def _is_advanced(item: Item) -> bool:
    return isinstance(item, Gather | Mask)


def _stacked(x: Variable) -> list[Variable]:
    """Return the rows that a value was stacked of; none if it was not."""
    if x.owner is None:
        return []
    if isinstance(x.owner.op, Stack):
        return [v if v.dtype == x.dtype else Cast(x.dtype)(v) for v in x.owner.inputs]
    joined = x.owner.inputs if isinstance(x.owner.op, Join) and x.owner.op.axis == 0 else [x]
    rows = [without_leading_ones(v) for v in joined]
    return rows if all(row.ndim == x.ndim - 1 for row in rows) else []


RULES: Rules = {
    DimShuffle: [_transposed],
    Reshape: [_reshaped],
    BroadcastTo: [_broadcast],
    Index: [_whole, _one_of_stacked],
    Join: [_of_one],
}
