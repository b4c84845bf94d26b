"""The derivative of a loop, forwards: one loop that carries values and tangents together."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import replace

from gpuscan import tensor as gt
from gpuscan.autodiff.forward import carry
from gpuscan.graph import Apply, Variable
from gpuscan.loop import Emit, NonSequence, State, close_loop, open_loop
from gpuscan.loop.capture import capture
from gpuscan.loop.names import Names


def push_loop(node: Apply, tangents: SequenceOf[Variable | None]) -> list[Variable | None]:
    """Return the tangents of a loop's results for those of its node's inputs."""
    loop = open_loop(node)
    names = Names(loop.record_names)
    rest = iter(tangents[1:])  # the number of steps has none
    given: dict[Variable, Variable] = {}

    def fresh(read: Variable) -> Variable:
        given[read] = Variable(read.type, f"t_{read.name}")
        return given[read]

    sequences = [
        replace(s, name=names.unique(f"t_{s.name}"), source=t, reads={o: fresh(v) for o, v in s.reads.items()})
        for s in loop.sequences
        if (t := next(rest)) is not None
    ]
    inits = {s.name: next(rest) for s in loop.states}
    # A state may get a tangent from others, so each has one; those that stay zero cost what a state costs.
    # Not complex ones, but what moves them is looked for and refused.
    carried = [s for s in loop.states if s.next.dtype.startswith("float")]
    reads = {s.name: {lag: fresh(v) for lag, v in s.reads.items()} for s in carried}
    non_sequences = [
        NonSequence(names.unique(f"t_{n.name}"), t, fresh(n.read))
        for n in loop.non_sequences
        if (t := next(rest)) is not None
    ]
    values = [s.next for s in loop.states] + [e.value for e in loop.emits]
    found = dict(zip(values, carry(given, values), strict=True))

    def tangent_of(value: Variable) -> Variable:
        tangent = found[value]
        return gt.zeros_like(value) if tangent is None else tangent

    states = {}
    for s in carried:
        init = inits[s.name]
        init = gt.zeros_like(s.init) if init is None else init
        states[s.name] = State(names.unique(f"t_{s.name}"), init, reads[s.name], tangent_of(s.next))
    emits = {
        e.name: Emit(names.unique(f"t_{e.name}"), tangent_of(e.value)) for e in loop.emits if found[e.value] is not None
    }
    records = {name: s.name for name, s in states.items()} | {name: e.name for name, e in emits.items()}
    results = {r: replace(r, record=records[r.record]) for r in loop.results if r.record in records}
    both = replace(
        loop,
        sequences=(*loop.sequences, *sequences),
        states=(*loop.states, *states.values()),
        emits=(*loop.emits, *emits.values()),
        non_sequences=(*loop.non_sequences, *non_sequences),
        results=tuple(results.values()),
    )
    outputs = close_loop(capture(both, {}, names.unique, strict=False)).outputs
    tangent = dict(zip(results, outputs, strict=True))
    return [tangent.get(r) for r in loop.results]
