"""Products of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index as as_index
from typing import Any, final

from gpuscan.errors import ShapeError
from gpuscan.graph import Op, Shape, TensorType, Variable, broadcast_shapes
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import operands
from gpuscan.tensor.layout import dimshuffle, flatten, shape_padleft
from gpuscan.tensor.pointwise import promote
from gpuscan.tensor.shaping import Reshape, dim, dims, normalize_axis
from gpuscan.tensor.sizes import product


@final
@dataclass(frozen=True)
class MatMul(Op):
    """Product as ``numpy.matmul`` has it: vectors, matrices, and stacks of matrices that broadcast."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        a, b = inputs
        if not a.ndim or not b.ndim:
            raise ShapeError(f"matmul: {a.type} and {b.type}; a scalar has no rows or columns, use * for it")
        inner_a, inner_b = a.type.shape[-1], b.type.shape[max(b.ndim - 2, 0)]
        if None not in (inner_a, inner_b) and inner_a != inner_b:
            raise ShapeError(
                f"matmul: {a.name or 'the left side'} is {a.type} and {b.name or 'the right side'} is {b.type}; "
                f"{inner_a} columns do not meet {inner_b} rows"
            )
        rows: Shape = a.type.shape[-2:-1]
        columns: Shape = b.type.shape[-1:] if b.ndim > 1 else ()
        batch = broadcast_shapes([a.type.shape[:-2], b.type.shape[:-2]])
        return (TensorType(promote(a.dtype, b.dtype), batch + rows + columns),)


def matmul(a: Any, b: Any) -> Variable:
    """Return the matrix product of `a` and `b`, over leading axes that broadcast, as ``numpy.matmul``."""
    return MatMul()(*operands(a, b))


def dot(a: Any, b: Any) -> Variable:
    """Return the product over the last axis of `a` and the last but one of `b`, as ``numpy.dot``."""
    a, b = operands(a, b)
    if not a.ndim or not b.ndim:
        return elementwise.mul(a, b)
    return _dot_of_stacks(a, b) if b.ndim > 2 else MatMul()(a, b)


def _dot_of_stacks(a: Variable, b: Variable) -> Variable:
    """Every row of `a` with every column of `b`: one product of two matrices."""
    contracted, last = b.ndim - 2, b.ndim - 1
    rows, columns = dims(a, 0, a.ndim - 1), [*dims(b, 0, contracted), dim(b, last)]
    left = Reshape()(a, product(rows), dim(a, a.ndim - 1))
    right = Reshape()(dimshuffle(b, contracted, *range(contracted), last), dim(b, contracted), product(columns))
    return Reshape()(MatMul()(left, right), *rows, *columns)


def outer(a: Any, b: Any) -> Variable:
    """Return the product of each element of `a` with each of `b`, a matrix; both are flattened first."""
    a, b = operands(a, b)
    return elementwise.mul(dimshuffle(flatten(a), 0, "x"), dimshuffle(flatten(b), "x", 0))


def kron(a: Any, b: Any) -> Variable:
    """Return the Kronecker product: `b` laid out once for each element of `a`, multiplied by it.

    Parameters
    ----------
    a, b : array_like
        Of any rank; the one of fewer axes gets new leading ones.

    Returns
    -------
    Variable
        Each of its axes is as long as the two arrays' together, multiplied.
    """
    a, b = operands(a, b)
    rank = max(a.ndim, b.ndim)
    a, b = shape_padleft(a, rank - a.ndim), shape_padleft(b, rank - b.ndim)
    spread = dimshuffle(a, *(part for axis in range(rank) for part in (axis, "x")))
    tiled = dimshuffle(b, *(part for axis in range(rank) for part in ("x", axis)))
    return Reshape()(elementwise.mul(spread, tiled), *(product([dim(a, i), dim(b, i)]) for i in range(rank)))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Return the sum of products over axes of `a` and as many of `b`.

    Parameters
    ----------
    a, b : array_like
        What to multiply.
    axes : int or pair
        The last `axes` axes of `a` with the first ones of `b`; or the axes of `a` and those of `b`, each an integer or
        a sequence.

    Returns
    -------
    Variable
        The other axes of `a`, then those of `b`.

    Raises
    ------
    ShapeError
        If the axes are not equally many, named twice or not of the same sizes.
    """
    a, b = operands(a, b)
    of_a, of_b = _contracted(a, b, axes)
    for i, j in zip(of_a, of_b, strict=True):
        if None not in (sizes := (a.type.shape[i], b.type.shape[j])) and sizes[0] != sizes[1]:
            raise ShapeError(
                f"tensordot: axis {i} of {a.name or 'the left side'}, {a.type}, has not the size of axis {j} of "
                f"{b.name or 'the right side'}, {b.type}"
            )
    kept_a, kept_b = ([i for i in range(v.ndim) if i not in of] for v, of in ((a, of_a), (b, of_b)))
    rows, columns, inner = ([dim(v, i) for i in of] for v, of in ((a, kept_a), (b, kept_b), (a, of_a)))
    left = Reshape()(dimshuffle(a, *kept_a, *of_a), product(rows), product(inner))
    right = Reshape()(dimshuffle(b, *of_b, *kept_b), product([dim(b, j) for j in of_b]), product(columns))
    return Reshape()(MatMul()(left, right), *rows, *columns)


def _contracted(a: Variable, b: Variable, axes: Any) -> tuple[list[int], list[int]]:
    """Return the axes of `a` and of `b` that ``tensordot(a, b, axes)`` sums over."""
    if not isinstance(axes, Sequence):
        count = as_index(axes)
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: {count} axes cannot be summed over in {a.type} and {b.type}")
        return list(range(a.ndim - count, a.ndim)), list(range(count))
    if len(axes) != 2:
        raise ShapeError(f"tensordot: axes must be a number, or the axes of a and those of b; found {axes!r}")
    pair = [list(of) if isinstance(of, Sequence) else [of] for of in axes]
    of_a, of_b = ([normalize_axis(i, v.ndim, "tensordot") for i in of] for v, of in zip((a, b), pair, strict=True))
    if len(of_a) != len(of_b) or len(set(of_a)) != len(of_a) or len(set(of_b)) != len(of_b):
        raise ShapeError(f"tensordot: axes {axes!r} must name equally many different axes of a and of b")
    return of_a, of_b
