"""Loops over a batch: one loop still, in which some records have batch axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpuscan.errors import LoopError
from gpuscan.graph import Apply, TensorType, Variable, leaves
from gpuscan.loop import Emit, Loop, NonSequence, Result, State, close_loop, open_loop
from gpuscan.loop.records import Sequence as Rows
from gpuscan.tensor.shaping import DimShuffle
from gpuscan.vectorize.batch import Batch, is_batched

Values = Sequence[Variable]


class BatchedLoop:
    """One loop without and with the batch. Time stays the first axis outside; the batch axes follow it."""

    def __init__(self, batch: Batch, node: Apply, inputs: Values) -> None:
        self.batch = batch
        self.old = open_loop(node)
        length, *sources = inputs
        if length.ndim:
            raise LoopError(
                f"vectorize_graph: {self.old.title}: the number of steps would differ from one element of the batch to "
                "another; run the most steps, and keep the values of elements that are done with switch"
            )
        old = self.old
        names = [s.name for s in old.sequences] + [s.name for s in old.states] + [n.name for n in old.non_sequences]
        self.length = length
        self.given = dict(zip(names, zip(node.inputs[1:], sources, strict=True), strict=True))
        self.batched = {name for name, (before, now) in self.given.items() if is_batched(before, now)}
        # The sizes are read inside the loop as any other value of the outside.
        self.sizes = [
            NonSequence(_unlike(f"batch_size_{i}", names), size, Variable(size.type, f"batch_size_{i}"))
            for i, size in enumerate(batch.sizes)
            if size.known is None
        ]
        reads = {n.source: n.read for n in self.sizes}
        self.inside = Batch(tuple(reads.get(size, size) for size in batch.sizes))

    def results(self) -> Values:
        """Return what to use in place of the loop's results."""
        reads, values = self._step()
        loop = replace(
            self.old,
            sequences=tuple(self._sequence(s, reads) for s in self.old.sequences),
            states=tuple(self._state(s, reads, values) for s in self.old.states),
            emits=tuple(Emit(e.name, values[e.name]) for e in self.old.emits),
            non_sequences=tuple(self._non_sequence(n, reads) for n in self.old.non_sequences),
            length=self.length,
            stop=self._stop(reads),
        )
        used = set(leaves(loop.outputs, loop.reads))
        sizes = tuple(n for n in self.sizes if n.read in used)
        outputs = close_loop(replace(loop, non_sequences=(*loop.non_sequences, *sizes))).outputs
        return [self._result(r, v, loop) for r, v in zip(self.old.results, outputs, strict=True)]

    # ---- inside ----

    def _step(self) -> tuple[dict[Variable, Variable], dict[str, Variable]]:
        """Return what the step reads and computes, after finding the states that come to depend on the batch."""
        old = self.old.values
        while True:
            reads = self._reads()
            values = dict(zip(old, self.inside.rebuild(list(old.values()), reads), strict=True))
            states = {s.name for s in self.old.states if is_batched(old[s.name], values[s.name])}
            if states <= self.batched:
                return reads, values
            self.batched |= states

    def _reads(self) -> dict[Variable, Variable]:
        """Return for each inner variable the one to read in its place."""
        records = [(s.name, list(s.reads.values())) for s in self.old.sequences]
        records += [(s.name, list(s.reads.values())) for s in self.old.states]
        records += [(n.name, [n.read]) for n in self.old.non_sequences]
        return {v: self._read(v) if name in self.batched else v for name, reads in records for v in reads}

    def _read(self, old: Variable) -> Variable:
        return Variable(TensorType(old.dtype, (*self.batch.shape, *old.type.shape)), old.name)

    def _stop(self, reads: Mapping[Variable, Variable]) -> Variable | None:
        if self.old.stop is None:
            return None
        (stop,) = self.inside.rebuild([self.old.stop], reads)
        if stop.ndim:
            raise LoopError(
                f"vectorize_graph: {self.old.title}: elements of the batch would stop at different steps. Give until() "
                "a condition that is the same for all of them, or run a fixed number of steps and keep the values of "
                "elements that are done with switch"
            )
        return stop

    # ---- records ----

    def _sequence(self, s: Rows, reads: Mapping[Variable, Variable]) -> Rows:
        source = self._time_first(s.name)
        return replace(s, source=source, reads={offset: reads[v] for offset, v in s.reads.items()})

    def _state(self, s: State, reads: Mapping[Variable, Variable], values: Mapping[str, Variable]) -> State:
        new = values[s.name]
        if s.name in self.batched:
            new = self.inside.spread(s.next, new)
        return State(s.name, self._time_first(s.name), {lag: reads[v] for lag, v in s.reads.items()}, new)

    def _non_sequence(self, n: NonSequence, reads: Mapping[Variable, Variable]) -> NonSequence:
        return NonSequence(n.name, self.given[n.name][1], reads[n.read])

    def _time_first(self, name: str) -> Variable:
        """Return the source of a record with the batch axes, if it is to have them, after the first."""
        before, now = self.given[name]
        if name not in self.batched:
            return now
        now = self.batch.spread(before, now)
        time, *rest = self.batch.own(before)
        return DimShuffle((time, *self.batch.axes, *rest))(now)

    def _result(self, result: Result, value: Variable, loop: Loop) -> Variable:
        """Return a result with the batch axes in front of time."""
        if result.kind == "steps" or not is_batched(self.old.value_of(result.record), loop.value_of(result.record)):
            return value
        count = self.batch.ndim
        return DimShuffle((*range(1, count + 1), 0, *range(count + 1, value.ndim)))(value)


def _unlike(name: str, names: Sequence[str]) -> str:
    while name in names:
        name += "_"
    return name
