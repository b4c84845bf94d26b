"""Parts of arrays in a batch: an index whose positions, or whose array, differ along the batch axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpuscan.graph import Variable
from gpuscan.tensor.convert import constant
from gpuscan.tensor.creation import Arange
from gpuscan.tensor.indexing import At, Gather, Index, Item, Mask, Pattern, Range, with_slots
from gpuscan.tensor.shaping import DimShuffle
from gpuscan.vectorize.batch import Batch, is_batched, shuffled

Values = Sequence[Variable]


class Part:
    """A part of an array at an index, in a batch: which index gives it, and in which order its axes then are.

    Axes are written as pairs: ``("batch", i)``, ``("kept", i)`` of slices and new axes, ``("found", i)`` of the shape
    that index arrays broadcast to.
    """

    def __init__(self, batch: Batch, pattern: Pattern, olds: Values, news: Values, x_is_batched: bool) -> None:
        self.batch = batch
        arrays = [(item, slots) for item, slots in with_slots(pattern, olds) if isinstance(item, Gather | Mask)]
        self.found = max((slots[0].ndim if isinstance(item, Gather) else 1 for item, slots in arrays), default=0)
        kept, place = _arrangement(pattern)
        self.wanted = self._axes(kept, place, [("found", i) for i in range(self.found)])
        if any(is_batched(a, b) for a, b in zip(olds, news, strict=True)):
            self._by_arrays(pattern, olds, news, x_is_batched)
            kept, place = _arrangement(self.pattern)
            block = [*self._own("batch", batch.ndim), *self._own("found", self.found)]
            self.raw = self._axes(kept, place, block)
        else:
            self.pattern: Pattern = (*[Range()] * batch.ndim, *pattern)
            self.slots = list(news)
            front, found = self._own("batch", batch.ndim), self._own("found", self.found)
            self.raw = [*front, *self.wanted]
            if place is None and found:  # index arrays apart from each other: what they find comes first of all
                self.raw = [*found, *front, *self._own("kept", kept)]
        self.result = [*self._own("batch", batch.ndim), *self.wanted]

    @staticmethod
    def _own(what: str, count: int) -> list[tuple[str, int]]:
        return [(what, i) for i in range(count)]

    def _axes(self, kept: int, place: int | None, block: list[tuple[str, int]]) -> list[tuple[str, int]]:
        axes = self._own("kept", kept)
        return [*axes[: place or 0], *block, *axes[place or 0 :]]

    def _by_arrays(self, pattern: Pattern, olds: Values, news: Values, x_is_batched: bool) -> None:
        """Have positions that differ along the batch as index arrays, and with them the batch axes of the array."""
        items: list[Item] = []
        self.slots = []
        if x_is_batched:
            for axis, size in enumerate(self.batch.sizes):
                order = [0 if axis == i else None for i in self.batch.axes]
                numbers = Arange("int64")(constant(np.int64(0)), size, constant(np.int64(1)))
                items.append(Gather(self.batch.ndim + self.found))
                self.slots.append(DimShuffle((*order, *[None] * self.found))(numbers))
        given = iter(news)
        for item, slots in with_slots(pattern, olds):
            fresh = [next(given) for _ in slots]
            if not any(is_batched(a, b) for a, b in zip(slots, fresh, strict=True)):
                items.append(item)
                self.slots += fresh
                continue
            items.append(Gather(self.batch.ndim + self.found))
            self.slots.append(self.batch.align(slots[0], fresh[0], self.found))
        self.pattern = tuple(items)

    def read(self, x: Variable) -> Variable:
        """Return the part of `x`, batch axes first."""
        part = Index(self.pattern)(x, *self.slots)
        return shuffled(part, [self.raw.index(axis) for axis in self.result])

    def arrange(self, old: Variable, value: Variable) -> Variable:
        """Return a value to write, whose axes are those of the part, with its axes in the order of the index."""
        if self.raw == self.result:
            return self.batch.align(old, value, len(self.wanted))
        front = self.result if is_batched(old, value) else self.wanted
        full = self.batch.align(old, value, len(self.wanted))
        full = DimShuffle((*[None] * (len(front) - full.ndim), *range(full.ndim)))(full)
        return DimShuffle(tuple(front.index(axis) if axis in front else None for axis in self.raw))(full)


def _arrangement(pattern: Pattern) -> tuple[int, int | None]:
    """Return how many axes of a part are of slices, and before which of them the shape of index arrays comes.

    None stands for the front, where it comes if index arrays are apart from each other.
    """
    is_advanced = any(isinstance(item, Gather | Mask) for item in pattern)
    advanced = [i for i, item in enumerate(pattern) if isinstance(item, At | Gather | Mask)] if is_advanced else []
    kept = [i for i, item in enumerate(pattern) if not isinstance(item, At | Gather | Mask)]
    if not advanced or advanced[-1] - advanced[0] != len(advanced) - 1:
        return len(kept), None
    return len(kept), sum(i < advanced[0] for i in kept)
