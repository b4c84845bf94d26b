"""Elements in order of size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, TensorType, Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.indexing import take
from gpuscan.tensor.layout import flatten
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import normalize_axis


def _has_order(type_: TensorType, what: str) -> None:
    if kind(type_.dtype) == "c":
        raise DtypeError(f"{what} of {type_}: complex numbers have no order")


@final
@dataclass(frozen=True)
class Sort(Op):
    """Elements along `axis` from the smallest to the largest, NaN last."""

    axis: int

    @property
    def name(self) -> str:
        return f"sort[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        _has_order(inputs[0].type, "sort")
        return (inputs[0].type,)


@final
@dataclass(frozen=True)
class ArgSort(Op):
    """Positions along `axis` of the elements in order of size; equal ones stay in the order they have."""

    axis: int

    @property
    def name(self) -> str:
        return f"argsort[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        _has_order(inputs[0].type, "argsort")
        return (inputs[0].type.with_dtype("int64"),)


SIDES = ("left", "right")


@final
@dataclass(frozen=True)
class SearchSorted(Op):
    """Where the elements of the second input would be put in the first, a sorted vector, before equal ones or after."""

    side: str

    @property
    def name(self) -> str:
        return f"searchsorted[{self.side}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, v = inputs
        if x.ndim != 1:
            raise ShapeError(f"searchsorted: {x.name or 'what is searched'} is {x.type}; it must be a vector")
        _has_order(x.type, "searchsorted")
        return (v.type.with_dtype("int64"),)


def _with_axis(x: Any, axis: int | None, what: str) -> tuple[Variable, int]:
    x = as_tensor_variable(x)
    return (flatten(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, what))


def _check_kind(kind: str | None, what: str) -> None:
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ValueError(f"{what}: there is no kind {kind!r} of sorting; all are stable here")


def sort(x: Any, axis: int | None = -1, kind: str | None = None) -> Variable:
    """Return the elements along an axis from the smallest to the largest, NaN last.

    Parameters
    ----------
    x : array_like
        What to sort.
    axis : int or None
        Axis to sort along; with None `x` is flattened.
    kind : str, optional
        NumPy's name of a method. It makes no difference.

    Returns
    -------
    Variable
        Of the dtype of `x`.
    """
    _check_kind(kind, "sort")
    x, axis = _with_axis(x, axis, "sort")
    return Sort(axis)(x)


def argsort(x: Any, axis: int | None = -1, kind: str | None = None) -> Variable:
    """Return the positions of the elements in order of size. Equal elements stay in the order they have.

    Parameters
    ----------
    x : array_like
        What to sort.
    axis : int or None
        Axis to sort along; with None `x` is flattened.
    kind : str, optional
        NumPy's name of a method. It makes no difference: the order is always stable.

    Returns
    -------
    Variable
        Positions along the axis, int64.
    """
    _check_kind(kind, "argsort")
    x, axis = _with_axis(x, axis, "argsort")
    return ArgSort(axis)(x)


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Return where elements would have to be put into a sorted vector for it to stay sorted.

    Parameters
    ----------
    x : array_like
        A vector in ascending order, or any with `sorter`.
    v : array_like
        What to put in.
    side : str
        ``"left"`` of equal elements or ``"right"`` of them.
    sorter : array_like, optional
        Positions that sort `x`, as from `argsort`.

    Returns
    -------
    Variable
        Positions, int64, of the shape of `v`.
    """
    if side not in SIDES:
        raise ValueError(f"searchsorted: side must be 'left' or 'right'; found {side!r}")
    x, v = operands(as_tensor_variable(x), v)
    common = promote(x.dtype, v.dtype)
    x = x if sorter is None else take(x, sorter)
    return SearchSorted(side)(cast(x, common), cast(v, common))
