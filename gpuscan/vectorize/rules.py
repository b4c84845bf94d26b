"""How each op is done for a batch: one rule per op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gpuscan.control import GraphCall, IfElse, close_branches
from gpuscan.errors import LoopError
from gpuscan.graph import Apply, Constant, Graph, TensorType, Variable, leaves
from gpuscan.loop import Emit, Loop, NonSequence, Result, Scan, State, close_loop, open_loop
from gpuscan.loop.records import Sequence as Rows
from gpuscan.tensor.convert import constant
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.elementwise import floor_div, switch
from gpuscan.tensor.guards import Assert, Print, SpecifyShape
from gpuscan.tensor.indexing import At, Gather, Index, Item, Mask, Pattern, Range, WriteIndex, with_slots
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Repeat, Reshape, Stack, dim, dims
from gpuscan.tensor.sizes import product
from gpuscan.vectorize.batch import Batch, differs, is_batched, refuse_batched, vectorize_rule

Values = Sequence[Variable]

# ---- pointwise ----


@vectorize_rule(Pointwise)
def _pointwise(batch: Batch, op: Pointwise, node: Apply, inputs: Values) -> Values:
    ndim = max(v.ndim for v in node.inputs)
    return op.apply(*(batch.align(old, new, ndim) for old, new in zip(node.inputs, inputs, strict=True)))


@vectorize_rule(Cast)
def _cast(batch: Batch, op: Cast, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)


# ---- sizes and axes ----


@vectorize_rule(Dim)
def _dim(batch: Batch, op: Dim, node: Apply, inputs: Values) -> Values:
    return [dim(inputs[0], op.axis + batch.ndim)]


@vectorize_rule(Stack)
def _stack(batch: Batch, op: Stack, node: Apply, inputs: Values) -> Values:
    full = [batch.spread(old, new) for old, new in zip(node.inputs, inputs, strict=True)]
    return Join(batch.ndim).apply(*(DimShuffle((*batch.axes, None))(v) for v in full))


@vectorize_rule(Reshape)
def _reshape(batch: Batch, op: Reshape, node: Apply, inputs: Values) -> Values:
    x, *sizes = inputs
    refuse_batched(node, node.inputs[1:], sizes, "a size")
    known = [size.known for size in sizes]
    if -1 in known:  # said outright: beside a batch of size 0 it could be any number
        rest = known.index(-1)
        others = product([size for i, size in enumerate(sizes) if i != rest])
        whole = product(dims(x, batch.ndim))
        sizes[rest] = whole if others.known == 1 else floor_div(whole, others)
    return op.apply(x, *batch.sizes, *sizes)


@vectorize_rule(DimShuffle)
def _dimshuffle(batch: Batch, op: DimShuffle, node: Apply, inputs: Values) -> Values:
    return DimShuffle((*batch.axes, *(None if a is None else a + batch.ndim for a in op.order))).apply(inputs[0])


@vectorize_rule(BroadcastTo)
def _broadcast_to(batch: Batch, op: BroadcastTo, node: Apply, inputs: Values) -> Values:
    x, *sizes = inputs
    refuse_batched(node, node.inputs[1:], sizes, "a size")
    return op.apply(batch.align(node.inputs[0], x, len(sizes)), *batch.sizes, *sizes)


@vectorize_rule(Join)
def _join(batch: Batch, op: Join, node: Apply, inputs: Values) -> Values:
    parts = [batch.spread(old, new) for old, new in zip(node.inputs, inputs, strict=True)]
    return Join(op.axis + batch.ndim).apply(*parts)


@vectorize_rule(Repeat)
def _repeat(batch: Batch, op: Repeat, node: Apply, inputs: Values) -> Values:
    refuse_batched(node, node.inputs[1:], inputs[1:], "the counts")
    return Repeat(op.axis + batch.ndim).apply(*inputs)


# ---- creation, reductions, products ----


@vectorize_rule(Arange)
def _arange(batch: Batch, op: Arange, node: Apply, inputs: Values) -> Values:
    differs(node, "the length")


@vectorize_rule(Eye)
def _eye(batch: Batch, op: Eye, node: Apply, inputs: Values) -> Values:
    differs(node, "the size or the diagonal")


@vectorize_rule(Reduce)
def _reduce(batch: Batch, op: Reduce, node: Apply, inputs: Values) -> Values:
    return Reduce(op.kind, tuple(a + batch.ndim for a in op.axes)).apply(*inputs)


@vectorize_rule(MatMul)
def _matmul(batch: Batch, op: MatMul, node: Apply, inputs: Values) -> Values:
    (old_a, old_b), (a, b) = node.inputs, inputs
    if not is_batched(old_b, b) and b.ndim <= 2:
        return op.apply(a, b)  # rows of the batch are rows of one large matrix
    ndim = max(old_a.ndim, old_b.ndim, 2)
    whole = op(_matrices(batch, old_a, a, ndim, 0), _matrices(batch, old_b, b, ndim, 1))
    dropped = [whole.ndim - 2] * (old_a.ndim == 1) + [whole.ndim - 1] * (old_b.ndim == 1)
    return [_shuffled(whole, [axis for axis in range(whole.ndim) if axis not in dropped])]


def _matrices(batch: Batch, old: Variable, new: Variable, ndim: int, place: int) -> Variable:
    """Return an operand of a product as matrices, a vector as one row (`place` 0) or column (1), with its axes aligned.

    `ndim` is the rank that the operands have without the batch.
    """
    front = batch.axes if is_batched(old, new) else ()
    own: list[int | None] = [len(front) + axis for axis in range(old.ndim)]
    if old.ndim == 1:
        own.insert(place, None)
    return _shuffled(new, [*front, *[None] * (ndim - len(own) if front else 0), *own])


# ---- indexing ----


class _Part:
    """A part of an array at an index, in a batch: which index gives it, and in which order its axes then are.

    Axes are written as pairs: ``("batch", i)``, ``("kept", i)`` of slices and new axes, ``("found", i)`` of the shape
    that index arrays broadcast to.
    """

    def __init__(self, batch: Batch, pattern: Pattern, olds: Values, news: Values, x_is_batched: bool) -> None:
        self.batch = batch
        arrays = [(item, slots) for item, slots in with_slots(pattern, olds) if isinstance(item, Gather | Mask)]
        self.found = max((slots[0].ndim if isinstance(item, Gather) else 1 for item, slots in arrays), default=0)
        kept, place = _arrangement(pattern)
        self.wanted = self._axes(kept, place, [("found", i) for i in range(self.found)])
        if any(is_batched(a, b) for a, b in zip(olds, news, strict=True)):
            self._by_arrays(pattern, olds, news, x_is_batched)
            kept, place = _arrangement(self.pattern)
            block = [*self._own("batch", batch.ndim), *self._own("found", self.found)]
            self.raw = self._axes(kept, place, block)
        else:
            self.pattern: Pattern = (*[Range()] * batch.ndim, *pattern)
            self.slots = list(news)
            front, found = self._own("batch", batch.ndim), self._own("found", self.found)
            self.raw = [*front, *self.wanted]
            if place is None and found:  # index arrays apart from each other: what they find comes first of all
                self.raw = [*found, *front, *self._own("kept", kept)]
        self.result = [*self._own("batch", batch.ndim), *self.wanted]

    @staticmethod
    def _own(what: str, count: int) -> list[tuple[str, int]]:
        return [(what, i) for i in range(count)]

    def _axes(self, kept: int, place: int | None, block: list[tuple[str, int]]) -> list[tuple[str, int]]:
        axes = self._own("kept", kept)
        return [*axes[: place or 0], *block, *axes[place or 0 :]]

    def _by_arrays(self, pattern: Pattern, olds: Values, news: Values, x_is_batched: bool) -> None:
        """Have positions that differ along the batch as index arrays, and with them the batch axes of the array."""
        items: list[Item] = []
        self.slots = []
        if x_is_batched:
            for axis, size in enumerate(self.batch.sizes):
                order = [0 if axis == i else None for i in self.batch.axes]
                numbers = Arange("int64")(constant(np.int64(0)), size, constant(np.int64(1)))
                items.append(Gather(self.batch.ndim + self.found))
                self.slots.append(DimShuffle((*order, *[None] * self.found))(numbers))
        given = iter(news)
        for item, slots in with_slots(pattern, olds):
            fresh = [next(given) for _ in slots]
            if not any(is_batched(a, b) for a, b in zip(slots, fresh, strict=True)):
                items.append(item)
                self.slots += fresh
                continue
            items.append(Gather(self.batch.ndim + self.found))
            self.slots.append(self.batch.align(slots[0], fresh[0], self.found))
        self.pattern = tuple(items)

    def read(self, x: Variable) -> Variable:
        """Return the part of `x`, batch axes first."""
        part = Index(self.pattern)(x, *self.slots)
        return _shuffled(part, [self.raw.index(axis) for axis in self.result])

    def arrange(self, old: Variable, value: Variable) -> Variable:
        """Return a value to write, whose axes are those of the part, with its axes in the order of the index."""
        if self.raw == self.result:
            return self.batch.align(old, value, len(self.wanted))
        front = self.result if is_batched(old, value) else self.wanted
        full = self.batch.align(old, value, len(self.wanted))
        full = DimShuffle((*[None] * (len(front) - full.ndim), *range(full.ndim)))(full)
        return DimShuffle(tuple(front.index(axis) if axis in front else None for axis in self.raw))(full)


def _arrangement(pattern: Pattern) -> tuple[int, int | None]:
    """Return how many axes of a part are of slices, and before which of them the shape of index arrays comes.

    None stands for the front, where it comes if index arrays are apart from each other.
    """
    is_advanced = any(isinstance(item, Gather | Mask) for item in pattern)
    advanced = [i for i, item in enumerate(pattern) if isinstance(item, At | Gather | Mask)] if is_advanced else []
    kept = [i for i, item in enumerate(pattern) if not isinstance(item, At | Gather | Mask)]
    if not advanced or advanced[-1] - advanced[0] != len(advanced) - 1:
        return len(kept), None
    return len(kept), sum(i < advanced[0] for i in kept)


def _shuffled(x: Variable, order: Sequence[int | None]) -> Variable:
    return x if list(order) == list(range(x.ndim)) else DimShuffle(tuple(order))(x)


def _check_pattern(node: Apply, pattern: Pattern, olds: Values, news: Values) -> None:
    given = iter(news)
    for item, slots in with_slots(pattern, olds):
        fresh = [next(given) for _ in slots]
        if isinstance(item, Range | Mask):
            refuse_batched(node, slots, fresh, "a bound" if isinstance(item, Range) else "the mask")


@vectorize_rule(Index)
def _index(batch: Batch, op: Index, node: Apply, inputs: Values) -> Values:
    (old, *old_slots), (x, *slots) = node.inputs, inputs
    _check_pattern(node, op.pattern, old_slots, slots)
    return [_Part(batch, op.pattern, old_slots, slots, is_batched(old, x)).read(x)]


@vectorize_rule(WriteIndex)
def _write_index(batch: Batch, op: WriteIndex, node: Apply, inputs: Values) -> Values:
    (old, old_value, *old_slots), (x, value, *slots) = node.inputs, inputs
    _check_pattern(node, op.pattern, old_slots, slots)
    part = _Part(batch, op.pattern, old_slots, slots, True)
    whole = batch.spread(old, x)
    return WriteIndex(part.pattern, op.accumulate).apply(whole, part.arrange(old_value, value), *part.slots)


# ---- guards ----


@vectorize_rule(Assert)
def _assert(batch: Batch, op: Assert, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)  # it must hold for every element of the batch


@vectorize_rule(Print)
def _print(batch: Batch, op: Print, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)


@vectorize_rule(SpecifyShape)
def _specify_shape(batch: Batch, op: SpecifyShape, node: Apply, inputs: Values) -> Values:
    refuse_batched(node, node.inputs[1:], inputs[1:], "a size")
    return SpecifyShape(tuple(a + batch.ndim for a in op.axes)).apply(*inputs)


# ---- graphs inside ----


@vectorize_rule(IfElse)
def _ifelse(batch: Batch, op: IfElse, node: Apply, inputs: Values) -> Values:
    condition, *captured = inputs
    then, otherwise = (batch.rebuild(g.outputs, dict(zip(g.parameters, captured, strict=True))) for g in op.graphs)
    for i, old in enumerate(node.outputs):
        if condition.ndim or is_batched(old, then[i]) or is_batched(old, otherwise[i]):
            then[i], otherwise[i] = batch.spread(old, then[i]), batch.spread(old, otherwise[i])
    if condition.ndim:
        # Some elements of the batch want one side, some the other.
        chosen = (batch.align(node.inputs[0], condition, old.ndim) for old in node.outputs)
        return [switch(c, a, b) for c, a, b in zip(chosen, then, otherwise, strict=True)]
    return close_branches(condition, [*captured, *batch.sizes], then, otherwise, op.title, node.where).outputs


@vectorize_rule(GraphCall)
def _call(batch: Batch, op: GraphCall, node: Apply, inputs: Values) -> Values:
    outputs = batch.rebuild(op.graph.outputs, dict(zip(op.graph.parameters, inputs, strict=True)))
    given = list(dict.fromkeys(v for v in (*inputs, *batch.sizes) if not isinstance(v, Constant)))
    return Apply(GraphCall(Graph.close(given, outputs), op.inline, op.title), given, node.where).outputs


@vectorize_rule(Scan)
def _scan(batch: Batch, op: Scan, node: Apply, inputs: Values) -> Values:
    return _Loops(batch, node, inputs).results()


class _Loops:
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
