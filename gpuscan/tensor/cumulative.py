"""Running sums and products, and differences of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index as as_index
from typing import Any, final

from gpuscan.errors import ShapeError
from gpuscan.graph import Op, TensorType, Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast
from gpuscan.tensor.indexing import index
from gpuscan.tensor.layout import flatten
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import normalize_axis


@final
@dataclass(frozen=True)
class Cumulate(Op):
    """Sums (`kind` "sum") or products ("prod") along `axis` of all elements up to each; dtypes as for `Reduce`."""

    kind: str
    axis: int

    @property
    def name(self) -> str:
        return f"cum{self.kind}[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        reduced = Reduce(self.kind, (self.axis,)).infer(inputs)[0]
        return (inputs[0].type.with_dtype(reduced.dtype),)


def _cumulate(which: str, x: Any, axis: int | None, dtype: Any) -> Variable:
    x = as_tensor_variable(x)
    x = x if dtype is None else cast(x, dtype)
    x, axis = (flatten(x), 0) if axis is None else (x, axis)
    running = Cumulate(which, normalize_axis(axis, x.ndim, f"cum{which}"))(x)
    return running if dtype is None else cast(running, dtype)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """Return the sums of all elements up to each one.

    Parameters
    ----------
    x : array_like
        What to sum.
    axis : int, optional
        Axis to sum along; by default `x` is flattened.
    dtype : str, optional
        What it is computed in and returned as; by default that of `sum`.

    Returns
    -------
    Variable
        Of the shape of `x`.
    """
    return _cumulate("sum", x, axis, dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Variable:
    """Return the products of all elements up to each one.

    Parameters
    ----------
    x : array_like
        What to multiply.
    axis : int, optional
        Axis to multiply along; by default `x` is flattened.
    dtype : str, optional
        What it is computed in and returned as; by default that of `prod`.

    Returns
    -------
    Variable
        Of the shape of `x`.
    """
    return _cumulate("prod", x, axis, dtype)


def diff(x: Any, n: int = 1, axis: int = -1) -> Variable:
    """Return the differences of neighbours along an axis, which gets shorter by one.

    Parameters
    ----------
    x : array_like
        Values; of booleans the difference is whether they differ.
    n : int
        How many times to take differences.
    axis : int
        Axis along which elements are neighbours.

    Returns
    -------
    Variable
        Its axis `axis` is shorter by `n`.

    Raises
    ------
    ShapeError
        If `n` is negative.
    """
    result = as_tensor_variable(x)
    if not result.ndim:
        raise ShapeError(f"diff: {result.name or 'the array'} is {result.type}; a scalar has no neighbours")
    if (times := as_index(n)) < 0:
        raise ShapeError(f"diff: n must not be negative; found {n}")
    before = (slice(None),) * normalize_axis(axis, result.ndim, "diff")
    subtract = elementwise.neq if result.dtype == "bool" else elementwise.sub
    for _ in range(times):
        result = subtract(index(result, (*before, slice(1, None))), index(result, (*before, slice(None, -1))))
    return result
