"""The derivative of a loop, backwards: a loop that runs the other way.

Write s[k] for a state after step k, and s[-1], s[-2], ... for its initial values. Step k computes s[k] from s[k -
lag], rows of sequences and non-sequences. Going from the last step to the first, ``owed[i]`` is what has come in so
far for s[k - i]. Step k then

- differentiates its body, with ``owed[0]`` and what came in for row k of the history as what comes in for s[k];
- hands on ``owed[i] <- owed[i + 1] + d(read at lag i + 1)``;
- adds what goes out for non-sequences, and for what is computed from them alone (`fixed_values`), to totals, and emits
  what goes out for rows of sequences.

After step 0, ``owed[i]`` is what came in for s[-1 - i], an initial value. All that the body reads is a sequence of
this loop: the forward loop's sequences, its histories and what came in, each read backwards. So it is an ordinary
loop, and is itself differentiated, rewritten and run like any other. Of a loop that stopped on a condition, the steps
that ran are undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace

import numpy as np

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import Cotangent, accumulate
from gpuscan.autodiff.fixed_values import FixedValues
from gpuscan.autodiff.kept import kept_values
from gpuscan.autodiff.reverse import collect
from gpuscan.autodiff.rules import has_derivative
from gpuscan.graph import Apply, Variable, leaves, substitute
from gpuscan.loop import Emit, Loop, Result, Sequence, State, close_loop, open_loop
from gpuscan.loop.capture import capture
from gpuscan.loop.names import Names, value_name
from gpuscan.loop.op import row_type
from gpuscan.loop.segments import in_parts, in_segments
from gpuscan.tensor.indexing import At
from gpuscan.tensor.shaping import dim, dims


def pull_loop(node: Apply, incoming: SequenceOf[Cotangent | None]) -> list[Variable | None]:
    """Return what goes out for the inputs of a loop's node, for what came in for its results."""
    loop = open_loop(node)
    if in_parts(loop):
        return _pull_segments(node, incoming)
    return _Backward(loop, _by_result(loop, incoming)).outgoing()


def _by_result(loop: Loop, incoming: SequenceOf[Cotangent | None]) -> dict[Result, Cotangent]:
    return {r: c for r, c in zip(loop.results, incoming, strict=True) if c is not None}


def _pull_segments(node: Apply, incoming: SequenceOf[Cotangent | None]) -> list[Variable | None]:
    """Return what goes out for a loop whose states are kept at the ends of segments alone.

    It is run again as a loop over its segments, of as many steps as it ran, and that is differentiated.
    """
    # By a stand-in for each input: one may be computed from another, or be the same, and what goes out for the one is
    # not to hold what goes out for the other.
    stand_ins = [Variable(v.type, v.name, known=v.known) for v in node.inputs]
    loop = open_loop(Apply(node.op, stand_ins, node.where))
    came = _by_result(loop, incoming)
    if loop.stop is not None:
        steps = close_loop(replace(loop, results=(Result("steps"),))).outputs[0]
        results = tuple(r for r in loop.results if r.kind != "steps")
        loop = replace(loop, stop=None, length=steps, results=results)
    finals = tuple(Result("final", s.name) for s in loop.states)
    outputs = in_segments(replace(loop, results=tuple(dict.fromkeys((*loop.results, *finals)))))
    given: dict[Variable, Variable] = {}
    for result, cotangent in came.items():
        if result.kind == "history" and loop.state(result.record) is not None:
            last = [p for p in cotangent.parts if _of_last_row(p.pattern)]
            rest = [p for p in cotangent.parts if not _of_last_row(p.pattern)]
            final = outputs[Result("final", result.record)]
            if last:
                accumulate(given, final, Cotangent(final, [], last).total())
            cotangent = Cotangent(cotangent.of, cotangent.whole, rest)
        if cotangent.whole or cotangent.parts:
            accumulate(given, outputs[result], cotangent.total())
    wrt = [v for v in stand_ins if has_derivative(v)]
    found = {v: g for v, g in zip(wrt, collect(given, wrt), strict=True) if g is not None}
    outgoing = substitute(found.values(), dict(zip(stand_ins, node.inputs, strict=True)))
    by_stand_in = dict(zip(found, outgoing, strict=True))
    return [by_stand_in.get(v) for v in stand_ins]


class _Backward:
    """The loop that runs the other way, in the making.

    Parameters
    ----------
    forward : Loop
        What is differentiated, over inner variables of its own: the backward body is built on them.
    came : mapping
        What came in for each of its results.
    """

    def __init__(self, forward: Loop, came: Mapping[Result, Cotangent]) -> None:
        self.forward = forward
        self.came = came
        self.results = _with_histories(forward)
        self.length = self.results[Result("steps")] if forward.stop is not None else forward.length
        truncated = forward.options.truncate_gradient
        # How many steps, the last ones, are undone.
        self.steps = self.length if truncated is None else gt.minimum(self.length, _int(truncated))
        self.names = Names(forward.record_names)
        self.sequences = [self._turned(s) for s in forward.sequences]
        self.fixed = FixedValues(forward)
        self.computed: dict[Variable, Variable] = {}  # what the forward step computed, read from a history instead

    def outgoing(self) -> list[Variable | None]:
        """Return what goes out for each input of the forward loop's node."""
        forward = self.forward
        for state in forward.states:
            self._read_past(state)
        owed = {s.name: self._owed(s) for s in forward.states if has_derivative(s.next)}
        found = self._differentiate(owed)
        handed = {s.name: _hand_on(s, owed[s.name], found) for s in forward.states if s.name in owed}
        totals = self._totals(found)
        rows = {
            v: self._row(s, g) for s in forward.sequences for v in s.reads.values() if (g := found.get(v)) is not None
        }
        results = self._close([s for group in handed.values() for s in group] + list(totals.values()), rows.values())

        def final(state: State) -> Variable:
            return results[Result("final", state.name)]

        stacked = {v: results[Result("history", emit.name)] for v, emit in rows.items()}
        fixed = self.fixed.pull({v: final(state)[0] for v, state in totals.items()})
        return [
            None,  # the number of steps
            *(self._whole(s, stacked) for s in forward.sequences),
            *(
                self._initial([final(s) for s in handed[state.name]]) if state.name in handed else None
                for state in forward.states
            ),
            *(fixed.get(n.name) for n in forward.non_sequences),
        ]

    # ---- what it reads ----

    def _turned(self, s: Sequence) -> Sequence:
        """Return a sequence of the forward loop read in the opposite order."""
        used = self.length + _int(s.margin)
        # Going up it used the first rows, going down the last ones.
        source = s.source[dim(s.source, 0) - used :] if s.reverse else s.source[:used]
        return replace(s, source=source, reverse=not s.reverse)

    def _read_past(self, state: State) -> None:
        """Read what the step knew of a state, and what it made of it, from initial values and history."""
        history = self.results[Result("history", state.name)]
        after = Variable(row_type(history), f"{state.name}_after")
        reads = {state.depth - lag: read for lag, read in state.reads.items()} | {state.depth: after}
        self.computed[state.next] = after
        self._add_sequence(f"{state.name}_past", gt.join(0, state.init, history), reads, state.depth)

    def _add_sequence(self, name: str, source: Variable, reads: Mapping[int, Variable], margin: int = 0) -> None:
        self.sequences.append(Sequence(self.names.unique(name), source, reads, margin, reverse=True))

    def _owed(self, state: State) -> list[State]:
        """Return a loop state for each past value that something may be owed to, the newest first."""
        first = self._owed_at_first(state)
        owed = []
        for i in range(state.depth):
            # One row, with its axis in front: the last for the newest value.
            init = first[state.depth - 1 - i : state.depth - i]
            name = self.names.unique(f"owed_{state.name}" if state.depth == 1 else f"owed_{state.name}_{i}")
            read = Variable(row_type(init), name)
            owed.append(State(name, init, {1: read}, read))
        return owed

    def _owed_at_first(self, state: State) -> Variable:
        """Return what came in for a state's final values, as many rows as its depth."""
        history = self.came.get(Result("history", state.name))
        parts = [p for p in history.parts if _of_last_row(p.pattern)] if history is not None else []
        final = self.came.get(Result("final", state.name))
        whole = [final.total()] if final is not None else []
        return Cotangent(state.init, whole, parts).total()

    # ---- one step ----

    def _differentiate(self, owed: Mapping[str, SequenceOf[State]]) -> dict[Variable, Variable]:
        """Return what goes out at a step for everything that the forward step read."""
        given: dict[Variable, Variable] = {}
        for state in self.forward.states:
            if state.name in owed:
                accumulate(given, state.next, owed[state.name][0].reads[1])
        for result, cotangent in self.came.items():
            if result.is_kept and (rows := self._rows(result, cotangent)) is not None:
                read = Variable(row_type(rows), f"d_{result.record}")
                self._add_sequence(f"d_{result.record}", rows, {0: read})
                accumulate(given, self.forward.value_of(result.record), read)
        # Where complex rows or non-sequences depend on what is differentiated by, that was refused outside.
        past = {v for s in self.forward.states for v in s.reads.values()}
        reads = [v for v in self.forward.reads if v.dtype.startswith("float") or (has_derivative(v) and v in past)]
        wrt = [*reads, *self.fixed.values]
        return {v: g for v, g in zip(wrt, collect(given, wrt, ends=self.fixed.values), strict=True) if g is not None}

    def _rows(self, result: Result, cotangent: Cotangent) -> Variable | None:
        """Return what came in for a history, or rows of one, as a row for each step; None for nothing."""
        if result.kind == "last":
            last = cotangent.total()
            missing = self.length - dim(last, 0)
            return gt.join(0, gt.zeros([missing, *dims(last, 1)], last.dtype), last)
        if result.kind == "part":
            rows = cotangent.total()
            nothing = gt.zeros([self.length, *dims(rows, 1)], rows.dtype)
            return gt.set_subtensor(nothing[result.part], rows)
        is_state = self.forward.state(result.record) is not None
        parts = [p for p in cotangent.parts if not (is_state and _of_last_row(p.pattern))]
        rest = Cotangent(cotangent.of, cotangent.whole, parts)
        return rest.total() if rest.whole or rest.parts else None

    def _totals(self, found: Mapping[Variable, Variable]) -> dict[Variable, State]:
        """Return running totals of what goes out for non-sequences and values made of them, by what the step reads."""
        sources = {n.read: (n.name, n.source) for n in self.forward.non_sequences}
        sources |= {v: (value_name(v), self.fixed.outside(v)) for v in self.fixed.values}
        return {v: self._total(*source, found[v]) for v, source in sources.items() if v in found}

    def _total(self, name: str, source: Variable, added: Variable) -> State:
        """Return a running total of what goes out for what is the same at every step."""
        name = self.names.unique(f"d_{name}")
        read = Variable(source.type, name)
        return State(name, gt.expand_dims(gt.zeros_like(source), 0), {1: read}, read + added)

    def _row(self, s: Sequence, outgoing: Variable) -> Emit:
        """Return what goes out for one row of a sequence, to be stacked."""
        return Emit(self.names.unique(f"d_{s.name}"), outgoing)

    def _close(self, states: SequenceOf[State], emits: Iterable[Emit]) -> dict[Result, Variable]:
        """Close the loop and return its results."""
        loop = Loop(
            sequences=tuple(self.sequences),
            states=tuple(states),
            emits=tuple(emits),
            non_sequences=self.forward.non_sequences,
            length=self.steps,
            results=(*(Result("final", s.name) for s in states), *(Result("history", e.name) for e in emits)),
            name=f"backward {self.forward.name or ''}".strip(),
        )
        loop = self._read_kept(loop.replaced(self.computed))
        loop = _only_read(capture(loop, {}, self.names.unique, strict=False))
        return dict(zip(loop.results, close_loop(loop).outputs, strict=True))

    def _read_kept(self, loop: Loop) -> Loop:
        """Return the backward loop with values that are dear to compute read from memory.

        The forward loop then stacks them. It becomes yet another node; see `_with_histories`.
        """
        forward = self.forward
        given = {*forward.reads, *(v for s in loop.sequences for v in s.reads.values())}
        kept = kept_values(forward.outputs, given, loop.outputs, {n.read for n in forward.non_sequences})
        if not kept:
            return loop
        emits = [Emit(self.names.unique(f"{v.owner.op.name if v.owner else 'value'}_kept"), v) for v in kept]
        more = replace(forward, emits=(*forward.emits, *emits))
        results = _with_histories(
            replace(more, results=(*forward.results, *(Result("history", e.name) for e in emits)))
        )
        moved = {old: results[result] for result, old in self.results.items()}
        sequences = [
            replace(s, source=source)
            for s, source in zip(loop.sequences, substitute([s.source for s in loop.sequences], moved), strict=True)
        ]
        reads = {}
        for emit in emits:
            rows = results[Result("history", emit.name)]
            reads[emit.value] = Variable(row_type(rows), emit.name)
            sequences.append(Sequence(emit.name, rows, {0: reads[emit.value]}, 0, reverse=True))
        states = [substitute([s.init], moved)[0] for s in loop.states]
        return replace(
            loop.replaced(reads),
            sequences=tuple(sequences),
            states=tuple(replace(s, init=init) for s, init in zip(loop.replaced(reads).states, states, strict=True)),
            length=substitute([loop.length], moved)[0],
        )

    # ---- what goes out ----

    def _initial(self, owed: SequenceOf[Variable]) -> Variable:
        """Return what goes out for a state's initial values, from what is owed to each, the newest first."""
        total = gt.concatenate(owed[::-1])
        return total if self.steps is self.length else gt.switch(gt.eq(self.steps, self.length), total, 0)

    def _whole(self, s: Sequence, stacked: Mapping[Variable, Variable]) -> Variable | None:
        """Return what goes out for a whole sequence; rows that no step read get zeros."""
        total: Variable | None = None
        for offset, read in s.reads.items():
            if read not in stacked:
                continue
            # The rows were emitted in the opposite order of the forward steps.
            ascending = stacked[read] if s.reverse else stacked[read][::-1]
            rows = dim(s.source, 0) - _int(s.margin)
            first = _int(offset) + (rows - self.length if s.reverse else self.length - self.steps)
            base = gt.zeros_like(s.source) if total is None else total
            total = gt.inc_subtensor(base[first : first + self.steps], ascending)
        return total


def _with_histories(loop: Loop) -> dict[Result, Variable]:
    """Return the results of `loop`, the history of every state among them, and the number of steps if it can stop.

    They are those of another node than the one differentiated. The two differ in what they hand out alone, and a
    rewrite makes one of them.
    """
    wanted = [*loop.results, *(Result("history", s.name) for s in loop.states)]
    wanted += [Result("steps")] if loop.stop is not None else []
    results = tuple(dict.fromkeys(wanted))
    return dict(zip(results, close_loop(replace(loop, results=results)).outputs, strict=True))


def _hand_on(state: State, owed: SequenceOf[State], found: Mapping[Variable, Variable]) -> list[State]:
    """Return the owed values with what a step makes of them."""
    handed = []
    for i, record in enumerate(owed):
        older = [owed[i + 1].reads[1]] if i + 1 < len(owed) else []
        added = [found[state.reads[i + 1]]] if state.reads.get(i + 1) in found else []
        terms = older + added or [gt.zeros_like(record.reads[1])]
        handed.append(replace(record, next=sum(terms[1:], terms[0])))
    return handed


def _of_last_row(pattern: SequenceOf[object]) -> bool:
    """Whether an index of a history reads the last row or a part of it."""
    return pattern[0] == At(-1)


def _only_read(loop: Loop) -> Loop:
    """Return `loop` without the sequences and non-sequences that its steps do not read.

    They are long enough by construction, and a history that is not read need not be kept.
    """
    read = set(leaves(loop.outputs))
    sequences = [replace(s, reads={o: v for o, v in s.reads.items() if v in read}) for s in loop.sequences]
    return replace(
        loop,
        sequences=tuple(s for s in sequences if s.reads),
        non_sequences=tuple(n for n in loop.non_sequences if n.read in read),
    )


def _int(value: int) -> Variable:
    return gt.constant(np.int64(value))
