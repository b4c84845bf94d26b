"""A state while its loop runs: registers that move on after each step, a ring in shared memory, or both."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from math import prod
from typing import final

from gpuscan.cuda.step.elements import registers_of
from gpuscan.cuda.step.groups import UNROLLED, Group
from gpuscan.cuda.step.positions import Position, spread, times
from gpuscan.cuda.step.values import Kept, Text
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Variable
from gpuscan.loop import State

Read = Callable[[int, Position], str]
"""From a lag and a position to the text of an element of the value before step 0."""


@final
class Carried:
    """One state of a loop.

    Parameters
    ----------
    w : Writer
        Writes the loop.
    loop : hashable
        The loop.
    state : State
        Its record.
    declare : callable
        Takes each declaration of what the state needs.
    """

    def __init__(self, w: Writer, loop: Hashable, state: State, declare: Callable[[str], None]) -> None:
        self.w = w
        self.state = state
        self.value: Variable = state.next
        self.shape = w.shape(state.next)
        self.space = w.space(state.next)
        self.c_type = w.c_type(state.next)
        self.lags = range(1, state.depth + 1)
        self.keys = {lag: (loop, state.name, lag) for lag in self.lags}
        self.storage = w.storage(self.keys.values(), self.shape, self.c_type)
        self.own: dict[int, str] = {}
        self.ring = ""
        self.entry = ""
        self.new = ""  # what a step computes, until all states move on
        self._declare(declare)

    def _declare(self, declare: Callable[[str], None]) -> None:
        w, name = self.w, f"s_{self.state.name}"
        slots = f"[{max(w.team.slots(self.space), 1)}]" if self.space else ""
        if not self.space or any(w.is_own(key, self.space, self.c_type) for key in self.keys.values()):
            for lag in self.lags:
                self.own[lag] = w.names.unique(name if self.state.depth == 1 else f"{name}_{lag}")
                declare(f"{self.c_type} {self.own[lag]}{slots};")
        if any(w.is_shared(key) for key in self.keys.values()):
            self.ring = w.allocate(name, self.c_type, prod(self.storage) * (self.state.depth + 1))
            self.entry = w.names.unique(f"at_{self.state.name}")
            declare(f"int {self.entry};")

    def _place(self, lag: int) -> str:
        """Return where the value of `lag` steps ago begins in the ring; lag 0 is what the step computes."""
        entries = self.state.depth + 1
        entry = f"(({self.entry} + {entries - lag}) % {entries})" if lag else self.entry
        return times(entry, prod(self.storage))

    def _kept(self, lag: int) -> Kept:
        buffer = (self.ring, lag) if self.ring else None
        return Kept(
            self.keys[lag], self.shape, self.own.get(lag, ""), self.ring, self._place(lag), buffer, self.storage
        )

    @property
    def registers(self) -> int:
        """32-bit registers of each thread for its past values."""
        return len(self.own) * registers_of(self.c_type) * max(self.w.team.slots(self.space), 1)

    # ---- the statements ----

    def begin(self, initial: Read) -> None:
        """Write what loads the values before step 0."""
        w = self.w
        if self.ring:
            w.line(f"{self.entry} = 0;")
        for lag in self.lags:
            if not self.space:
                text = w.alone(partial(initial, lag, ("0",) * len(self.shape)))
                w.line(f"{self.own[lag]} = {text};")
                continue
            w.close_group()
            group = w.open_group(self.space)
            w.touched_reads = set()
            at = spread(group.names, self.shape)
            text = initial(lag, at)
            group.reads |= w.touched_reads
            if self.own:
                group.inside.append(f"{self.own[lag]}[{group.slot}] = {text};")
                text = f"{self.own[lag]}[{group.slot}]"
            if self.ring:
                kept = self._kept(lag)
                group.inside.append(w.publish(kept, group, text))
        w.close_group()

    def enter(self) -> None:
        """Say where a step reads the past values."""
        for lag, variable in self.state.reads.items():
            self.w.values[variable] = self._kept(lag) if self.space else Text(self.own[lag])

    def compute_next(self) -> None:
        """Write what holds the new value until all states move on, and shows it to other threads."""
        w = self.w
        name = w.names.unique(f"next_{self.state.name}")
        if not self.space:
            self.new = name
            w.line(f"{self.c_type} const {name} = {w.alone(lambda: w.read_one(self.value))};")
            return

        def write(group: Group) -> None:
            text = w.read(self.value, spread(group.names, self.shape))
            if self.own:
                slots = max(w.team.slots(self.space), 1)
                group.before.append(f"{self.c_type} {name}[{slots}];")
                group.inside.append(f"{name}[{group.slot}] = {text};")
                text = f"{name}[{group.slot}]"
            if self.ring:
                buffer = (self.ring, 0)
                group.writes.add(buffer)
                kept = Kept(None, self.shape, "", self.ring, self._place(0), buffer, self.storage)
                group.inside.append(w.publish(kept, group, text))

        self.new = name
        w.within(self.space, write)

    def move_on(self) -> None:
        """Write what makes the new value the one of a step ago."""
        w = self.w
        moves = [(self.own[lag], self.own[lag - 1]) for lag in range(self.state.depth, 1, -1)] if self.own else []
        if self.own:
            moves.append((self.own[1], self.new))
        if not self.space:
            for to, origin in moves:
                w.line(f"{to} = {origin};")
        elif moves:
            slots = max(w.team.slots(self.space), 1)
            w.line("#pragma unroll" if slots <= UNROLLED else "// Too many to unroll.")
            w.line(f"for (int k = 0; k < {slots}; ++k) {{")
            for to, origin in moves:
                w.line(f"    {to}[k] = {origin}[k];")
            w.line("}")
        if self.ring:
            w.line(f"{self.entry} = {self.entry} == {self.state.depth} ? 0 : {self.entry} + 1;")

    def past(self, lag: int) -> Kept | Text:
        """Return the value of `lag` steps ago, between steps."""
        return self._kept(lag) if self.space else Text(self.own[lag])
