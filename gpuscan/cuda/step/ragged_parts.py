"""Parts of arrays whose number of rows only a run tells, read and written: what is where, whatever the count is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gpuscan.tensor as gt
from gpuscan.cuda.step.ragged_rules import Found, rule
from gpuscan.cuda.step.room import Room, Rows
from gpuscan.cuda.step.selections import Selection, Selections, selections
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.indexing import At, Gather, Index, Item, New, Pattern, Range, Slot, WriteIndex


@rule(Index)
def _index(r: Room, op: Index, node: Apply) -> Found:
    x, *slots = node.inputs
    slots = [r.value(slot) for slot in slots]
    found = selections(op.pattern, slots)
    if found is None or any(isinstance(s.item, Gather) for s in found.along):
        return None
    if (rows := r.rows.get(x)) is None:
        return _first_of(r, op, r.value(x), found, slots)
    selected = found.along[rows.axis]
    part = _one(r, rows, selected) if isinstance(selected.item, At) else _part(r, rows, selected)
    if part is None:
        return None
    source, item, count = part
    taken = _indexed(source, op, rows.axis, item, selected, slots)
    return taken if count is None else Rows(taken, selected.axis, count)


def _first_of(r: Room, op: Index, x: Variable, found: Selections, slots: Sequence[Variable]) -> Found:
    """Return the first elements of an array of known size, as many as there are of others."""
    unknown = [axis for axis, s in enumerate(found.along) if any(r.known(slot) is None for slot in s.slots)]
    if len(unknown) != 1:
        return None
    (axis,) = unknown
    selected, size = found.along[axis], x.type.shape[axis]
    first, stop = _bounds(r, selected) or (None, None)
    most = None if stop is None else r.most(stop)
    if first != 0 or stop is None or most is None or size is None or most > size:
        return None
    return Rows(_indexed(x, op, axis, Range(0, most), selected, slots), selected.axis, stop)


def _bounds(r: Room, selected: Selection) -> tuple[int, Variable | None] | None:
    """Return from where to where a slice goes, step by step and not counted from the end; None if it is another."""
    if not isinstance(selected.item, Range) or selected.item.step not in (None, 1):
        return None
    slots = iter(selected.slots)
    start, stop = (next(slots) if isinstance(b, Slot) else b for b in (selected.item.start, selected.item.stop))
    first = r.known(start) if isinstance(start, Variable) else start or 0
    if first is None or first < 0 or not (stop is None or isinstance(stop, Variable)):
        return None
    return first, stop


Part = tuple[Variable, Item, Variable | None]
"""Of which array, which part of the axis, and of how many elements; None for as many as the part says."""


def _part(r: Room, rows: Rows, selected: Selection) -> Part | None:
    """Return what a slice takes."""
    assert isinstance(selected.item, Range)
    bounds = _bounds(r, selected)
    if bounds is not None and bounds[1] is not None and r.within(bounds[1], rows.count):
        return rows.room, Range(bounds[0]), r.less(bounds[1], bounds[0])
    fixed = selected.item.as_slice([r.known(slot) for slot in selected.slots])
    if fixed is None:
        return None
    start, stop, step = fixed.start, fixed.stop, fixed.step or 1
    if step == -1 and stop is None and (start is None or start < 0):
        return rows.at_end(), Range(start, None, -1), r.less(rows.count, 0 if start is None else -start - 1)
    if step != 1:
        return None
    start, least = start or 0, r.least(rows.count)
    if start < 0:
        return (rows.at_end(), Range(start), None) if stop is None and -start <= least else None
    if stop is None or stop < 0:
        return rows.room, Range(start, stop), r.less(rows.count, start - (stop or 0))
    return (rows.room, Range(start, stop), None) if stop <= least else None


def _one(r: Room, rows: Rows, selected: Selection) -> Part | None:
    """Return what is at one position, if it is there whatever the count is."""
    assert isinstance(selected.item, At)
    position = r.known(selected.slots[0]) if selected.slots else selected.item.position
    least = r.least(rows.count)
    if not isinstance(position, int) or not -least <= position < least:
        return None
    return (rows.room if position >= 0 else rows.at_end()), At(position), None


def _indexed(
    source: Variable, op: Index, axis: int, item: Item, selected: Selection, slots: Sequence[Variable]
) -> Variable:
    """Return a part of `source` by the pattern of an index, but for `item` along one axis."""
    pattern = _with_item(op.pattern, axis, item)
    return Index(pattern)(source, *(slot for slot in slots if slot not in selected.slots))


def _with_item(pattern: Pattern, axis: int, item: Item) -> Pattern:
    """Return a pattern with another item along one axis."""
    i = [i for i, old in enumerate(pattern) if not isinstance(old, New)][axis]
    return (*pattern[:i], item, *pattern[i + 1 :])


@rule(WriteIndex)
def _write_index(r: Room, op: WriteIndex, node: Apply) -> Found:
    """Rows written to a part of an array, or of rows, that they fill; or to rows, one of them or the first ones."""
    x, value, *slots = node.inputs
    onto, found = r.rows.get(x), selections(op.pattern, [r.value(slot) for slot in slots])
    if found is None or any(not isinstance(s.item, Range | At) for s in found.along):
        return None
    if value in r.rows:
        return _write_rows(r, op, x, r.rows[value], found)
    if onto is None or any(s.item != Range() for axis, s in enumerate(found.along) if axis != onto.axis):
        return None
    selected = found.along[onto.axis]
    if isinstance(selected.item, At):
        return _write_one(r, op, onto, r.value(value), selected)
    part = _part(r, onto, selected)
    if part is None or part[0] is not onto.room or part[2] is not None:
        return None
    pattern = _with_item(op.pattern, onto.axis, part[1])
    return replace(onto, room=WriteIndex(pattern, op.accumulate)(onto.room, r.value(value)))


def _write_one(r: Room, op: WriteIndex, onto: Rows, value: Variable, selected: Selection) -> Found:
    """Return rows with one of them written, if it is there whatever the count is."""
    if (part := _one(r, onto, selected)) is None:
        return None
    assert isinstance(part[1], At) and isinstance(part[1].position, int)
    position = part[1].position
    number = gt.constant(position) if position >= 0 else onto.count + position
    here = onto.along(gt.eq(gt.arange(onto.size), number))
    value = gt.expand_dims(value, onto.axis) if value.ndim >= onto.room.ndim - onto.axis else value
    old = onto.room
    new = gt.where(here, old + value if op.accumulate else value, old)
    return replace(onto, room=new.astype(old.dtype))


def _write_rows(r: Room, op: WriteIndex, x: Variable, rows: Rows, found: Selections) -> Found:
    onto = r.rows.get(x)
    if any(s.item != Range() for axis, s in enumerate(found.along) if axis != rows.axis) or rows.room.ndim != x.ndim:
        return None
    if onto is not None and onto.axis != rows.axis:
        return None
    target, selected = onto.room if onto is not None else r.value(x), found.along[rows.axis]
    reverse = onto is not None and selected.item == Range(None, None, -1) and r.same(onto.count, rows.count)
    rows = rows.backwards() if reverse else rows
    first = 0 if reverse else _first_written(r, rows, onto, selected)
    size = target.type.shape[rows.axis]
    if first is None or size is None or (onto is None and first + rows.size > size):
        return None
    rows = rows.trimmed(size - first)
    pattern = _with_item(op.pattern, rows.axis, Range(first, first + rows.size))
    if op.accumulate:
        written = WriteIndex(pattern, accumulate=True)(target, rows.filled(0))
    else:
        new = gt.where(rows.inside(), rows.room, Index(pattern)(target))
        written = WriteIndex(pattern, accumulate=False)(target, new)
    return written if onto is None else replace(onto, room=written)


def _first_written(r: Room, rows: Rows, onto: Rows | None, selected: Selection) -> int | None:
    """Return from where on rows are written, None if they do not fit what the slice says."""
    bounds = _bounds(r, selected)
    if bounds is not None and bounds[1] is not None:
        return bounds[0] if r.same(bounds[1], rows.count + bounds[0]) else None
    assert isinstance(selected.item, Range)
    fixed = selected.item.as_slice([r.known(slot) for slot in selected.slots])
    if fixed is None or onto is None or fixed.step not in (None, 1) or (fixed.start or 0) < 0:
        return None
    first, last = fixed.start or 0, fixed.stop or 0
    return first if last <= 0 and r.same(onto.count, rows.count + (first - last)) else None
