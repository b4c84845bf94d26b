"""Diagonals and triangles of matrices, by indices and comparisons that every device and gradient already knows."""

from __future__ import annotations

from collections.abc import Callable
from operator import index as as_index
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise, reduction
from gpuscan.tensor.convert import as_tensor_variable, cast, constant
from gpuscan.tensor.creation import arange, zeros
from gpuscan.tensor.guards import specify_shape
from gpuscan.tensor.indexing import index, set_subtensor
from gpuscan.tensor.layout import dimshuffle
from gpuscan.tensor.shaping import dim, normalize_axis


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """Return a diagonal of the matrices that two axes span.

    Parameters
    ----------
    x : array_like
        An array of two axes or more.
    offset : int
        How far to the right of the main diagonal, negative for below.
    axis1, axis2 : int
        The axes of rows and of columns.

    Returns
    -------
    Variable
        The axes of `x` without these two, then one along the diagonal.

    Raises
    ------
    ShapeError
        If `x` has fewer than two axes, or the two are the same.
    """
    x = as_tensor_variable(x)
    if x.ndim < 2:
        raise ShapeError(f"diagonal: {x.name or 'the array'} is {x.type}; it needs two axes or more")
    first, second = (normalize_axis(axis, x.ndim, "diagonal") for axis in (axis1, axis2))
    if first == second:
        raise ShapeError(f"diagonal: axis1 and axis2 are both axis {first}")
    others = [axis for axis in range(x.ndim) if axis not in (first, second)]
    matrices = dimshuffle(x, *others, first, second)
    below, right = _split(offset)
    length = elementwise.minimum(dim(matrices, -2) - below, dim(matrices, -1) - right)
    positions = arange(elementwise.maximum(length, 0))
    return index(matrices, (..., _moved(positions, below), _moved(positions, right)))


def _split(offset: Any) -> tuple[int, int]:
    """Return how many rows down and columns to the right a diagonal starts."""
    offset = as_index(offset)
    return max(-offset, 0), max(offset, 0)


def _moved(positions: Variable, by: int) -> Variable:
    return positions + by if by else positions


extract_diag = diagonal


def diag(x: Any, k: int = 0) -> Variable:
    """Return a diagonal of a matrix, or from a vector the matrix that has it there and zeros elsewhere.

    Parameters
    ----------
    x : array_like
        A vector or a matrix.
    k : int
        Which diagonal: how far to the right of the main one, negative for below.

    Returns
    -------
    Variable
        A matrix of a vector, a vector of a matrix.

    Raises
    ------
    ShapeError
        If `x` is neither.
    """
    x = as_tensor_variable(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: {x.name or 'the array'} is {x.type}; it must be a vector or a matrix")
    below, right = _split(k)
    size = dim(x, 0) + (below + right)
    positions = arange(dim(x, 0))
    place = index(zeros((size, size), x.dtype), (_moved(positions, below), _moved(positions, right)))
    return set_subtensor(place, x)


def fill_diagonal(a: Any, val: Any) -> Variable:
    """Return `a` with its main diagonal replaced; `a` itself stays as it is.

    Parameters
    ----------
    a : array_like
        A matrix, or an array of more axes that all have one size.
    val : array_like
        A number, or a vector with one for each element of the diagonal.

    Returns
    -------
    Variable
        Of the type of `a`.

    Raises
    ------
    ShapeError
        If `a` has fewer than two axes, or more than two of different sizes, or `val` does not fit the diagonal.
    DtypeError
        If the dtype of `val` does not fit that of `a` without loss.
    """
    a = as_tensor_variable(a)
    if a.ndim < 2:
        raise ShapeError(f"fill_diagonal: {a.name or 'the array'} is {a.type}; it needs two axes or more")
    if a.ndim > 2:
        if len({size for size in a.type.shape if size is not None}) > 1:
            raise ShapeError(
                f"fill_diagonal: {a.name or 'the array'} is {a.type}; more than two axes must be of one size"
            )
        a = specify_shape(a, [dim(a, 0)] * a.ndim)
    length = elementwise.minimum(dim(a, 0), dim(a, 1))
    return set_subtensor(index(a, (arange(length),) * a.ndim), val)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """Return the sum of a diagonal; the arguments are those of `diagonal`."""
    return reduction.sum(diagonal(x, offset, axis1, axis2), -1)


# ---- triangles ----


def _lower(rows: Any, columns: Any, k: Any) -> Variable:
    """Return where an element is on diagonal `k` or below it."""
    return elementwise.ge(dimshuffle(arange(rows), 0, "x") + k, arange(columns))


def tri(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """Return an `n` by `m` (default `n`) matrix of ones on and below diagonal `k`, floatX unless `dtype` is given."""
    return cast(_lower(n, n if m is None else m, k), config.floatX if dtype is None else dtype)


def _triangle(x: Any, k: Any, what: str) -> tuple[Variable, Variable]:
    x = as_tensor_variable(x)
    if not x.ndim:
        raise ShapeError(f"{what}: {x.name or 'the array'} is {x.type}; it needs an axis or more")
    return x, _lower(dim(x, max(x.ndim - 2, 0)), dim(x, x.ndim - 1), k)


def tril(x: Any, k: Any = 0) -> Variable:
    """Return the matrices in the last two axes of `x` with zeros above diagonal `k`.

    Parameters
    ----------
    x : array_like
        A matrix or a stack of them. A vector is taken for every row, as in NumPy.
    k : int
        The last diagonal that is kept.
    """
    x, lower = _triangle(x, k, "tril")
    return elementwise.switch(lower, x, constant(0, dtype=x.dtype))


def triu(x: Any, k: Any = 0) -> Variable:
    """Return the matrices in the last two axes of `x` with zeros below diagonal `k`.

    Parameters
    ----------
    x : array_like
        A matrix or a stack of them. A vector is taken for every row, as in NumPy.
    k : int
        The first diagonal that is kept.
    """
    x, below = _triangle(x, as_tensor_variable(k) - 1, "triu")
    return elementwise.switch(below, constant(0, dtype=x.dtype), x)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Variable, Variable]:
    """Return the rows and the columns of the elements on diagonal `k` and below it.

    Parameters
    ----------
    n : int
        Number of rows of the matrix.
    k : int
        The last diagonal.
    m : int, optional
        Number of its columns; `n` by default.

    Returns
    -------
    rows, columns : Variable
        Constant vectors of int64, for ``x[rows, columns]``.

    Raises
    ------
    TypeError
        If a size is symbolic.
    """
    return _indices("tril_indices", np.tril_indices, n, k, m)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Variable, Variable]:
    """Return the rows and the columns of the elements on diagonal `k` and above it.

    Parameters
    ----------
    n : int
        Number of rows of the matrix.
    k : int
        The first diagonal.
    m : int, optional
        Number of its columns; `n` by default.

    Returns
    -------
    rows, columns : Variable
        Constant vectors of int64, for ``x[rows, columns]``.

    Raises
    ------
    TypeError
        If a size is symbolic.
    """
    return _indices("triu_indices", np.triu_indices, n, k, m)


def _indices(what: str, compute: Callable[..., Any], n: int, k: int, m: int | None) -> tuple[Variable, Variable]:
    try:
        sizes = [as_index(n), as_index(k), as_index(n if m is None else m)]
    except TypeError:
        raise TypeError(
            f"{what}: n, k and m must be integers known while the graph is built, as they decide how many indices "
            f"there are; found {n!r}, {k!r} and {m!r}. Use {what[:4]} for sizes that are symbolic."
        ) from None
    rows, columns = compute(*sizes)
    return constant(rows.astype("int64")), constant(columns.astype("int64"))
