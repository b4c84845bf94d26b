"""From what users write (numbers, lists, arrays) to variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError
from gpuscan.graph import DTYPES, Constant, Variable
from gpuscan.tensor.pointwise import Cast, kind, promote, real_part_dtype

INTEGERS = ("int8", "int16", "int32", "int64", "uint64")


def _smallest_integer(value: int) -> str:
    for dtype in INTEGERS:
        if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            return dtype
    raise DtypeError(f"the integer {value} does not fit 64 bits")


def _number_dtype(value: complex, beside: str | None) -> str:
    """Return the dtype a Python number takes beside a variable of dtype `beside` (None: alone)."""
    near = kind(beside) if beside else ""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if beside and near in "fc":
            return beside
        fits = beside and near in "iu" and np.iinfo(beside).min <= value <= np.iinfo(beside).max
        return beside if beside and fits else _smallest_integer(value)
    if isinstance(value, float):
        return real_part_dtype(beside) if beside and near in "fc" else str(config.floatX)
    return "complex64" if beside in ("float16", "float32", "complex64") else "complex128"


def constant(value: Any, name: str | None = None, dtype: str | None = None) -> Constant:
    """Return a constant: of dtype `dtype`, or the value's own.

    A Python int takes the smallest signed type that holds it, a Python float ``config.floatX``.

    Raises
    ------
    DtypeError
        If the value is no number or array of numbers.
    """
    if isinstance(value, Constant) and dtype in (None, value.dtype):
        return value
    if isinstance(value, Variable):
        raise DtypeError(f"{value!r} is symbolic; a constant needs a value")
    if dtype is None and type(value) in (bool, int, float, complex):
        dtype = _number_dtype(value, None)
    try:
        data = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise DtypeError(f"{value!r} is no number or array of numbers: {error}") from None
    if data.dtype.name not in DTYPES:
        raise DtypeError(f"an array of dtype {data.dtype} cannot be used; supported are {', '.join(DTYPES)}")
    if dtype is None and not hasattr(value, "dtype") and data.dtype == np.float64:
        data = data.astype(config.floatX)  # nested lists of Python floats
    return Constant(data, name)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Variable:
    """Return `x` as a variable: itself, a constant, or a stack of what a list holds.

    Parameters
    ----------
    x : Variable, number, array or (nested) list of them
        What to convert.
    name : str, optional
        Name of the result, where it is new.
    ndim : int, optional
        Rank to reach by leading axes of size 1.
    dtype : str, optional
        Dtype to convert to.

    Raises
    ------
    DtypeError
        If `x` holds something that is no number.
    """
    from gpuscan.tensor import shaping  # that module converts its arguments with this function

    if isinstance(x, list | tuple) and _holds_variable(x):
        variable = shaping.stack(x)
    elif isinstance(x, Variable):
        variable = x
    else:
        variable = constant(x, name, dtype)
    variable = cast(variable, dtype) if dtype else variable
    if ndim is not None and variable.ndim != ndim:
        variable = shaping.shape_padleft(variable, ndim - variable.ndim)
    return variable


def _holds_variable(items: Sequence[Any]) -> bool:
    return any(isinstance(x, Variable) or (isinstance(x, list | tuple) and _holds_variable(x)) for x in items)


def cast(x: Any, dtype: str) -> Variable:
    """Return `x` converted to `dtype` (``"floatX"`` for ``config.floatX``); itself if it is of that dtype."""
    x = as_tensor_variable(x)
    dtype = config.floatX if dtype == "floatX" else np.dtype(dtype).name
    if x.dtype == dtype:
        return x
    if isinstance(x, Constant):
        return Constant(x.data.astype(dtype), x.name)
    return Cast(dtype)(x)


def operands(*values: Any) -> list[Variable]:
    """Return `values` as variables that can meet in one operation.

    Python numbers take their dtype from the variables beside them, so that ``x * 0.5`` keeps a float32 `x` float32.
    Arrays and NumPy scalars keep their own.
    """
    weak = (bool, int, float, complex)
    strong = [None if type(v) in weak else as_tensor_variable(v) for v in values]
    dtypes = [v.dtype for v in strong if v is not None]
    beside = promote(*dtypes) if dtypes else None
    return [
        constant(value, dtype=_number_dtype(value, beside)) if variable is None else variable
        for value, variable in zip(values, strong, strict=True)
    ]
