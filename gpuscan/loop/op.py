"""The closed form of a loop: an op whose body is a closed graph. Stored closed, worked on open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import final

from gpuscan.errors import LoopError, ShapeError
from gpuscan.graph import Apply, Graph, Nested, Shape, TensorType, Variable, merge_shapes, substitute
from gpuscan.loop.records import Emit, Loop, NonSequence, Options, Result, Sequence, State, loop_title


@dataclass(frozen=True)
class SequenceSpec:
    """What the closed form keeps of a `Sequence`."""

    name: str
    offsets: tuple[int, ...]
    margin: int
    reverse: bool


@dataclass(frozen=True)
class StateSpec:
    """What the closed form keeps of a `State`."""

    name: str
    lags: tuple[int, ...]


@final
@dataclass(frozen=True)
class Scan(Nested):
    """A loop. `close_loop` makes one, `open_loop` turns it back into records; nobody else knows its flat order."""

    body: Graph
    sequences: tuple[SequenceSpec, ...]
    states: tuple[StateSpec, ...]
    emits: tuple[str, ...]
    non_sequences: tuple[str, ...]
    stops: bool
    results: tuple[Result, ...]
    title: str | None
    options: Options = field(default=Options())

    @property
    def name(self) -> str:
        return loop_title(self.title)

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return (self.body,)

    def with_graphs(self, graphs: SequenceOf[Graph]) -> Scan:
        (body,) = graphs
        return replace(self, body=body)

    def infer(self, inputs: SequenceOf[Variable]) -> SequenceOf[TensorType]:
        loop = _view(self, inputs)
        if _is_better_known(loop):  # what an emit is follows from all that a step reads
            loop = _opened(self, inputs)
        return [result_type(loop, result) for result in loop.results]

    def sections(self) -> Iterator[tuple[str, list[Variable]]]:
        loop = _view(self, _placeholders(self))
        for s in loop.sequences:
            taps = ", ".join(f"+{offset}" if offset else "0" for offset in s.reads)
            yield f"sequence {s.name}, {'backwards, ' if s.reverse else ''}rows {taps}", list(s.reads.values())
        for state in loop.states:
            yield f"state {state.name}, lags {', '.join(map(str, state.reads))}, becomes", [state.next]
        for emit in loop.emits:
            yield f"emit {emit.name}", [emit.value]
        for n in loop.non_sequences:
            yield f"non-sequence {n.name}", [n.read]
        if loop.stop is not None:
            yield "stop after the step where", [loop.stop]
        yield f"results: {', '.join(map(str, loop.results)) or 'none'}", []


def _placeholders(op: Scan) -> tuple[Variable, ...]:
    """Return stand-ins for the inputs of a loop of which only the inside is looked at."""
    count = 1 + len(op.sequences) + len(op.states) + len(op.non_sequences)
    return tuple(Variable(TensorType("int64", ())) for _ in range(count))


# ---- the only two functions that know a flat order ----


def close_loop(loop: Loop) -> Apply:
    """Return the loop as a node; its outputs are the loop's results in their order.

    Raises
    ------
    LoopError
        If a state's dtype or rank or a known size changes through a step, or a name occurs twice.
    GraphError
        If something inside reads a value from outside that is no record's.
    """
    _check(loop)
    parameters = [v for s in loop.sequences for v in s.reads.values()]
    parameters += [v for s in loop.states for v in s.reads.values()]
    parameters += [n.read for n in loop.non_sequences]
    outputs = [s.next for s in loop.states] + [e.value for e in loop.emits]
    outputs += [loop.stop] if loop.stop is not None else []
    op = Scan(
        body=Graph.close(parameters, outputs),
        sequences=tuple(SequenceSpec(s.name, tuple(s.reads), s.margin, s.reverse) for s in loop.sequences),
        states=tuple(StateSpec(s.name, tuple(s.reads)) for s in loop.states),
        emits=tuple(e.name for e in loop.emits),
        non_sequences=tuple(n.name for n in loop.non_sequences),
        stops=loop.stop is not None,
        results=loop.results,
        title=loop.name,
        options=loop.options,
    )
    sources = [s.source for s in loop.sequences] + [s.init for s in loop.states]
    return Apply(op, [loop.length, *sources, *(n.source for n in loop.non_sequences)])


def open_loop(node: Apply) -> Loop:
    """Return the loop of a node as records over fresh inner variables.

    The inner variables take the types that the node's inputs have, which may be better known than when the body was
    built.
    """
    assert isinstance(node.op, Scan)
    return _opened(node.op, node.inputs)


def _opened(op: Scan, inputs: SequenceOf[Variable]) -> Loop:
    view = _view(op, inputs)
    fresh: dict[Variable, Variable] = {}
    for s in view.sequences:
        fresh.update({v: Variable(row_type(s.source), v.name) for v in s.reads.values()})
    for state in view.states:
        fresh.update({v: Variable(row_type(state.init), v.name) for v in state.reads.values()})
    for n in view.non_sequences:
        fresh[n.read] = Variable(n.source.type, n.read.name, known=n.source.known)
    inside = substitute(op.body.outputs, fresh)
    return _records(op, inputs, [fresh[v] for v in op.body.parameters], inside)


def _is_better_known(loop: Loop) -> bool:
    """Whether some size of an emit is unknown, and some size that a step reads known from outside only."""
    if not any(None in emit.value.type.shape for emit in loop.emits):
        return False
    pairs = [(row_type(s.source), v) for s in loop.sequences for v in s.reads.values()]
    pairs += [(row_type(state.init), v) for state in loop.states for v in state.reads.values()]
    pairs += [(n.source.type, n.read) for n in loop.non_sequences]
    return any(
        inside is None and outside is not None
        for type_, v in pairs
        for outside, inside in zip(type_.shape, v.type.shape, strict=True)
    )


def read_loop(node: Apply) -> Loop:
    """Return the loop of a node as records over the closed body's own variables: for reading, not for building on.

    Unlike `open_loop` it makes nothing. Inner types are as well known as when the body was built.
    """
    assert isinstance(node.op, Scan)
    return _view(node.op, node.inputs)


def bind_loop(node: Apply, shapes: SequenceOf[Shape], values: Mapping[int, int] | None = None) -> Loop:
    """Return the loop of a node for the shapes that its inputs have in a call, so that all its types are known.

    Parameters
    ----------
    node : Apply
        The loop.
    shapes : sequence of tuple
        The shape of each input after the length; None for a size that the types are not to depend on.
    values : mapping of int to int, optional
        The values of inputs, by their positions after the length, that the types are to depend on.

    Raises
    ------
    LoopError
        If an operation of the step cannot take these shapes, or a state's shape would change through a step.
    """
    length, *sources = node.inputs
    known = {i: v.known for i, v in enumerate(sources)} | dict(values or {})
    inputs = [
        Variable(TensorType(v.dtype, shape), v.name, known=known[i])
        for i, (v, shape) in enumerate(zip(sources, shapes, strict=True))
    ]
    assert isinstance(node.op, Scan)
    try:
        loop = open_loop(Apply(node.op, [Variable(length.type, length.name), *inputs], node.where))
        for state in loop.states:
            check_state(state)
    except (LoopError, ShapeError) as error:
        raise LoopError(f"{node.op.name}: {error}") from None
    return loop


def row_type(rows: Variable) -> TensorType:
    """Return the type of one row of a value whose first axis is time."""
    return TensorType(rows.dtype, rows.type.shape[1:])


def _view(op: Scan, inputs: SequenceOf[Variable]) -> Loop:
    """Return the loop as records over the closed body's own variables: for reading, not for building on."""
    return _records(op, inputs, op.body.parameters, op.body.outputs)


def _records(
    op: Scan, inputs: SequenceOf[Variable], parameters: SequenceOf[Variable], outputs: SequenceOf[Variable]
) -> Loop:
    length, *rest = inputs
    outside, inside, values = iter(rest), iter(parameters), iter(outputs)
    return Loop(
        sequences=tuple(
            Sequence(s.name, next(outside), {o: next(inside) for o in s.offsets}, s.margin, s.reverse)
            for s in op.sequences
        ),
        states=tuple(
            State(s.name, next(outside), {lag: next(inside) for lag in s.lags}, next(values)) for s in op.states
        ),
        emits=tuple(Emit(name, next(values)) for name in op.emits),
        non_sequences=tuple(NonSequence(name, next(outside), next(inside)) for name in op.non_sequences),
        length=length,
        stop=next(values) if op.stops else None,
        results=op.results,
        name=op.title,
        options=op.options,
    )


# ---- types ----


def result_type(loop: Loop, result: Result) -> TensorType:
    """Return the type of one of a loop's results."""
    if result.kind == "steps":
        return TensorType("int64", ())
    value = loop.value_of(result.record)
    shape = value.type.shape
    if (state := loop.state(result.record)) is not None:
        shape = merge_shapes([shape, state.init.type.shape[1:]])
        if result.kind == "final":
            return TensorType(value.dtype, (state.depth, *shape))
    return TensorType(value.dtype, (_rows(loop, result), *shape))


def _rows(loop: Loop, result: Result) -> int | None:
    if result.kind == "history" and result.rows:
        return result.rows
    steps = loop.length.known
    if steps is None:
        return None
    # With a condition, from one step to all of them run.
    count = result.count(steps if loop.stop is None else min(steps, 1))
    return count if count == result.count(steps) else None


def _check(loop: Loop) -> None:
    names = loop.record_names
    if repeated := {n for n in names if names.count(n) > 1}:
        raise LoopError(f"two records of a loop are named {sorted(repeated)[0]!r}")
    try:
        for state in loop.states:
            check_state(state)
    except LoopError as error:
        raise LoopError(f"{loop.title}: {error}") from None


def check_state(state: State) -> None:
    """Raise LoopError if a state cannot be carried: its type would change through a step."""
    entering, leaving = row_type(state.init), state.next.type
    where = f" (made at {state.next.owner.where})" if state.next.owner is not None else ""
    found = f"state {state.name!r} enters a step as {entering} but leaves it as {leaving}{where}"
    if entering.dtype != leaving.dtype:
        raise LoopError(
            f"{found}. Cast its initial value to {leaving.dtype}, as in cast(initial, {leaving.dtype!r}), or cast what "
            f"the step returns for it to {entering.dtype}."
        )
    try:
        merge_shapes([entering.shape, leaving.shape])
    except ShapeError as error:
        raise LoopError(
            f"{found}: {error}. A state keeps its shape; give it an initial value of the shape that the step returns."
        ) from None
