"""Products of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from gpuscan.errors import ShapeError
from gpuscan.graph import Op, Shape, TensorType, Variable, broadcast_shapes
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import operands
from gpuscan.tensor.layout import dimshuffle, flatten
from gpuscan.tensor.pointwise import promote
from gpuscan.tensor.shaping import Reshape, dim, dims
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
