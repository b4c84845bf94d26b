"""Reading what users write for `einsum`: which label each axis of each operand has, and of the result."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gpuscan.errors import ShapeError

Labels = tuple[str, ...]

_TERM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)")


@dataclass(frozen=True)
class Subscripts:
    """Labels of the axes of each operand, and of the result: letters, and for an ellipsis ``.0`` from the right."""

    operands: tuple[Labels, ...]
    result: Labels


def read_subscripts(text: str, ranks: Sequence[int]) -> Subscripts:
    """Return what `text` says of operands with these numbers of axes.

    Raises
    ------
    ShapeError
        If it is not well formed, or does not fit the operands.
    """
    terms, arrow, result = text.replace(" ", "").partition("->")
    inputs = terms.split(",")
    if len(inputs) != len(ranks):
        raise ShapeError(f"einsum {text!r}: there are subscripts for {len(inputs)} operands and {len(ranks)} operands")
    operands = tuple(_operand(text, i, term, rank) for i, (term, rank) in enumerate(zip(inputs, ranks, strict=True)))
    used = Counter(label for labels in operands for label in labels)
    ellipsis = tuple(sorted((label for label in used if label[0] == "."), key=_from_right, reverse=True))
    if not arrow:
        once = sorted(label for label, count in used.items() if count == 1 and label[0] != ".")
        return Subscripts(operands, (*ellipsis, *once))
    return Subscripts(operands, _result(text, result, used, ellipsis))


def _from_right(label: str) -> int:
    return int(label[1:])


def _parts(text: str, term: str, what: str) -> tuple[str, bool, str]:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ShapeError(f"einsum {text!r}: {term!r}, of {what}, must be letters with at most one '...' among them")
    return found[1], found[2] is not None, found[3]


def _operand(text: str, number: int, term: str, rank: int) -> Labels:
    before, has_ellipsis, after = _parts(text, term, f"operand {number}")
    rest = rank - len(before) - len(after)
    if rest < 0 or (rest and not has_ellipsis):
        raise ShapeError(f"einsum {text!r}: {term!r} does not fit operand {number}, which has {rank} axes")
    return (*before, *(f".{i}" for i in reversed(range(rest))), *after)


def _result(text: str, term: str, used: Counter[str], ellipsis: Labels) -> Labels:
    before, has_ellipsis, after = _parts(text, term, "the result")
    if ellipsis and not has_ellipsis:
        raise ShapeError(f"einsum {text!r}: the result needs '...' for the axes that '...' stands for in the operands")
    for letter, count in Counter(before + after).items():
        if letter not in used:
            raise ShapeError(f"einsum {text!r}: {letter!r}, of the result, is in no operand")
        if count > 1:
            raise ShapeError(f"einsum {text!r}: the result has {letter!r} twice")
    return (*before, *ellipsis, *after)
