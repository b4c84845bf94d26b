"""Reductions over fewer elements: not over what was only broadcast, moved or is alone along its axis."""

from __future__ import annotations

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import Rules, operand, rewrite_nodes
from gpuscan.rewrite.sizes import identity, size_of
from gpuscan.tensor import cast, eq, switch
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.reduction import POSITIONS, Reduce, SumTo, sum_to
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle
from gpuscan.tensor.sizes import product


def smaller_reductions(graph: Graph) -> Graph | None:
    """Reduce before broadcasting and transposing, two axes at once, and nothing where there is one element.

    Results are the same bit for bit, but for the sum of equal floats, which is rounded once as their product.
    """
    return rewrite_nodes(graph, RULES)


def _over_one_element(node: Apply) -> Variable | None:
    """Drop axes of size 1."""
    (x,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    alone = [axis for axis in op.axes if x.type.shape[axis] == 1]
    if not alone or op.kind in POSITIONS:
        return None
    kept = [axis for axis in range(x.ndim) if axis not in alone]
    smaller = DimShuffle(tuple(kept))(x)
    axes = tuple(kept.index(axis) for axis in op.axes if axis not in alone)
    if axes:
        return Reduce(op.kind, axes)(smaller)
    return cast(smaller, node.outputs[0].dtype)


def _of_a_reduction(node: Apply) -> Variable | None:
    (x,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    inner = x.owner.op if x.owner is not None else None
    if x.owner is None or not isinstance(inner, Reduce) or inner.kind != op.kind or op.kind in POSITIONS:
        return None
    if op.kind in ("sum", "prod") and kind(x.dtype) not in "biu":
        return None  # rounded in another order
    origin = x.owner.inputs[0]
    kept = [axis for axis in range(origin.ndim) if axis not in inner.axes]
    return Reduce(op.kind, tuple(sorted((*inner.axes, *(kept[axis] for axis in op.axes)))))(origin)


def _of_a_transposition(node: Apply) -> Variable | None:
    (x,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    if x.owner is None or not isinstance(x.owner.op, DimShuffle):
        return None
    order, origin = x.owner.op.order, x.owner.inputs[0]
    if None in [order[axis] for axis in op.axes] or x.owner.op.dropped(origin.ndim):
        return None
    axes = tuple(sorted(a for axis in op.axes if (a := order[axis]) is not None))
    kept = [a for a in range(origin.ndim) if a not in axes]
    moved = [a for axis, a in enumerate(order) if axis not in op.axes]
    reduced = Reduce(op.kind, axes)(origin)
    after = tuple(None if a is None else kept.index(a) for a in moved)
    return reduced if after == tuple(range(reduced.ndim)) else DimShuffle(after)(reduced)


def _of_a_broadcast(node: Apply) -> Variable | None:
    """Multiply by how many there are, or reduce one of those that are equal."""
    (x,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    if op.kind not in ("sum", "max", "min") or x.owner is None or not isinstance(x.owner.op, BroadcastTo):
        return None
    origin, *sizes = x.owner.inputs
    new = x.ndim - origin.ndim
    equal = [axis for axis in op.axes if axis < new or (origin.type.shape[axis - new] == 1 != x.type.shape[axis])]
    if not equal or (op.kind != "sum" and any(not sizes[axis].known for axis in equal)):
        return None
    whole = [axis for axis in range(x.ndim) if axis not in equal]
    one = DimShuffle(tuple(axis - new for axis in whole if axis >= new))(origin)
    if whole:
        one = BroadcastTo()(one, *(sizes[axis] for axis in whole))
    axes = tuple(whole.index(axis) for axis in op.axes if axis not in equal)
    reduced = Reduce(op.kind, axes)(one) if axes else cast(one, node.outputs[0].dtype)
    return reduced if op.kind != "sum" else _times(reduced, product([sizes[axis] for axis in equal]))


def _times(x: Variable, count: Variable) -> Variable:
    """Return `x` as often as `count` says; of infinity or NaN nothing is 0."""
    total = Pointwise("mul")(x, cast(count, x.dtype))
    return total if count.known else switch(eq(count, 0), cast(0, x.dtype), total)


def _of_negatives(node: Apply) -> Variable | None:
    (x,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    positive = operand(x, "neg")
    if positive is None or op.kind != "sum" or x.dtype != node.outputs[0].dtype:
        return None
    return Pointwise("neg")(op(positive))


def _sum_to(node: Apply) -> Variable | None:
    """Sum only over axes that are not certain to have the size already."""
    x, *sizes = node.inputs
    extra = x.ndim - len(sizes)
    own = [size_of(x, extra + axis) for axis in range(len(sizes))]
    same = [identity(a) == identity(b) for a, b in zip(own, sizes, strict=True)]
    certain = any(size.known is not None for size in sizes)
    if not extra and not certain and not all(same):
        return None
    smaller = sum_to(x, [None if equal else size for equal, size in zip(same, sizes, strict=True)])
    unchanged = smaller.owner is not None and smaller.owner.op == node.op and smaller.owner.inputs[0] is x
    return None if unchanged else smaller


RULES: Rules = {
    Reduce: [_over_one_element, _of_a_reduction, _of_a_transposition, _of_a_broadcast, _of_negatives],
    SumTo: [_sum_to],
}
