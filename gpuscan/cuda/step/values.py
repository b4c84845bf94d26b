"""How a step reads the elements of its values, by where they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, final

from gpuscan.cuda.step.hazards import Buffer
from gpuscan.cuda.step.positions import Position, flat, plus, times

if TYPE_CHECKING:
    from gpuscan.cuda.step.groups import Group
    from gpuscan.cuda.step.writer import Writer


class NotBesideError(Exception):
    """What the open group computes is read elsewhere than where the group is: the group must end first."""


class Value(ABC):
    """What one lane has of a value."""

    @abstractmethod
    def read(self, w: Writer, at: Position) -> str:
        """Return the text of the element at a position, one text an axis; 0 along axes of lanes."""


@final
@dataclass(frozen=True)
class Text(Value):
    """One element that all threads of the team have: a number, a register, a parameter."""

    text: str

    def read(self, w: Writer, at: Position) -> str:
        return self.text


@final
@dataclass(frozen=True)
class Combined(Value):
    """One element that all threads of the team have once the group that combines it has ended."""

    text: str
    group: Group

    def read(self, w: Writer, at: Position) -> str:
        if w.group is self.group:
            raise NotBesideError
        return self.text


@final
@dataclass(frozen=True)
class View(Value):
    """Elements that are those of other values, at other positions, or follow from the position."""

    element: Callable[[Position], str]

    def read(self, w: Writer, at: Position) -> str:
        return self.element(at)


@final
@dataclass(frozen=True)
class InDeviceMemory(Value):
    """A row of an array in device memory.

    Attributes
    ----------
    array : str
        Its name.
    start : str
        Where the lane's part of the row begins.
    strides : tuple of str
        How far apart elements are along each axis.
    key : hashable
        What it is: how it is read is noted under this.
    """

    array: str
    start: str
    strides: tuple[str, ...]
    shape: tuple[int, ...]
    key: Hashable = None

    def read(self, w: Writer, at: Position) -> str:
        if self.key is not None:
            (w.noted.own if w.is_beside(self.shape, at) else w.noted.shared).add(self.key)
        text = self.start
        for index, stride in zip(at, self.strides, strict=True):
            text = plus(text, times(index, stride))
        return f"{self.array}[{text}]"


@final
@dataclass(eq=False)
class Kept(Value):
    """A value of several elements that the team keeps.

    Attributes
    ----------
    key : hashable
        What it is: how it is read is noted under this.
    shape : tuple of int
        Of what one lane has.
    own : str
        The array of registers where each thread has its own elements, by slot; empty if there is none.
    shared : str
        The array where any thread finds any element; empty if there is none.
    start : str
        Where it begins there.
    storage : tuple of int
        The shape in which it lies there, if not its own.
    buffer : tuple or None
        What `shared` is called where barriers are decided about.
    group : Group or None
        The group that computes it.
    element : str
        While that group is open, the name of the element at hand; empty if it is not complete before the group ends.
    """

    key: Hashable
    shape: tuple[int, ...]
    own: str = ""
    shared: str = ""
    start: str = "0"
    buffer: Buffer | None = None
    storage: tuple[int, ...] = ()
    group: Group | None = None
    element: str = ""

    def place(self, at: Position) -> str:
        """Return where in `shared` an element is."""
        return plus(self.start, self.number(at))

    def number(self, at: Position) -> str:
        """Return how far behind the value's beginning there an element is."""
        return flat(at, self.storage or self.shape)

    def read(self, w: Writer, at: Position) -> str:
        beside = w.is_beside(self.shape, at)
        if self.group is not None and self.group is w.group:
            if beside and self.element:
                return self.element
            raise NotBesideError
        if beside or w.team.kind == "thread":
            w.noted.own.add(self.key)
            if self.own:
                return f"{self.own}[{w.slot if beside else flat(at, self.shape)}]"
        w.noted.shared.add(self.key)
        if self.buffer is not None:
            w.touched_reads.add(self.buffer)
        if self.shared and w.team.kind == "grid" and w.group is not None and w.group.extent and not w.outside:
            # Every element of a sum reads it: once from where all SMs meet, then from the block's own copy.
            copy = w.block_copy(self.shared, self.start, prod(self.shape))
            if copy is not None:
                return w.arrays.here(copy, self.number(at))
        return w.arrays.element(self.shared, self.place(at))
