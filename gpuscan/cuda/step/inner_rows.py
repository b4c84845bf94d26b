"""Rows that a loop inside a step keeps: arrays of registers of each thread, memory that the team shares, or both."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import final

from gpuscan.cuda.step.groups import Group
from gpuscan.cuda.step.hazards import Buffer
from gpuscan.cuda.step.positions import Position, flat, plus, spread, times
from gpuscan.cuda.step.team import space_of
from gpuscan.cuda.step.values import Value
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Variable


@final
@dataclass(eq=False)
class InnerRows(Value):
    """Rows that a loop inside the step made: each thread has its own elements of every row, or all are shared."""

    key: Hashable
    shape: tuple[int, ...]
    own: str = ""
    shared: str = ""
    buffer: Buffer | None = None

    def read(self, w: Writer, at: Position) -> str:
        row, inner = at[0], self.shape[1:]
        beside = not space_of(inner) or w.is_beside(inner, at[1:])
        if beside or w.team.kind == "thread":
            w.noted.own.add(self.key)
            if self.own:
                within = w.slot if beside and space_of(inner) else flat(at[1:], inner) if space_of(inner) else "0"
                return f"{self.own}[{plus(times(row, self._slots(w)), within)}]"
        w.noted.shared.add(self.key)
        if self.buffer is not None:
            w.touched_reads.add(self.buffer)
        return w.arrays.element(self.shared, flat(at, self.shape))

    def _slots(self, w: Writer) -> int:
        return w.team.slots(space_of(self.shape[1:]))

    def store(self, w: Writer, row: str, value: Variable, condition: str = "") -> None:
        """Write what stores a row."""
        inner = self.shape[1:]
        slots = self._slots(w)
        if not space_of(inner):
            text = w.alone(lambda: w.read_one(value))
            w.line(f"{condition}{self.own}[{times(row, slots)}] = {text};")
            return

        def write(group: Group) -> None:
            text = w.read(value, spread(group.names, inner))
            if self.own:
                group.inside.append(f"{condition}{self.own}[{plus(times(row, slots), w.slot)}] = {text};")
            if self.shared:
                assert self.buffer is not None
                group.writes.add(self.buffer)
                place = flat((row, *spread(group.names, inner)), self.shape)
                group.inside.append(f"{condition}{w.writing()}{w.arrays.store(self.shared, place, text)}")

        w.within(space_of(inner), write)
