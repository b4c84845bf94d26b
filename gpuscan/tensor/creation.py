"""New arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Constant, Op, TensorType, Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, dtype_name, operands
from gpuscan.tensor.layout import broadcast_to
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import dim, dims
from gpuscan.tensor.sizes import as_sizes


def alloc(value: Any, *shape: Any) -> Variable:
    """Return an array of the given sizes filled with `value`, which broadcasts to it."""
    return broadcast_to(value, shape[0] if len(shape) == 1 else list(shape))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Variable:
    """Return an array of shape `shape` filled with `fill_value`."""
    value = as_tensor_variable(fill_value)
    return broadcast_to(value if dtype is None else cast(value, dtype), shape)


def zeros(shape: Any, dtype: Any = None) -> Variable:
    """Return zeros of shape `shape`; floatX unless `dtype` is given."""
    return full(shape, 0, "floatX" if dtype is None else dtype)


def ones(shape: Any, dtype: Any = None) -> Variable:
    """Return ones of shape `shape`; floatX unless `dtype` is given."""
    return full(shape, 1, "floatX" if dtype is None else dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Variable:
    """Return an array filled with `fill_value`, of the shape of `x` and its dtype unless `dtype` is given."""
    x = as_tensor_variable(x)
    return full(dims(x), fill_value, x.dtype if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None) -> Variable:
    """Return zeros of the shape of `x`, and its dtype unless `dtype` is given."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Variable:
    """Return ones of the shape of `x`, and its dtype unless `dtype` is given."""
    return full_like(x, 1, dtype)


def empty(shape: Any, dtype: Any = None) -> Variable:
    """Return an array of shape `shape` whose values carry no meaning (they are zeros)."""
    return zeros(shape, dtype)


def empty_like(x: Any, dtype: Any = None) -> Variable:
    """Return an array like `x` whose values carry no meaning (they are zeros)."""
    return zeros_like(x, dtype)


@final
@dataclass(frozen=True)
class Arange(Op):
    """Numbers from the first input up to, not with, the second, in steps of the third, all of dtype `dtype`."""

    dtype: str

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        if any(v.dtype != self.dtype or v.ndim for v in inputs):
            raise DtypeError(f"arange: {', '.join(str(v.type) for v in inputs)} are not all scalars of {self.dtype}")
        return (TensorType(self.dtype, (self._size(inputs),)),)

    def _size(self, inputs: Sequence[Variable]) -> int | None:
        # As numbers of the dtype itself: NumPy divides in it, and rounding decides whether one more fits.
        scalar = np.dtype(self.dtype).type
        values = [v.data[()] if isinstance(v, Constant) else v.known for v in inputs]
        start, stop, step = (None if value is None else scalar(value) for value in values)
        if step is not None and not step:
            raise ShapeError("arange: the step must not be 0")
        if start is None or stop is None or step is None:
            return None
        with np.errstate(all="ignore"):
            count = (stop - start) / step
        if not np.isfinite(count):
            raise ShapeError(f"arange: from {start} to {stop} in steps of {step} is no finite number of elements")
        return max(math.ceil(float(count)), 0)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Variable:
    """Return numbers from `start` (0 if only one bound is given) up to, not with, `stop`, in steps of `step`.

    Integer bounds give int64, as NumPy does, unless `dtype` is given.
    """
    if stop is None:
        start, stop = 0, start
    bounds = operands(start, stop, step)
    if any(v.ndim for v in bounds):
        raise ShapeError("arange: bounds and step must be scalars")
    common = promote(*(v.dtype for v in bounds))
    if kind(common) == "c":
        raise DtypeError("arange: bounds and step must be real numbers")
    computed = "int64" if kind(common) in "biu" else common
    numbers = Arange(computed)(*(cast(v, computed) for v in bounds))
    return numbers if dtype is None else cast(numbers, dtype)


@final
@dataclass(frozen=True)
class Eye(Op):
    """Ones of dtype `dtype` on diagonal ``k`` of a matrix of ``n`` rows and ``m`` columns, zeros elsewhere."""

    dtype: str

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        rows, columns, _ = inputs
        return (TensorType(self.dtype, (rows.known, columns.known)),)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """Return an `n` by `m` (default `n`) matrix with ones on diagonal `k`, floatX unless `dtype` is given."""
    rows, columns = as_sizes([n, n if m is None else m], "eye")
    offset = as_tensor_variable(k)
    if kind(offset.dtype) not in "iu" or offset.ndim:
        raise DtypeError(f"eye: the diagonal must be an integer, not {offset.type}")
    return Eye(dtype_name("floatX" if dtype is None else dtype))(rows, columns, offset)


def identity(n: Any, dtype: Any = None) -> Variable:
    """Return the identity matrix of `n` rows and columns, floatX unless `dtype` is given."""
    return eye(n, dtype=dtype)


def identity_like(x: Any) -> Variable:
    """Return the identity matrix of the shape and dtype of the matrix `x`."""
    x = as_tensor_variable(x)
    if x.ndim != 2:
        raise ShapeError(f"identity_like: needs a matrix, not {x.type}")
    return eye(dim(x, 0), dim(x, 1), dtype=x.dtype)
