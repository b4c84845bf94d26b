"""Sums of what a one-hot code selects as gathers: one element is read in place of all.

A one-hot code is a comparison of positions with ``arange(n)``. A position outside of it selects nothing, which is 0
before and after. Two things differ: what is not selected may be infinite or NaN, which times 0 would have been NaN, and
selecting among no elements at all is an error.
"""

from __future__ import annotations

import numpy as np

from gpuscan.graph import Apply, Constant, Graph, Variable
from gpuscan.rewrite.matching import Rules, either_way, is_number, operands, rewrite_nodes, shaped_like
from gpuscan.rewrite.sizes import identity, size_of
from gpuscan.tensor import cast, switch
from gpuscan.tensor.creation import Arange, arange
from gpuscan.tensor.indexing import index
from gpuscan.tensor.pointwise import Cast, kind
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle


def gather_one_hot(graph: Graph) -> Graph | None:
    """Replace ``(eq(y[:, None], arange(n)) * x).sum(1)`` by ``x[arange(len(y)), y]``, a one-hot code @ W by W[y]."""
    return rewrite_nodes(graph, RULES)


def _sum(node: Apply) -> Variable | None:
    (terms,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    if op.kind != "sum" or len(op.axes) != 1 or terms.ndim > 2:
        return None
    (axis,) = op.axes
    for code, x in _selections(terms):
        positions = _positions(code, axis - (terms.ndim - code.ndim), size_of(terms, axis))
        if positions is None:
            continue
        if positions.ndim:
            positions = BroadcastTo()(positions, size_of(terms, 1 - axis))
        return cast(_selected(shaped_like(x, terms), axis, positions), node.outputs[0].dtype)
    return None


def _selections(terms: Variable) -> list[tuple[Variable, Variable]]:
    """Return the pairs of a possible one-hot code and what it selects from that make up a product or a choice."""
    if choice := operands(terms, "switch"):
        return [(choice[0], choice[1])] if is_number(choice[2], 0) and choice[1].dtype == terms.dtype else []
    return [(a, b) for a, b in either_way(operands(terms, "mul")) if b.dtype == terms.dtype]


def _positions(code: Variable, axis: int, size: Variable) -> Variable | None:
    """Return what a one-hot code along an axis of `size` is a code of: a scalar, or a vector along the other axis."""
    while code.owner is not None and isinstance(code.owner.op, Cast):  # of truth values to numbers
        code = code.owner.inputs[0]
    for positions, numbers in either_way(operands(code, "eq")):
        if axis < 0 or kind(positions.dtype) not in "iu" or not _counts(numbers, code.ndim, axis, size):
            continue
        along = axis - (code.ndim - positions.ndim)
        if along >= 0 and positions.type.shape[along] != 1:
            continue
        others = [a for a in range(positions.ndim) if a != along and positions.type.shape[a] != 1]
        return DimShuffle(tuple(others))(positions) if len(others) < positions.ndim else positions
    return None


def _counts(numbers: Variable, ndim: int, axis: int, size: Variable) -> bool:
    """Whether a value of at most `ndim` axes is 0, 1, 2, ... up to `size` along `axis`, and the same along others."""
    if numbers.owner is not None and isinstance(numbers.owner.op, DimShuffle):
        order = numbers.owner.op.order
        if [a for a in order if a is not None] != [0] or order.index(0) != axis - (ndim - len(order)):
            return False
        numbers = numbers.owner.inputs[0]
    elif numbers.ndim != 1 or axis != ndim - 1:
        return False
    if isinstance(numbers, Constant):
        return numbers.ndim == 1 and size.known == len(numbers.data) and bool((numbers.data == range(size.known)).all())
    if numbers.owner is None or not isinstance(numbers.owner.op, Arange):
        return False
    start, stop, step = numbers.owner.inputs
    return is_number(start, 0) and is_number(step, 1) and identity(stop) == identity(size)


def _selected(x: Variable, axis: int, positions: Variable) -> Variable:
    inside = (positions >= 0) & (positions < size_of(x, axis))
    at = switch(inside, positions, np.zeros((), positions.dtype))
    other = arange(size_of(x, 1 - axis)) if positions.ndim else slice(None)
    where = (at,) if x.ndim == 1 else (at, other) if axis == 0 else (other, at)
    return switch(inside, index(x, where), cast(0, x.dtype))


def _product(node: Apply) -> Variable | None:
    code, x = node.inputs
    if code.ndim not in (1, 2) or x.ndim != 2 or x.dtype != node.outputs[0].dtype:
        return None
    positions = _positions(code, code.ndim - 1, size_of(x, 0))
    if positions is None or positions.ndim != code.ndim - 1:
        return None
    inside = (positions >= 0) & (positions < size_of(x, 0))
    rows = index(x, switch(inside, positions, np.zeros((), positions.dtype)))
    return switch(DimShuffle((*range(inside.ndim), None))(inside), rows, cast(0, x.dtype))


RULES: Rules = {Reduce: [_sum], MatMul: [_product]}
