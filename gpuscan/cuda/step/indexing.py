"""Reading and writing parts of arrays: each element of the result finds where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from gpuscan.cuda.expressions import number
from gpuscan.cuda.step.alignment import part_ndim
from gpuscan.cuda.step.folds import fold, fold_over
from gpuscan.cuda.step.positions import Position, divided, minus, plus, remainder, times, unravel
from gpuscan.cuda.step.rules import rule
from gpuscan.cuda.step.selections import Selection, Selections, selections
from gpuscan.cuda.step.values import View
from gpuscan.cuda.step.writer import RefusalError, Writer
from gpuscan.graph import Apply, Variable, broadcast_shapes
from gpuscan.tensor.indexing import At, Gather, Index, Range, WriteIndex


@rule(Index)
def _index(w: Writer, op: Index, node: Apply) -> None:
    x, *slots = node.inputs
    output = node.outputs[0]
    found = _selections(w, op, node, slots)

    def element(at: Position) -> str:
        whole = w.coordinates(output, at)
        sources = (_source(w, s, n, at, whole, found) for s, n in zip(found.along, w.shape(x), strict=True))
        return w.read(x, tuple(sources))

    if any(isinstance(s.item, Gather) or (isinstance(s.item, At) and s.slots) for s in found.along):
        w.compute(output, element)
    else:
        w.values[output] = View(element)


def _selections(w: Writer, op: Index | WriteIndex, node: Apply, slots: Sequence[Variable]) -> Selections:
    found = selections(op.pattern, slots)
    if found is None or None in node.outputs[0].type.shape:
        raise RefusalError(f"{op} has a size that depends on values (made at {node.where})")
    for s in found.along:
        if isinstance(s.item, Range) and s.item.as_slice([slot.known for slot in s.slots]) is None:
            raise RefusalError(f"{op} has bounds that depend on values (made at {node.where})")
    return found


def _source(w: Writer, s: Selection, size: int, at: Position, whole: Position, found: Selections) -> str:
    """Return where along one axis of size `size` the element at `at` of a part, `whole` in all of it, comes from.

    What a team reads of an axis of which it has all follows from where it is in the whole part.
    """
    if size == 1:
        return "0"
    if isinstance(s.item, At):
        return _at(w, s, size)
    if isinstance(s.item, Gather):
        return _wrapped(_gathered(w, s.slots[0], at, found), size)
    if s.item == Range():
        return at[s.axis]
    start, step = _range(s, size).start, _range(s, size).step
    if step > 0:
        return plus(times(whole[s.axis], step), str(start))
    return minus(start, times(whole[s.axis], -step))


def _range(s: Selection, size: int) -> range:
    assert isinstance(s.item, Range)
    fixed = s.item.as_slice([slot.known for slot in s.slots])
    assert fixed is not None
    return range(*fixed.indices(size))


def _at(w: Writer, s: Selection, size: int) -> str:
    assert isinstance(s.item, At)
    position = s.slots[0].known if s.slots else s.item.position
    if isinstance(position, int):
        return str(position % size)
    return _wrapped(w.read_one(s.slots[0]), size)


def _wrapped(text: str, size: int) -> str:
    return f"gs::wrapped({text}, {size})"


def _gathered(w: Writer, positions: Variable, at: Position, found: Selections) -> str:
    own = at[found.start + found.gathered - positions.ndim : found.start + found.gathered]
    return w.read(positions, own)


# ---- writing ----


@rule(WriteIndex)
def _write_index(w: Writer, op: WriteIndex, node: Apply) -> None:
    x, value, *slots = node.inputs
    found = _selections(w, op, node, slots)
    ndim = part_ndim(found, op.pattern)
    if found.gathered:
        _scatter(w, op, node, found, ndim)
        return

    def element(at: Position) -> str:
        conditions, part = _place(w, found, x, at)
        old = w.read(x, at)
        new = _part_of(w, value, ndim, part)
        changed = f"{old} + {new}" if op.accumulate else new
        return f"({' && '.join(conditions)} ? {changed} : {old})" if conditions else changed

    w.compute(node.outputs[0], element)


def _placed(w: Writer, found: Selections, x: Variable, at: Position) -> Iterator[tuple[Selection, int, str]]:
    """Yield for each axis of an array what the index says of it, its size, and where in all of it `at` is."""
    for s, size, i in zip(found.along, x.type.shape, w.coordinates(x, at), strict=True):
        yield s, size or 0, i


def _place(w: Writer, found: Selections, x: Variable, at: Position) -> tuple[list[str], dict[int, str]]:
    """Return when the element at `at` of an array is in its part, and where along the axes of the part."""
    conditions, part = [], {}
    for (s, size, i), own in zip(_placed(w, found, x, at), at, strict=True):
        if isinstance(s.item, At):
            if size != 1:
                conditions.append(f"{i} == {_at(w, s, size)}")
        elif isinstance(s.item, Range) and s.item == Range():
            part[s.axis] = own
        elif isinstance(s.item, Range):
            inside, place = _within(_range(s, size), size, i)
            conditions += inside
            part[s.axis] = place
    return conditions, part


def _within(positions: range, size: int, i: str) -> tuple[list[str], str]:
    """Return when position `i` is among `positions`, and which of them it is."""
    if not positions:
        return ["false"], "0"
    ordered = positions if positions.step > 0 else positions[::-1]
    low, high, step = ordered[0], ordered[-1], ordered.step
    inside = ([f"{i} >= {low}"] if low else []) + ([f"{i} <= {high}"] if high != size - 1 else [])
    place = minus(i, str(low)) if low else i
    if step != 1:
        inside.append(f"{remainder(place, step)} == 0")
        place = f"({divided(place, step)})"
    if positions.step < 0:
        place = minus(len(positions) - 1, place)
    return inside, "0" if len(positions) == 1 else place


def _part_of(w: Writer, value: Variable, ndim: int, part: dict[int, str]) -> str:
    at = tuple(part.get(axis, "0") for axis in range(ndim))
    return w.broadcast(value, at)


def _scatter(w: Writer, op: WriteIndex, node: Apply, found: Selections, ndim: int) -> None:
    """Write to positions that arrays name: every element of the result looks for those that name it."""
    x, value, *_ = node.inputs
    output = node.outputs[0]
    arrays = [s.slots[0].type.shape for s in found.along if isinstance(s.item, Gather)]
    named = tuple(n or 0 for n in broadcast_shapes(arrays))

    def match(at: Position, r: str) -> tuple[str, dict[int, str]]:
        conditions, part = _place(w, found, x, at)
        inner = unravel(r, named)
        part.update(zip(range(found.start, found.start + found.gathered), inner, strict=True))
        full = tuple(part.get(axis, "0") for axis in range(ndim))
        for s, size, i in _placed(w, found, x, at):
            if isinstance(s.item, Gather):
                conditions.append(f"{i} == {_wrapped(_gathered(w, s.slots[0], full, found), size)}")
        return " && ".join(conditions), part

    if op.accumulate:
        added = w.like((node, "added"), output, output.dtype)

        def term(at: Position, r: str) -> str:
            condition, part = match(at, r)
            return f"({condition} ? {_part_of(w, value, ndim, part)} : {number(0, output.dtype)})"

        _fold(w, added, prod(named), "Add", number(0, output.dtype), term)
        w.compute(output, lambda at: f"{w.read(x, at)} + {w.read(added, at)}")
        return
    last = w.like((node, "last"), output, "int64")
    _fold(w, last, prod(named), "Larger", "-1ll", lambda at, r: f"({match(at, r)[0]} ? (long long)({r}) : -1ll)")

    def element(at: Position) -> str:
        which = w.read(last, at)
        _, part = match(at, f"(int){which}")
        return f"({which} >= 0 ? {_part_of(w, value, ndim, part)} : {w.read(x, at)})"

    w.compute(output, element)


def _fold(w: Writer, variable: Variable, extent: int, operation: str, start: str, term: object) -> None:
    assert callable(term)
    if w.space(variable):
        fold(w, variable, extent, operation, start, term)
    else:
        fold_over(w, variable, (extent,), operation, start, lambda at: term(("0",) * variable.ndim, at[0]))
