"""Arrays of which only a run tells how many rows they have: kept as arrays with room for as many as there can be.

A loop inside a step that a condition ends keeps as many rows as it ran steps, and a gradient reads them backwards.
No kernel has arrays of a size that values decide; but a loop that runs at most n steps keeps at most n rows. Here such
rows get an array of n rows and a count, and what is computed from them is written for the two: an end is at the
count, a sum leaves out what is beyond it, a loop over the rows runs as many steps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import gpuscan.tensor as gt
from gpuscan.cuda.step import ragged_parts  # noqa: F401  # where rules are registered
from gpuscan.cuda.step.ragged_rules import RULES, Found, rule
from gpuscan.cuda.step.room import Appended, Room, Rows
from gpuscan.graph import Apply, Variable, sorted_nodes
from gpuscan.loop import Result, Scan, read_loop
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join


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
    op_rule = RULES.get(type(node.op))
    found = None if op_rule is None else op_rule(room, node.op, node)
    if isinstance(found, Rows):
        room.rows[node.outputs[0]] = found
    elif found is not None:
        room.replaced[node.outputs[0]] = found
    elif not any(v in room.rows for v in node.inputs):
        room.again(node, [room.value(v) for v in node.inputs])


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


@rule(Dim)
def _dim(r: Room, op: Dim, node: Apply) -> Found:
    rows = r.rows.get(node.inputs[0])
    if rows is None:
        return None
    return rows.count if op.axis == rows.axis else gt.constant(rows.room.type.shape[op.axis])


@rule(BroadcastTo, SumTo)
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


@rule(DimShuffle)
def _dimshuffle(r: Room, op: DimShuffle, node: Apply) -> Found:
    rows = r.rows.get(node.inputs[0])
    if rows is None or rows.axis not in op.order:
        return None
    return replace(rows, room=op(rows.room), axis=op.order.index(rows.axis))


@rule(Join)
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


# ---- computing with them ----


@rule(Pointwise, Cast)
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


@rule(Reduce)
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


@rule(MatMul)
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
