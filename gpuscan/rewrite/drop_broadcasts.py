"""Drop broadcasts that pointwise operations do themselves."""

from __future__ import annotations

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.compose_moves import without_leading_ones
from gpuscan.rewrite.matching import Rules, rewrite_nodes
from gpuscan.rewrite.sizes import identity, size_of
from gpuscan.tensor.pointwise import POINTWISE
from gpuscan.tensor.shaping import BroadcastTo


def drop_broadcasts(graph: Graph) -> Graph | None:
    """Hand a value to a pointwise operation as it is, where another operand has the shape it is broadcast to."""
    return rewrite_nodes(graph, RULES)


def _leading_ones(node: Apply) -> Variable | None:
    """Drop leading axes of size 1 where another operand has the rank of the result."""
    rank = node.outputs[0].ndim
    for position, v in enumerate(node.inputs):
        others = [other.ndim for i, other in enumerate(node.inputs) if i != position]
        if others and max(others) == rank and (shorter := without_leading_ones(v)) is not v:
            return node.op(*node.inputs[:position], shorter, *node.inputs[position + 1 :])
    return None


def _operands_as_they_are(node: Apply) -> Variable | None:
    for position, v in enumerate(node.inputs):
        if v.owner is None or not isinstance(v.owner.op, BroadcastTo):
            continue
        others = [other for i, other in enumerate(node.inputs) if i != position]
        if any(_covers(other, v) for other in others):
            return node.op(*node.inputs[:position], v.owner.inputs[0], *node.inputs[position + 1 :])
    return None


def _covers(other: Variable, v: Variable) -> bool:
    """Whether a value has, for certain, every size that `v` was broadcast to."""
    assert v.owner is not None
    origin, *sizes = v.owner.inputs
    if other.ndim < v.ndim:
        return False
    skipped = other.ndim - v.ndim
    return all(
        _kept(origin, v, axis) or identity(size) == identity(size_of(other, skipped + axis))
        for axis, size in enumerate(sizes)
    )


def _kept(origin: Variable, v: Variable, axis: int) -> bool:
    """Whether an axis has the size that it had before."""
    own = axis - (v.ndim - origin.ndim)
    if own < 0:
        return False
    return bool(identity(size_of(origin, own)) == identity(size_of(v, axis)))


RULES: Rules = {row: [_operands_as_they_are, _leading_ones] for row in POINTWISE}
