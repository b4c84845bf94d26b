"""Positions in arrays as C text: one text an axis, an integer wherever it is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

Position = tuple[str, ...]

_NAME = re.compile(r"\w+")


def _atom(text: str) -> str:
    return text if _NAME.fullmatch(text) else f"({text})"


def plus(a: str, b: str) -> str:
    """Return the text of a sum."""
    if a.isdigit() and b.isdigit():
        return str(int(a) + int(b))
    if "0" in (a, b):
        return b if a == "0" else a
    return f"{a} + {b}"


def minus(a: str | int, b: str) -> str:
    """Return the text of a difference, to go on with."""
    return f"({a} - {_atom(b)})"


def times(a: str, b: str | int) -> str:
    """Return the text of a product."""
    b = str(b)
    if a.isdigit() and b.isdigit():
        return str(int(a) * int(b))
    if "0" in (a, b):
        return "0"
    if "1" in (a, b):
        return b if a == "1" else a
    return f"{_atom(a)} * {_atom(b)}"


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Return how many elements apart neighbours along each axis are in a C-contiguous array."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def flat(at: Position, shape: Sequence[int]) -> str:
    """Return the number of an element in a C-contiguous array."""
    text = "0"
    for index, stride, size in zip(at, strides_of(shape), shape, strict=True):
        if size != 1:
            text = plus(text, times(index, stride))
    return text


def unravel(number: str, shape: Sequence[int]) -> Position:
    """Return the position of element `number` in a C-contiguous array: the inverse of `flat`."""
    long = [axis for axis, size in enumerate(shape) if size != 1]
    at = ["0"] * len(shape)
    strides = strides_of(shape)
    for axis in long:
        text = number if strides[axis] == 1 else divided(number, strides[axis])
        at[axis] = text if axis == long[0] else remainder(text, shape[axis])
    return tuple(at)


def divided(a: str, b: int) -> str:
    """Return the text of a quotient rounded down; `a` is not negative."""
    return str(int(a) // b) if a.isdigit() else f"{_atom(a)} / {b}"


def remainder(a: str, b: int) -> str:
    """Return the text of a remainder; `a` is not negative."""
    return str(int(a) % b) if a.isdigit() else f"{_atom(a)} % {b}"


def spread(names: Sequence[str], shape: Sequence[int]) -> Position:
    """Return the position with `names` along the axes of more than one element, in order."""
    given = iter(names)
    return tuple("0" if size == 1 else next(given) for size in shape)
