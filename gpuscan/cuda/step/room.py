"""Arrays with room for more rows than they have, and the numbers that say how many they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import gpuscan.tensor as gt
from gpuscan.graph import Apply, Op, TensorType, Variable
from gpuscan.tensor.indexing import Index, Range
from gpuscan.tensor.pointwise import Pointwise
from gpuscan.tensor.shaping import Join


@final
@dataclass(frozen=True)
class AtEnd(Op):
    """First input rotated along an axis: its first elements, as many as the second says, come last."""

    axis: int

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (inputs[0].type,)


@final
@dataclass(frozen=True)
class Appended(Op):
    """A join whose elements are put together where they are read: a loop reads few of those that there is room for."""

    axis: int

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return Join(self.axis).infer(inputs)


@final
@dataclass(frozen=True)
class Rows:
    """A value with a size that depends on values.

    Attributes
    ----------
    room : Variable
        Its elements, first along `axis`; numbers beyond them mean nothing.
    axis : int
        The axis that has this size.
    count : Variable
        The size, an int64 scalar.
    """

    room: Variable
    axis: int
    count: Variable

    @property
    def size(self) -> int:
        """How many there is room for."""
        size = self.room.type.shape[self.axis]
        assert size is not None
        return size

    def trimmed(self, size: int) -> Rows:
        """Return the same with room for `size` or fewer, if there are never more."""
        if self.size <= size:
            return self
        pattern = (*[Range()] * self.axis, Range(0, size), *[Range()] * (self.room.ndim - self.axis - 1))
        return replace(self, room=Index(pattern)(self.room))

    def along(self, numbers: Variable) -> Variable:
        """Return a number for each element along the axis, to broadcast with them."""
        return numbers[(slice(None), *[None] * (self.room.ndim - self.axis - 1))]

    def inside(self) -> Variable:
        """Return which elements along the axis there are, to broadcast with them."""
        return self.along(gt.arange(self.size) < self.count)

    def filled(self, fill: Any) -> Variable:
        """Return the elements with a number in place of what is beyond them."""
        return gt.where(self.inside(), self.room, gt.constant(fill, dtype=self.room.dtype))

    def backwards(self) -> Rows:
        """Return the elements in the opposite order."""
        pattern = (*[Range()] * self.axis, Range(None, None, -1), *[Range()] * (self.room.ndim - self.axis - 1))
        return replace(self, room=Index(pattern)(self.at_end()))

    def at_end(self) -> Variable:
        """Return an array whose last elements are these."""
        return AtEnd(self.axis)(self.room, self.count)


@final
class Room:
    """What stands for the values of a step."""

    def __init__(self) -> None:
        self.replaced: dict[Variable, Variable] = {}
        self.rows: dict[Variable, Rows] = {}
        self.between: dict[Variable, tuple[int, int]] = {}  # what numbers of steps are at least and at most
        self.rests: dict[tuple[Variable | None, int, int], Variable] = {}  # counts less something, but not below 0

    def value(self, v: Variable) -> Variable:
        """Return what stands for a value of a known shape."""
        return self.replaced.get(v, v)

    def again(self, node: Apply, inputs: Sequence[Variable], op: Op | None = None) -> Apply:
        """Return a node over other inputs, whose results stand for those of the old one."""
        if op is None and all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
            return node
        new = node.with_inputs(inputs) if op is None else Apply(op, inputs, node.where)
        self.replaced.update(zip(node.outputs, new.outputs, strict=False))
        return new

    # ---- numbers ----

    def number(self, v: Variable) -> tuple[Variable | None, int]:
        """Return a number as another plus a known one; None for the other if all of it is known."""
        if v.known is not None:
            return None, v.known
        row = v.owner.op.row if v.owner is not None and isinstance(v.owner.op, Pointwise) else ""
        if v.owner is not None and row in ("add", "sub", "switch"):
            (a, m), (b, n) = map(self.number, v.owner.inputs[-2:])
            if row == "switch" and (a, m) == (b, n):  # the size of what broadcasts together
                return a, m
            if row == "add" and (a is None or b is None):
                return (b if a is None else a), m + n
            if row == "sub" and (b is None or a is b):
                return (a if b is None else None), m - n
        return v, 0

    def known(self, v: Variable) -> int | None:
        """Return what a number is, None if only a run tells."""
        other, number = self.number(v)
        return number if other is None else None

    def same(self, a: Variable, b: Variable) -> bool:
        """Whether two numbers are known to be equal."""
        return self.number(a) == self.number(b)

    def within(self, a: Variable, b: Variable) -> bool:
        """Whether a number is known to be at most another."""
        (base, m), (other, n) = self.number(a), self.number(b)
        return base is other and m <= n

    def most(self, v: Variable) -> int | None:
        """Return what a number is at most, None if nothing tells."""
        other, number = self.number(v)
        if other is None:
            return number
        if other in self.between:
            return self.between[other][1] + number
        if other.owner is None or not isinstance(other.owner.op, Pointwise) or other.owner.op.row != "minimum":
            return None
        bounds = [n for n in map(self.most, other.owner.inputs) if n is not None]
        return min(bounds) + number if bounds else None

    def least(self, v: Variable) -> int:
        """Return what a size is at least."""
        other, number = self.number(v)
        return max(number + (self.between.get(other, (0, 0))[0] if other is not None else 0), 0)

    def less(self, count: Variable, fewer: int) -> Variable:
        """Return a size without some elements; there may not be so many."""
        if self.least(count) >= fewer:
            return count - fewer if fewer else count
        key = (*self.number(count), fewer)
        if key not in self.rests:
            self.rests[key] = gt.maximum(count - fewer, 0)
            self.between[self.rests[key]] = (0, max((self.most(count) or 0) - fewer, 0))
        return self.rests[key]
