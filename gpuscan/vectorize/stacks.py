"""Rules of ops that take stacks of matrices by themselves, or work along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpuscan.graph import Apply, Variable
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.elementwise import and_, invert, isnan, le, lt, or_
from gpuscan.tensor.matrices import (
    QR,
    SVD,
    Cholesky,
    Det,
    Eigh,
    Inverse,
    SingularValues,
    SlogDet,
    Solve,
    SolveTriangular,
)
from gpuscan.tensor.ordering import ArgSort, SearchSorted, Sort
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.reduction import Reduce
from gpuscan.vectorize.batch import Batch, is_batched, shuffled, vectorize_rule

Values = Sequence[Variable]


def _of_stacks(batch: Batch, op: Any, node: Apply, inputs: Values) -> Values:
    """Batch axes are axes of the stack; those of one side broadcast against the other's."""
    ndim = max(v.ndim for v in node.inputs)
    stacks = [batch.align(old, new, ndim) for old, new in zip(node.inputs, inputs, strict=True)]
    outputs: Values = op.apply(*stacks)
    return outputs


for _matrix_op in (Inverse, Solve, SolveTriangular, Cholesky, Det, SlogDet, Eigh, SVD, SingularValues, QR):
    vectorize_rule(_matrix_op)(_of_stacks)


def _along_axis(batch: Batch, op: Any, node: Apply, inputs: Values) -> Values:
    outputs: Values = replace(op, axis=op.axis + batch.ndim).apply(*inputs)
    return outputs


for _axis_op in (Cumulate, Sort, ArgSort):
    vectorize_rule(_axis_op)(_along_axis)


@vectorize_rule(SearchSorted)
def _search(batch: Batch, op: SearchSorted, node: Apply, inputs: Values) -> Values:
    """Count the elements before each: only one vector can be searched at a time."""
    (old_x, old_v), (x, v) = node.inputs, inputs
    if not is_batched(old_x, x):
        return op.apply(x, v)
    axes = batch.axes if is_batched(old_v, v) else ()
    elements = shuffled(x, [*batch.axes, *[None] * old_v.ndim, batch.ndim])
    values = shuffled(v, [*axes, *range(len(axes), v.ndim), None])
    before = lt(elements, values) if op.side == "left" else le(elements, values)
    if kind(old_x.dtype) == "f":  # NaN is the largest
        before = or_(before, isnan(values) if op.side == "right" else and_(isnan(values), invert(isnan(elements))))
    return Reduce("sum", (batch.ndim + old_v.ndim,)).apply(before)
