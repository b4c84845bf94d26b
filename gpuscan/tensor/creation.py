"""New arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Constant, Op, TensorType, Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, operands
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import as_sizes, broadcast_to, dim


def alloc(value: Any, *shape: Any) -> Variable:
    """Return an array of the given sizes filled with `value`, which broadcasts to it."""
    return broadcast_to(value, shape[0] if len(shape) == 1 else list(shape))


def full(shape: Any, fill_value: Any, dtype: str | None = None) -> Variable:
    """Return an array of shape `shape` filled with `fill_value`."""
    value = as_tensor_variable(fill_value)
    return broadcast_to(cast(value, dtype) if dtype else value, shape)


def zeros(shape: Any, dtype: str | None = None) -> Variable:
    """Return zeros of shape `shape`; floatX unless `dtype` is given."""
    return full(shape, 0, dtype or config.floatX)


def ones(shape: Any, dtype: str | None = None) -> Variable:
    """Return ones of shape `shape`; floatX unless `dtype` is given."""
    return full(shape, 1, dtype or config.floatX)


def full_like(x: Any, fill_value: Any, dtype: str | None = None) -> Variable:
    """Return an array filled with `fill_value`, of the shape of `x` and its dtype unless `dtype` is given."""
    x = as_tensor_variable(x)
    return full([dim(x, axis) for axis in range(x.ndim)], fill_value, dtype or x.dtype)


def zeros_like(x: Any, dtype: str | None = None) -> Variable:
    """Return zeros of the shape of `x`, and its dtype unless `dtype` is given."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: str | None = None) -> Variable:
    """Return ones of the shape of `x`, and its dtype unless `dtype` is given."""
    return full_like(x, 1, dtype)


def empty(shape: Any, dtype: str | None = None) -> Variable:
    """Return an array of shape `shape` whose values carry no meaning (they are zeros)."""
    return zeros(shape, dtype)


def empty_like(x: Any, dtype: str | None = None) -> Variable:
    """Return an array like `x` whose values carry no meaning (they are zeros)."""
    return zeros_like(x, dtype)


@final
@dataclass(frozen=True)
class Arange(Op):
    """Numbers of dtype `dtype` from the first input up to, not with, the second, in steps of the third."""

    dtype: str

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (TensorType(self.dtype, (self._size(inputs),)),)

    def _size(self, inputs: Sequence[Variable]) -> int | None:
        values = [v.known if v.known is not None else v.data if isinstance(v, Constant) else None for v in inputs]
        if any(value is None for value in values):
            return None
        if values[2] == 0:
            raise ShapeError("arange: the step must not be 0")
        return len(np.arange(*values))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Variable:
    """Return numbers from `start` (0 if only one bound is given) up to, not with, `stop`, in steps of `step`.

    Integer bounds give int64, as NumPy does, unless `dtype` is given.
    """
    if stop is None:
        start, stop = 0, start
    bounds = operands(start, stop, step)
    if any(v.ndim for v in bounds):
        raise ShapeError("arange: bounds and step must be scalars")
    common = promote(*(v.dtype for v in bounds))
    dtype = np.dtype(dtype).name if dtype else "int64" if kind(common) in "biu" else common
    return Arange(dtype)(*bounds)


@final
@dataclass(frozen=True)
class Eye(Op):
    """Ones of dtype `dtype` on diagonal ``k`` of a matrix of ``n`` rows and ``m`` columns, zeros elsewhere."""

    dtype: str

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        rows, columns, _ = inputs
        return (TensorType(self.dtype, (rows.known, columns.known)),)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: str | None = None) -> Variable:
    """Return an `n` by `m` (default `n`) matrix with ones on diagonal `k`, floatX unless `dtype` is given."""
    rows, columns = as_sizes([n, n if m is None else m], "eye")
    offset = as_tensor_variable(k)
    if kind(offset.dtype) not in "iu" or offset.ndim:
        raise DtypeError(f"eye: the diagonal must be an integer, not {offset.type}")
    return Eye(dtype or config.floatX)(rows, columns, offset)


def identity_like(x: Any) -> Variable:
    """Return the identity matrix of the shape and dtype of the matrix `x`."""
    x = as_tensor_variable(x)
    return eye(dim(x, 0), dim(x, 1), dtype=x.dtype)


def linspace(start: Any, stop: Any, num: int = 50) -> Variable:
    """Return `num` evenly spaced numbers from `start` to `stop`, both included."""
    start, stop = (cast(v, promote(v.dtype, config.floatX)) for v in operands(start, stop))
    if num == 1:
        return start.dimshuffle("x")
    return start + arange(num) * ((stop - start) / constant(np.asarray(num - 1, config.floatX)))
