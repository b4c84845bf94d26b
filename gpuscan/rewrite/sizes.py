"""The size of a value along an axis, said by what the value is computed from: one rule an op."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from gpuscan.graph import Op, Variable
from gpuscan.loop import Scan, read_loop
from gpuscan.tensor import eq, switch
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.indexing import At, Index, New, Range, WriteIndex
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Reshape, dim

Questions = Generator[tuple[Variable, int], Variable, Variable | None]
"""The work of a rule: it asks for sizes of other values and is sent them, so that no rule calls another."""
Rule = Callable[[Variable, int], Questions]
"""From a value and one of its axes to the size; None where only the value itself tells."""

FOUND: WeakKeyDictionary[Variable, dict[int, Variable | None]] = WeakKeyDictionary()
"""Sizes that were asked for before. None where the value itself is asked, as its size would keep it alive."""


def same_size(a: Variable, axis: int, b: Variable, other: int) -> bool:
    """Whether a value's size along an axis is certain to be another's along an axis of that."""
    sizes = a.type.shape[axis], b.type.shape[other]
    if None not in sizes:
        return sizes[0] == sizes[1]
    return (a is b and axis == other) or bool(identity(size_of(a, axis)) == identity(size_of(b, other)))


def size_of(v: Variable, axis: int) -> Variable:
    """Return the size of `axis` of a value, computed without the value where an op's rule says how."""
    size = _at_hand(v, axis)
    waiting = [] if size is not None else [(v, axis, _questions(v, axis))]
    while waiting:
        v, axis, questions = waiting[-1]
        try:
            asked = next(questions) if size is None else questions.send(size)
        except StopIteration as finished:
            waiting.pop()
            FOUND.setdefault(v, {})[axis] = finished.value
            size = dim(v, axis) if finished.value is None else finished.value
            continue
        if (size := _at_hand(*asked)) is None:
            waiting.append((*asked, _questions(*asked)))
    assert size is not None
    return size


def _questions(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    return _RULES[type(v.owner.op)](v, axis)


def _at_hand(v: Variable, axis: int) -> Variable | None:
    """Return a size for which nothing need be asked."""
    if v.type.shape[axis] is not None or v.owner is None or type(v.owner.op) not in _RULES:
        return dim(v, axis)
    found = FOUND.get(v, {})
    if axis not in found:
        return None
    return dim(v, axis) if found[axis] is None else found[axis]


def identity(size: Variable) -> Any:
    """Return what two sizes that are certain to be equal have in common."""
    if size.known is not None:
        return size.known
    parts = _parts(size)
    return next(iter(parts)) if len(parts) == 1 else frozenset(parts)


def _parts(size: Variable) -> dict[Any, Variable]:
    """Return the sizes that a size is the broadcast of, by what is the same of equal ones."""
    parts: dict[Any, Variable] = {}
    stack = [size]
    while stack:
        v = stack.pop()
        if (pair := _broadcast_sizes(v)) is not None:
            stack += pair
        elif v.owner is not None and isinstance(v.owner.op, Dim):
            parts[v.owner.op, v.owner.inputs] = v
        else:
            parts[v] = v
    return parts


def _broadcast_sizes(v: Variable) -> list[Variable] | None:
    """Return the two sizes in ``switch(eq(first, 1), other, first)``."""
    if v.owner is None or v.owner.op != Pointwise("switch"):
        return None
    condition, other, first = v.owner.inputs
    if condition.owner is None or condition.owner.op != Pointwise("eq"):
        return None
    compared, one = condition.owner.inputs
    return [other, first] if compared is first and one.known == 1 else None


def _one_of(candidates: Sequence[tuple[Variable, int]]) -> Questions:
    """Return the size that arrays have along an axis when broadcast together."""
    distinct: dict[Any, Variable] = {}
    for x, axis in candidates:
        if x.type.shape[axis] != 1:
            size = yield x, axis
            for key, part in _parts(size).items():
                distinct.setdefault(key, part)
    if not distinct:
        return None
    first, *others = distinct.values()
    for other in others:
        first = switch(eq(first, 1), other, first)
    return first


def _pointwise(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    back = axis - v.ndim
    return (yield from _one_of([(x, x.ndim + back) for x in v.owner.inputs if x.ndim >= -back]))


def _first_input(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    return (yield v.owner.inputs[0], axis)


def _given(v: Variable, axis: int) -> Questions:
    """Return the size that the op was told; a reshape may have been told -1."""
    assert v.owner is not None
    yield from ()
    size = v.owner.inputs[1 + axis]
    certain = not isinstance(v.owner.op, Reshape) or (size.owner is not None and isinstance(size.owner.op, Dim))
    return size if certain else None


def _dimshuffle(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    assert isinstance(v.owner.op, DimShuffle)
    source = v.owner.op.order[axis]
    return None if source is None else (yield v.owner.inputs[0], source)


def _reduce(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    assert isinstance(v.owner.op, Reduce)
    x = v.owner.inputs[0]
    kept = [a for a in range(x.ndim) if a not in v.owner.op.axes]
    return (yield x, kept[axis])


def _matmul(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    a, b = v.owner.inputs
    if b.ndim > 1 and axis == v.ndim - 1:
        return (yield b, b.ndim - 1)
    if a.ndim > 1 and axis == v.ndim - (2 if b.ndim > 1 else 1):
        return (yield a, a.ndim - 2)
    back = axis - (v.ndim - (a.ndim > 1) - (b.ndim > 1))  # counted from the last batch axis
    return (yield from _one_of([(x, x.ndim - 2 + back) for x in (a, b) if x.ndim - 2 + back >= 0]))


def _join(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    assert isinstance(v.owner.op, Join)
    total = yield v.owner.inputs[0], axis
    if axis == v.owner.op.axis:
        for x in v.owner.inputs[1:]:
            total = total + (yield x, axis)
    return total


def _index(v: Variable, axis: int) -> Questions:
    """Return the size of an axis that a basic index leaves whole."""
    assert v.owner is not None
    assert isinstance(v.owner.op, Index)
    if not all(isinstance(item, At | Range | New) for item in v.owner.op.pattern):
        return None
    position, source = 0, 0
    for item in v.owner.op.pattern:
        if position == axis and not isinstance(item, At):
            return (yield v.owner.inputs[0], source) if item == Range() else None
        position += not isinstance(item, At)
        source += not isinstance(item, New)
    return None


def _eye(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    yield from ()
    return v.owner.inputs[axis]


def _arange(v: Variable, axis: int) -> Questions:
    """Return where numbers from 0 stop, if that is a size and so not negative."""
    assert v.owner is not None
    yield from ()
    start, stop, step = v.owner.inputs
    is_size = stop.owner is not None and isinstance(stop.owner.op, Dim)
    return stop if is_size and start.known == 0 and step.known == 1 else None


def _scan(v: Variable, axis: int) -> Questions:
    assert v.owner is not None
    assert isinstance(v.owner.op, Scan)
    loop = read_loop(v.owner)
    result = loop.results[v.index]
    if axis == 0:
        return loop.length if result.kind == "history" and loop.stop is None else None
    state = loop.state(result.record)
    return None if state is None else (yield state.init, axis)


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
    Arange: _arange,
    Scan: _scan,
}
