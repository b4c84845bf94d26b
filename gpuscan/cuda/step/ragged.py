"""Arrays of which only a run tells how many rows they have: kept as arrays with room for as many as there can be.

A loop inside a step that a condition ends keeps as many rows as it ran steps, and a gradient reads them backwards.
No kernel has arrays of a size that values decide; but a loop that runs at most n steps keeps at most n rows. Here such
rows get an array of n rows and a count, and what is computed from them is written for the two: an end is at the
count, a sum leaves out what is beyond it, a loop over the rows runs as many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import gpuscan.tensor as gt
from gpuscan.cuda.step.room import Appended, Room, Rows
from gpuscan.cuda.step.selections import Selection, Selections, selections
from gpuscan.graph import Apply, Variable, sorted_nodes
from gpuscan.loop import Result, Scan, read_loop
from gpuscan.tensor.indexing import At, Gather, Index, Item, New, Pattern, Range, Slot, WriteIndex
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join

Found = Rows | Variable | None
Rule = Callable[[Room, Any, Apply], Found]
RULES: dict[type, Rule] = {}


def with_room(outputs: Sequence[Variable], given: Collection[Variable]) -> list[Variable]:
    """Return `outputs` with arrays of known sizes for rows that loops with a condition keep inside.

    What there is no rule for stays as it is, of a size that depends on values.
    """
    nodes = sorted_nodes(outputs, given)
    if not any(isinstance(node.op, Scan) and node.op.stops for node in nodes):
        return list(outputs)
    room = Room()
    for node in nodes:
        _give_room(room, node)
    return [room.value(v) for v in outputs]


def _give_room(room: Room, node: Apply) -> None:
    if isinstance(node.op, Scan):
        _loop(room, node.op, node)
        return
    rule = RULES.get(type(node.op))
    found = None if rule is None else rule(room, node.op, node)
    if isinstance(found, Rows):
        room.rows[node.outputs[0]] = found
    elif found is not None:
        room.replaced[node.outputs[0]] = found
    elif not any(v in room.rows for v in node.inputs):
        room.again(node, [room.value(v) for v in node.inputs])


def _rule(*ops: type) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


# ---- loops ----


def _loop(r: Room, op: Scan, node: Apply) -> None:
    """Have a loop read rows that end at a count, and keep rows with room for as many as it may run steps."""
    loop = read_loop(node)
    if any(v in r.rows for v in (*(s.init for s in loop.states), *(n.source for n in loop.non_sequences))):
        return
    sources = []
    for s in loop.sequences:
        rows = r.rows.get(s.source)
        if rows is not None and rows.axis != 0:
            return
        sources.append(r.value(s.source) if rows is None else rows.at_end() if s.reverse else rows.room)
    length, *others = map(r.value, node.inputs)
    inputs = [length, *sources, *others[len(sources) :]]
    most = r.most(length)
    if most is None or (length.known is not None and not op.stops):
        r.again(node, inputs)
        return
    results = [Result("history", x.record, most) if x.kind == "history" else x for x in op.results]
    steps = Result("steps")
    if op.stops and steps not in results:
        results.append(steps)
    new = r.again(node, inputs, replace(op, results=tuple(results)))
    count = new.outputs[results.index(steps)] if op.stops else length
    if op.stops:
        r.between[count] = (min(r.least(length), 1), most)
    for result, old, output in zip(op.results, node.outputs, new.outputs, strict=False):
        if result.kind == "history":
            del r.replaced[old]
            r.rows[old] = Rows(output, 0, count)


# ---- sizes ----


@_rule(Dim)
def _dim(r: Room, op: Dim, node: Apply) -> Found:
    rows = r.rows.get(node.inputs[0])
    if rows is None:
        return None
    return rows.count if op.axis == rows.axis else gt.constant(rows.room.type.shape[op.axis])


@_rule(BroadcastTo, SumTo)
def _to_sizes(r: Room, op: BroadcastTo | SumTo, node: Apply) -> Found:
    """Elements repeated to a size, or summed to it, that is a count."""
    x, *sizes = node.inputs
    sizes = [size if (n := r.known(size)) is None else gt.constant(n) for size in map(r.value, sizes)]
    unknown = [axis for axis, size in enumerate(sizes) if size.known is None]
    rows = r.rows.get(x)
    if not unknown and rows is not None and isinstance(op, SumTo):
        return op(rows.filled(0), *sizes)
    if len(unknown) != 1 or (most := r.most(sizes[unknown[0]])) is None:
        return None
    (axis,) = unknown
    count = sizes[axis]
    if rows is not None and not (r.same(rows.count, count) and axis - len(sizes) == rows.axis - x.ndim):
        return None
    if rows is None and isinstance(op, SumTo):
        return None
    sizes[axis] = gt.constant(most if rows is None else rows.size)
    room = op(r.value(x) if rows is None else rows.room, *sizes)
    return Rows(room, axis, count)


# ---- the same elements at other positions ----


@_rule(DimShuffle)
def _dimshuffle(r: Room, op: DimShuffle, node: Apply) -> Found:
    rows = r.rows.get(node.inputs[0])
    if rows is None or rows.axis not in op.order:
        return None
    return replace(rows, room=op(rows.room), axis=op.order.index(rows.axis))


@_rule(Join)
def _join(r: Room, op: Join, node: Apply) -> Found:
    """Rows after a number of others that is known."""
    *before, last = node.inputs
    rows = r.rows.get(last)
    sizes = [r.value(v).type.shape[op.axis] for v in before]
    if rows is None or rows.axis != op.axis or None in sizes or any(v in r.rows for v in before):
        return None
    more = sum(n or 0 for n in sizes)
    room = Appended(op.axis)(*map(r.value, before), rows.room)
    return Rows(room, op.axis, rows.count + more)


@_rule(Index)
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


@_rule(WriteIndex)
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


# ---- computing with them ----


@_rule(Pointwise, Cast)
def _pointwise(r: Room, op: Pointwise | Cast, node: Apply) -> Found:
    ndim = node.outputs[0].ndim
    of_rows = [(ndim - v.ndim + rows.axis, rows) for v in node.inputs if (rows := r.rows.get(v)) is not None]
    if not of_rows:
        return None
    axis, count = of_rows[0][0], of_rows[0][1].count
    if not all(along == axis and r.same(rows.count, count) for along, rows in of_rows):
        return None
    size = min(rows.size for _, rows in of_rows)
    operands = []
    for v in node.inputs:
        if (rows := r.rows.get(v)) is not None:
            operands.append(rows.trimmed(size).room)
            continue
        own = axis - (ndim - v.ndim)
        if own >= 0 and v.type.shape[own] != 1:
            return None
        operands.append(r.value(v))
    return Rows(op(*operands), axis, count)


def _neutral(which: str, dtype: str) -> Any:
    """Return the number that changes no result of a reduction; None for one that has none."""
    if which in ("max", "min") and kind(dtype) in "iuf":
        low, high = (-np.inf, np.inf) if kind(dtype) == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return low if which == "max" else high
    return {"sum": 0, "any": 0, "max": 0, "prod": 1, "all": 1, "min": 1}.get(which)


@_rule(Reduce)
def _reduce(r: Room, op: Reduce, node: Apply) -> Found:
    rows = r.rows.get(node.inputs[0])
    if rows is None:
        return None
    if rows.axis not in op.axes:
        axis = rows.axis - sum(a < rows.axis for a in op.axes)
        return Rows(op(rows.room), axis, rows.count)
    neutral = _neutral(op.kind, rows.room.dtype)
    if neutral is None or (op.kind in ("max", "min") and not r.least(rows.count)):
        return None
    return op(rows.filled(neutral))


@_rule(MatMul)
def _matmul(r: Room, op: MatMul, node: Apply) -> Found:
    """A product that sums over the rows, or of each of them."""
    a, b = node.inputs
    left, right = r.rows.get(a), r.rows.get(b)
    if left is not None and right is not None:
        if r.same(left.count, right.count) and (left.axis, right.axis) == (a.ndim - 1, max(b.ndim - 2, 0)):
            size = min(left.size, right.size)
            return op(left.trimmed(size).filled(0), right.trimmed(size).filled(0))
        return None
    ndim = node.outputs[0].ndim
    if left is not None and a.ndim > 1 and left.axis == a.ndim - 2:
        return Rows(op(left.room, r.value(b)), ndim - 1 - (b.ndim > 1), left.count)
    if right is not None and b.ndim > 1 and right.axis == b.ndim - 1:
        return Rows(op(r.value(a), right.room), ndim - 1, right.count)
    return None
