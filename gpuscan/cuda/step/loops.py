"""What a step holds besides plain nodes: loops, which are ``for`` statements, and the two sides of a branch."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import final

from gpuscan.control import IfElse
from gpuscan.cuda.expressions import number
from gpuscan.cuda.reports import Failure
from gpuscan.cuda.step.body import Body, InnerLoop
from gpuscan.cuda.step.carried import Carried
from gpuscan.cuda.step.elements import C_BYTES
from gpuscan.cuda.step.groups import Group
from gpuscan.cuda.step.hazards import Pending
from gpuscan.cuda.step.history_parts import row_of_part
from gpuscan.cuda.step.inner_rows import InnerRows
from gpuscan.cuda.step.nodes import write_node
from gpuscan.cuda.step.order import ordered
from gpuscan.cuda.step.positions import Position, flat, plus, spread
from gpuscan.cuda.step.team import space_of
from gpuscan.cuda.step.values import Kept, Text, View
from gpuscan.cuda.step.writer import RefusalError, Writer
from gpuscan.errors import LoopError
from gpuscan.graph import Apply, Variable
from gpuscan.loop import Result, Sequence, State

MOST_COUNTED = 2**31
"""From this length on steps are counted with 64 bits, which takes twice the instructions."""

MOST_KEPT_BYTES = 16384
"""Of a thread, for the rows of one record of a loop inside: local memory, of which caches hold a part."""


def write_body(w: Writer, body: Body) -> None:
    """Write the nodes of a body."""
    for node in ordered(body, w):
        if node in body.loops:
            _LoopText(w, node, body.loops[node]).write()
        elif node in body.branches:
            _branches(w, node, body.branches[node])
        else:
            write_node(w, node)


# ---- loops ----


@final
class _LoopText:
    """The text of one loop inside a step."""

    def __init__(self, w: Writer, node: Apply, opened: InnerLoop) -> None:
        self.w = w
        self.node = node
        self.opened = opened
        self.loop = opened.loop
        self.t = w.names.unique("t_inner")
        self.length, self.counter = "0", "long long"
        self.rows: dict[Result, InnerRows] = {}

    def write(self) -> None:
        """Write the loop, and say where its results are."""
        w, loop = self.w, self.loop
        w.close_group()
        known = self.node.inputs[0].known
        if known is not None and known < MOST_COUNTED:
            self.length, self.counter = str(known), "int"
        else:
            self.length = w.names.unique("length_inner")
            w.line(f"long long {self.length} = {w.alone(lambda: w.read_one(self.node.inputs[0]))};")
        if known is None:
            self._check_length()
        self._name_inputs()
        states = [Carried(w, self.opened, state, w.line) for state in loop.states]
        for carried in states:
            state = carried.state
            carried.begin(partial(self._initial, state))
        for result, output in zip(loop.results, self.node.outputs, strict=True):
            if result.kind != "steps":
                self.rows[result] = self._declare(result, output)
        steps = w.names.unique("steps_inner")
        w.line(f"long long {steps} = {self.length};")
        self._for(states, steps)
        self._results(states, steps)

    def _check_length(self) -> None:
        """Report a length that only the step knows and that a sequence is too short for, and run what there is."""
        w, title = self.w, self.loop.title
        for s in self.loop.sequences:
            rows = s.source.type.shape[0]
            if rows is None:
                raise RefusalError(f"{title}: the rows of {s.name} depend on values")
            message = f"{title}: sequence {s.name!r} has {rows} rows along its first axis; this step needs more"
            w.line(f"if ({self.length} > {rows - s.margin}) {{")
            w.line(f"    {w.report(Failure(LoopError, message))}")
            w.line(f"    {self.length} = {rows - s.margin};")
            w.line("}")

    def _name_inputs(self) -> None:
        w = self.w
        for n in self.loop.non_sequences:
            w.values[n.read] = View(partial(w.read, n.source))
        for s in self.loop.sequences:
            for offset, variable in s.reads.items():
                w.values[variable] = View(partial(self._row, s, offset))

    def _initial(self, state: State, lag: int, at: Position) -> str:
        return self.w.read(state.init, (str(state.depth - lag) if state.depth > 1 else "0", *at))

    def _row(self, s: Sequence, offset: int, at: Position) -> str:
        rows = s.source.type.shape[0]
        if rows is None:
            raise RefusalError(f"{self.loop.title}: the rows of {s.name} depend on values")
        first = f"({rows - s.margin - 1} - {self.t})" if s.reverse else self.t
        return self.w.read(s.source, (f"(int)({plus(first, str(offset))})" if rows != 1 else "0", *at))

    def _declare(self, result: Result, output: Variable) -> InnerRows:
        w = self.w
        shape = w.shape(output)
        if output in w.random:  # one element a row, not the two words of it
            shape = tuple(n or 0 for n in output.type.shape[:1])
        if None in output.type.shape:
            raise RefusalError(f"{self.loop.title}: the rows kept of {result.record} depend on values")
        name, c_type = f"kept_{result.record}", w.c_type(output)
        rows = InnerRows(output, shape)
        inner = space_of(shape[1:])
        if not inner or w.is_own(output, (shape[0], *inner), c_type):
            count = max(shape[0] * w.team.slots(inner), 1)
            if (size := count * C_BYTES[c_type]) > MOST_KEPT_BYTES:
                raise RefusalError(f"{self.loop.title}: the rows kept of {result.record} take {size} bytes a thread")
            rows.own = w.names.unique(name)
            w.line(f"{c_type} {rows.own}[{count}]{' = {}' if result.rows and result.kind == 'history' else ''};")
        if inner and w.is_shared(output):
            rows.shared = w.allocate(name, c_type, max(prod(shape), 1))
            rows.buffer = (rows.shared, 0)
            if result.rows and result.kind == "history":
                self._clear(rows, output.dtype)
        w.values[output] = rows
        return rows

    def _clear(self, rows: InnerRows, dtype: str) -> None:
        """Write what gives rows that no step will write a number: what is computed from them is not read."""
        w = self.w

        def write(group: Group) -> None:
            assert rows.buffer is not None
            group.writes.add(rows.buffer)
            place = flat(spread(group.names, rows.shape), rows.shape)
            group.inside.append(w.arrays.store(rows.shared, place, number(0, dtype)))

        w.within(space_of(rows.shape), write)
        w.close_group()
        w.barrier()

    def _for(self, states: list[Carried], steps: str) -> None:
        """Write the ``for``; a step of it that touches what the team shares begins with a barrier."""
        w = self.w
        outer, w.lines = w.lines, []
        outer_touches, w.touches_shared = w.touches_shared, False
        before, w.pending = w.pending, Pending()
        self._one_step(states, steps)
        inside, w.lines = w.lines, outer
        touches = w.touches_shared
        if touches:  # what the step before wrote is there, and what it read may be written over
            inside.insert(0, "team.sync();")
        else:
            w.pending = before
        w.line(f"for ({self.counter} {self.t} = 0; {self.t} < {self.length}; ++{self.t}) {{")
        w.lines += [f"    {line}" for line in inside]
        w.line("}")
        if touches:
            w.barrier()
        w.touches_shared = outer_touches or touches

    def _one_step(self, states: list[Carried], steps: str) -> None:
        w, loop = self.w, self.loop
        for carried in states:
            carried.enter()
        write_body(w, self.opened.body)
        stop = "" if loop.stop is None else w.alone(lambda: w.read_one(loop.stop))  # type: ignore[arg-type]
        for result, rows in self.rows.items():
            self._store(result, rows)
        for carried in states:
            carried.compute_next()
        w.close_group()
        for carried in states:
            carried.move_on()
        if stop:
            w.line(f"if ({stop}) {{")
            w.line(f"    {steps} = {self.t} + 1;")
            w.line("    break;")
            w.line("}")

    def _store(self, result: Result, rows: InnerRows) -> None:
        """Write what stores the row of a result that a step makes; final values are stored after the last one."""
        if result.kind == "history":
            rows.store(self.w, f"(int){self.t}", self.loop.value_of(result.record))
        elif result.kind == "part":
            row, condition = row_of_part(result, self.t)
            rows.store(self.w, f"(int){row}", self.loop.value_of(result.record), condition)
        elif result.kind == "last":
            self._store_last(result, rows)

    def _store_last(self, result: Result, rows: InnerRows) -> None:
        """Write what stores a row if it is one of the last; with a condition, any may turn out to be the last one."""
        value, kept = self.loop.value_of(result.record), rows.shape[0]
        if self.loop.stop is not None and kept == 1:
            rows.store(self.w, "0", value)
            return
        row = f"(int)({self.t} - {self.length} + {kept})"
        rows.store(self.w, row, value, f"if ({self.t} >= {self.length} - {kept}) ")

    def _results(self, states: list[Carried], steps: str) -> None:
        w = self.w
        by_name = {carried.state.name: carried for carried in states}
        for result, output in zip(self.loop.results, self.node.outputs, strict=True):
            if result.kind == "steps":
                w.values[output] = Text(steps)
            elif result.kind == "last" and self.loop.stop is not None and self.rows[result].shape[0] > 1:
                raise RefusalError(f"{self.loop.title}: the last rows of {result.record} move with its condition")
            elif result.kind == "final":
                carried = by_name[result.record]
                for lag in range(carried.state.depth, 0, -1):
                    past = Variable(carried.value.type) if carried.value not in w.random else carried.value
                    self._store_final(carried, lag, past, self.rows[result])
        w.close_group()

    def _store_final(self, carried: Carried, lag: int, past: Variable, rows: InnerRows) -> None:
        w = self.w
        value = w.made.setdefault((self.opened, carried.state.name, "final", lag), past)
        w.lanes.labels[value] = w.lanes.of(carried.value)
        w.values[value] = carried.past(lag)
        rows.store(w, str(carried.state.depth - lag), value)


# ---- branches ----


def _branches(w: Writer, node: Apply, sides: tuple[Body, Body]) -> None:
    """Write the two sides of a branch; the condition is one for the whole team, so that all go the same way."""
    assert isinstance(node.op, IfElse)
    w.close_group()
    condition = w.alone(lambda: w.read_one(node.inputs[0]))
    results = [_result_of(w, output) for output in node.outputs]
    start = end = w.pending
    for head, side in zip((f"if ({condition})", "else"), sides, strict=True):
        w.pending = start
        with w.block(head):
            write_body(w, side)
            for inside, value in zip(side.outputs, results, strict=True):
                _hand_out(w, inside, value)
        end = end | w.pending
    w.pending = end
    for output, value in zip(node.outputs, results, strict=True):
        w.values[output] = value


def _result_of(w: Writer, output: Variable) -> Kept | Text:
    """Return the place for a result of a branch, declared before it."""
    shape, c_type, name = w.shape(output), w.c_type(output), w.name(output)
    if not space_of(shape):
        w.line(f"{c_type} {name};")
        return Text(name)
    kept = Kept(output, shape)
    if w.is_own(output, space_of(shape), c_type):
        kept.own = w.names.unique(f"{name}_own")
        w.line(f"{c_type} {kept.own}[{max(w.team.slots(space_of(shape)), 1)}];")
    if w.is_shared(output):
        w.share(kept, name, c_type)
    return kept


def _hand_out(w: Writer, inside: Variable, value: Kept | Text) -> None:
    """Write what puts a result of one side in its place."""
    if isinstance(value, Text):
        w.line(f"{value.text} = {w.alone(lambda: w.read_one(inside))};")
        return

    def write(group: Group) -> None:
        text = w.read(inside, spread(group.names, value.shape))
        if value.own:
            group.inside.append(f"{value.own}[{w.slot}] = {text};")
        if value.shared:
            group.inside.append(w.publish(value, group, text))

    w.within(space_of(value.shape), write)
