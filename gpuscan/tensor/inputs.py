"""Variables that get their value from outside: the inputs of functions, and shared variables."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_index
from typing import Any, Protocol

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import DTYPES, Shape, SharedVariable, TensorType, Variable
from gpuscan.tensor.convert import as_data, dtype_name
from gpuscan.tensor.random.state import STATE_TYPE, is_generator, state_of_generator


def _known_shape(shape: Any, what: str) -> Shape:
    """Return a declared shape, a size or several of them with None for any, as a tuple."""
    if shape is None:
        raise ShapeError(f"{what}: shape must tell the rank: () of a scalar, (None,) of a vector of any length")
    try:
        entries = shape if isinstance(shape, Sequence | np.ndarray) else [shape]
        sizes = tuple(None if size is None else as_index(size) for size in entries)
    except TypeError:
        raise ShapeError(f"{what}: a shape is declared as integers, with None for any size; found {shape!r}") from None
    if any(size is not None and size < 0 for size in sizes):
        raise ShapeError(f"{what}: sizes must not be negative; found {shape!r}")
    return sizes


def tensor(name: str | None = None, dtype: Any = None, shape: Sequence[int | None] | int = ()) -> Variable:
    """Return an input.

    Parameters
    ----------
    name : str, optional
        For people: messages and printed graphs show it.
    dtype : str, optional
        Element type, ``config.floatX`` by default.
    shape : sequence of int or None
        Its sizes; None for one that each call may choose.
    """
    if name in DTYPES and dtype is None:  # tensor("float64", shape=...), as older programs write it
        name, dtype = None, name
    return Variable(TensorType(dtype_name("floatX" if dtype is None else dtype), _known_shape(shape, "tensor")), name)


class Constructor(Protocol):
    """Makes inputs of one rank."""

    def __call__(
        self, name: str | None = None, dtype: Any = None, shape: Sequence[int | None] | None = None
    ) -> Variable:
        """Return an input; `shape` may tell more of its sizes."""


RANKS: dict[str, Shape] = {
    "scalar": (),
    "vector": (None,),
    "row": (1, None),
    "col": (None, 1),
    "matrix": (None, None),
    "tensor3": (None,) * 3,
    "tensor4": (None,) * 4,
}


def _constructor(title: str, default: Shape, fixed: str | None = None) -> Constructor:
    def construct(name: str | None = None, dtype: Any = None, shape: Sequence[int | None] | None = None) -> Variable:
        sizes = default if shape is None else _known_shape(shape, title)
        if len(sizes) != len(default):
            raise ShapeError(f"{title} has {len(default)} axes; shape {sizes} has {len(sizes)}")
        if fixed is not None and dtype is not None and dtype_name(dtype) != fixed:
            raise DtypeError(f"{title} makes {fixed}, not {dtype_name(dtype)}; use {title[1:]}(name, dtype=...)")
        return tensor(name, dtype if fixed is None else fixed, sizes)

    construct.__name__ = construct.__qualname__ = title
    construct.__doc__ = f"Return an input of shape {default} (None: any), {fixed or 'floatX unless dtype is given'}."
    return construct


scalar, vector, row, col, matrix, tensor3, tensor4 = (_constructor(title, shape) for title, shape in RANKS.items())


def _typed(letter: str, dtype: str) -> list[Constructor]:
    return [_constructor(letter + title, shape, dtype) for title, shape in RANKS.items()]


bscalar, bvector, brow, bcol, bmatrix, btensor3, btensor4 = _typed("b", "int8")
wscalar, wvector, wrow, wcol, wmatrix, wtensor3, wtensor4 = _typed("w", "int16")
iscalar, ivector, irow, icol, imatrix, itensor3, itensor4 = _typed("i", "int32")
lscalar, lvector, lrow, lcol, lmatrix, ltensor3, ltensor4 = _typed("l", "int64")
fscalar, fvector, frow, fcol, fmatrix, ftensor3, ftensor4 = _typed("f", "float32")
dscalar, dvector, drow, dcol, dmatrix, dtensor3, dtensor4 = _typed("d", "float64")
cscalar, cvector, crow, ccol, cmatrix, ctensor3, ctensor4 = _typed("c", "complex64")
zscalar, zvector, zrow, zcol, zmatrix, ztensor3, ztensor4 = _typed("z", "complex128")


def shared(
    value: Any,
    name: str | None = None,
    *,
    dtype: Any = None,
    shape: Sequence[int | None] | None = None,
    borrow: bool = False,
) -> SharedVariable:
    """Return a variable that keeps its value between calls, and that ``updates`` of a function change.

    Parameters
    ----------
    value : array_like
        First value. A Python int makes int64, a Python float ``config.floatX``. A NumPy Generator makes a random state,
        to draw from with ``gpuscan.tensor.random``; it is read and not advanced.
    name : str, optional
        For people.
    dtype : str, optional
        Element type to convert to.
    shape : sequence of int or None, optional
        Sizes that later values must have; any are allowed by default.
    borrow : bool
        Whether to keep `value` itself, where that is possible, in place of a copy.

    Raises
    ------
    DtypeError
        If `value` is no number or array of numbers.
    ShapeError
        If it does not have the sizes of `shape`.
    """
    if isinstance(value, Variable):
        raise DtypeError(f"shared() needs a value to start from; {value!r} is symbolic")
    if is_generator(value):
        return SharedVariable(state_of_generator(value), name, STATE_TYPE.shape)
    data = as_data(value, dtype)
    data = np.array(data, dtype=data.dtype.newbyteorder("="), copy=None if borrow else True)
    return SharedVariable(data, name, None if shape is None else _known_shape(shape, "shared"))
