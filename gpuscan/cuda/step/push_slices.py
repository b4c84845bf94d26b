"""Slices moved to where values come from: of a product, each column is computed where it is read.

An LSTM's step computes four gates as one product and takes it apart. With the slices pushed through the product and
the sums, unit j of all four gates is computed by the thread that needs it, and no barrier stands between the product
and the rest of the step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import pairwise

from gpuscan.cuda.step.alignment import aligned_axes
from gpuscan.graph import Apply, Variable, sorted_nodes, substitute
from gpuscan.tensor.indexing import At, Index, Range
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.shaping import DimShuffle, Reshape

Slice = tuple[int, int, int]
"""An axis, and from where up to where along it; always a part of it."""

PUSHED_THROUGH = (Pointwise, Cast, MatMul, DimShuffle)


def push_slices(outputs: Sequence[Variable], given: Collection[Variable]) -> list[Variable]:
    """Return `outputs` with slices of computed values taken of what the values are computed from.

    Only values that are read by slices alone, none of which overlap, are taken apart: nothing is computed twice. Those
    of elementwise work are equal parts, which are then at the same threads; else each operand would be exchanged in the
    place of the one result.
    """
    pushed = list(outputs)
    while replacements := _replacements(pushed, given):
        pushed = substitute(pushed, replacements)
    return pushed


def _replacements(outputs: Sequence[Variable], given: Collection[Variable]) -> dict[Variable, Variable]:
    users: dict[Variable, list[Apply]] = defaultdict(list)
    nodes = sorted_nodes(outputs, given)
    for node in nodes:
        for v in node.inputs:
            users[v].append(node)
    for node in nodes:
        value = node.outputs[0]
        if not isinstance(node.op, (*PUSHED_THROUGH, Reshape)) or value in outputs or not users[value]:
            continue
        slices = [_slice_of(user) for user in users[value]]
        if isinstance(node.op, Reshape):
            slices = [_slice_of_split(node, user) for user in users[value]]
        if None in slices or _overlap([s for s in slices if s is not None]):
            continue
        if not isinstance(node.op, MatMul) and not _in_equal_parts(node, [s for s in slices if s is not None]):
            continue
        found = [_pushed(node, s) for s in slices if s is not None]
        if None not in found:
            return {u.outputs[0]: new for u, new in zip(users[value], found, strict=True) if new is not None}
    return {}


def _slice_of(node: Apply) -> Slice | None:
    """Return what an index takes, if that is a part of one axis, every element, and the other axes whole."""
    if not isinstance(node.op, Index):
        return None
    shape = node.inputs[0].type.shape
    parts = [(axis, item) for axis, item in enumerate(node.op.pattern) if item != Range()]
    if len(parts) != 1 or not isinstance(parts[0][1], Range):
        return None
    axis, item = parts[0]
    assert isinstance(item, Range)
    size, taken = shape[axis], item.as_slice([v.known for v in node.inputs[1:]])
    if size is None or taken is None or taken.step not in (None, 1):
        return None
    start, stop, _ = taken.indices(size)
    return (axis, start, stop) if 0 < stop - start < size else None


def _slice_of_split(node: Apply, user: Apply) -> Slice | None:
    """Return what is taken of the operand of a reshape that splits one axis in two, of which one part is taken."""
    old, new = node.inputs[0].type.shape, node.outputs[0].type.shape
    if not isinstance(user.op, Index) or len(user.inputs) != 1 or len(new) != len(old) + 1 or None in new:
        return None
    parts = [(axis, item) for axis, item in enumerate(user.op.pattern) if item != Range()]
    if len(parts) != 1 or not isinstance(parts[0][1], At) or not isinstance(parts[0][1].position, int):
        return None
    axis = parts[0][0]
    if axis + 1 >= len(new) or (*new[:axis], (new[axis] or 0) * (new[axis + 1] or 0), *new[axis + 2 :]) != old:
        return None
    each, position = new[axis + 1] or 0, parts[0][1].position % (new[axis] or 1)
    return axis, position * each, (position + 1) * each


def _overlap(slices: Sequence[Slice]) -> bool:
    """Whether slices are of several axes, or some element is in two of them."""
    ordered = sorted(slices, key=lambda s: s[1])
    return len({axis for axis, _, _ in slices}) != 1 or any(before[2] > after[1] for before, after in pairwise(ordered))


def _in_equal_parts(node: Apply, slices: Sequence[Slice]) -> bool:
    """Whether slices, which do not overlap, take all of what is sliced and are of one length."""
    whole = node.inputs[0] if isinstance(node.op, Reshape) else node.outputs[0]
    sizes = [stop - start for _, start, stop in slices]
    return len(set(sizes)) == 1 and sum(sizes) == whole.type.shape[slices[0][0]]


def _pushed(node: Apply, taken: Slice) -> Variable | None:
    """Return a slice of what a node computes, computed from slices of its operands."""
    axis, start, stop = taken
    if isinstance(node.op, Reshape):
        return _take(node.inputs[0], taken)
    beside = {a for a, b in aligned_axes(node) or () if b == (node.outputs[0], axis)}
    if not beside:
        return None
    operands = []
    for v in node.inputs:
        own = next((i for i in range(v.ndim) if (v, i) in beside), None)
        operands.append(v if own is None else _take(v, (own, start, stop)))
    (output,) = node.with_inputs(operands).outputs
    return output


def _take(v: Variable, taken: Slice) -> Variable:
    axis, start, stop = taken
    pattern = (*[Range()] * axis, Range(start, stop), *[Range()] * (v.ndim - axis - 1))
    return Index(pattern)(v)
