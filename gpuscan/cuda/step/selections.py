"""An index, read axis by axis: from which axis of the part each position in the array follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuscan.graph import Variable
from gpuscan.tensor.indexing import At, Gather, Mask, New, Pattern, Range, with_slots


@dataclass(frozen=True)
class Selection:
    """Where along one axis of an array the elements of a part are.

    Attributes
    ----------
    item : At, Range or Gather
        What the index says of the axis.
    slots : tuple of Variable
        Its symbolic parts.
    axis : int
        Of the part: the axis that a range becomes, or the first of those that arrays of positions become.
    """

    item: At | Range | Gather
    slots: tuple[Variable, ...]
    axis: int = -1


@dataclass(frozen=True)
class Selections:
    """An index: one selection for each axis of the array, and the axes of the part that arrays of positions make."""

    along: tuple[Selection, ...]
    start: int
    gathered: int


def selections(pattern: Pattern, slots: Sequence[Variable]) -> Selections | None:
    """Return an index axis by axis, by NumPy's rules; None for one with a mask, whose part has no size beforehand."""
    if any(isinstance(item, Mask) for item in pattern):
        return None
    arrays = [v.ndim for v in slots if v.ndim]
    gathered = max(arrays, default=0)
    advanced = [i for i, item in enumerate(pattern) if isinstance(item, At | Gather)] if arrays else []
    apart = bool(advanced) and advanced[-1] - advanced[0] != len(advanced) - 1
    start, position = 0, gathered if apart else 0
    along = []
    for i, (item, own) in enumerate(with_slots(pattern, slots)):
        if advanced and not apart and i == advanced[0]:
            start, position = position, position + gathered
        if isinstance(item, New):
            position += 1
        elif isinstance(item, Range):
            along.append(Selection(item, tuple(own), position))
            position += 1
        else:
            assert isinstance(item, At | Gather)
            along.append(Selection(item, tuple(own), start if isinstance(item, Gather) else -1))
    return Selections(tuple(along), start, gathered)
