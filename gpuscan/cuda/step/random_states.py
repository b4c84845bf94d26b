"""Random states: values that are one thing, not two elements, and the same for every lane."""

from __future__ import annotations

from collections.abc import Collection

from gpuscan.cuda.step.body import Body, InnerLoop, operands_of
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.indexing import Index
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.shaping import DimShuffle

HANDED_ON = (DimShuffle, Index, Barrier)
"""Ops that give a random state other axes, or take it out of the one row that a loop's start or end is."""


def random_states(opened: InnerLoop) -> set[Variable]:
    """Return the values inside a loop that are random states: what draws take and give, and are carried as."""
    found = {v for node in opened.body.walk() if isinstance(node.op, Draw) for v in (node.inputs[0], node.outputs[0])}
    before = -1
    while before != len(found):
        before = len(found)
        _in_loop(opened, found, outermost=True)
    return found


def _in_loop(opened: InnerLoop, found: set[Variable], *, outermost: bool) -> None:
    for state in opened.loop.states:
        _alike([state.next, *state.reads.values(), *([] if outermost else [state.init])], found)
    for n in opened.loop.non_sequences:
        _alike([n.read, *([] if outermost else [n.source])], found)
    _in_body(opened.body, found)


def _in_body(body: Body, found: set[Variable]) -> None:
    for node in body.nodes:
        if node in body.loops:
            inner = body.loops[node]
            _in_loop(inner, found, outermost=False)
            for result, output in zip(inner.loop.results, node.outputs, strict=True):
                if result.kind != "steps":
                    _alike([output, inner.loop.value_of(result.record)], found)
        elif node in body.branches:
            for side in body.branches[node]:
                _in_body(side, found)
                for inside, output in zip(side.outputs, node.outputs, strict=True):
                    _alike([inside, output], found)
        elif isinstance(node.op, HANDED_ON):
            _alike([node.inputs[0], node.outputs[0]], found)


def _alike(values: list[Variable], found: set[Variable]) -> None:
    if any(v in found for v in values):
        found.update(values)


def opens_state(node: Apply, states: Collection[Variable]) -> bool:
    """Whether a node computes with a random state other than by drawing."""
    if isinstance(node.op, HANDED_ON):
        return False
    operands = operands_of(node)[1:] if isinstance(node.op, Draw) else operands_of(node)
    return any(v in states for v in operands)
