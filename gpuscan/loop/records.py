"""An open loop: one record for each thing it carries, owning its source outside, its reads inside and its result.

Inside the package a loop is spoken of in these words; the public arguments of `scan` are turned into them once.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import Literal

from gpuscan.graph import Variable, substitute
from gpuscan.mode import Mode


@dataclass(frozen=True)
class Sequence:
    """Something of which each step reads rows.

    Attributes
    ----------
    name : str
        The step function's name for it.
    source : Variable
        The whole of it, outside the loop; its first axis is time.
    reads : mapping of int to Variable
        Offset, never negative, to the row that many rows from the step's first, inside the loop.
    margin : int
        How many rows more than steps it must have: the span of its taps, with 0 among them.
    reverse : bool
        Whether step 0 reads the last usable row, step 1 the one before it, and so on.
    """

    name: str
    source: Variable
    reads: Mapping[int, Variable]
    margin: int = 0
    reverse: bool = False


@dataclass(frozen=True)
class State:
    """A value carried from step to step.

    Attributes
    ----------
    name : str
        The step function's name for it.
    init : Variable
        Outside the loop: the values before step 0, oldest first, as many as the largest lag.
    reads : mapping of int to Variable
        Lag, at least 1, to the value that many steps ago, inside the loop.
    next : Variable
        The value this step gives it, inside the loop.
    """

    name: str
    init: Variable
    reads: Mapping[int, Variable]
    next: Variable

    @property
    def depth(self) -> int:
        """How many past values a step needs: the largest lag, at least 1."""
        return max(self.reads, default=1)


@dataclass(frozen=True)
class Emit:
    """A value computed at each step and stacked, never read back."""

    name: str
    value: Variable


@dataclass(frozen=True)
class NonSequence:
    """A value that is the same at every step: `source` outside the loop, `read` inside."""

    name: str
    source: Variable
    read: Variable


ResultKind = Literal["history", "last", "part", "final", "steps"]


@dataclass(frozen=True)
class Result:
    """Something the loop hands out. Results nobody reads are dropped, and with them their storage.

    Attributes
    ----------
    kind : str
        ``history``: the record's value after every step, stacked along a new first axis.
        ``last``: the last `rows` rows of that (fewer if there were fewer steps).
        ``part``: rows `first`, ``first + every`` and so on of that, below `stop`.
        ``final``: a state's last values, as many as its depth, initial ones among them if there were fewer steps.
        ``steps``: how many steps ran, an int64 scalar.
    record : str
        Name of the state or emit; empty for ``steps``.
    rows : int
        For ``last``. For a ``history``: how many rows it has room for, however many steps run; 0 for as many as steps.
    first, stop, every : int
        For ``part``; no stop is None.
    """

    kind: ResultKind
    record: str = ""
    rows: int = 0
    first: int = 0
    stop: int | None = None
    every: int = 1

    @property
    def is_kept(self) -> bool:
        """Whether it is rows of a history, which steps write."""
        return self.kind in ("history", "last", "part")

    @property
    def part(self) -> slice:
        """Which rows of a history it is."""
        return slice(-self.rows, None) if self.kind == "last" else slice(self.first, self.stop, self.every)

    def count(self, steps: int) -> int:
        """Return how many rows it has of so many steps, of a history or part of one."""
        return len(range(steps)[self.part])

    def places(self, start: int, count: int, steps: int) -> tuple[slice, slice]:
        """Return which of its rows `count` of `steps` steps fill, from step `start` on, and which of them do."""
        kept = range(steps)[self.part]
        first, stop = (len(range(kept.start, min(k, kept.stop), kept.step)) for k in (start, start + count))
        if first == stop:
            return slice(0, 0), slice(0, 0)
        return slice(first, stop), slice(kept[first] - start, kept[stop - 1] - start + 1, kept.step)

    def __str__(self) -> str:
        if self.kind == "last":
            return f"last {self.rows} of {self.record}"
        if self.kind == "part":
            stop = "" if self.stop is None else self.stop
            return f"rows {self.first}:{stop}:{self.every} of {self.record}"
        return f"{self.kind} of {self.record}" if self.record else self.kind


def loop_title(name: str | None) -> str:
    """Return what messages and printed graphs call a loop of that name."""
    return f"scan[{name}]" if name else "scan"


@dataclass(frozen=True)
class Options:
    """How a loop is run and differentiated. None of it changes what the loop computes.

    Attributes
    ----------
    truncate_gradient : int or None
        Through how many steps, the last ones, gradients go; None for all.
    checkpoint : "auto", "sqrt", int or None
        Of how many steps gradients keep only the last state, and run them again: a segment's length, the square root of
        the number of steps, or None to keep all states.
    part : str
        Which part of a loop run in segments it is: ``segments``, ``tail``, or none.
    mode : Mode or None
        Where the loop asks to be run, and which rewrites its step goes through.
    profile : bool
        Whether calls, steps and seconds are counted.
    keep_buffers : bool
        Whether memory is kept from call to call.
    """

    truncate_gradient: int | None = None
    checkpoint: Literal["auto", "sqrt"] | int | None = None
    part: Literal["", "segments", "tail"] = ""
    mode: Mode | None = None
    profile: bool = False
    keep_buffers: bool = False


@dataclass(frozen=True)
class Loop:
    """An open loop.

    Attributes
    ----------
    sequences, states, emits, non_sequences : tuple
        What it carries.
    length : Variable
        Outside: how many steps to run, an int64 scalar; with `stop`, how many at most.
    stop : Variable or None
        Inside: a boolean scalar; the step where it holds is the last.
    results : tuple of Result
        What the loop hands out.
    name : str or None
        For people.
    options : Options
        How it is run and differentiated.
    """

    sequences: tuple[Sequence, ...]
    states: tuple[State, ...]
    emits: tuple[Emit, ...]
    non_sequences: tuple[NonSequence, ...]
    length: Variable
    stop: Variable | None = None
    results: tuple[Result, ...] = field(default=())
    name: str | None = None
    options: Options = field(default=Options())

    @property
    def title(self) -> str:
        """What messages call it."""
        return loop_title(self.name)

    def state(self, name: str) -> State | None:
        """Return the state of that name, None if there is none."""
        return next((s for s in self.states if s.name == name), None)

    def value_of(self, name: str) -> Variable:
        """Return what each step computes for the state or emit of that name, inside the loop."""
        return self.values[name]

    @property
    def record_names(self) -> list[str]:
        """The names of all it carries."""
        return [r.name for group in (self.sequences, self.states, self.emits, self.non_sequences) for r in group]

    @property
    def values(self) -> dict[str, Variable]:
        """What each step computes for states and emits, inside the loop, by their names."""
        return {**{s.name: s.next for s in self.states}, **{e.name: e.value for e in self.emits}}

    @property
    def outputs(self) -> list[Variable]:
        """All that a step computes, inside the loop, the stop condition included."""
        return [*self.values.values(), *([] if self.stop is None else [self.stop])]

    @property
    def reads(self) -> list[Variable]:
        """All that a step is given, inside the loop."""
        rows = [v for s in self.sequences for v in s.reads.values()]
        past = [v for s in self.states for v in s.reads.values()]
        return rows + past + [n.read for n in self.non_sequences]

    def replaced(self, values: Mapping[Variable, Variable]) -> Loop:
        """Return the loop with values inside it replaced."""
        return self.with_outputs(substitute(self.outputs, values))

    def with_outputs(self, outputs: SequenceOf[Variable]) -> Loop:
        """Return the loop whose step computes other values, in the order of `outputs`."""
        inside = iter(outputs)
        return replace(
            self,
            states=tuple(replace(s, next=next(inside)) for s in self.states),
            emits=tuple(replace(e, value=next(inside)) for e in self.emits),
            stop=None if self.stop is None else next(inside),
        )
