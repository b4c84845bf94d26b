"""Reductions over axes."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from gpuscan.config import config
from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, TensorType, Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast, dtype_name
from gpuscan.tensor.layout import flatten, restore_axes
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.shaping import dim, normalize_axes, normalize_axis
from gpuscan.tensor.sizes import elements, product

Axis = int | Sequence[int] | None
KINDS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
POSITIONS = ("argmax", "argmin")
FOLDS = {"sum": elementwise.add, "prod": elementwise.mul, "max": elementwise.maximum, "min": elementwise.minimum}


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
        if self.kind not in KINDS or (self.kind in POSITIONS and len(self.axes) != 1):
            raise ShapeError(f"{self.kind} over axes {self.axes} is no reduction")
        if kind(type_.dtype) == "c" and self.kind not in ("sum", "prod", "any", "all"):
            raise DtypeError(f"{self.kind} of {type_}: complex numbers have no order")
        if self.kind not in ("sum", "prod", "any", "all") and 0 in [type_.shape[a] for a in self.axes]:
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


@final
@dataclass(frozen=True)
class SumTo(Op):
    """First input summed to the sizes that the others give: what undoes broadcasting from those sizes.

    It is summed over leading axes that the sizes lack, and over axes where the size is 1 and its own is not.
    """

    @property
    def name(self) -> str:
        return "sum_to"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *sizes = inputs
        target = tuple(size.known for size in sizes)
        own = x.type.shape[x.ndim - len(target) :]
        for axis, (size, wanted) in enumerate(zip(own, target, strict=True)):
            if None not in (size, wanted) and wanted not in (1, size):
                raise ShapeError(f"{x.type} cannot be summed to {target}: axis {axis} has size {size}")
        # Where its own size is known and not 1, the sum has that size or 1, and only the target can tell.
        return (TensorType(x.dtype, tuple(1 if n == 1 else t for n, t in zip(own, target, strict=True))),)


def sum_to(x: Variable, sizes: Sequence[Variable | None]) -> Variable:
    """Return `x` summed to `sizes`, from which it was broadcast; only what may have been broadcast is summed over.

    None stands for the size of an axis that was not broadcast.
    """
    extra = x.ndim - len(sizes)
    certain = [
        axis for axis, size in enumerate(sizes) if size is not None and size.known == 1 != x.type.shape[extra + axis]
    ]
    if certain or extra:
        summed = Reduce("sum", (*range(extra), *(extra + axis for axis in certain)))(x)
        x = restore_axes(summed, certain, len(sizes))
    unsure = [size is not None and size.known is None and n != 1 for size, n in zip(sizes, x.type.shape, strict=True)]
    if not builtins.any(unsure):
        return x
    return SumTo()(x, *(dim(x, axis) if size is None else size for axis, size in enumerate(sizes)))


def _reduce(which: str, x: Any, axis: Axis, keepdims: bool) -> Variable:
    x = as_tensor_variable(x)
    axes = normalize_axes(axis, x.ndim, which)
    reduced = _over(which, x, axes)
    return restore_axes(reduced, axes, x.ndim) if keepdims else reduced


def _over(which: str, x: Variable, axes: tuple[int, ...]) -> Variable:
    reduce = Reduce(which, axes)
    if not axes:
        return cast(x, reduce.infer([x])[0].dtype)
    # ``x.shape.prod()`` says as much about types as ``x.size``.
    if x.ndim == 1 and which in FOLDS and kind(x.dtype) in "iu" and (parts := elements(x)):
        total = cast(parts[0], reduce.infer([x])[0].dtype)
        for part in parts[1:]:
            total = FOLDS[which](total, part)
        return total
    return reduce(x)


def _in_dtype(which: str, x: Any, axis: Axis, dtype: Any, keepdims: bool) -> Variable:
    if dtype is None:
        return _reduce(which, x, axis, keepdims)
    # What integers narrower than 64 bits would have wrapped around to, the sum in 64 bits does when it is cast.
    return cast(_reduce(which, cast(x, dtype), axis, keepdims), dtype)


def sum(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """Return the sum over `axis` (None: all axes); `dtype` is what it is computed in and returned as."""
    return _in_dtype("sum", x, axis, dtype, keepdims)


def prod(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """Return the product over `axis` (None: all axes); `dtype` is what it is computed in and returned as."""
    return _in_dtype("prod", x, axis, dtype, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return the largest element over `axis` (None: all axes); NaN where there is one."""
    return _reduce("max", x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return the smallest element over `axis` (None: all axes); NaN where there is one."""
    return _reduce("min", x, axis, keepdims)


amax = max
amin = min


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return how far the largest element over `axis` (None: all axes) is from the smallest.

    Raises
    ------
    DtypeError
        If `x` is of booleans or complex.
    """
    x = as_tensor_variable(x)
    return elementwise.sub(max(x, axis, keepdims), min(x, axis, keepdims))


def count_nonzero(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return how many elements over `axis` (None: all axes) are not 0, int64."""
    return sum(elementwise.neq(x, 0), axis, keepdims=keepdims)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return whether an element over `axis` (None: all axes) is true (not zero)."""
    return _reduce("any", x, axis, keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Return whether every element over `axis` (None: all axes) is true (not zero)."""
    return _reduce("all", x, axis, keepdims)


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Variable:
    """Return whether `isclose` holds everywhere."""
    return all(elementwise.isclose(a, b, rtol, atol, equal_nan))


def _position(which: str, x: Any, axis: int | None, keepdims: bool) -> Variable:
    x = as_tensor_variable(x)
    if axis is not None:
        return _reduce(which, x, normalize_axis(axis, x.ndim, which), keepdims)
    flat = _reduce(which, flatten(x), 0, False)
    return restore_axes(flat, range(x.ndim), x.ndim) if keepdims else flat


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Return the position of the first largest element along `axis`, or in the flattened array."""
    return _position("argmax", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Return the position of the first smallest element along `axis`, or in the flattened array."""
    return _position("argmin", x, axis, keepdims)


def max_and_argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> tuple[Variable, Variable]:
    """Return the largest elements and the positions of the first of them, as `max` and `argmax` do.

    Parameters
    ----------
    x : array_like
        Real numbers.
    axis : int, optional
        The axis to go along; by default all are one, and the position is that in the flattened array.
    keepdims : bool
        Whether it stays, with size 1.
    """
    x = as_tensor_variable(x)
    return max(x, axis, keepdims), argmax(x, axis, keepdims)


def _in_floats(x: Any, dtype: Any) -> Variable:
    x = as_tensor_variable(x)
    if dtype is not None:
        if kind(dtype_name(dtype)) not in "fc":
            raise DtypeError(f"a mean is computed in floating point; dtype cannot be {dtype_name(dtype)}")
        return cast(x, dtype)
    return cast(x, config.floatX) if kind(x.dtype) in "biu" else x


def mean(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """Return the mean over `axis` (None: all axes); integers are averaged in floatX, unless `dtype` is given."""
    x = _in_floats(x, dtype)
    # As in NumPy, a sum of float16 soon leaves its range.
    wide = cast(x, "float32") if x.dtype == "float16" else x
    return cast(sum(wide, axis, keepdims=keepdims) / _count(wide, axis), x.dtype)


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """Return the variance over `axis` (None: all axes): squared deviations divided by their number less `ddof`."""
    x = _in_floats(x, None)
    wide = cast(x, "float32") if x.dtype == "float16" else x
    deviation = wide - mean(wide, axis, keepdims=True)
    squares = elementwise.sqr(elementwise.abs(deviation) if kind(x.dtype) == "c" else deviation)
    variance = sum(squares, axis, keepdims=keepdims) / (_count(squares, axis) - ddof)
    return cast(variance, "float16") if x.dtype == "float16" else variance


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """Return the square root of `var`."""
    return elementwise.sqrt(var(x, axis, ddof, keepdims))


def _count(x: Variable, axis: Axis) -> Variable:
    """Return how many elements one result of a reduction stands for, in the dtype of `x`."""
    return cast(product([dim(x, a) for a in normalize_axes(axis, x.ndim, "mean")]), x.dtype)
