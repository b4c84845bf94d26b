"""Rows of sequences: loaded ahead of their use, put in shared memory a step ahead, or read where they are used."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import pairwise
from math import prod
from typing import final

from gpuscan.cuda.binding import LastRow, Source
from gpuscan.cuda.step.elements import registers_of
from gpuscan.cuda.step.frame import Frame
from gpuscan.cuda.step.groups import UNROLLED, Group
from gpuscan.cuda.step.positions import plus, spread, times
from gpuscan.cuda.step.registers import MOST_AHEAD
from gpuscan.cuda.step.team import space_of
from gpuscan.cuda.step.values import Kept, Text
from gpuscan.graph import Variable
from gpuscan.loop import Sequence


@final
class Sequences:
    """The sequences of a loop, while its text is written.

    Parameters
    ----------
    frame : Frame
        The kernel.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.w = frame.w
        self.shifts: list[str] = []  # what moves windows on, after a step
        self.sources: dict[str, tuple[str, str]] = {}  # arrays, and the rows they begin at, by name
        self.rings: dict[Variable, str] = {}  # the shared memory of those that all threads read
        self.staged: list[tuple[Kept, str]] = []  # the places of following rows there, and the registers they are in
        self.ahead: set[str] = set()  # names of those whose rows are loaded ahead of their use

    def _source(self, s: Sequence, variable: Variable) -> tuple[str, str]:
        """Return the array of a sequence, and the row of step 0 if it is read backwards."""
        key = f"seq_{s.name}"
        if key not in self.sources:
            start = self.frame.given.add(f"last_{s.name}", "int64", LastRow(s.name)) if s.reverse else ""
            self.sources[key] = (self.frame.array(key, variable, Source(s.name)), start)
        return self.sources[key]

    def _is_staged(self, variable: Variable) -> bool:
        w = self.w
        if w.team.kind == "grid" or self.frame.plan.over_steps:
            return False
        return bool(w.space(variable)) and w.is_shared(variable)

    def choose_ahead(self, sequences: Iterable[Sequence], room: int) -> None:
        """Choose the sequences whose rows are loaded ahead of their use: small rows first, as each costs one wait.

        Parameters
        ----------
        sequences : iterable of Sequence
            Those of the loop.
        room : int
            32-bit registers of a thread for their rows: the one in use, those kept and those on the way.
        """
        ahead = self.frame.plan.ahead
        for s in sorted((s for s in sequences if self._may_be_ahead(s)), key=lambda s: self._registers(s)):
            rows = max(s.reads) - min(s.reads) + 1 + ahead
            room -= self._registers(s) * rows
            if room >= 0:
                self.ahead.add(s.name)

    def _may_be_ahead(self, s: Sequence) -> bool:
        w = self.w
        if not s.reads or (w.known is None and w.space(next(iter(s.reads.values())))):
            return False
        shared = any(w.is_shared(v) and w.space(v) for v in s.reads.values())
        return self._registers(s) <= MOST_AHEAD and not shared

    def _registers(self, s: Sequence) -> int:
        """Return the 32-bit registers of a thread for a row."""
        w, v = self.w, next(iter(s.reads.values()))
        return registers_of(w.c_type(v)) * max(w.team.slots(w.space(v)), 1)

    def enter(self, s: Sequence) -> None:
        """Write what gives a step the rows that it reads, and say where they are."""
        if s.name in self.ahead:
            self._window(s)
            return
        for offset, variable in s.reads.items():
            array, start = self._source(s, variable)
            if self._is_staged(variable):
                self._staged(s, offset, variable)
            else:
                row = self.frame.row(array, variable, step_row(start, "t", offset), variable)
                self.w.values[variable] = row

    def _window(self, s: Sequence) -> None:
        """Have rows loaded ahead of their use; a window holds one for each offset from the first to the last."""
        w, read = self.w, next(iter(s.reads.values()))
        c_type, shape, space = w.c_type(read), w.shape(read), w.space(read)
        array, start = self._source(s, read)
        first, last = min(s.reads), max(s.reads)
        member = w.names.unique(f"x_{s.name}")
        # Each step adds one row: at the window's end going up through the rows, at its start going down.
        new = first if s.reverse else last
        if self.frame.plan.over_steps and last > first:
            self._window_anew(s)
            return
        count = f"[{w.team.slots(space)}]" if space else ""
        held = {
            offset: f"row.{member}" if offset == new else w.names.unique(f"{member}_{offset}")
            for offset in range(first, last + 1)
        }
        kept = f", the last {last - first + 1} kept in registers" if last > first else ""
        ahead = steps_ahead(self.frame.plan.ahead)
        self.frame.where[s.name] = f"rows read once from device memory, {ahead} of use{kept}"
        self.frame.code.row.append(f"{c_type} {member}{count};")
        self.frame.code.read += self._loading(f"row.{member}", array, read, step_row(start, "t", new))
        for offset in held.keys() - {new}:
            self.frame.code.fields.append(f"{c_type} {held[offset]}{count};")
            loading = self._loading(held[offset], array, read, step_row(start, "0", offset))
            self.frame.code.begin += ["if (length > 0) {", *(f"    {line}" for line in loading), "}"]
        self.shifts += _shifts(held, new, w.team.slots(space) if space else 0)
        for offset, variable in s.reads.items():
            w.values[variable] = Kept(variable, shape, own=held[offset]) if space else Text(held[offset])

    def _window_anew(self, s: Sequence) -> None:
        """Have all rows of a window loaded at each step: the steps of a team are not neighbours."""
        w = self.w
        self.frame.where[s.name] = f"rows read from device memory, {steps_ahead(self.frame.plan.ahead)} of use"
        for offset, variable in s.reads.items():
            array, start = self._source(s, variable)
            c_type, shape, space = w.c_type(variable), w.shape(variable), w.space(variable)
            member = w.names.unique(f"x_{s.name}_{offset}")
            self.frame.code.row.append(f"{c_type} {member}{f'[{w.team.slots(space)}]' if space else ''};")
            self.frame.code.read += self._loading(f"row.{member}", array, variable, step_row(start, "t", offset))
            own = f"row.{member}"
            w.values[variable] = Kept(variable, shape, own=own) if space else Text(own)

    def _loading(self, target: str, array: str, variable: Variable, row: str) -> list[str]:
        w = self.w
        space = w.space(variable)
        if not space:
            return [f"{target} = {self.frame.load(array, variable, row, ('0',) * len(w.shape(variable)))};"]
        lines: list[str] = []
        with self.frame.into(lines):
            group = w.open_group(space)
            text = self.frame.load(array, variable, row, spread(group.names, w.shape(variable)))
            group.inside.append(f"{target}[{group.slot}] = {text};")
        return lines

    def stage_first(self, s: Sequence, offset: int, variable: Variable) -> None:
        """Write what puts the row of step 0 where all threads find it; each step then puts the next row there."""
        if not self._is_staged(variable):
            return
        w = self.w
        array, start = self._source(s, variable)
        shape, c_type = w.shape(variable), w.c_type(variable)
        storage = w.storage([variable], shape, c_type)
        self.rings[variable] = w.allocate(f"x_{s.name}", c_type, 2 * prod(storage))
        kept = self._entry(variable, None, "0", 0)
        lines: list[str] = []
        with self.frame.into(lines):
            group = w.open_group(w.space(variable))
            text = self.frame.load(array, variable, step_row(start, "0", offset), spread(group.names, shape))
            group.inside.append(w.publish(kept, group, text))
        w.lines += ["if (length > 0) {", *(f"    {line}" for line in lines), "}"]

    def _staged(self, s: Sequence, offset: int, variable: Variable) -> None:
        w = self.w
        array, start = self._source(s, variable)
        shape, space = w.shape(variable), w.space(variable)
        slots = w.team.slots(space)
        w.values[variable] = self._entry(variable, variable, "(int)(t % 2)", 1)
        self.frame.where[s.name] = "rows put in shared memory a step ahead of use"
        following = w.names.unique(f"following_{s.name}")
        w.line(f"{w.c_type(variable)} {following}[{slots}];")
        w.line("if (t + 1 < length) {")
        lines: list[str] = []
        with self.frame.into(lines):
            group = w.open_group(space)
            text = self.frame.load(array, variable, step_row(start, "t + 1", offset), spread(group.names, shape))
            group.inside.append(f"{following}[{group.slot}] = {text};")
        w.lines += [*(f"    {line}" for line in lines), "}"]
        self.staged.append((self._entry(variable, None, "(int)((t + 1) % 2)", 0), following))

    def _entry(self, variable: Variable, key: Hashable, which: str, lag: int) -> Kept:
        """Return one of the two rows that shared memory has of a sequence; lag 0 is what is put there."""
        w, ring = self.w, self.rings[variable]
        shape = w.shape(variable)
        storage = w.storage([variable], shape, w.c_type(variable))
        return Kept(key, shape, "", ring, times(which, prod(storage)), (ring, lag), storage)

    def publish_following(self) -> None:
        """Write what puts the rows of the next step where all threads find them."""
        for entry, following in self.staged:
            self._publish(entry, following)

    def _publish(self, entry: Kept, following: str) -> None:
        w = self.w

        def write(group: Group) -> None:
            group.inside.append(w.publish(entry, group, f"{following}[{w.slot}]"))

        w.within(space_of(entry.shape), write)


def step_row(start: str, step: str, offset: int) -> str:
    """Return the expression of the row `offset` from a step's first; `start` is that of step 0, going backwards."""
    first = (f"{start} - ({step})" if " " in step else f"{start} - {step}") if start else step
    return plus(first, str(offset))


def _shifts(held: dict[int, str], new: int, slots: int) -> list[str]:
    """Return the assignments that make a window ready for the next step, whose new row comes at offset `new`."""
    moves = list(pairwise(sorted(held, reverse=new == min(held))))
    if not slots:
        return [f"{held[to]} = {held[origin]};" for to, origin in moves]
    lines = []
    for to, origin in moves:
        unroll = ["#pragma unroll"] if slots <= UNROLLED else []
        lines += [*unroll, f"for (int k = 0; k < {slots}; ++k) {held[to]}[k] = {held[origin]}[k];"]
    return lines


def steps_ahead(count: int) -> str:
    """Say how far ahead."""
    return f"{count} step{'s' * (count != 1)} ahead"
