"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, TensorType, Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast
from gpuscan.tensor.pointwise import kind

Axis = int | Sequence[int] | None
KINDS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
POSITIONS = ("argmax", "argmin")


def normalize_axis(axis: int, ndim: int, what: str) -> int:
    """Return `axis` counted from the front.

    Raises
    ------
    ShapeError
        If there is no such axis.
    """
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{what}: there is no axis {axis} in an array of {ndim} axes")
    return axis % ndim


def normalize_axes(axis: Axis, ndim: int, what: str) -> tuple[int, ...]:
    """Return `axis` (None for all) as sorted axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    axes = [normalize_axis(int(a), ndim, what) for a in ([axis] if isinstance(axis, int | np.integer) else axis)]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{what}: axis {axis} names an axis twice")
    return tuple(sorted(axes))


@final
@dataclass(frozen=True)
class Reduce(Op):
    """Axes `axes` reduced by `kind`, one of `KINDS`. `POSITIONS` reduce one axis and return int64.

    Sums and products of booleans and of integers narrower than 64 bits are int64 (uint64 for unsigned), as in NumPy.
    """

    kind: str
    axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}[{', '.join(map(str, self.axes))}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        type_ = inputs[0].type
        if kind(type_.dtype) == "c" and self.kind not in ("sum", "prod", "any", "all"):
            raise DtypeError(f"{self.kind} of {type_}: complex numbers have no order")
        if self.kind not in ("sum", "prod", "any", "all") and any(type_.shape[a] == 0 for a in self.axes):
            raise ShapeError(f"{self.kind} of {type_}: nothing to choose from along an axis of size 0")
        shape = tuple(size for axis, size in enumerate(type_.shape) if axis not in self.axes)
        return (TensorType(self._dtype(type_.dtype), shape),)

    def _dtype(self, dtype: str) -> str:
        if self.kind in ("any", "all"):
            return "bool"
        if self.kind in POSITIONS:
            return "int64"
        if self.kind in ("sum", "prod") and kind(dtype) in "biu":
            return "uint64" if kind(dtype) == "u" else "int64"
        return dtype


def _reduce(which: str, x: Any, axis: Axis, keepdims: bool) -> Variable:
    x = as_tensor_variable(x)
    axes = normalize_axes(axis, x.ndim, which)
    reduced = Reduce(which, axes)(x)
    return restore_axes(reduced, axes, x.ndim) if keepdims else reduced


def restore_axes(x: Variable, axes: Sequence[int], ndim: int) -> Variable:
    """Return `x` with axes of size 1 put back at `axes`, so that it has `ndim` axes."""
    kept = iter(range(x.ndim))
    return x.dimshuffle(*("x" if axis in axes else next(kept) for axis in range(ndim)))


def sum(x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
    """Return the sum over `axis` (None: all axes); `dtype` is what it is computed in."""
    return _reduce("sum", cast(x, dtype) if dtype else x, axis, keepdims)


def prod(x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
    """Return the product over `axis` (None: all axes); `dtype` is what it is computed in."""
    return _reduce("prod", cast(x, dtype) if dtype else x, axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return the largest element over `axis` (None: all axes); NaN where there is one."""
    return _reduce("max", x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return the smallest element over `axis` (None: all axes); NaN where there is one."""
    return _reduce("min", x, axis, keepdims)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return whether an element over `axis` (None: all axes) is true (not zero)."""
    return _reduce("any", x, axis, keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return whether every element over `axis` (None: all axes) is true (not zero)."""
    return _reduce("all", x, axis, keepdims)


def _position(which: str, x: Any, axis: int | None, keepdims: bool) -> Variable:
    x = as_tensor_variable(x)
    if axis is not None:
        return _reduce(which, x, axis, keepdims)
    flat = _reduce(which, x.flatten(), 0, False)
    return restore_axes(flat, range(x.ndim), x.ndim) if keepdims else flat


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Return the position of the first largest element along `axis`, or in the flattened array."""
    return _position("argmax", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Return the position of the first smallest element along `axis`, or in the flattened array."""
    return _position("argmin", x, axis, keepdims)


def _float_input(x: Any) -> Variable:
    x = as_tensor_variable(x)
    return cast(x, config.floatX) if kind(x.dtype) in "biu" else x


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return the mean over `axis` (None: all axes); integers are averaged in floatX."""
    x = _float_input(x)
    return sum(x, axis, keepdims=keepdims) / _count(x, axis)


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """Return the variance over `axis` (None: all axes): squared deviations divided by their number less `ddof`."""
    x = _float_input(x)
    deviation = x - mean(x, axis, keepdims=True)
    squares = elementwise.sqr(elementwise.abs(deviation) if kind(x.dtype) == "c" else deviation)
    return sum(squares, axis, keepdims=keepdims) / (_count(squares, axis) - ddof)


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """Return the square root of `var`."""
    return elementwise.sqrt(var(x, axis, ddof, keepdims))


def _count(x: Variable, axis: Axis) -> Variable:
    """Return how many elements one result of a reduction stands for, in the dtype of `x`."""
    count: Variable = as_tensor_variable(np.int64(1))
    for a in normalize_axes(axis, x.ndim, "mean"):
        count = count * x.shape[a]
    return cast(count, x.dtype)
