"""A loop as a Python ``for``: past values in local variables, histories in buffers made once."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from collections.abc import Sequence as SequenceOf
from time import perf_counter

from gpuscan.config import config
from gpuscan.graph import Apply, Constant, Variable, sorted_nodes
from gpuscan.host.arrays import NUMPY
from gpuscan.host.buffers import Buffers
from gpuscan.host.checks import (
    BoundLoops,
    check_emit,
    check_past,
    check_state,
    check_type,
    checked_length,
    empty_rows,
    failed_step,
    stack_rows,
)
from gpuscan.host.profile import LoopProfile
from gpuscan.host.residence import host_values
from gpuscan.host.writer import Writer
from gpuscan.loop import Result, State, open_loop
from gpuscan.loop.fixed import CHEAP, Outside
from gpuscan.loop.records import Sequence
from gpuscan.loop.sizes import has_computed_size
from gpuscan.tensor.pointwise import Pointwise
from gpuscan.tensor.shaping import Dim


def write_loop(w: Writer, node: Apply) -> None:
    """Write the statements that run the loop of `node` and give its results names."""
    _LoopText(w, node).write()


class _LoopText:
    """The text of one loop: before it, one step, after it."""

    def __init__(self, w: Writer, node: Apply) -> None:
        self.w = w
        self.node = node
        self.loop = open_loop(node)
        self.title = repr(self.loop.title)
        self.step = w.fresh("k")
        self.length = self.clock = self.bound = ""  # what the text calls them, from where it has them on
        # Not for a loop inside a loop, whose results the loop around it may hold on to; CuPy keeps memory of itself.
        keeps = self.loop.options.keep_buffers and w.arrays is NUMPY and w.is_outside
        self.buffers = w.bind(Buffers(), "buffers") if keeps else None
        self.stores: dict[Result, str] = {r: w.fresh("h") for r in self.loop.results if r.is_kept}
        self.past: dict[str, list[str]] = {}
        self.nodes = sorted_nodes(self.loop.outputs, self.loop.reads)
        self.varying = has_computed_size(self.loop.outputs)
        if w.arrays is not NUMPY:
            numbers = [n.read for n in self.loop.non_sequences if w.is_host(n.source)]
            w.on_host = {*w.on_host, *host_values(self.nodes, numbers)}

    def write(self) -> None:
        self._name_sources()
        self._start_clock()
        self._before()
        with self.w.block("try:"), self.w.block(self._head()):
            self._one_step()
        with self.w.block("except (ValueError, IndexError, AssertionError) as error:"):
            self.w.line(f"raise {self.w.helper(failed_step)}({self.title}, {self.step}, error) from error")
        self._after()

    def _start_clock(self) -> None:
        if self.loop.options.profile:
            self.clock = self.w.fresh("t")
            self.w.line(f"{self.clock} = {self.w.helper(perf_counter)}()")

    def _stop_clock(self) -> None:
        if self.loop.options.profile:
            self.w.profiles.append(LoopProfile(self.loop.title))
            steps = self.step if self._counts_steps() else self.length
            profile = self.w.bind(self.w.profiles[-1], "profile")
            self.w.line(f"{profile}.add({steps}, perf_counter() - {self.clock})")

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
        self.length = w.fresh("n")
        w.line(
            f"{self.length} = {self.w.helper(checked_length)}({self.title}, {w.value(loop.length)}, {margins}{rows})"
        )
        self._check_shapes()
        if self._counts_steps():
            w.line(f"{self.step} = -1")
        for state in loop.states:
            self._state_before(state)
        fixed = self._fixed_before()
        if w.arrays is NUMPY:
            self._scalars_as_arrays({n.read for n in loop.non_sequences} | fixed)
        for result, store in self.stores.items():
            w.line(f"{store} = {self._new_store(result)}")

    def _check_shapes(self) -> None:
        """Have the shapes of this call checked, unless all that matter were known when the loop was built."""
        bound = self.w.bind(BoundLoops(self.node), "bound_loops")
        shapes = [f"{self.w.value(s.source)}.shape[1:]" for s in self.loop.sequences]
        others = [s.init for s in self.loop.states] + [n.source for n in self.loop.non_sequences]
        shapes += [f"{self.w.value(v)}.shape" for v in others]
        self.bound = f"{bound}[{', '.join(shapes)},]" if shapes else f"{bound}[()]"
        known = [s.source.type.shape[1:] for s in self.loop.sequences] + [v.type.shape for v in others]
        if any(None in shape for shape in known):
            self.w.line(self.bound)

    def _counts_steps(self) -> bool:
        return self.loop.stop is not None or Result("steps") in self.loop.results

    def _state_before(self, state: State) -> None:
        w, init = self.w, self.w.value(state.init)
        if state.depth > 1 and state.init.type.shape[0] != state.depth:
            w.line(f"{self.w.helper(check_past)}({self.title}, {state.name!r}, {state.depth}, {init}.shape[0])")
        self.past[state.name] = [w.fresh("s") for _ in range(state.depth)]
        for lag, name in enumerate(self.past[state.name], start=1):
            w.line(f"{name} = {init}[{state.depth - lag}]")
        for lag, read in state.reads.items():
            w.name(read, self.past[state.name][lag - 1])

    def _fixed_before(self) -> set[Variable]:
        """Compute what is the same at every step, as far as it is cheap work; the rest a rewrite has taken out.

        Returns
        -------
        set of Variable
            Those of the values that steps read.
        """
        outside = Outside(self.loop)
        fixed: list[Apply] = []
        there = {n.read for n in self.loop.non_sequences}
        for node in outside.ahead:
            # Of rows and states there are sizes only.
            known = there | outside.wholes.keys() if isinstance(node.op, Dim) else there
            if isinstance(node.op, CHEAP) and all(v in known or isinstance(v, Constant) for v in node.inputs):
                fixed.append(node)
                there.update(node.outputs)
        self.nodes = [node for node in self.nodes if node.outputs[0] not in there]
        read = [v for node in self.nodes for v in node.inputs] + self.loop.outputs
        read = [v for v in dict.fromkeys(read) if v in there and v.owner is not None]
        self.w.write_nodes(self._without_row_sizes(fixed), read)
        for v in read:
            self.w.named(v)
        return set(read)

    def _without_row_sizes(self, nodes: SequenceOf[Apply]) -> list[Apply]:
        """Return `nodes` but for sizes of rows, which are written here: before the loop there is no row."""
        sources = {v: s.source for s in self.loop.sequences for v in s.reads.values()}
        rest = []
        for node in nodes:
            if isinstance(node.op, Dim) and node.inputs[0] in sources:
                source, axis = self.w.value(sources[node.inputs[0]]), node.op.axis + 1
                self.w.assign(node.outputs[0], f"{self.w.function('int64', host=True)}({source}.shape[{axis}])")
            else:
                rest.append(node)
        return rest

    def _scalars_as_arrays(self, invariant: Collection[Variable]) -> None:
        """Have scalars that only ever meet arrays as arrays without axes.

        ``array * scalar`` makes NumPy convert the scalar each time: 460 ns instead of 300 for 100 elements.
        """
        beside_arrays: dict[Variable, bool] = {}
        for node in self.nodes:
            is_array = isinstance(node.op, Pointwise) and node.outputs[0].ndim > 0
            beside_arrays.update({v: is_array and beside_arrays.get(v, True) for v in node.inputs if v.ndim == 0})
        beside_arrays.update(dict.fromkeys(self.loop.outputs, False))
        for v in [v for v, always in beside_arrays.items() if always]:
            if isinstance(v, Constant):
                self.w.name(v, self.w.bind(v.data, "c"))
            elif v in invariant:
                name = self.w.fresh("c")
                self.w.line(f"{name} = {self.w.function('asarray')}({self.w.value(v)})")
                self.w.name(v, name)

    def _new_store(self, result: Result) -> str:
        if result.kind == "last":
            return f"{self.w.helper(deque)}(maxlen={result.rows})"
        if self.loop.stop is not None or result.kind == "part":
            return "[]"  # how many rows there will be is known only at the end
        state = self.loop.state(result.record)
        if state is None:
            return "None"  # made at the first step, when the shape of a row is known
        return self._empty(result, self._row_shape(state), repr(state.next.dtype))

    def _empty(self, result: Result, row: str, dtype: str) -> str:
        shape, empty = f"({self.length}, *{row})", self.w.function("empty")
        if self.buffers is None:
            return f"{empty}({shape}, {dtype})"
        return f"{self.buffers}.empty({empty}, {str(result)!r}, {shape}, {dtype})"

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
        return f"for {', '.join(targets)} in zip({', '.join(sources)}):"

    def _rows(self, s: Sequence, offset: int) -> str:
        source = self.w.value(s.source)
        if not s.reverse:
            return f"{source}[{offset}:]" if offset else source
        # Step 0 starts at the last row with `margin` rows after it, and reads `offset` rows further on.
        return f"{source}[{offset - s.margin - 1}::-1]" if offset < s.margin else f"{source}[::-1]"

    def _one_step(self) -> None:
        w, loop = self.w, self.loop
        w.write_nodes(self.nodes, loop.outputs)
        if config.check:
            self._check_types()
        if self.varying:
            for state in loop.states:
                shapes = f"{self._row_shape(state)}, {w.named(state.next)}.shape"
                w.line(f"{w.helper(check_state)}({state.name!r}, {shapes})")
        arrays = self._numbers_as_arrays()
        for result, store in self.stores.items():
            value = loop.value_of(result.record)
            self._store(result, store, arrays.get(value) or w.named(value))
        # Before the states move on, whose past values it may read.
        stop = None if loop.stop is None else w.named(loop.stop)
        self._advance(arrays)
        if stop is not None:
            with w.block(f"if {stop}:"):
                w.line("break")

    def _numbers_as_arrays(self) -> dict[Variable, str]:
        """Write what makes arrays of the values that are numbers on the host, as stacks and the next step need them."""
        w, arrays = self.w, {}
        if w.arrays is not NUMPY:
            for v in dict.fromkeys(filter(w.is_host, self.loop.values.values())):
                arrays[v] = w.fresh()
                w.line(f"{arrays[v]} = {w.array(v)}")
        return arrays

    def _check_types(self) -> None:
        for name, value in self.loop.values.items():
            type_ = self.w.bind(value.type, "type_")
            self.w.line(f"{self.w.helper(check_type)}({name!r}, {self.w.named(value)}, {type_})")

    def _store(self, result: Result, store: str, value: str) -> None:
        w = self.w
        if result.kind == "part":
            with w.block(f"if {_is_kept(result, self.step)}:"):
                w.line(f"{store}.append({value})")
            return
        if result.kind == "last" or self.loop.stop is not None:
            w.line(f"{store}.append({value})")
            return
        if self.loop.state(result.record) is None:
            with w.block(f"if {store} is None:"):
                w.line(f"{store} = {self._empty(result, f'{value}.shape', f'{value}.dtype')}")
            if self.varying:
                shapes = f"{store}.shape[1:], {value}.shape"
                w.line(f"{self.w.helper(check_emit)}({result.record!r}, {shapes})")
        w.line(f"{store}[{self.step}] = {value}")

    def _advance(self, arrays: dict[Variable, str]) -> None:
        """Move every state on at once: one state's next value may be another's past one."""
        names, values = [], []
        for state in self.loop.states:
            names += self.past[state.name]
            values += [arrays.get(state.next) or self.w.value(state.next), *self.past[state.name][:-1]]
        if names:
            self.w.line(f"{', '.join(names)} = {', '.join(values)}")

    # ---- after the loop ----

    def _after(self) -> None:
        if self._counts_steps():
            self.w.line(f"{self.step} += 1")
        self._stop_clock()
        for result, output in zip(self.loop.results, self.node.outputs, strict=True):
            self.w.assign(output, self._result(result))

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
        is_buffer = result.kind == "history" and self.loop.stop is None
        if is_buffer and self.loop.state(result.record) is not None:
            return store
        empty = f"{self.w.helper(empty_rows)}({self.bound}, {result.record!r}, {w.function('empty')})"
        if is_buffer:
            return f"{store} if {store} is not None else {empty}"
        # numpy.stack takes several times as long as numpy.array, which CuPy has for nothing but host arrays.
        join = w.function("array" if w.arrays is NUMPY else "stack")
        rows = f"{self.w.helper(stack_rows)}({join}, {self.title}, {result.record!r}, {store})"
        return f"{rows} if {store} else {empty}"


def _is_kept(result: Result, step: str) -> str:
    """Return the condition for a step to write a row of a part of a history."""
    conditions = [f"{step} % {result.every} == {result.first % result.every}"] if result.every > 1 else []
    conditions += [f"{step} < {result.stop}"] if result.stop is not None else []
    conditions += [f"{step} >= {result.first}"] if result.first >= result.every else []
    return " and ".join(conditions)
