"""Drop states and emits that are something else: what never changes, and what another record holds already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpuscan.graph import Apply, Graph, Variable, substitute
from gpuscan.loop import Loop, NonSequence, Result, State, open_loop
from gpuscan.rewrite.bodies import change_loops, reopened
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.tensor.indexing import index
from gpuscan.tensor.shaping import BroadcastTo, dims


def simplify_states(graph: Graph) -> Graph | None:
    """Carry no state twice, and none that keeps its initial value; stack nothing that a state stacks.

    A state that never changes becomes a non-sequence, so that what is computed from it leaves the loop. Two states are
    one if they start from the same value and step alike, each reading the other's past as its own.
    """
    return change_loops(graph, _simplified, simplify_states.__name__)


def _simplified(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    same = _same_records(loop)
    constant = [s for s in loop.states if _never_changes(loop, s) and s.name not in same]
    if not same and not constant:
        return None
    named = {r: replace(r, record=same.get(r.record, r.record)) for r in loop.results}
    fixed = {s.name: s for s in constant}
    smaller = _without(loop, same, constant)
    results = [r for r in named.values() if r.record not in fixed]
    if loop.stop is not None and any(r.kind == "history" for r in loop.results):
        results.append(Result("steps"))
    smaller = drop_records(replace(smaller, results=tuple(dict.fromkeys(results))))
    made = dict(zip(smaller.results, reopened(node, smaller).outputs, strict=True))
    steps = made.get(Result("steps"), loop.length)
    return [made[r] if r in made else _constant(r, fixed[r.record], steps) for r in named.values()]


def _never_changes(loop: Loop, state: State) -> bool:
    kinds = {r.kind for r in loop.results if r.record == state.name}
    return state.depth == 1 and state.next is state.reads.get(1) and kinds <= {"history", "final"}


def _constant(result: Result, state: State, steps: Variable) -> Variable:
    """Return a result of a state that never changes."""
    if result.kind == "final":
        return index(state.init, slice(None, 1))
    return BroadcastTo()(index(state.init, 0), steps, *dims(state.init, 1))


def _without(loop: Loop, same: dict[str, str], constant: Sequence[State]) -> Loop:
    """Return the loop without records that are the same as others, and without constant states."""
    states = {s.name: s for s in loop.states}
    reads = {
        v: states[same[name]].reads[lag] for name, s in states.items() if name in same for lag, v in s.reads.items()
    }
    others = tuple(NonSequence(s.name, index(s.init, 0), s.reads[1]) for s in constant)
    loop = loop.replaced(reads)
    return replace(
        loop,
        states=tuple(s for s in loop.states if s.name not in same and s.name not in {c.name for c in constant}),
        emits=tuple(e for e in loop.emits if e.name not in same),
        non_sequences=(*loop.non_sequences, *others),
    )


def _same_records(loop: Loop) -> dict[str, str]:
    """Return for states and emits that hold what another one does the name of that."""
    same = _same_states(loop)
    stacked = {s.next: s.name for s in loop.states if s.name not in same}
    for emit in loop.emits:
        first = stacked.setdefault(emit.value, emit.name)
        if first != emit.name:
            same[emit.name] = first
    return same


def _same_states(loop: Loop) -> dict[str, str]:
    """Return for each state that equals an earlier one the name of that.

    All that start alike are taken to be equal, and classes of them split until all in a class step alike, if the past
    values of equal states are.
    """
    classes = _split([list(loop.states)], lambda s: (s.init, tuple(s.reads), s.next.type))
    while any(len(group) > 1 for group in classes):
        first = {v: group[0].reads[lag] for group in classes for s in group[1:] for lag, v in s.reads.items()}
        steps = dict(zip((s.name for s in loop.states), substitute([s.next for s in loop.states], first), strict=True))
        finer = _split(classes, lambda s, steps=steps: Graph(loop.reads, [steps[s.name]]).key)
        if len(finer) == len(classes):
            break
        classes = finer
    return {s.name: group[0].name for group in classes for s in group[1:]}


def _split(classes: Sequence[list[State]], key: Any) -> list[list[State]]:
    finer: list[list[State]] = []
    for group in classes:
        parts: dict[Any, list[State]] = {}
        for state in group:
            parts.setdefault(key(state) if len(group) > 1 else None, []).append(state)
        finer += parts.values()
    return finer
