"""The text of a kernel for one loop: the generated struct ``Step`` that ``kernels/lane_loop.cuh`` runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

from gpuscan.cuda.binding import (
    BoundKernel,
    Number,
    Output,
    Report,
    Scratch,
    Source,
    Steps,
    StepsRun,
    Strides,
)
from gpuscan.cuda.expressions import number
from gpuscan.cuda.kernel import C_TYPES, Kernel
from gpuscan.cuda.names import Names
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.source import splice
from gpuscan.cuda.step.assembly import KERNEL_NAME, assemble
from gpuscan.cuda.step.carried import Carried
from gpuscan.cuda.step.elements import C_BYTES, registers_of
from gpuscan.cuda.step.frame import Frame
from gpuscan.cuda.step.groups import Group
from gpuscan.cuda.step.history_parts import row_of_part
from gpuscan.cuda.step.literals import is_literal
from gpuscan.cuda.step.loops import write_body
from gpuscan.cuda.step.memory import ALIGNMENT, DECLARED_BYTES, REDUCTION_BYTES, Region
from gpuscan.cuda.step.operands import busy_registers
from gpuscan.cuda.step.parameters import Parameters
from gpuscan.cuda.step.places import describe
from gpuscan.cuda.step.positions import Position, plus, spread, times
from gpuscan.cuda.step.registers import MOST_HELD, most_per_thread
from gpuscan.cuda.step.sequences import Sequences
from gpuscan.cuda.step.team_arrays import TeamArrays
from gpuscan.cuda.step.tensor_cores import find_together
from gpuscan.cuda.step.totals_text import write_totals
from gpuscan.cuda.step.values import Kept, Text, Value
from gpuscan.cuda.step.writer import Notes, Writer
from gpuscan.graph import Variable
from gpuscan.loop import NonSequence, Result
from gpuscan.tensor.products import MatMul

MOST_TEAMS = 2**38
"""Teams of one launch: a grid has fewer than 2^31 blocks."""


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


class _StepText:
    """The text of one kernel in the making.

    Parameters
    ----------
    plan, by_value, shared_bytes
        See `step_kernel`.
    known : Notes or None
        How an earlier writing found values to be read; None the first time.
    made : dict, optional
        Values that rules made for themselves at the first writing.
    """

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
        names = Names()
        self.given = Parameters(names, plan.lanes)
        reserved = REDUCTION_BYTES if self.team.kind in ("block", "grid") else 0
        teams = self.team.per_block if self.team.kind == "warp" else 1
        shared_bytes -= DECLARED_BYTES if plan.totals else 0  # where the last block is told apart
        self.memory = Region(shared_bytes // teams // ALIGNMENT * ALIGNMENT, reserved)
        self.w = Writer(
            self.team,
            self.loop,
            plan.lanes,
            random=plan.random,
            known=known,
            made={} if made is None else made,
            first=self.given.first,
            size=self.given.size,
            names=names,
            arrays=TeamArrays(self.team, names, self.memory, self._scratch),
            status=self._status,
            precision=plan.precision,
            on_tensor_cores=plan.on_tensor_cores,
        )
        self.w.together = find_together(plan.opened, plan.on_tensor_cores, self.w.shape, self.team)
        self._count_registers()
        self.status = ""
        self.frame = Frame(plan, self.w, self.given)
        self.code = self.frame.code
        self.sequences = Sequences(self.frame)
        self.states: list[Carried] = []
        self.held_registers = 0  # of each thread, for non-sequences
        self.initial: dict[str, str] = {}  # arrays of the values before step 0, by state
        self.totals = {total.state for total in plan.totals}

    def _most_teams(self) -> int:
        """Return how many teams are worth having: of steps that take long, one for each; else what fills the GPU."""
        has_loops = bool(self.opened.body.loops)
        return MOST_TEAMS if has_loops else self.plan.teams_to_fill

    def _count_registers(self) -> None:
        """Count what each thread's registers hold besides weights, and the products that share those for weights."""
        w = self.w
        w.products = max(sum(isinstance(node.op, MatMul) for node in self.opened.body.walk()), 1)
        w.busy_registers = busy_registers(self.opened, w.team, w.space, self.plan.random)

    def _room_for_rows(self) -> int:
        """Return how many registers of each thread rows of sequences may have: half of what is left, to compute in."""
        carried = sum(state.registers for state in self.states) + self.held_registers
        return max(most_per_thread(self.team) - carried, 0) // 2

    def build(self) -> BoundKernel:
        """Return the kernel, and where each of its arguments comes from."""
        self.given.add("lanes", "int64", Number(self.plan.lane_count))
        self.given.add("length", "int64", Steps())
        if self.plan.over_steps:
            self.given.add("strides", "int64", Strides(self.plan.lane_count, self._most_teams()))
        with self.frame.into(self.code.begin):
            for n in self.loop.non_sequences:
                self._non_sequence(n)
            self.states = [Carried(self.w, self.opened, s, self.code.fields.append) for s in self.loop.states]
            for carried in self.states:
                self._begin(carried)
            for s in self.loop.sequences:
                for offset, variable in s.reads.items():
                    self.sequences.stage_first(s, offset, variable)
            if self.w.pending.written:  # not every step begins with a barrier
                self.w.barrier()
        self.sequences.choose_ahead(self.loop.sequences, self._room_for_rows())
        with self.frame.into(self.code.advance):
            for s in self.loop.sequences:
                if s.reads:
                    self.sequences.enter(s)
            self._step()
        with self.frame.into(self.code.finish):
            self._finish()
        if self.plan.totals:
            with self.frame.into(self.code.total):
                write_totals(self.w, self.given, self.loop, self.plan.totals, self.states, self.initial)
        return self._bound()

    def _bound(self) -> BoundKernel:
        team, grid = self.team, self.plan.grid
        text = splice(assemble(self.frame, self._meeting()))
        kernel = Kernel(KERNEL_NAME, text, tuple(self.given.parameters))
        shared = self.memory.rounded * team.per_block if team.kind == "warp" else self.memory.used
        if not self.w.arrays.declarations and "template all<" not in text:
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
            places=tuple(describe(self.loop, team, self.frame.where, self.states, self.totals, self.w.columns_of)),
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

    def _non_sequence(self, n: NonSequence) -> None:
        w = self.w
        if is_literal(n.read):
            return
        if n.name in self.by_value:
            self.frame.where[n.name] = "a number, passed by value"
            w.values[n.read] = Text(self.given.add(f"non_{n.name}", n.source.dtype, Source(n.name)))
            return
        array = self.frame.array(f"non_{n.name}", n.read, Source(n.name))
        space = w.space(n.read)
        if not space:
            held = self.given.field(w.c_type(n.read), f"v_{n.name}")
            w.line(f"{held} = {self.frame.load(array, n.read, '0', ('0',) * len(w.shape(n.read)))};")
            w.values[n.read] = Text(held)
            self.frame.where[n.name] = "a register, read once"
            return
        w.origins[n.read] = self.frame.row(array, n.read, "0", n.read)
        w.values[n.read] = self._held(n, array) or w.origins[n.read]

    def _held(self, n: NonSequence, array: str) -> Value | None:
        """Return a non-sequence that is loaded once, if there is room for it."""
        w, v = self.w, n.read
        if w.known is None or v not in w.known.own | w.known.shared:
            return None
        shape, c_type = w.shape(v), w.c_type(v)
        registers = registers_of(c_type) * w.team.slots(w.space(v))
        kept = Kept(v, shape)
        if not w.is_shared(v) and registers <= MOST_HELD:
            kept.own = self.w.names.unique(f"v_{n.name}")
            self.frame.where[n.name] = "registers, read once"
            self.code.fields.append(f"{c_type} {kept.own}[{w.team.slots(w.space(v))}];")
            self.held_registers += registers
        elif w.is_shared(v) and w.team.kind != "grid" and self._fits(C_BYTES[c_type] * prod(shape)):
            w.share(kept, f"v_{n.name}", c_type)
            self.frame.where[n.name] = "shared memory, read once"
        else:
            self.frame.where[n.name] = "read where it is used, from the caches"
            return None
        group = w.open_group(w.space(v))
        text = self.frame.load(array, v, "0", spread(group.names, shape))
        group.inside.append(f"{kept.own}[{group.slot}] = {text};" if kept.own else w.publish(kept, group, text))
        w.close_group()
        kept.buffer = None  # it never changes again: the barrier before the first step is enough
        return kept

    def _fits(self, size: int) -> bool:
        """Whether there is shared memory for an array that need not be there."""
        return self.memory.used + size <= self.memory.limit // 2

    def _begin(self, carried: Carried) -> None:
        state = carried.state
        array = self.initial[state.name] = self.frame.array(f"init_{state.name}", state.next, Source(state.name))
        if state.name in self.totals:
            carried.begin(lambda lag, at: number(0, state.next.dtype))
            return
        carried.begin(lambda lag, at: self.frame.load(array, state.next, str(state.depth - lag), at))

    # ---- a step ----

    def _step(self) -> None:
        w, loop = self.w, self.loop
        for carried in self.states:
            carried.enter()
        write_body(w, self.opened.body)
        for result in loop.results:
            if result.is_kept and result.record not in self.totals:
                self._kept_each_step(result)
        for carried in self.states:
            carried.compute_next()
        self.sequences.publish_following()
        stop = None if loop.stop is None else w.alone(lambda: w.read_one(loop.stop))  # type: ignore[arg-type]
        if stop is not None:
            name = w.names.unique("stop")
            w.line(f"bool const {name} = {stop};")
            stop = name
        w.close_group()
        for carried in self.states:
            carried.move_on()
        w.lines += self.sequences.shifts
        w.line(f"return {f'!{stop}' if stop else 'true'};")
        if w.touches_shared:  # what the step before wrote is there, and what it read may be written over
            w.lines.insert(0, "team.sync();")

    # ---- what is kept ----

    def _out(self, result: Result, value: Variable) -> str:
        return self.frame.array(f"out_{result.kind}_{result.record}", value, Output(result), writes=True)

    def _kept_each_step(self, result: Result) -> None:
        value = self.loop.value_of(result.record)
        array, row, condition = self._out(result, value), "t", ""
        if result.kind == "last" and self.loop.stop is not None:
            row = f"(t % {result.rows})"  # the caller puts them in order
        elif result.kind == "last":
            first = self.given.add(f"first_{result.record}", "int64", Steps(first_kept=result.rows))
            row, condition = f"(t - {first})", f"if (t >= {first}) "
        elif result.kind == "part":
            row, condition = row_of_part(result, "t")
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
                w.line(f"{owner}{self.frame.row(array, value, row).read(w, at)} = {text};")
            return
        target = self.frame.row(array, value, row)

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
