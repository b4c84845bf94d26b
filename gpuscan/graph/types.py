"""The type of a value: its dtype and as much of its shape as is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from gpuscan.errors import DtypeError, ShapeError

DTYPES = (
    "bool",
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
    *("complex64", "complex128"),
)

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class TensorType:
    """Dtype and shape of an array; None for a size that is known only when the array is.

    Raises
    ------
    DtypeError
        If `dtype` is none of `DTYPES`.
    """

    dtype: str
    shape: Shape

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise DtypeError(f"dtype {self.dtype!r} is not supported; use one of {', '.join(DTYPES)}")

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int | None:
        """Number of elements, None where it is not known."""
        return None if None in self.shape else int(np.prod([n for n in self.shape if n is not None], dtype=np.int64))

    def with_dtype(self, dtype: str) -> TensorType:
        """Return the type of the same shape with another dtype."""
        return TensorType(dtype, self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        """Return the type of the same dtype with another shape."""
        return TensorType(self.dtype, shape)

    def accepts(self, other: TensorType) -> bool:
        """Whether every value of type `other` is one of this type."""
        return (
            self.dtype == other.dtype
            and self.ndim == other.ndim
            and all(mine is None or mine == theirs for mine, theirs in zip(self.shape, other.shape, strict=True))
        )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if n is None else str(n) for n in self.shape)}]"


@cache
def name_of(dtype: np.dtype) -> str:
    """Return the name of a NumPy dtype, which NumPy itself puts together at every call."""
    return dtype.name


def type_of(array: np.ndarray | np.generic) -> TensorType:
    """Return the fully known type of a NumPy array or scalar."""
    return TensorType(name_of(array.dtype), tuple(array.shape))


def merge_shapes(shapes: Iterable[Shape]) -> Shape:
    """Return what is known of one shape from several descriptions of it.

    Raises
    ------
    ShapeError
        If they contradict each other.
    """
    merged: list[int | None] | None = None
    for shape in shapes:
        if merged is None:
            merged = list(shape)
            continue
        if len(shape) != len(merged):
            raise ShapeError(f"{len(merged)} axes and {len(shape)} axes cannot be one shape")
        for axis, size in enumerate(shape):
            if size is not None and merged[axis] not in (None, size):
                raise ShapeError(f"axis {axis} has size {merged[axis]} and size {size}")
            merged[axis] = merged[axis] if size is None else size
    return tuple(merged or ())


def broadcast_shapes(shapes: Iterable[Shape]) -> Shape:
    """Return the shape that NumPy's broadcasting gives, as far as it is known.

    A size that is not known may turn out to be 1; next to a known size other than 1 the known one decides.

    Raises
    ------
    ShapeError
        If two known sizes differ and neither is 1.
    """
    shapes = tuple(shapes)
    if len(different := {shape for shape in shapes if shape}) <= 1:
        return different.pop() if different else ()
    rank = max(len(shape) for shape in different)
    result: list[int | None] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis}
        large = sizes - {1, None}
        if len(large) > 1:
            listed = ", ".join(str(shape) for shape in shapes)
            raise ShapeError(f"shapes {listed} do not broadcast: axis {axis} has sizes {sorted(map(str, large))}")
        result.append(large.pop() if large else None if None in sizes else 1)
    return tuple(result)
