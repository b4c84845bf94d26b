"""The ops that tell sizes and move elements without computing on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index as as_index
from typing import Any, final

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Constant, Op, Shape, TensorType, Variable, merge_shapes
from gpuscan.tensor.convert import constant
from gpuscan.tensor.pointwise import kind, promote

# ---- axes ----


def normalize_axis(axis: Any, ndim: int, what: str) -> int:
    """Return `axis` counted from the front.

    Raises
    ------
    ShapeError
        If there is no such axis.
    TypeError
        If it is no integer.
    """
    try:
        number = as_index(axis)
    except TypeError:
        raise TypeError(f"{what}: an axis must be an integer; found {axis!r}") from None
    if not -ndim <= number < ndim:
        raise ShapeError(f"{what}: there is no axis {number} in an array of {ndim} axes")
    return number % ndim


def normalize_axes(axis: Any, ndim: int, what: str) -> tuple[int, ...]:
    """Return `axis` (None for all, one, or a sequence) as sorted axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    axes = [normalize_axis(a, ndim, what) for a in (axis if isinstance(axis, Sequence | np.ndarray) else [axis])]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{what}: axis {axis} names an axis twice")
    return tuple(sorted(axes))


# ---- sizes ----


@final
@dataclass(frozen=True)
class Dim(Op):
    """Size of axis `axis`, an int64 scalar."""

    axis: int

    @property
    def name(self) -> str:
        return f"dim[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (TensorType("int64", ()),)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        return inputs[0].type.shape[self.axis]


def dim(x: Variable, axis: int) -> Variable:
    """Return the size of `axis`, a constant where it is known."""
    size = x.type.shape[axis]
    return constant(np.int64(size)) if size is not None else Dim(axis % x.ndim)(x)


def dims(x: Variable, start: int = 0, stop: int | None = None) -> list[Variable]:
    """Return the sizes of the axes from `start` up to, not with, `stop`."""
    return [dim(x, axis) for axis in range(x.ndim)[start:stop]]


@final
@dataclass(frozen=True)
class Stack(Op):
    """Scalars of one dtype as a vector."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (TensorType(promote(*(v.dtype for v in inputs)), (len(inputs),)),)


# ---- other axes for the same elements ----


@final
@dataclass(frozen=True)
class Reshape(Op):
    """First input with the sizes that the others give; one of them may be -1 (the rest)."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *sizes = inputs
        shape = [size.known for size in sizes]
        if shape.count(-1) > 1:
            raise ShapeError(f"reshape of {x.type}: only one size can be -1, not those of {tuple(shape)}")
        total = x.type.size
        if -1 in shape:
            position = shape.index(-1)
            shape[position] = _rest(x.type, total, [*shape[:position], *shape[position + 1 :]])
        elif total is not None and None not in shape and _product(shape) != total:
            raise ShapeError(f"reshape of {x.type}, {total} elements, to {tuple(shape)}, {_product(shape)} elements")
        elif total is not None and shape.count(None) == 1 and _product(shape):
            position = shape.index(None)
            shape[position] = _rest(x.type, total, [*shape[:position], *shape[position + 1 :]])
        return (TensorType(x.dtype, tuple(shape)),)


def _product(sizes: Iterable[int | None]) -> int:
    return int(np.prod([n for n in sizes if n is not None], dtype=np.int64))


def _rest(type_: TensorType, total: int | None, others: Sequence[int | None]) -> int | None:
    """Return the size that is left for one axis when the others have the sizes `others`."""
    if total is None or None in others:
        return None
    if (product := _product(others)) == 0 or total % product:
        raise ShapeError(f"reshape of {type_}: {total} elements do not divide into sizes {tuple(others)} and one more")
    return total // product


@final
@dataclass(frozen=True)
class DimShuffle(Op):
    """Axes reordered: position i of the result is axis ``order[i]``, or new and of size 1 where that is None.

    Axes that `order` leaves out are dropped; their size must be 1.
    """

    order: tuple[int | None, ...]

    @property
    def name(self) -> str:
        return f"dimshuffle[{', '.join('x' if a is None else str(a) for a in self.order)}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        shape = inputs[0].type.shape
        for axis in self.dropped(len(shape)):
            if shape[axis] not in (1, None):
                raise ShapeError(f"axis {axis} of {inputs[0].type} cannot be dropped: its size is {shape[axis]}, not 1")
        return (TensorType(inputs[0].dtype, tuple(1 if a is None else shape[a] for a in self.order)),)

    def dropped(self, ndim: int) -> list[int]:
        """Return the axes of an input of rank `ndim` that are left out."""
        return [axis for axis in range(ndim) if axis not in self.order]


# ---- elements repeated ----


@final
@dataclass(frozen=True)
class BroadcastTo(Op):
    """First input repeated along axes of size 1, and new leading ones, to the sizes that the others give."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *sizes = inputs
        target = tuple(size.known for size in sizes)
        if x.ndim > len(target):
            raise ShapeError(f"{x.type} cannot be broadcast to {len(target)} axes")
        padded = (1,) * (len(target) - x.ndim) + x.type.shape
        for axis, (old, new) in enumerate(zip(padded, target, strict=True)):
            if old not in (1, None) and new is not None and old != new:
                raise ShapeError(f"{x.type} cannot be broadcast to {target}: axis {axis} has size {old}")
        shape = tuple(new if old in (1, None) else old for old, new in zip(padded, target, strict=True))
        return (TensorType(x.dtype, shape),)


@final
@dataclass(frozen=True)
class Repeat(Op):
    """First input with element i along `axis` repeated as often as element i of the second says."""

    axis: int

    @property
    def name(self) -> str:
        return f"repeat[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, counts = inputs
        if counts.ndim != 1 or kind(counts.dtype) not in "iu":
            raise DtypeError(f"repeat: the counts must be an integer or a vector of integers, not {counts.type}")
        size, number = x.type.shape[self.axis], counts.type.shape[0]
        if size is not None and number not in (None, 1, size):
            raise ShapeError(f"repeat: there are {number} counts for the {size} elements along axis {self.axis}")
        shape = list(x.type.shape)
        shape[self.axis] = self._total(size, counts.data) if isinstance(counts, Constant) else None
        return (TensorType(x.dtype, tuple(shape)),)

    @staticmethod
    def _total(size: int | None, counts: np.ndarray) -> int | None:
        if (counts < 0).any():
            raise ShapeError(f"repeat: counts must not be negative; found {counts.min()}")
        total = int(counts.sum(dtype=np.int64))
        # NumPy takes one count for all elements.
        return total if len(counts) != 1 else None if size is None else size * total


# ---- arrays joined ----


@final
@dataclass(frozen=True)
class Join(Op):
    """Arrays of one rank joined along axis `axis`."""

    axis: int

    @property
    def name(self) -> str:
        return f"join[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        if len({v.ndim for v in inputs}) != 1:
            listed = ", ".join(str(v.type) for v in inputs)
            raise ShapeError(f"join: arrays must have one rank; found {listed}")
        try:
            shape = list(merge_shapes(self._without_axis(v.type.shape) for v in inputs))
        except ShapeError as error:
            raise ShapeError(f"join along axis {self.axis}: {error}") from None
        sizes = [v.type.shape[self.axis] for v in inputs]
        shape[self.axis] = None if None in sizes else sum(n for n in sizes if n is not None)
        return (TensorType(promote(*(v.dtype for v in inputs)), tuple(shape)),)

    def _without_axis(self, shape: Shape) -> Shape:
        return (*shape[: self.axis], None, *shape[self.axis + 1 :])
