"""Variables that get their value from outside: the inputs of functions, and shared variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError
from gpuscan.graph import DTYPES, SharedVariable, TensorType, Variable

LETTERS = {
    **{"b": "int8", "w": "int16", "i": "int32", "l": "int64"},
    **{"f": "float32", "d": "float64", "c": "complex64", "z": "complex128"},
}
"""Dtype of each letter that may stand before a constructor's name: ``iscalar``, ``fvector``, ``dmatrix``, ..."""


def tensor(
    name: str | None = None, dtype: str | None = None, shape: Sequence[int | None] | int | None = None
) -> Variable:
    """Return an input.

    Parameters
    ----------
    name : str, optional
        For people: messages and printed graphs show it.
    dtype : str, optional
        Element type, ``config.floatX`` by default.
    shape : sequence of int or None
        Its sizes; None for one that each call may choose. ``()`` by default.
    """
    if name in DTYPES and dtype is None:  # tensor("float64", shape=...), as older programs write it
        name, dtype = None, name
    sizes = (shape,) if isinstance(shape, int) else tuple(shape or ())
    return Variable(TensorType(dtype or config.floatX, sizes), name)


def _constructor(title: str, shape: tuple[int | None, ...], fixed: str | None = None) -> Callable[..., Variable]:
    def construct(name: str | None = None, dtype: str | None = None, shape: Sequence[int | None] = shape) -> Variable:
        if len(shape) != len(default):
            raise DtypeError(f"{title} has {len(default)} axes; shape {tuple(shape)} has {len(shape)}")
        return tensor(name, fixed or dtype, shape)

    default = shape
    construct.__name__ = construct.__qualname__ = title
    construct.__doc__ = f"Return an input of shape {shape} (None: any size), {fixed or 'floatX unless dtype is given'}."
    return construct


RANKS: dict[str, tuple[int | None, ...]] = {
    "scalar": (),
    "vector": (None,),
    "row": (1, None),
    "col": (None, 1),
    "matrix": (None, None),
    "tensor3": (None,) * 3,
    "tensor4": (None,) * 4,
}

scalar = _constructor("scalar", RANKS["scalar"])
vector = _constructor("vector", RANKS["vector"])
row = _constructor("row", RANKS["row"])
col = _constructor("col", RANKS["col"])
matrix = _constructor("matrix", RANKS["matrix"])
tensor3 = _constructor("tensor3", RANKS["tensor3"])
tensor4 = _constructor("tensor4", RANKS["tensor4"])

TYPED = {
    f"{letter}{title}": _constructor(f"{letter}{title}", shape, dtype)
    for letter, dtype in LETTERS.items()
    for title, shape in RANKS.items()
}
"""The typed constructors by name; `gpuscan.tensor` has them as attributes."""


def shared(
    value: Any, name: str | None = None, *, dtype: str | None = None, shape: Sequence[int | None] | None = None
) -> SharedVariable:
    """Return a variable that keeps its value between calls, and that ``updates`` of a function change.

    Parameters
    ----------
    value : array_like
        First value; it is copied. A Python int makes int64, a Python float ``config.floatX``.
    name : str, optional
        For people.
    dtype : str, optional
        Element type to convert to.
    shape : sequence of int or None, optional
        Sizes that later values must have; any are allowed by default.

    Raises
    ------
    DtypeError
        If `value` is no number or array of numbers.
    """
    if isinstance(value, Variable):
        raise DtypeError(f"shared() needs a value to start from; {value!r} is symbolic")
    if dtype is None and type(value) is float:
        dtype = config.floatX
    array = np.array(value, dtype=dtype)
    if array.dtype.name not in DTYPES:
        raise DtypeError(f"shared({value!r}): arrays of dtype {array.dtype} are not supported")
    return SharedVariable(array, name, tuple(shape) if shape is not None else None)
