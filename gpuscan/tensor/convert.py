"""From what users write (numbers, lists, arrays) to variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError
from gpuscan.graph import DTYPES, Constant, Variable, name_of
from gpuscan.tensor.pointwise import Cast, kind, promote, real_part_dtype

INTEGERS = ("int8", "int16", "int32", "int64", "uint64")
WEAK = (bool, int, float, complex)
"""Python's own numbers, which take their dtype from what stands beside them."""


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype given as a name (``"floatX"`` too), a NumPy dtype or a Python or NumPy type.

    Raises
    ------
    DtypeError
        If it is no dtype, or one that is not supported.
    """
    if isinstance(dtype, str) and dtype == "floatX":
        return str(config.floatX)
    try:
        name = name_of(np.dtype(dtype))
    except TypeError:
        name = ""
    if name not in DTYPES:
        raise DtypeError(f"{dtype!r} is not supported as a dtype; use one of {', '.join(DTYPES)}")
    return name


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


def as_data(value: Any, dtype: Any = None) -> np.ndarray:
    """Return a number or (nested list of) array as a NumPy array; lists of Python floats are of ``config.floatX``.

    Raises
    ------
    DtypeError
        If `value` is no number or array of numbers, or does not convert to `dtype`.
    """
    target = None if dtype is None else dtype_name(dtype)
    given = getattr(value, "dtype", None)
    if target and kind(target) not in "bc" and isinstance(given, np.dtype) and given.kind == "c":
        raise DtypeError(f"{value!r:.60} is complex; use its real or imaginary part as {target}")
    try:
        data = np.asarray(value, dtype=target)
    except (TypeError, ValueError, OverflowError) as error:
        raise DtypeError(f"{value!r:.60} is no number or array of numbers: {error}") from None
    if name_of(data.dtype) not in DTYPES:
        raise DtypeError(f"{value!r:.60}, of dtype {data.dtype}, is no number or array of supported numbers")
    from_python = target is None and given is None and data.dtype == np.float64
    return data.astype(config.floatX) if from_python else data


def constant(value: Any, name: str | None = None, dtype: Any = None) -> Constant:
    """Return a constant: of dtype `dtype`, or the value's own.

    A Python int takes the smallest signed type that holds it, a Python float ``config.floatX``.

    Raises
    ------
    DtypeError
        If the value is no number or array of numbers.
    """
    if isinstance(value, Constant):
        return value if dtype is None else _cast_constant(value, dtype_name(dtype))
    if isinstance(value, Variable):
        raise DtypeError(f"{value!r} is symbolic; a constant needs a value")
    if dtype is None and type(value) in WEAK:
        dtype = _number_dtype(value, None)
    return Constant(as_data(value, dtype), name)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> Variable:
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
    if isinstance(x, Variable):
        variable = x
    elif isinstance(x, list | tuple) and _holds_variable(x):
        from gpuscan.tensor.joining import stack  # that module converts its arguments with this function

        variable = stack(x)
        variable.name = name
    else:
        variable = constant(x, name, dtype)
    variable = cast(variable, dtype) if dtype is not None else variable
    if ndim is not None and variable.ndim != ndim:
        from gpuscan.tensor.layout import shape_padleft

        variable = shape_padleft(variable, ndim - variable.ndim)
    return variable


def _holds_variable(items: Sequence[Any]) -> bool:
    return any(isinstance(x, Variable) or (isinstance(x, list | tuple) and _holds_variable(x)) for x in items)


def cast(x: Any, dtype: Any) -> Variable:
    """Return `x` converted to `dtype` (``"floatX"`` for ``config.floatX``); itself if it is of that dtype."""
    variable, name = as_tensor_variable(x), dtype_name(dtype)
    if variable.dtype == name:
        return variable
    return _cast_constant(variable, name) if isinstance(variable, Constant) else Cast(name)(variable)


def _cast_constant(x: Constant, dtype: str) -> Constant:
    Cast(dtype).infer([x])  # refuses what a cast of a variable would
    with np.errstate(all="ignore"):
        return Constant(x.data.astype(dtype), x.name)


def operands(*values: Any) -> list[Variable]:
    """Return `values` as variables that can meet in one operation.

    Python numbers take their dtype from the variables beside them, so that ``x * 0.5`` keeps a float32 `x` float32.
    Arrays and NumPy scalars keep their own.
    """
    strong = [None if type(v) in WEAK else as_tensor_variable(v) for v in values]
    dtypes = [v.dtype for v in strong if v is not None]
    beside = promote(*dtypes) if dtypes else None
    return [
        constant(value, dtype=_number_dtype(value, beside)) if variable is None else variable
        for value, variable in zip(values, strong, strict=True)
    ]
