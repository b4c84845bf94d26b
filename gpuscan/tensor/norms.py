"""Norms of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise, reduction
from gpuscan.tensor.convert import as_tensor_variable, cast
from gpuscan.tensor.layout import dimshuffle, flatten, restore_axes
from gpuscan.tensor.matrices import SingularValues
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.shaping import normalize_axis


def norm(x: Any, ord: Any = None, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Variable:
    """Return a norm of vectors or of matrices, as ``numpy.linalg.norm``.

    Parameters
    ----------
    x : array_like
        The array. Without `axis` and `ord` it may have any rank, and the 2-norm of all elements is returned.
    ord : {None, int, float, inf, -inf, "fro", "nuc"}
        Which norm. Of vectors: 2 by default, 0 for the number of elements that are not 0, any p for the p-norm,
        ``inf`` and ``-inf`` for the largest and smallest absolute value. Of matrices: Frobenius by default; 1 and
        ``inf`` for the largest sum of a column and of a row, 2 for the largest singular value, their negatives for the
        smallest; ``"nuc"`` for the sum of singular values.
    axis : int or pair of int, optional
        The axis of vectors or the two axes of matrices. By default `x` is one vector or one matrix.
    keepdims : bool
        Whether they stay, with size 1.

    Returns
    -------
    Variable
        Real.

    Raises
    ------
    ShapeError
        If there are no such axes, or `x` is neither a vector nor a matrix.
    ValueError
        If there is no such norm.
    """
    x = as_tensor_variable(x)
    x = cast(x, config.floatX) if kind(x.dtype) in "biu" else x
    if axis is None and ord is None:
        result, axes = _length(flatten(x), 0), tuple(range(x.ndim))
    else:
        axes = _axes(x, axis)
        result = _of_vectors(x, ord, axes[0]) if len(axes) == 1 else _of_matrices(x, ord, *axes)
    return restore_axes(result, axes, x.ndim) if keepdims else result


def _axes(x: Variable, axis: int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the axis of vectors, or the axes of rows and of columns."""
    given = range(x.ndim) if axis is None else axis if isinstance(axis, Sequence) else [axis]
    axes = tuple(normalize_axis(a, x.ndim, "norm") for a in given)
    if len(axes) not in (1, 2) or len(set(axes)) != len(axes):
        raise ShapeError(
            f"norm: {x.name or 'the array'} is {x.type} and axis is {axis}; one axis of vectors or two of matrices are "
            "needed"
        )
    return axes


def _length(x: Variable, axis: int | tuple[int, ...]) -> Variable:
    return elementwise.sqrt(reduction.sum(elementwise.sqr(elementwise.abs(x)), axis))


def _of_vectors(x: Variable, ord: Any, axis: int) -> Variable:
    if isinstance(ord, str):
        raise ValueError(f"norm: {ord!r} is no norm of vectors; use a number, inf or -inf")
    if ord is None or ord == 2:
        return _length(x, axis)
    sizes = elementwise.abs(x)
    if ord in (np.inf, -np.inf):
        return reduction.max(sizes, axis) if ord > 0 else reduction.min(sizes, axis)
    if ord == 0:
        return reduction.sum(cast(elementwise.neq(x, 0), sizes.dtype), axis)
    if ord == 1:
        return reduction.sum(sizes, axis)
    return elementwise.power(reduction.sum(elementwise.power(sizes, ord), axis), 1 / ord)


def _of_matrices(x: Variable, ord: Any, rows: int, columns: int) -> Variable:
    if ord is None or ord == "fro":
        return _length(x, (rows, columns))
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = reduction.sum(elementwise.abs(x), summed)
        position = other - (other > summed)
        return reduction.max(sums, position) if ord > 0 else reduction.min(sums, position)
    if ord not in (2, -2, "nuc"):
        raise ValueError(f"norm: {ord!r} is no norm of matrices; use 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc'")
    others = [axis for axis in range(x.ndim) if axis not in (rows, columns)]
    values = SingularValues()(dimshuffle(x, *others, rows, columns))
    if ord == "nuc":
        return reduction.sum(values, -1)
    return reduction.max(values, -1) if ord > 0 else reduction.min(values, -1)
