"""Elements moved along axes: turned around, or shifted so that those that leave at one end enter at the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast
from gpuscan.tensor.creation import arange
from gpuscan.tensor.indexing import index, take
from gpuscan.tensor.joining import join
from gpuscan.tensor.layout import flatten
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.shaping import Reshape, dim, dims, normalize_axes, normalize_axis
from gpuscan.tensor.sizes import plain


def roll(x: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """Return `x` with its elements shifted along axes; those that leave at one end enter at the other.

    Parameters
    ----------
    x : array_like
        What to shift.
    shift : int, integer scalar or sequence of them
        How many positions, negative for towards the front. Several belong to as many axes, and an axis that is named
        several times is shifted by their sum; one is for all axes.
    axis : int or sequence of int, optional
        Axes to shift along; by default `x` is flattened for it.

    Returns
    -------
    Variable
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        If there is no such axis, or shifts and axes are not equally many.
    DtypeError
        If a shift is not an integer.
    """
    rolled = as_tensor_variable(x)
    if axis is None and rolled.ndim != 1:
        return Reshape()(roll(flatten(rolled), shift, 0), *dims(rolled))
    for by, along in _shifts(shift, 0 if axis is None else axis):
        rolled = _rolled(rolled, by, normalize_axis(along, rolled.ndim, "roll"))
    return rolled


def _shifts(shift: Any, axis: int | Sequence[int]) -> list[tuple[Variable, int]]:
    """Return by how much to shift along which axis, one shift or axis for all if there is one."""
    shift = shift.tolist() if isinstance(shift, np.ndarray) else shift
    shifts = list(shift) if isinstance(shift, Sequence) else [shift]
    axes = list(axis) if isinstance(axis, Sequence) else [axis]
    count = len(axes) if len(shifts) == 1 else len(shifts)
    if len(axes) not in (1, count):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes; give one shift, or one for each axis")
    shifts, axes = (given * count if len(given) == 1 else given for given in (shifts, axes))
    return [(_integer(by), along) for by, along in zip(shifts, axes, strict=True)]


def _integer(shift: Any) -> Variable:
    shift = as_tensor_variable(shift)
    if shift.ndim or kind(shift.dtype) not in "iu":
        raise DtypeError(f"roll: a shift must be an integer, or a sequence of them; found {shift.type}")
    return cast(shift, "int64")


def _rolled(x: Variable, shift: Variable, axis: int) -> Variable:
    size = dim(x, axis)
    if shift.known is None:
        return take(x, elementwise.mod(arange(size) - shift, size), axis)
    # A shift that is known leaves two parts whole, which are cheaper to move than elements one by one.
    start = plain(elementwise.mod(-shift.known, size))
    if isinstance(start, int) and start == 0:
        return x
    before = (slice(None),) * axis
    return join(axis, index(x, (*before, slice(start, None))), index(x, (*before, slice(None, start))))


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """Return `x` with its elements in reverse order along axes.

    Parameters
    ----------
    x : array_like
        What to turn around.
    axis : int or sequence of int, optional
        Axes to reverse; all by default.

    Returns
    -------
    Variable
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        If there is no such axis, or one is named twice.
    """
    x = as_tensor_variable(x)
    axes = normalize_axes(axis, x.ndim, "flip")
    return index(x, tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))) if axes else x


def flipud(x: Any) -> Variable:
    """Return `x` with its rows in reverse order, as ``flip(x, 0)``.

    Raises
    ------
    ShapeError
        If `x` is a scalar.
    """
    return flip(_of_axes(x, 1, "flipud"), 0)


def fliplr(x: Any) -> Variable:
    """Return `x` with its columns in reverse order, as ``flip(x, 1)``.

    Raises
    ------
    ShapeError
        If `x` has fewer than two axes.
    """
    return flip(_of_axes(x, 2, "fliplr"), 1)


def _of_axes(x: Any, ndim: int, what: str) -> Variable:
    variable = as_tensor_variable(x)
    if variable.ndim < ndim:
        needed = "an axis" if ndim == 1 else f"{ndim} axes"
        raise ShapeError(f"{what}: {variable.name or 'the array'} is {variable.type}; it needs {needed} or more")
    return variable
