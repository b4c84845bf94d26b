"""Exponentials added up and compared, without overflow."""

from __future__ import annotations

import math
from typing import Any

from gpuscan.config import config
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise, reduction
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.layout import restore_axes
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.reduction import Axis
from gpuscan.tensor.shaping import DimShuffle, normalize_axes


def _floats(x: Any) -> Variable:
    x = as_tensor_variable(x)
    return cast(x, config.floatX) if kind(x.dtype) in "biu" else x


def _largest(x: Variable, axis: Axis) -> Variable:
    """Return the largest element over `axis`, kept as an axis of size 1; 0 where it is infinite or NaN."""
    largest = reduction.max(x, axis, keepdims=True)
    # From infinity itself it cannot be subtracted.
    return elementwise.switch(elementwise.isfinite(largest), largest, 0)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return ``log(sum(exp(x)))``, also where ``exp(x)`` is out of range.

    Parameters
    ----------
    x : array_like
        Values.
    axis : int or sequence of int, optional
        Axes to sum over; all by default.
    keepdims : bool
        Whether they stay, with size 1.

    Returns
    -------
    Variable
        ``-inf`` where all values are.
    """
    x = _floats(x)
    axes = normalize_axes(axis, x.ndim, "logsumexp")
    largest = _largest(x, axes)
    total = reduction.sum(elementwise.exp(x - largest), axes)
    kept = elementwise.log(restore_axes(total, axes, x.ndim)) + largest
    return kept if keepdims else _without(kept, axes)


def _without(x: Variable, axes: tuple[int, ...]) -> Variable:
    return DimShuffle(tuple(axis for axis in range(x.ndim) if axis not in axes))(x) if axes else x


def logdiffexp(x1: Any, x2: Any) -> Variable:
    """Return ``log(exp(x1) - exp(x2))``, also where the exponentials are out of range.

    Parameters
    ----------
    x1, x2 : array_like
        Real numbers, which broadcast; ``x1 >= x2``.

    Returns
    -------
    Variable
        ``-inf`` where the two are equal, NaN where ``x1 < x2``.
    """
    x1, x2 = operands(x1, x2)
    x1, x2 = _floats(x1), _floats(x2)
    # exp(-inf) is 0, also beside another one: from itself, -inf cannot be subtracted.
    gap = elementwise.switch(elementwise.eq(x2, -math.inf), -math.inf, x2 - x1)
    return elementwise.add(x1, elementwise.log1mexp(gap))


def softmax(x: Any, axis: Axis = None) -> Variable:
    """Return ``exp(x) / sum(exp(x))``, also where ``exp(x)`` is out of range.

    Parameters
    ----------
    x : array_like
        Values.
    axis : int or sequence of int, optional
        Axes to sum over; all by default.

    Returns
    -------
    Variable
        Of the shape of `x`; it adds up to 1 over `axis`.
    """
    x = _floats(x)
    powers = elementwise.exp(x - reduction.max(x, axis, keepdims=True))
    return elementwise.true_div(powers, reduction.sum(powers, axis, keepdims=True))


def log_softmax(x: Any, axis: Axis = None) -> Variable:
    """Return the logarithm of `softmax`, accurate also where that is close to 0 or 1.

    Parameters
    ----------
    x : array_like
        Values.
    axis : int or sequence of int, optional
        Axes to sum over; all by default.

    Returns
    -------
    Variable
        Of the shape of `x`.
    """
    x = _floats(x)
    shifted = elementwise.sub(x, _largest(x, axis))
    total = reduction.sum(elementwise.exp(shifted), axis, keepdims=True)
    return elementwise.sub(shifted, elementwise.log(total))
