"""Answer sizes from what a value is computed from, so that it need not be computed for its shape alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gpuscan.graph import Apply, Graph, Op, Variable
from gpuscan.loop import Scan, open_loop
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor import eq, switch
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Eye
from gpuscan.tensor.indexing import At, Index, New, Range, WriteIndex
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Reshape, dim

MOST_DEEP = 100
"""How many ops up a size is followed; further up it is taken from the value. Python's own stack bounds this."""


def sizes_from_inputs(graph: Graph) -> Graph | None:
    """Replace the size of a computed value by sizes of what it is computed from."""

    def answer(node: Apply, _: Apply) -> Sequence[Variable] | None:
        if not isinstance(node.op, Dim):
            return None
        size = size_of(node.inputs[0], node.op.axis)
        return None if size.owner is node or _same_dim(size, node) else (size,)

    smaller = rebuild(graph, answer)
    return None if smaller is graph else smaller


def _same_dim(size: Variable, node: Apply) -> bool:
    return size.owner is not None and size.owner.op == node.op and size.owner.inputs == node.inputs


def size_of(v: Variable, axis: int, deep: int = 0) -> Variable:
    """Return the size of `axis` of a value, computed without the value where an op's rule says how."""
    if v.type.shape[axis] is not None or v.owner is None or deep > MOST_DEEP:
        return dim(v, axis)
    size = _RULES[type(v.owner.op)](v, axis, deep + 1) if type(v.owner.op) in _RULES else None
    return dim(v, axis) if size is None else size


def _one_of(candidates: Sequence[tuple[Variable, int]], deep: int) -> Variable | None:
    """Return the size that arrays have along an axis when broadcast together."""
    open_ = [(x, axis) for x, axis in candidates if x.type.shape[axis] != 1]
    sizes = list(dict.fromkeys(size_of(x, axis, deep) for x, axis in open_))
    first = {s.known if s.known is not None else _key(s): s for s in sizes}
    distinct = list(first.values())
    if not distinct:
        return None
    size = distinct[0]
    for other in distinct[1:]:
        size = switch(eq(size, 1), other, size)
    return size


def _key(size: Variable) -> Any:
    """Return what two sizes of the same axis of the same value have in common."""
    return (size.owner.op, size.owner.inputs) if size.owner is not None and isinstance(size.owner.op, Dim) else size


def _pointwise(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    back = axis - v.ndim
    return _one_of([(x, x.ndim + back) for x in v.owner.inputs if x.ndim >= -back], deep)


def _first_input(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    return size_of(v.owner.inputs[0], axis, deep)


def _given(v: Variable, axis: int, deep: int) -> Variable | None:
    """Return the size that the op was told; a reshape may have been told -1."""
    assert v.owner is not None
    size = v.owner.inputs[1 + axis]
    certain = not isinstance(v.owner.op, Reshape) or (size.owner is not None and isinstance(size.owner.op, Dim))
    return size if certain else None


def _dimshuffle(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    assert isinstance(v.owner.op, DimShuffle)
    source = v.owner.op.order[axis]
    return None if source is None else size_of(v.owner.inputs[0], source, deep)


def _reduce(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    assert isinstance(v.owner.op, Reduce)
    x = v.owner.inputs[0]
    kept = [a for a in range(x.ndim) if a not in v.owner.op.axes]
    return size_of(x, kept[axis], deep)


def _matmul(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    a, b = v.owner.inputs
    if b.ndim > 1 and axis == v.ndim - 1:
        return size_of(b, b.ndim - 1, deep)
    if a.ndim > 1 and axis == v.ndim - (2 if b.ndim > 1 else 1):
        return size_of(a, a.ndim - 2, deep)
    back = axis - (v.ndim - (a.ndim > 1) - (b.ndim > 1))  # counted from the last batch axis
    return _one_of([(x, x.ndim - 2 + back) for x in (a, b) if x.ndim - 2 + back >= 0], deep)


def _join(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    assert isinstance(v.owner.op, Join)
    if axis != v.owner.op.axis:
        return size_of(v.owner.inputs[0], axis, deep)
    total = size_of(v.owner.inputs[0], axis, deep)
    for x in v.owner.inputs[1:]:
        total = total + size_of(x, axis, deep)
    return total


def _index(v: Variable, axis: int, deep: int) -> Variable | None:
    """Return the size of an axis that a basic index leaves whole."""
    assert v.owner is not None
    assert isinstance(v.owner.op, Index)
    if not all(isinstance(item, At | Range | New) for item in v.owner.op.pattern):
        return None
    position, source = 0, 0
    for item in v.owner.op.pattern:
        if position == axis and not isinstance(item, At):
            return size_of(v.owner.inputs[0], source, deep) if item == Range() else None
        position += not isinstance(item, At)
        source += not isinstance(item, New)
    return None


def _eye(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    return v.owner.inputs[axis]


def _scan(v: Variable, axis: int, deep: int) -> Variable | None:
    assert v.owner is not None
    assert isinstance(v.owner.op, Scan)
    loop = open_loop(v.owner)
    result = loop.results[v.index]
    if axis == 0:
        return loop.length if result.kind == "history" and loop.stop is None else None
    state = loop.state(result.record)
    return None if state is None else size_of(state.init, axis, deep)


Rule = Callable[[Variable, int, int], Variable | None]
_RULES: dict[type[Op], Rule] = {
    Pointwise: _pointwise,
    Cast: _first_input,
    Barrier: _first_input,
    WriteIndex: _first_input,
    BroadcastTo: _given,
    SumTo: _given,
    Reshape: _given,
    DimShuffle: _dimshuffle,
    Reduce: _reduce,
    MatMul: _matmul,
    Join: _join,
    Index: _index,
    Eye: _eye,
    Scan: _scan,
}
