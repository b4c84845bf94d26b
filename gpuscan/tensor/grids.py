"""Numbers spread evenly, in themselves or in their logarithms, and the grids that several sets of them make."""

from __future__ import annotations

from operator import index as as_index
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, dtype_name, operands
from gpuscan.tensor.layout import broadcast_to, dimshuffle, flatten, shape_padright
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import dim


def _bounds(start: Any, stop: Any) -> list[Variable]:
    """Return the two in a common float dtype."""
    bounds = operands(start, stop)
    common = promote(*(v.dtype for v in bounds))
    common = str(config.floatX) if kind(common) in "biu" else common
    return [cast(v, common) for v in bounds]


def _positions(num: int, endpoint: bool, bounds: list[Variable], what: str) -> tuple[Variable, Variable]:
    """Return 0, 1, ... along a new first axis of `num` elements, and how many steps lie between the bounds."""
    count = as_index(num)
    if count < 0:
        raise ShapeError(f"{what}: the number of elements must not be negative; found {num}")
    dtype = bounds[0].dtype
    steps = constant(max(count - 1 if endpoint else count, 1), dtype=dtype)
    return shape_padright(constant(np.arange(count), dtype=dtype), max(v.ndim for v in bounds)), steps


def _as(x: Variable, dtype: Any) -> Variable:
    return x if dtype is None else cast(x, dtype)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Variable:
    """Return evenly spaced numbers from one to another, along a new first axis.

    Parameters
    ----------
    start, stop : array_like
        The first and the last; integers are taken as floatX.
    num : int
        How many.
    endpoint : bool
        Whether `stop` is among them; otherwise it would be the next one.
    dtype : str, optional
        What they are returned as; rounded down if it is one of integers.

    Raises
    ------
    ShapeError
        If `num` is negative.
    """
    numbers = _spread(start, stop, num, endpoint, "linspace")
    is_whole = dtype is not None and kind(dtype_name(dtype)) in "iu"
    return _as(elementwise.floor(numbers) if is_whole else numbers, dtype)


def _spread(start: Any, stop: Any, num: int, endpoint: bool, what: str) -> Variable:
    first, last = bounds = _bounds(start, stop)
    positions, steps = _positions(num, endpoint, bounds, what)
    return first + positions * ((last - first) / steps)


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None
) -> Variable:
    """Return the powers of `base` whose exponents are ``linspace(start, stop, num, endpoint)``.

    Parameters
    ----------
    start, stop : array_like
        The first exponent and the last.
    num : int
        How many.
    endpoint : bool
        Whether `stop` is among the exponents; otherwise it would be the next one.
    base : array_like
        What is raised to them.
    dtype : str, optional
        What they are returned as.

    Raises
    ------
    ShapeError
        If `num` is negative.
    """
    return _as(elementwise.power(base, _spread(start, stop, num, endpoint, "logspace")), dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None) -> Variable:
    """Return numbers from one to another of which each is the last one times the same factor, along a new first axis.

    Parameters
    ----------
    start, stop : array_like
        The first and the last, real numbers of one sign, not 0; integers are taken as floatX.
    num : int
        How many.
    endpoint : bool
        Whether `stop` is among them; otherwise it would be the next one.
    dtype : str, optional
        What they are returned as.

    Returns
    -------
    Variable
        NaN between bounds of different signs.

    Raises
    ------
    ShapeError
        If `num` is negative.
    DtypeError
        If a bound is complex.
    """
    first, last = bounds = _bounds(start, stop)
    if kind(first.dtype) == "c":
        raise DtypeError("geomspace: bounds must be real numbers; use exp(linspace(log(start), log(stop), num))")
    positions, steps = _positions(num, endpoint, bounds, "geomspace")
    reached = positions / steps
    sign = elementwise.sign(first)
    # Powers of both, as their quotient may be out of range.
    return _as(sign * (sign * first) ** (1 - reached) * (sign * last) ** reached, dtype)


def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> list[Variable]:
    """Return for each of several vectors its elements at all points of the grid that they span.

    Parameters
    ----------
    *xi : array_like
        Vectors; scalars are taken for vectors of one element.
    indexing : {"xy", "ij"}
        Whether the first vector lies along the second axis and the second along the first, as the x and y of a
        picture, or each along the axis of its number.
    sparse : bool
        Whether axes along which nothing changes have size 1.

    Returns
    -------
    list of Variable
        One for each vector, each with an axis for each vector.

    Raises
    ------
    ShapeError
        If an argument has more than one axis.
    ValueError
        If there is no such indexing.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij'; found {indexing!r}")
    given = [as_tensor_variable(x) for x in xi]
    for x in given:
        if x.ndim > 1:
            raise ShapeError(f"meshgrid: {x.name or 'an argument'} is {x.type}; it must be a vector")
    vectors, axes = [flatten(x) for x in given], list(range(len(given)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = 1, 0
    spread = [
        dimshuffle(x, *(0 if a == axis else "x" for a in range(len(axes))))
        for x, axis in zip(vectors, axes, strict=True)
    ]
    sizes = [dim(vectors[axis], 0) for axis in axes]
    return spread if sparse else [broadcast_to(x, sizes) for x in spread]
