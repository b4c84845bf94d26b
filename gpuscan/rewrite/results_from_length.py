"""What a loop's results are by its number of steps alone: values that no step changes, and counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Loop, Result, Scan, State, open_loop, read_loop
from gpuscan.loop.fixed import Outside
from gpuscan.rewrite.bodies import change_loops, has_enough_rows, has_given_length, keeps_its_shape, reopened
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.rewrite.matching import either_way, operands
from gpuscan.tensor.convert import cast, constant
from gpuscan.tensor.creation import arange
from gpuscan.tensor.elementwise import minimum
from gpuscan.tensor.guards import assert_op
from gpuscan.tensor.indexing import index
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, dims

Formula = Callable[[Variable], Variable]
"""From the number of steps that ran to a result."""


def results_from_length(graph: Graph) -> Graph | None:
    """Compute results from the number of steps where they follow from it; a loop that has no others goes.

    An emit that is the same at every step is that value for each step, which takes no memory. An integer state to which
    every step adds the same is its initial value and a multiple of the number of steps.

    A loop stays if it has to say which of its sequences is too short. Where a loop goes that would have checked that
    `n_steps` is not negative, an assertion takes its place; inside a step, where an assertion has a price, it stays.
    """
    return change_loops(graph, lambda node: _changed(node, True), results_from_length.__name__, _inside)


def _inside(node: Apply) -> Sequence[Variable] | None:
    return _changed(node, False)


def _changed(node: Apply, may_assert: bool) -> Sequence[Variable] | None:
    if not _may_have_formula(node):
        return None
    loop = open_loop(node)
    formulas = _formulas(loop)
    kept = tuple(r for r in loop.results if r not in formulas)
    if not formulas:
        return None
    if loop.stop is not None and Result("steps") not in kept:
        kept = (*kept, Result("steps"))
    is_safe = _is_size(loop.length) or (may_assert and has_given_length(loop))
    if not kept and not (is_safe and has_enough_rows(loop)):
        return None
    made: dict[Result, Variable] = {}
    if kept:
        made = dict(zip(kept, reopened(node, drop_records(replace(loop, results=kept))).outputs, strict=True))
    steps = made[Result("steps")] if loop.stop is not None else loop.length if kept else _not_negative(loop)
    return [formulas[r](steps) if r in formulas else made[r] for r in loop.results]


def _may_have_formula(node: Apply) -> bool:
    """Whether some result of a loop is an emit, or a state that may be a counter."""
    assert isinstance(node.op, Scan)
    loop = read_loop(node)
    return any(r.record and ((s := loop.state(r.record)) is None or _added(s) is not None) for r in loop.results)


def _formulas(loop: Loop) -> dict[Result, Formula]:
    """Return the formulas of those results of a loop that follow from its number of steps."""
    outside = Outside(loop)
    formulas: dict[Result, Formula] = {}
    for result in loop.results:
        if result.kind in ("steps", "part"):
            continue
        state, value = loop.state(result.record), loop.value_of(result.record)
        if state is None and outside.is_fixed(value):
            formulas[result] = _repeated(result, outside.say(value))
        elif state is not None and (added := _added(state)) is not None and outside.is_fixed(added):
            if result.kind in ("final", "history") and keeps_its_shape(loop, state):
                formulas[result] = _counted(result, state, outside.say(added))
    return formulas


def _repeated(result: Result, value: Variable) -> Formula:
    """Return how a value is handed out that is the same after every step."""

    def rows(steps: Variable) -> Variable:
        count = minimum(steps, constant(np.int64(result.rows))) if result.kind == "last" else steps
        return BroadcastTo()(value, count, *dims(value))

    return rows


# ---- counters ----


def _added(state: State) -> Variable | None:
    """Return what every step adds to an integer state; None if it does something else with it."""
    if set(state.reads) != {1} or kind(state.next.dtype) not in "iu":
        return None
    for read, added in either_way(operands(state.next, "add")):
        if read is state.reads[1] and added.dtype == read.dtype:
            return added
    return None


def _counted(result: Result, state: State, added: Variable) -> Formula:
    """Return how a counter is handed out; integers that overflow do so alike in either form."""

    def final(steps: Variable) -> Variable:
        return index(state.init, slice(None, 1)) + cast(steps, added.dtype) * added

    def history(steps: Variable) -> Variable:
        count = cast(arange(steps) + 1, added.dtype)
        axes = DimShuffle((0, *[None] * (state.init.ndim - 1)))(count)
        return index(state.init, slice(None, 1)) + axes * added

    return final if result.kind == "final" else history


# ---- the number of steps ----


def _is_size(steps: Variable) -> bool:
    """Whether a number of steps cannot be negative: it is known, or the size of an array, or the least of some."""
    if steps.known is not None:
        return steps.known >= 0
    node = steps.owner
    if node is not None and node.op == Pointwise("minimum"):
        return all(map(_is_size, node.inputs))
    return node is not None and isinstance(node.op, Dim)


def _not_negative(loop: Loop) -> Variable:
    if _is_size(loop.length):
        return loop.length
    return assert_op(loop.length, loop.length >= 0, msg=f"{loop.title}: n_steps must not be negative")
