"""Arrays made longer at the ends of their axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Constant, Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, operands
from gpuscan.tensor.creation import arange
from gpuscan.tensor.indexing import index, take
from gpuscan.tensor.joining import join
from gpuscan.tensor.layout import broadcast_to
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import dim, dims


def _edge(position: Variable, size: Variable) -> Variable:
    return elementwise.clip(position, 0, size - 1)


def _wrap(position: Variable, size: Variable) -> Variable:
    return elementwise.mod(position, size)


def _reflect(position: Variable, size: Variable) -> Variable:
    # There and back again, without the ends twice; an array of one element is all end.
    period = elementwise.maximum(2 * (size - 1), 1)
    there = elementwise.mod(position, period)
    return elementwise.minimum(there, period - there)


POSITIONS: dict[str, Callable[[Variable, Variable], Variable]] = {"edge": _edge, "wrap": _wrap, "reflect": _reflect}
"""For each mode that repeats elements: from a position, which may be beyond the ends, and the size to that of the
element that stands there."""


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Variable:
    """Return `x` with elements added before and after it along its axes.

    Parameters
    ----------
    x : array_like
        What to pad.
    pad_width : int or nested sequence of int
        How many: a number, a pair ``(before, after)`` for all axes, or such a pair for each axis.
    mode : {"constant", "edge", "wrap", "reflect"}
        What is added: `constant_values`; the elements at the ends; those at the other end, as if `x` repeated itself;
        or those of `x` mirrored at its ends, without the ends themselves.
    constant_values : scalar or nested sequence of scalars
        What mode ``"constant"`` adds: a number, which may be symbolic, a pair for all axes, or a pair for each axis.

    Returns
    -------
    Variable
        Of the dtype of `x`; each axis is longer by its two widths.

    Raises
    ------
    ShapeError
        If a width is negative, there are not as many as axes, or an empty axis has no elements to repeat.
    DtypeError
        If a width is no known integer, or the constant does not fit the dtype of `x` without loss.
    ValueError
        If there is no such mode.
    """
    padded = as_tensor_variable(x)
    if mode != "constant" and mode not in POSITIONS:
        raise ValueError(f"pad: there is no mode {mode!r}; use 'constant', {', '.join(map(repr, POSITIONS))}")
    constants = _constants(padded, constant_values) if mode == "constant" else []
    for axis, widths in enumerate(_widths(pad_width, padded.ndim)):
        if not any(widths):
            continue
        if mode == "constant":
            padded = _with_constants(padded, axis, widths, constants[axis])
        else:
            padded = _with_elements(padded, axis, widths, mode)
    return padded


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    """Return how many elements come before and after each axis."""
    try:
        widths = np.asarray(pad_width)
    except (TypeError, ValueError):
        widths = np.asarray(None)
    if widths.dtype.kind not in "iu":
        raise DtypeError(
            f"pad: widths must be integers known while the graph is built; found {pad_width!r}. "
            "Use concatenate with full(...) for a width that is symbolic."
        )
    if (widths < 0).any():
        raise ShapeError(f"pad: widths must not be negative; found {pad_width!r}")
    try:
        pairs = np.broadcast_to(widths, (ndim, 2))
    except ValueError:
        raise ShapeError(
            f"pad: widths {pad_width!r} do not fit {ndim} axes; give a number, a pair, or a pair for each axis"
        ) from None
    return [(int(before), int(after)) for before, after in pairs]


def _constants(x: Variable, values: Any) -> list[tuple[Variable, Variable]]:
    """Return what is added before and after each axis."""
    value = operands(x, values)[1]
    if not _fits(value, x.dtype):
        raise DtypeError(
            f"pad: constant_values of {value.type} do not fit into {x.name or 'an array'} of {x.type} without loss; "
            f"cast them to {x.dtype}, or the array to {promote(x.dtype, value.dtype)}"
        )
    value = cast(value, x.dtype)
    if not value.ndim:
        return [(value, value)] * x.ndim
    pairs = broadcast_to(value, (x.ndim, 2))
    return [(index(pairs, (axis, 0)), index(pairs, (axis, 1))) for axis in range(x.ndim)]


def _fits(value: Variable, dtype: str) -> bool:
    if promote(dtype, value.dtype) == dtype:
        return True
    if not isinstance(value, Constant):
        return False
    # Numbers in the program may be rounded to a float dtype, as Python's are beside a variable.
    rounded = kind(value.dtype) == kind(dtype) and kind(dtype) in "fc"
    return rounded or np.array_equal(constant(value, dtype=dtype).data, value.data)


def _with_constants(x: Variable, axis: int, widths: tuple[int, int], values: tuple[Variable, Variable]) -> Variable:
    before, after = (
        [broadcast_to(value, [*dims(x, 0, axis), width, *dims(x, axis + 1)])] if width else []
        for width, value in zip(widths, values, strict=True)
    )
    return join(axis, *before, x, *after)


def _with_elements(x: Variable, axis: int, widths: tuple[int, int], mode: str) -> Variable:
    if x.type.shape[axis] == 0:
        raise ShapeError(
            f"pad: axis {axis} of {x.name or 'the array'}, {x.type}, is empty and mode {mode!r} repeats its elements; "
            "use mode 'constant'"
        )
    before, after = widths
    size = dim(x, axis)
    return take(x, POSITIONS[mode](arange(-before, size + after), size), axis)
