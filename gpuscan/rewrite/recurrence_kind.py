"""What backends can make of a loop's steps: all at once, by solving recurrences, or one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from gpuscan.graph import Apply, Variable, sorted_nodes
from gpuscan.loop import Loop, State
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle


class Kind(IntEnum):
    """How much is known of a loop's states before it runs; of two loops in one the larger counts."""

    NO_STATES = 0
    """No step waits for another."""
    SOLVED = 1
    """States are running sums, products and extremes, and linear recurrences of these operations."""
    COMPOSED = 2
    """The same with further operations, whose steps the team along time composes and NumPy does not solve."""
    STEPS = 3
    """A state's next value is another function of its last."""


_FOLDED = {
    **dict.fromkeys(("maximum", "minimum"), Kind.SOLVED),
    **dict.fromkeys(("logaddexp", "logical_and", "logical_or", "logical_xor"), Kind.COMPOSED),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), Kind.COMPOSED),
}
"""Associative operations: of the state and what does not depend on it."""

_HANDED_ON = (Cast, BroadcastTo, DimShuffle)


def kind_of(loop: Loop) -> Kind:
    """Return what can be made of the steps of a loop."""
    found, pending = Kind.NO_STATES, list(loop.states)
    while pending:
        kinds = {s.name: _kind(loop, s, pending) for s in pending}
        solved = [s for s in pending if kinds[s.name] < Kind.STEPS]
        if not solved:
            return Kind.STEPS
        found = max(found, *(kinds[s.name] for s in solved))
        pending = [s for s in pending if s not in solved]
    return found


def _kind(loop: Loop, state: State, pending: list[State]) -> Kind:
    """Return what a state is if all others but those of `pending` are known."""
    if state.depth > 1:
        return Kind.STEPS
    kinds: dict[Variable, Kind] = {v: Kind.STEPS for s in pending for v in s.reads.values()}
    kinds.update(dict.fromkeys(state.reads.values(), Kind.SOLVED))
    for node in sorted_nodes([state.next], loop.reads):
        if any(v in kinds for v in node.inputs):
            kinds.update(dict.fromkeys(node.outputs, _through(node, kinds, state)))
    return kinds.get(state.next, Kind.SOLVED)


def _through(node: Apply, kinds: Mapping[Variable, Kind], state: State) -> Kind:
    """Return what a value is that depends on a state, as a form of that."""
    op, found = node.op, [kinds.get(v) for v in node.inputs]
    kind = max(k for k in found if k is not None)
    if isinstance(op, _HANDED_ON) and found[0] is not None:
        return kind
    if not isinstance(op, Pointwise):
        return Kind.STEPS
    count = sum(k is not None for k in found)
    if op.row in _FOLDED:
        is_folded = count == 1 and node.outputs[0] is state.next and any(v is state.reads[1] for v in node.inputs)
        return max(kind, _FOLDED[op.row]) if is_folded else Kind.STEPS
    if op.row in ("add", "sub", "neg") or (op.row == "mul" and count == 1):
        return kind
    is_linear = found[1] is None if op.row == "true_div" else op.row == "switch" and found[0] is None
    return max(kind, Kind.COMPOSED) if is_linear else Kind.STEPS
