"""The text of a kernel for one loop: the generated struct ``Step`` that ``kernels/lane_loop.cuh`` runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from collections.abc import Sequence as SequenceOf
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import prod

from gpuscan.cuda.binding import (
    BoundKernel,
    LastRow,
    Number,
    Origin,
    Output,
    Report,
    Scratch,
    Source,
    Steps,
    StepsRun,
    Strides,
)
from gpuscan.cuda.expressions import STATE_TYPE, number
from gpuscan.cuda.kernel import C_TYPES, Kernel
from gpuscan.cuda.names import Names
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.source import splice
from gpuscan.cuda.step.carried import Carried
from gpuscan.cuda.step.groups import UNROLLED, Group
from gpuscan.cuda.step.hazards import Pending
from gpuscan.cuda.step.literals import is_literal
from gpuscan.cuda.step.loops import write_body
from gpuscan.cuda.step.memory import ALIGNMENT, REDUCTION_BYTES, Region
from gpuscan.cuda.step.parameters import Parameters
from gpuscan.cuda.step.places import describe
from gpuscan.cuda.step.positions import Position, plus, spread, times
from gpuscan.cuda.step.rows import row_of_array, step_row
from gpuscan.cuda.step.struct import indented, method, one_line
from gpuscan.cuda.step.team import space_of
from gpuscan.cuda.step.totals import write_totals
from gpuscan.cuda.step.values import InDeviceMemory, Kept, Text, Value
from gpuscan.cuda.step.writer import C_BYTES, MOST_OWN, Notes, Writer
from gpuscan.graph import Variable
from gpuscan.loop import NonSequence, Result, Sequence
from gpuscan.tensor.products import MatMul

KERNEL_NAME = "gpuscan_lane_loop"

MOST_AHEAD = 8
"""32-bit registers of a row of a sequence up to which a thread loads it ahead of its use."""

MOST_TEAMS = 2**38
"""Teams of one launch: a grid has fewer than 2^31 blocks."""

MOST_HELD = 32
"""32-bit registers of a value up to which a thread keeps it for the whole loop."""


def step_kernel(plan: KernelPlan, by_value: frozenset[str], shared_bytes: int) -> BoundKernel:
    """Return the kernel for a plan.

    Sizes along lanes are parameters, so that the text depends on which axes broadcast and not on how long they are.

    Parameters
    ----------
    plan : KernelPlan
        What to write.
    by_value : frozenset of str
        Names of the non-sequences that are numbers on the host rather than arrays on the device.
    shared_bytes : int
        Shared memory that a block may have.

    Raises
    ------
    RefusalError
        If the team cannot carry the loop after all.
    """
    first = _StepText(plan, by_value, shared_bytes, None)
    first.build()
    return _StepText(plan, by_value, shared_bytes, first.w.noted, first.w.made).build()


@dataclass
class _Sections:
    """Statements of the methods of Step, in order."""

    fields: list[str] = field(default_factory=list)
    row: list[str] = field(default_factory=list)
    common: list[str] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    advance: list[str] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)
    total: list[str] = field(default_factory=list)


class _StepText:
    def __init__(
        self,
        plan: KernelPlan,
        by_value: frozenset[str],
        shared_bytes: int,
        known: Notes | None,
        made: dict[object, Variable] | None = None,
    ) -> None:
        assert plan.opened is not None
        assert plan.lanes is not None
        self.plan = plan
        self.opened = plan.opened
        self.loop = plan.opened.loop
        self.team = plan.shape
        self.by_value = by_value
        self.code = _Sections()
        names = Names()
        self.given = Parameters(names, plan.lanes)
        reserved = REDUCTION_BYTES if self.team.kind in ("block", "grid") else 0
        teams = self.team.per_block if self.team.kind == "warp" else 1
        self.memory = Region(shared_bytes // teams // ALIGNMENT * ALIGNMENT, reserved)
        self.w = Writer(
            self.team,
            self.loop,
            plan.lanes,
            plan.random,
            known,
            {} if made is None else made,
            self.given.coordinate,
            self.given.size,
            self.memory,
            self._scratch,
            self._status,
        )
        self.w.names = names
        self._count_registers()
        self.sources: dict[str, tuple[str, str]] = {}  # arrays of sequences, and the rows they begin at, by name
        self.status = ""
        self.where: dict[str, str] = {}  # where sequences and non-sequences are, by name
        self.rings: dict[Variable, str] = {}  # the shared memory of sequences that all threads read
        self.shifts: list[str] = []  # what moves windows on, after a step
        self.staged: list[tuple[Kept, str, str]] = []
        self.states: list[Carried] = []
        self.initial: dict[str, str] = {}  # arrays of the values before step 0, by state
        self.totals = {total.state for total in plan.totals}

    def _most_teams(self) -> int:
        """Return how many teams are worth having: of steps that take long, one for each; else what fills the GPU."""
        has_loops = bool(self.opened.body.loops)
        return MOST_TEAMS if has_loops else self.plan.teams_to_fill

    def _count_registers(self) -> None:
        """Count what each thread's registers hold besides weights: states, and the sums of products."""
        w = self.w
        products = [node.outputs[0] for node in self.opened.body.walk() if isinstance(node.op, MatMul)]
        values = [*products, *(s.next for s in self.loop.states)]
        counts = [max(C_BYTES[w.c_type(v)] // 4, 1) * w.team.slots(w.space(v)) for v in values]
        w.products = max(len(products), 1)
        w.busy_registers = sum(n for n in counts if n <= MOST_OWN)

    @contextmanager
    def into(self, lines: list[str]) -> Iterator[None]:
        """Have statements written to a section."""
        w = self.w
        outer, touches, pending = w.lines, w.touches_shared, w.pending
        w.lines, w.touches_shared, w.pending = [], False, Pending()
        yield
        w.close_group()
        lines += w.lines
        w.lines, w.touches_shared, w.pending = outer, touches or w.touches_shared, pending | w.pending

    def build(self) -> BoundKernel:
        self.lanes = self.given.add("lanes", "int64", Number(self.plan.lane_count))
        self.length = self.given.add("length", "int64", Steps())
        if self.plan.over_steps:
            self.given.add("strides", "int64", Strides(self.plan.lane_count, self._most_teams()))
        with self.into(self.code.begin):
            for n in self.loop.non_sequences:
                self._non_sequence(n)
            self.states = [Carried(self.w, self.opened, s, self.code.fields.append) for s in self.loop.states]
            for carried in self.states:
                self._begin(carried)
            for s in self.loop.sequences:
                for offset, variable in s.reads.items():
                    self._stage_first(s, offset, variable)
            if self.w.pending.written:  # not every step begins with a barrier
                self.w.barrier()
        with self.into(self.code.advance):
            for s in self.loop.sequences:
                if s.reads:
                    self._sequence(s)
            self._step()
        with self.into(self.code.finish):
            self._finish()
        if self.plan.totals:
            with self.into(self.code.total):
                write_totals(self.w, self.given, self.loop, self.plan.totals, self.states, self.initial)
        return self._bound()

    def _bound(self) -> BoundKernel:
        team, grid = self.team, self.plan.grid
        text = splice(self._text())
        kernel = Kernel(KERNEL_NAME, text, tuple(self.given.parameters))
        shared = self.memory.rounded * team.per_block if team.kind == "warp" else self.memory.used
        if not self.w.shared_arrays and "template all<" not in text:
            shared = 0
        return BoundKernel(
            kernel,
            tuple(self.given.origins),
            grid,
            team.block,
            shared,
            cooperative=team.kind == "grid",
            messages=tuple(self.w.failures),
            teams_per_block=team.per_block,
            places=tuple(describe(self.loop, team, self.where, self.states, self.totals, self.w.columns_of)),
        )

    def _meeting(self) -> str:
        """Return what makes the team: a grid needs words in device memory to meet at."""
        if self.team.kind != "grid":
            return ""
        arrivals = self.given.add("arrivals", "uint32", Scratch(1, zeroed=True), array=True, writes=True)
        meeting = self.given.add("meeting", "uint64", Scratch(2 * self.team.blocks), array=True, writes=True)
        return f", {self.team.c_type()}({arrivals}, {meeting})"

    def _status(self) -> str:
        """Return the name of the word in which failures are reported."""
        if not self.status:
            self.status = self.given.add("status", "uint64", Report(), array=True, writes=True)
        return self.status

    def _scratch(self, name: str, c_type: str, count: int) -> str:
        # A truth value is a byte there: no instruction loads a bool past the first cache.
        dtype = next(d for d, t in C_TYPES.items() if t == c_type)
        return self.given.add(name, "uint8" if dtype == "bool" else dtype, Scratch(count), array=True, writes=True)

    # ---- what a step is given ----

    def _array(self, prefix: str, row: Variable, origin: Origin, *, writes: bool = False) -> str:
        return self.given.add(prefix, row.dtype, origin, array=True, writes=writes)

    def _row(self, array: str, variable: Variable, row: str, key: Hashable = None) -> InDeviceMemory:
        """Return row `row` of an array whose rows are like `variable`."""
        return row_of_array(self.w, self.given, array, variable, row, key)

    def _load(self, array: str, variable: Variable, row: str, at: Position) -> str:
        if variable in self.w.random:
            place = times(f"({row})" if " " in row else row, 2)
            return f"{STATE_TYPE}{{{array}[{place}], {array}[{plus(place, '1')}]}}"
        return self._row(array, variable, row).read(self.w, at)

    def _non_sequence(self, n: NonSequence) -> None:
        w = self.w
        if is_literal(n.read):
            return
        if n.name in self.by_value:
            self.where[n.name] = "a number, passed by value"
            w.values[n.read] = Text(self.given.add(f"non_{n.name}", n.source.dtype, Source(n.name)))
            return
        array = self._array(f"non_{n.name}", n.read, Source(n.name))
        space = w.space(n.read)
        if not space:
            held = self.given.field(w.c_type(n.read), f"v_{n.name}")
            w.line(f"{held} = {self._load(array, n.read, '0', ('0',) * len(w.shape(n.read)))};")
            w.values[n.read] = Text(held)
            self.where[n.name] = "a register, read once"
            return
        w.origins[n.read] = self._row(array, n.read, "0", n.read)
        w.values[n.read] = self._held(n, array) or w.origins[n.read]

    def _held(self, n: NonSequence, array: str) -> Value | None:
        """Return a non-sequence that is loaded once, if there is room for it."""
        w, v = self.w, n.read
        if w.known is None or v not in w.known.own | w.known.shared:
            return None
        shape, c_type = w.shape(v), w.c_type(v)
        registers = max(C_BYTES[c_type] // 4, 1) * w.team.slots(w.space(v))
        kept = Kept(v, shape)
        if not w.is_shared(v) and registers <= MOST_HELD:
            kept.own = self.w.names.unique(f"v_{n.name}")
            self.where[n.name] = "registers, read once"
            self.code.fields.append(f"{c_type} {kept.own}[{w.team.slots(w.space(v))}];")
        elif w.is_shared(v) and w.team.kind != "grid" and self._fits(C_BYTES[c_type] * prod(shape)):
            w.share(kept, f"v_{n.name}", c_type)
            self.where[n.name] = "shared memory, read once"
        else:
            self.where[n.name] = "read where it is used, from the caches"
            return None
        group = w.open_group(w.space(v))
        text = self._load(array, v, "0", spread(group.names, shape))
        group.inside.append(f"{kept.own}[{group.slot}] = {text};" if kept.own else w.publish(kept, group, text))
        w.close_group()
        kept.buffer = None  # it never changes again: the barrier before the first step is enough
        return kept

    def _fits(self, size: int) -> bool:
        """Whether there is shared memory for an array that need not be there."""
        return self.memory.used + size <= self.memory.limit // 2

    def _begin(self, carried: Carried) -> None:
        state = carried.state
        array = self.initial[state.name] = self._array(f"init_{state.name}", state.next, Source(state.name))
        if state.name in self.totals:
            carried.begin(lambda lag, at: number(0, state.next.dtype))
            return
        carried.begin(lambda lag, at: self._load(array, state.next, str(state.depth - lag), at))

    # ---- sequences ----

    def _source(self, s: Sequence, variable: Variable) -> tuple[str, str]:
        """Return the array of a sequence, and the row of step 0 if it is read backwards."""
        key = f"seq_{s.name}"
        if key not in self.sources:
            start = self.given.add(f"last_{s.name}", "int64", LastRow(s.name)) if s.reverse else ""
            self.sources[key] = (self._array(key, variable, Source(s.name)), start)
        return self.sources[key]

    def _is_staged(self, variable: Variable) -> bool:
        w = self.w
        if w.team.kind == "grid" or self.plan.over_steps:
            return False
        return bool(w.space(variable)) and w.is_shared(variable)

    def _is_ahead(self, s: Sequence) -> bool:
        w = self.w
        if w.known is None:
            return not w.space(next(iter(s.reads.values())))
        v = next(iter(s.reads.values()))
        registers = max(C_BYTES[w.c_type(v)] // 4, 1) * w.team.slots(w.space(v)) if w.space(v) else 1
        return registers <= MOST_AHEAD and not any(w.is_shared(v) and w.space(v) for v in s.reads.values())

    def _sequence(self, s: Sequence) -> None:
        if self._is_ahead(s):
            self._window(s)
            return
        for offset, variable in s.reads.items():
            array, start = self._source(s, variable)
            if self._is_staged(variable):
                self._staged(s, offset, variable)
            else:
                row = self._row(array, variable, step_row(start, "t", offset), variable)
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
        if self.plan.over_steps and last > first:
            self._window_anew(s)
            return
        count = f"[{w.team.slots(space)}]" if space else ""
        held = {
            offset: f"row.{member}" if offset == new else w.names.unique(f"{member}_{offset}")
            for offset in range(first, last + 1)
        }
        kept = f", the last {last - first + 1} kept in registers" if last > first else ""
        self.where[s.name] = f"rows read once from device memory, {self.plan.ahead} steps ahead of use{kept}"
        self.code.row.append(f"{c_type} {member}{count};")
        self.code.read += self._loading(f"row.{member}", array, read, step_row(start, "t", new))
        for offset in held.keys() - {new}:
            self.code.fields.append(f"{c_type} {held[offset]}{count};")
            loading = self._loading(held[offset], array, read, step_row(start, "0", offset))
            self.code.begin += ["if (length > 0) {", *(f"    {line}" for line in loading), "}"]
        self.shifts += _shifts(held, new, w.team.slots(space) if space else 0)
        for offset, variable in s.reads.items():
            w.values[variable] = Kept(variable, shape, own=held[offset]) if space else Text(held[offset])

    def _window_anew(self, s: Sequence) -> None:
        """Have all rows of a window loaded at each step: the steps of a team are not neighbours."""
        w = self.w
        self.where[s.name] = f"rows read from device memory, {self.plan.ahead} steps ahead of use"
        for offset, variable in s.reads.items():
            array, start = self._source(s, variable)
            c_type, shape, space = w.c_type(variable), w.shape(variable), w.space(variable)
            member = w.names.unique(f"x_{s.name}_{offset}")
            self.code.row.append(f"{c_type} {member}{f'[{w.team.slots(space)}]' if space else ''};")
            self.code.read += self._loading(f"row.{member}", array, variable, step_row(start, "t", offset))
            own = f"row.{member}"
            w.values[variable] = Kept(variable, shape, own=own) if space else Text(own)

    def _loading(self, target: str, array: str, variable: Variable, row: str) -> list[str]:
        w = self.w
        space = w.space(variable)
        if not space:
            return [f"{target} = {self._load(array, variable, row, ('0',) * len(w.shape(variable)))};"]
        lines: list[str] = []
        with self.into(lines):
            group = w.open_group(space)
            text = self._load(array, variable, row, spread(group.names, w.shape(variable)))
            group.inside.append(f"{target}[{group.slot}] = {text};")
        return lines

    def _stage_first(self, s: Sequence, offset: int, variable: Variable) -> None:
        """Write what puts the row of step 0 where all threads find it; each step then puts the next row there."""
        if not self._is_staged(variable):
            return
        w = self.w
        array, start = self._source(s, variable)
        shape, c_type = w.shape(variable), w.c_type(variable)
        ring = w.allocate(f"x_{s.name}", c_type, 2 * prod(shape))
        self.rings[variable] = ring
        kept = Kept(None, shape, shared=ring, buffer=(ring, 0))
        lines: list[str] = []
        with self.into(lines):
            group = w.open_group(w.space(variable))
            text = self._load(array, variable, step_row(start, "0", offset), spread(group.names, shape))
            group.inside.append(w.publish(kept, group, text))
        w.lines += ["if (length > 0) {", *(f"    {line}" for line in lines), "}"]

    def _staged(self, s: Sequence, offset: int, variable: Variable) -> None:
        w, ring = self.w, self.rings[variable]
        array, start = self._source(s, variable)
        shape, space = w.shape(variable), w.space(variable)
        size, slots = prod(shape), w.team.slots(space)
        w.values[variable] = Kept(variable, shape, shared=ring, start=times("(int)(t % 2)", size), buffer=(ring, 1))
        self.where[s.name] = "rows put in shared memory a step ahead of use"
        following = w.names.unique(f"following_{s.name}")
        w.line(f"{w.c_type(variable)} {following}[{slots}];")
        w.line("if (t + 1 < length) {")
        lines: list[str] = []
        with self.into(lines):
            group = w.open_group(space)
            text = self._load(array, variable, step_row(start, "t + 1", offset), spread(group.names, shape))
            group.inside.append(f"{following}[{group.slot}] = {text};")
        w.lines += [*(f"    {line}" for line in lines), "}"]
        entry = Kept(None, shape, shared=ring, start=times("(int)((t + 1) % 2)", size), buffer=(ring, 0))
        self.staged.append((entry, following, s.name))

    # ---- a step ----

    def _step(self) -> None:
        w, loop = self.w, self.loop
        for carried in self.states:
            carried.enter()
        write_body(w, self.opened.body)
        for result in loop.results:
            if result.kind in ("history", "last") and result.record not in self.totals:
                self._kept_each_step(result)
        for carried in self.states:
            carried.compute_next()
        for entry, following, _ in self.staged:
            self._publish_following(entry, following)
        stop = None if loop.stop is None else w.alone(lambda: w.read_one(loop.stop))  # type: ignore[arg-type]
        if stop is not None:
            name = w.names.unique("stop")
            w.line(f"bool const {name} = {stop};")
            stop = name
        w.close_group()
        for carried in self.states:
            carried.move_on()
        w.lines += self.shifts
        w.line(f"return {f'!{stop}' if stop else 'true'};")
        if w.touches_shared:  # what the step before wrote is there, and what it read may be written over
            w.lines.insert(0, "team.sync();")

    def _publish_following(self, entry: Kept, following: str) -> None:
        w = self.w

        def write(group: Group) -> None:
            group.inside.append(w.publish(entry, group, f"{following}[{w.slot}]"))

        w.within(space_of(entry.shape), write)

    # ---- what is kept ----

    def _out(self, result: Result, value: Variable) -> str:
        return self._array(f"out_{result.kind}_{result.record}", value, Output(result), writes=True)

    def _kept_each_step(self, result: Result) -> None:
        value = self.loop.value_of(result.record)
        array, row, condition = self._out(result, value), "t", ""
        if result.kind == "last" and self.loop.stop is not None:
            row = f"(t % {result.rows})"  # the caller puts them in order
        elif result.kind == "last":
            first = self.given.add(f"first_{result.record}", "int64", Steps(first_kept=result.rows))
            row, condition = f"(t - {first})", f"if (t >= {first}) "
        self._store(array, value, row, condition, lambda at: self.w.read(value, at))

    def _store(self, array: str, value: Variable, row: str, condition: str, element: Callable[[Position], str]) -> None:
        """Write what stores a value in a row of an array: one lane of those that share it, and one thread."""
        w = self.w
        shape, space = w.shape(value), w.space(value)
        owner = condition + self.given.owner(value, self.w.random)
        if not space:
            if w.team.kind != "thread":
                owner += "if (team.thread == 0) "
            at = ("0",) * len(shape)
            text = w.alone(lambda: element(at))
            if value in w.random:
                place = times(row, 2)
                w.line(f"{owner}{{ {array}[{place}] = {text}.key; {array}[{plus(place, '1')}] = {text}.draws; }}")
            else:
                w.line(f"{owner}{self._row(array, value, row).read(w, at)} = {text};")
            return
        target = self._row(array, value, row)

        def write(group: Group) -> None:
            at = spread(group.names, shape)
            text = element(at)
            group.inside.append(f"{owner}{w.writing()}{target.read(w, at)} = {text};")

        w.within(space, write)

    def _finish(self) -> None:
        w, loop = self.w, self.loop
        by_name = {carried.state.name: carried for carried in self.states}
        if loop.stop is not None and any(result.kind != "final" for result in loop.results):
            array = self.given.add("out_steps", "int64", StepsRun(), array=True, writes=True)
            first = " && team.thread == 0" if w.team.kind != "thread" else ""
            w.line(f"if (lane == 0{first}) {array}[0] = steps;")
        for result in loop.results:
            if result.kind == "final" and result.record not in self.totals:
                self._final(result, by_name[result.record])
        w.close_group()
        if w.touches_shared:
            w.lines.insert(0, "team.sync();")

    def _final(self, result: Result, carried: Carried) -> None:
        value = self.loop.value_of(result.record)
        array = self._out(result, value)
        for lag in range(carried.state.depth, 0, -1):
            past = carried.past(lag)
            self._store(array, value, str(carried.state.depth - lag), "", partial(past.read, self.w))

    # ---- putting it together ----

    def _text(self) -> str:
        team, code = self.team, self.code
        self.made = self._meeting()
        declared = self.given.declarations()
        body = [*code.begin, *code.advance, *code.finish]
        shared = list(self.w.shared_arrays.values())
        begin = [*shared, *self.given.begin, *code.begin, *self.w.at_start]
        return "\n".join(
            [
                f"// {one_line(self.loop.title)}: {self.plan.headline()}.",
                '#include "base.cuh"',
                '#include "team.cuh"',
                *(['#include "totals.cuh"'] if code.total else []),
                *(['#include "report.cuh"'] if self.w.failures else []),
                *(['#include "pointwise.cuh"'] if any("gs::" in line for line in body) else []),
                *(['#include "random.cuh"'] if self.w.random else []),
                *(f'#include "{name}"' for name in _libraries(body)),
                '#include "lane_loop.cuh"',
                "",
                *([f"constexpr int TEAM_BYTES = {self.memory.rounded};", ""] if team.kind == "warp" else []),
                "struct Step {",
                "    // What one step reads of the sequences.",
                "    struct Row {",
                *indented(code.row, 2),
                "    };",
                "",
                "    // The kernel's parameters.",
                *indented([f"{text};" for text in declared], 1),
                "",
                "    // What this thread holds.",
                f"    {team.c_type()} team;",
                "    long long lane, steps;",
                *indented([*self.given.fields, *code.fields, *self.w.held], 1),
                "",
                *method("void begin(long long which)", ["lane = which;", "steps = length;", *begin]),
                "",
                *method("void read(long long t, Row& row)", code.read),
                "",
                *method("bool advance(long long t, Row const& row)", [*shared, *code.advance]),
                "",
                *method("void finish()", [*shared, *code.finish]),
                *(["", *method("void total(bool idle)", [*shared, *code.total])] if code.total else []),
                "};",
                "",
                f'extern "C" __global__ void __launch_bounds__({team.block}) {KERNEL_NAME}(',
                ",\n".join(f"    {text}" for text in declared) + ") {",
                f"    long long const {'index' if self.plan.over_steps else 'lane'} = {_lane(team.kind)};",
                *indented(self._main(), 1),
                "}",
                "",
            ]
        )

    def _main(self) -> list[str]:
        made = f"Step step = {{{', '.join(p.name for p in self.given.parameters)}{self.made}}};"
        run = ["step.begin(lane);", f"step.steps = lane_loop<{self.plan.ahead}>(step, length);", "step.finish();"]
        if self.plan.over_steps:
            loop = f"lane_loop<{self.plan.ahead}>(step, length, index / lanes, strides);"
            return ["if (index >= lanes * strides) return;", made, "step.begin(index % lanes);", loop]
        if not self.code.total:
            return ["if (lane >= lanes) return;", made, *run]
        # The threads of a block meet once more, those without a lane too.
        return [made, "bool const idle = lane >= lanes;", "if (!idle) {", *indented(run, 1), "}", "step.total(idle);"]


LIBRARIES = {
    "matrices.cuh": "inverse|cholesky|solve|solve_triangular|determinant|sign_and_log_determinant",
    "jacobi.cuh": "eigh|svd|singular_values",
    "qr.cuh": "qr",
    "ordering.cuh": "sort|argsort|searchsorted|cumulate",
}
"""Files of ``kernels/`` with functions on whole arrays, and those functions; each is included only where one is."""


def _libraries(body: SequenceOf[str]) -> list[str]:
    return [
        name for name, functions in LIBRARIES.items() if any(re.search(rf"gs::({functions})<", line) for line in body)
    ]


def _lane(kind: str) -> str:
    if kind == "thread":
        return "blockIdx.x * (long long)blockDim.x + threadIdx.x"
    if kind == "warp":
        return "(blockIdx.x * (long long)blockDim.x + threadIdx.x) / 32"
    return "blockIdx.x" if kind == "block" else "0"


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
