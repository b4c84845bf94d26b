"""Statistics of samples beyond means and variances."""

from __future__ import annotations

from typing import Any

from gpuscan.config import config
from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise, reduction
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, operands
from gpuscan.tensor.indexing import index
from gpuscan.tensor.joining import concatenate
from gpuscan.tensor.layout import atleast_2d, broadcast_to, dimshuffle, expand_dims, flatten, restore_axes, transpose
from gpuscan.tensor.ordering import sort
from gpuscan.tensor.pointwise import kind, promote, real_part_dtype
from gpuscan.tensor.products import matmul
from gpuscan.tensor.reduction import Axis
from gpuscan.tensor.shaping import dim, normalize_axes
from gpuscan.tensor.sizes import plain


def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return the middle one of the elements in order of size, or the mean of the middle two.

    Parameters
    ----------
    x : array_like
        Real numbers; integers become floatX.
    axis : int or sequence of int, optional
        Axes over which they lie; all by default.
    keepdims : bool
        Whether these stay, with size 1.

    Returns
    -------
    Variable
        NaN where an element is.

    Raises
    ------
    ShapeError
        If there are no elements.
    """
    x = as_tensor_variable(x)
    x = cast(x, config.floatX) if kind(x.dtype) in "biu" else x
    axes = normalize_axes(axis, x.ndim, "median")
    others = [a for a in range(x.ndim) if a not in axes]
    ordered = sort(flatten(dimshuffle(x, *others, *axes), len(others) + 1) if axes else expand_dims(x, -1), -1)
    if ordered.type.shape[-1] == 0:
        raise ShapeError(f"median of {x.type}: there is no middle of no elements")
    size = dim(ordered, -1)
    low, high = (index(ordered, (..., plain(position))) for position in ((size - 1) // 2, size // 2))
    largest = index(ordered, (..., -1))  # NaN, if there is one
    # Halved first, as the sum may be out of range.
    middle = elementwise.switch(elementwise.isnan(largest), largest, low / 2 + high / 2)
    return restore_axes(middle, axes, x.ndim) if keepdims else middle


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Variable:
    """Return the covariances of variables of which there are several observations.

    Parameters
    ----------
    m : array_like
        A row for each variable, a column for each observation; a vector is one variable.
    y : array_like, optional
        More variables, with the same observations.
    rowvar : bool
        Whether variables are rows; otherwise they are columns.
    bias : bool
        Whether to divide by the number of observations; by default it is one less.
    ddof : int, optional
        What to subtract from the number of observations instead.
    fweights : array_like, optional
        How often each observation was made, integers.
    aweights : array_like, optional
        How much each observation counts, relative to the others.

    Returns
    -------
    Variable
        A square matrix, for each pair of variables their covariance; a scalar if `m` is a vector and there is no `y`.
        float32 stays float32; integers become floatX.

    Raises
    ------
    ShapeError
        If `m` or `y` has more than two axes, or they have not the same observations.
    """
    given = operands(m) if y is None else operands(m, y)
    common = promote(*(v.dtype for v in given))
    common = str(config.floatX) if kind(common) in "biu" else common
    samples = [_samples(cast(v, common), rowvar) for v in given]
    observations = {v.type.shape[1] for v in samples} - {None}
    if len(observations) > 1:
        raise ShapeError(f"cov: m has {samples[0].type.shape[1]} observations and y has {samples[1].type.shape[1]}")
    count = observations.pop() if observations else None
    counts, importance = (_weights(fweights, "fweights", count), _weights(aweights, "aweights", count))
    lost = (0 if bias else 1) if ddof is None else ddof
    covariances = _covariances(concatenate(samples, axis=0), counts, importance, lost)
    return covariances if y is not None or given[0].ndim > 1 else dimshuffle(covariances)


def _samples(x: Variable, rowvar: bool) -> Variable:
    if x.ndim > 2:
        raise ShapeError(f"cov: {x.name or 'an argument'} is {x.type}; it must be a vector or a matrix")
    return atleast_2d(x) if rowvar or x.ndim < 2 else transpose(x)


def _weights(given: Any, name: str, count: int | None) -> Variable:
    """Return the weights of observations, of which there are `count`."""
    if given is None:
        return constant(1)
    weights = as_tensor_variable(given)
    if weights.ndim != 1 or (count is not None and weights.type.shape[0] not in (count, None)):
        of = "the" if count is None else f"{count}"
        raise ShapeError(
            f"cov: {name} are {weights.type}; they must be a vector with one for each of {of} observations"
        )
    return weights


def _covariances(samples: Variable, counts: Variable, importance: Variable, lost: int) -> Variable:
    """Return the covariances of rows, with NumPy's meaning of the two weights of observations."""
    dtype = real_part_dtype(samples.dtype)
    counts, importance = cast(counts, dtype), cast(importance, dtype)
    weights = broadcast_to(counts * importance, [dim(samples, 1)])
    total = reduction.sum(weights)
    deviations = samples - reduction.sum(samples * weights, 1, keepdims=True) / total
    freedom = total - lost * (reduction.sum(weights * importance) / total)
    products = matmul(deviations, elementwise.conj(transpose(deviations * weights)))
    return products / elementwise.maximum(freedom, 0)
