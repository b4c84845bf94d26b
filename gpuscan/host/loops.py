"""A loop as a Python ``for``: past values in local variables, histories in buffers made once."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from typing import Any

from gpuscan.errors import LoopError
from gpuscan.graph import Apply, TensorType, Variable, sorted_nodes
from gpuscan.host.sizes import has_computed_size
from gpuscan.host.writer import Writer
from gpuscan.loop import Loop, Result, Scan, State, open_loop
from gpuscan.loop.records import Sequence

# ---- what the generated text calls ----


def checked_length(title: str, length: Any, margins: SequenceOf[tuple[str, int]], *rows: int) -> int:
    """Return the number of steps as an int.

    Parameters
    ----------
    title : str
        The loop's name, for messages.
    length : integer scalar
        The number of steps asked for.
    margins : sequence of (str, int)
        Name and margin of each sequence.
    *rows : int
        How many rows each sequence has.

    Raises
    ------
    LoopError
        If it is negative, or a sequence has too few rows for it.
    """
    steps = int(length)
    for (name, margin), available in zip(margins, rows, strict=True):
        if available < margin or available < steps + margin:
            needed = f"{steps} steps need {steps + margin}" if available >= margin else f"its taps need {margin} or more"
            raise LoopError(f"{title}: sequence {name!r} has {available} rows along its first axis; {needed}")
    if steps < 0:
        raise LoopError(f"{title}: n_steps must not be negative; found {steps}")
    return steps


def state_error(title: str, name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> LoopError:
    """Return the error for a state whose shape a step changes."""
    return LoopError(
        f"{title}: state {name!r} has shape {expected} before a step and {found} after it. A state keeps its shape; "
        f"give it an initial value of the shape that the step returns."
    )


def check_past(title: str, name: str, depth: int, rows: int) -> None:
    """Raise LoopError if a state has fewer initial values than its taps need."""
    if rows < depth:
        raise LoopError(
            f"{title}: the initial value of state {name!r} has {rows} rows along its first axis; its taps need {depth}"
        )


def check_emit(title: str, name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Raise LoopError if an output has not the shape it had at the first step."""
    if expected != found:
        raise LoopError(f"{title}: output {name!r} has shape {expected} at the first step and {found} at a later one")


def explain_failure(title: str, error: ValueError, states: SequenceOf[tuple[str, tuple[int, ...], Any]]) -> Exception:
    """Return the error to raise when a step failed: the state whose shape changed, else what NumPy said."""
    for name, expected, value in states:
        if value.shape != expected:
            return state_error(title, name, expected, value.shape)
    return error


class EmptyStack:
    """Makes the empty result of a loop that runs no step, of the shape that its rows would have had."""

    def __init__(self, node: Apply, record: str, empty: Any) -> None:
        self.node, self.record, self.empty = node, record, empty

    def __call__(self, *shapes: tuple[int, ...]) -> Any:
        """Return the empty array; `shapes` are those of the node's inputs."""
        inputs = [Variable(TensorType(v.dtype, shape)) for v, shape in zip(self.node.inputs, shapes, strict=True)]
        value = open_loop(Apply(self.node.op, inputs)).value_of(self.record)
        # A size that depends on values of steps that never ran is 0.
        return self.empty((0, *(size or 0 for size in value.type.shape)), value.dtype)


# ---- writing ----


def write_loop(w: Writer, node: Apply) -> None:
    """Write the statements that run the loop of `node` and give its results names."""
    _LoopText(w, node).write()


class _LoopText:
    """The text of one loop: before it, one step, after it."""

    def __init__(self, w: Writer, node: Apply) -> None:
        self.w = w
        self.node = node
        assert isinstance(node.op, Scan)
        self.loop: Loop = open_loop(node)
        self.title = repr(self.loop.name or "scan")
        self.step = w.fresh("k")
        self.stores: dict[Result, str] = {r: w.fresh("h") for r in self.loop.results if r.kind in ("history", "last")}
        self.past: dict[str, list[str]] = {}
        outputs = [s.next for s in self.loop.states] + [e.value for e in self.loop.emits]
        self.outputs = outputs + ([self.loop.stop] if self.loop.stop is not None else [])
        self.varying = has_computed_size(self.outputs)

    def write(self) -> None:
        w = self.w
        self._name_sources()
        self._before()
        with w.block("try:"):
            with w.block(self._head()):
                self._one_step()
        states = "".join(f"({s.name!r}, {self._row_shape(s)}, {self.past[s.name][0]}), " for s in self.loop.states)
        with w.block("except ValueError as error:"):
            w.line(f"raise {w.bind(explain_failure, 'explain_failure')}({self.title!r}, error, [{states}]) from error")
        self._after()

    # ---- before the loop ----

    def _name_sources(self) -> None:
        for variable in self.node.inputs:
            self.w.named(variable)
        for n in self.loop.non_sequences:
            self.w.name(n.read, self.w.value(n.source))

    def _row_shape(self, state: State) -> str:
        return f"{self.w.value(state.init)}.shape[1:]"

    def _before(self) -> None:
        w, loop = self.w, self.loop
        margins = tuple((s.name, s.margin) for s in loop.sequences)
        rows = "".join(f", {w.value(s.source)}.shape[0]" for s in loop.sequences)
        check = w.bind(checked_length, "checked_length")
        self.length = w.fresh("n")
        w.line(f"{self.length} = {check}({self.title!r}, {w.value(loop.length)}, {margins!r}{rows})")
        if loop.stop is not None or Result("steps") in loop.results:
            w.line(f"{self.step} = -1")
        for state in loop.states:
            self._state_before(state)
        for result, store in self.stores.items():
            w.line(f"{store} = {self._new_store(result)}")

    def _state_before(self, state: State) -> None:
        w, init = self.w, self.w.value(state.init)
        if state.depth > 1 and state.init.type.shape[0] != state.depth:
            check = w.bind(check_past, "check_past")
            w.line(f"{check}({self.title!r}, {state.name!r}, {state.depth}, {init}.shape[0])")
        self.past[state.name] = [w.fresh("s") for _ in range(state.depth)]
        for lag, name in enumerate(self.past[state.name], start=1):
            w.line(f"{name} = {init}[{state.depth - lag}]")
        for lag, read in state.reads.items():
            w.name(read, self.past[state.name][lag - 1])

    def _new_store(self, result: Result) -> str:
        if result.kind == "last":
            from collections import deque

            return f"{self.w.bind(deque, 'deque')}(maxlen={result.rows})"
        if self.loop.stop is not None:
            return "[]"  # how many rows there will be is known only at the end
        state = self.loop.state(result.record)
        if state is None:
            return "None"  # made at the first step, when the shape of a row is known
        shape = f"({self.length}, *{self._row_shape(state)})"
        return f"{self.w.function('empty')}({shape}, {state.next.dtype!r})"

    # ---- one step ----

    def _head(self) -> str:
        targets, sources = [self.step], [f"range({self.length})"]
        for s in self.loop.sequences:
            for offset, read in s.reads.items():
                name = self.w.fresh("x")
                self.w.name(read, name)
                targets.append(name)
                sources.append(self._rows(s, offset))
        if len(targets) == 1:
            return f"for {self.step} in {sources[0]}:"
        return f"for {', '.join(targets)} in {self.w.bind(zip, 'zip')}({', '.join(sources)}):"

    def _rows(self, s: Sequence, offset: int) -> str:
        source = self.w.value(s.source)
        if not s.reverse:
            return f"{source}[{offset}:]" if offset else source
        # The last usable row is that at -1 - margin, seen from tap 0 of the lowest tap.
        return f"{source}[{offset - s.margin - 1}::-1]" if offset < s.margin else f"{source}[::-1]"

    def _one_step(self) -> None:
        w, loop = self.w, self.loop
        given = [v for r in (*loop.sequences, *loop.states) for v in r.reads.values()]
        given += [n.read for n in loop.non_sequences]
        w.write_nodes(sorted_nodes(self.outputs, given), self.outputs)
        for result, store in self.stores.items():
            self._store(result, store, w.named(loop.value_of(result.record)))
        self._advance()
        if loop.stop is not None:
            with w.block(f"if {w.value(loop.stop)}:"):
                w.line("break")

    def _store(self, result: Result, store: str, value: str) -> None:
        w = self.w
        if result.kind == "last" or self.loop.stop is not None:
            w.line(f"{store}.append({value})")
            return
        if self.loop.state(result.record) is None:
            with w.block(f"if {store} is None:"):
                w.line(f"{store} = {w.function('empty')}(({self.length}, *{value}.shape), {value}.dtype)")
            if self.varying:
                check = w.bind(check_emit, "check_emit")
                w.line(f"{check}({self.title!r}, {result.record!r}, {store}.shape[1:], {value}.shape)")
        w.line(f"{store}[{self.step}] = {value}")

    def _advance(self) -> None:
        """Move every state on at once: one state's next value may be another's past one."""
        names, values = [], []
        for state in self.loop.states:
            names += self.past[state.name]
            values += [self.w.value(state.next), *self.past[state.name][:-1]]
        if names:
            self.w.line(f"{', '.join(names)} = {', '.join(values)}")

    # ---- after the loop ----

    def _after(self) -> None:
        w, loop = self.w, self.loop
        if loop.stop is not None or Result("steps") in loop.results:
            w.line(f"{self.step} += 1")
        for state in loop.states:
            self._check_shape(state)
        for result, output in zip(loop.results, self.node.outputs, strict=True):
            w.assign(output, self._result(result))

    def _check_shape(self, state: State) -> None:
        past = self.past[state.name][0]
        with self.w.block(f"if {past}.shape != {self._row_shape(state)}:"):
            error = self.w.bind(state_error, "state_error")
            found = f"{self._row_shape(state)}, {past}.shape"
            self.w.line(f"raise {error}({self.title!r}, {state.name!r}, {found})")

    def _result(self, result: Result) -> str:
        w = self.w
        if result.kind == "steps":
            return f"{w.function('int64', host=True)}({self.step})"
        if result.kind == "final":
            past = self.past[result.record]
            if len(past) == 1:
                return f"{w.function('asarray')}({past[0]})[None]"
            return f"{w.function('stack')}([{', '.join(reversed(past))}])"
        store = self.stores[result]
        if result.kind == "history" and self.loop.stop is None and self.loop.state(result.record) is not None:
            return store
        empty = w.bind(EmptyStack(self.node, result.record, w.arrays.lookup("empty")), "empty_stack")
        shapes = ", ".join(f"{w.value(v)}.shape" for v in self.node.inputs)
        if result.kind == "history" and self.loop.stop is None:
            return f"{store} if {store} is not None else {empty}({shapes})"
        return f"{w.function('stack')}({store}) if {store} else {empty}({shapes})"
