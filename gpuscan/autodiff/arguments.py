"""The arguments that the public functions share, checked before any graph is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuscan import tensor as gt
from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Variable, merge_shapes
from gpuscan.tensor.shaping import dims


def check_choice(value: Any, choices: Sequence[str], what: str) -> None:
    """Raise ValueError if an option has none of its values."""
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, choices))}; found {value!r}")


def check_real(v: Any, what: str) -> None:
    """Raise TypeError if `v` is no variable, DtypeError if it is none of real floating-point values."""
    if not isinstance(v, Variable):
        raise TypeError(f"{what} must be a variable; found {v!r:.60} of type {type(v).__name__}")
    if not v.dtype.startswith("float"):
        named = f" {v.name!r}" if v.name else ""
        raise DtypeError(f"{what}{named} is {v.type}; derivatives are of real floating-point values")


def as_variables(value: Any, what: str) -> list[Variable]:
    """Return one or several variables that can be differentiated (by) as a list.

    Raises
    ------
    TypeError
        If one is no variable.
    DtypeError
        If one is not of real floating-point values.
    """
    listed = list(value) if isinstance(value, list | tuple) else [value]
    for v in listed:
        check_real(v, what)
    return listed


def paired(values: Any, derivatives: Any, what: str, called: str) -> dict[Variable, Variable]:
    """Return values with their derivatives, one or several; those of a value listed twice are added.

    Parameters
    ----------
    values : Variable or sequence of Variable
        What the derivatives belong to.
    derivatives : array_like or sequence of array_like
        As many.
    what, called : str
        What the values and one of the derivatives are called in messages.

    Raises
    ------
    ValueError
        If their numbers differ.
    ShapeError
        If a derivative has not the shape of its value.
    """
    variables = as_variables(values, what)
    listed = list(derivatives) if isinstance(values, list | tuple) else [derivatives]
    if len(listed) != len(variables):
        raise ValueError(f"{what} are {len(variables)}, with {len(listed)} {called}s; each needs one")
    found: dict[Variable, Variable] = {}
    for v, derivative in zip(variables, listed, strict=True):
        fitted = _fitted(v, derivative, f"{what.partition(':')[0]}: the {called}")
        found[v] = found[v] + fitted if v in found else fitted
    return found


def _fitted(v: Variable, derivative: Any, what: str) -> Variable:
    """Return a derivative in the dtype and shape of its value."""
    derivative = gt.as_tensor_variable(derivative)
    named = repr(v.name) if v.name else "a variable"
    found = f"{what} for {named} of {v.type} is {derivative.type}"
    if derivative.dtype.startswith("complex"):
        raise DtypeError(f"{found}; it must be real")
    try:
        merge_shapes([v.type.shape, derivative.type.shape])
    except ShapeError as error:
        raise ShapeError(f"{found}: {error}") from None
    if None not in v.type.shape and derivative.type.shape == v.type.shape:
        return gt.cast(derivative, v.dtype)
    # Sizes that only a call tells are held to the value's there; others would broadcast further on without a word.
    return gt.cast(gt.broadcast_to(derivative, dims(v)), v.dtype)
