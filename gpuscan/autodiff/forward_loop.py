"""The derivative of a loop, forwards: one loop that carries values and tangents together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace

from gpuscan import tensor as gt
from gpuscan.autodiff.forward import carry
from gpuscan.graph import Apply, Variable
from gpuscan.loop import Emit, Loop, NonSequence, Result, Sequence, State, close_loop, open_loop
from gpuscan.loop.capture import capture
from gpuscan.loop.names import Names


def push_loop(node: Apply, tangents: SequenceOf[Variable | None]) -> list[Variable | None]:
    """Return the tangents of a loop's results for those of its node's inputs."""
    return _Forward(open_loop(node), tangents[1:]).outgoing()  # the number of steps has none


class _Forward:
    """The loop that carries tangents beside values, in the making.

    Parameters
    ----------
    loop : Loop
        What is differentiated.
    tangents : sequence of Variable or None
        Those of sequences, initial values and non-sequences, in this order; None for zero.
    """

    def __init__(self, loop: Loop, tangents: SequenceOf[Variable | None]) -> None:
        rest = iter(tangents)
        self.loop = loop
        self.names = Names(loop.record_names)
        self.given: dict[Variable, Variable] = {}  # inside: of what a step reads, the tangents
        self.sequences = [self._sequence(s, t) for s in loop.sequences if (t := next(rest)) is not None]
        self.inits = {s.name: next(rest) for s in loop.states}
        # A state may get a tangent from others, so each has one; those that stay zero cost what a state costs.
        # Not complex ones, but what moves them is looked for and refused.
        self.carried = [s for s in loop.states if s.next.dtype.startswith("float")]
        self.past = {s.name: {lag: self._fresh(v) for lag, v in s.reads.items()} for s in self.carried}
        self.non_sequences = [
            NonSequence(self._name(n.name), t, self._fresh(n.read))
            for n in loop.non_sequences
            if (t := next(rest)) is not None
        ]

    def _name(self, name: str) -> str:
        return self.names.unique(f"t_{name}")

    def _fresh(self, read: Variable) -> Variable:
        """Return the tangent of a value that a step reads."""
        self.given[read] = Variable(read.type, f"t_{read.name}")
        return self.given[read]

    def _sequence(self, s: Sequence, tangent: Variable) -> Sequence:
        reads = {offset: self._fresh(v) for offset, v in s.reads.items()}
        return replace(s, name=self._name(s.name), source=tangent, reads=reads)

    def outgoing(self) -> list[Variable | None]:
        """Return the tangent of each result, None for those without."""
        loop = self.loop
        values = [s.next for s in loop.states] + [e.value for e in loop.emits]
        tangents = dict(zip(values, carry(self.given, values), strict=True))
        states = {s.name: self._state(s, tangents) for s in self.carried}
        moved = [(e, t) for e in loop.emits if (t := tangents[e.value]) is not None]
        emits = {e.name: Emit(self._name(e.name), t) for e, t in moved}
        beside = {name: s.name for name, s in states.items()} | {name: e.name for name, e in emits.items()}
        results = {r: replace(r, record=beside[r.record]) for r in loop.results if r.record in beside}
        outputs = self._close(states.values(), emits.values(), results.values())
        return [outputs[results[r]] if r in results else None for r in loop.results]

    def _state(self, s: State, tangents: Mapping[Variable, Variable | None]) -> State:
        init, moved = self.inits[s.name], tangents[s.next]
        return State(
            self._name(s.name),
            gt.zeros_like(s.init) if init is None else init,
            self.past[s.name],
            gt.zeros_like(s.next) if moved is None else moved,
        )

    def _close(
        self, states: Iterable[State], emits: Iterable[Emit], results: Iterable[Result]
    ) -> dict[Result, Variable]:
        """Close the loop with these records beside its own, and return the results asked for."""
        both = replace(
            self.loop,
            sequences=(*self.loop.sequences, *self.sequences),
            states=(*self.loop.states, *states),
            emits=(*self.loop.emits, *emits),
            non_sequences=(*self.loop.non_sequences, *self.non_sequences),
            results=tuple(results),
        )
        closed = close_loop(capture(both, {}, self.names.unique, strict=False))
        return dict(zip(both.results, closed.outputs, strict=True))
