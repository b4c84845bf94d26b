"""Sums over time of values written at fixed positions are written there once, after the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpuscan.graph import Apply, Constant, Graph, Variable
from gpuscan.loop import Loop, Result, State, open_loop
from gpuscan.loop.fixed import Outside
from gpuscan.rewrite.bodies import change_loops, has_shape_of, names_of, readers_of, reopened, sizes_outside
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.tensor.convert import constant
from gpuscan.tensor.indexing import WriteIndex, index
from gpuscan.tensor.layout import expand_dims
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.shaping import BroadcastTo

MOST_WRITES = 32
"""Values of one total that become states: each is two arguments of a kernel, and registers."""


def write_after(graph: Graph) -> Graph | None:
    """Carry what a step adds to parts of an array as states of their own, and add them to the array after the loop.

    The gradient of ``w[0] + w[1] * x`` by w adds two numbers to two elements at each step. As two running sums they
    need no array, each of them may be a product or a sum over a batch that other passes and kernels know, and nothing
    is copied. Positions must be the same at all steps, and of the array only the last value may be read.
    """
    return change_loops(graph, _changed, write_after.__name__)


@dataclass(frozen=True)
class _Write:
    """A value that is added at positions of an array."""

    op: WriteIndex
    value: Variable
    slots: tuple[Variable, ...]
    sizes: list[Variable]  # of the value, outside of the loop


@dataclass(frozen=True)
class _Total:
    """A state that adds up `writes` and other terms."""

    state: State
    writes: list[_Write]
    rest: list[Variable]


def _changed(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    totals = {t.state.name: t for t in _totals(loop)}
    if not totals:
        return None
    names, outside = names_of(loop), Outside(loop)
    parts = {name: [_running_sum(w, names.unique(f"{name}_part")) for w in t.writes] for name, t in totals.items()}
    kept = {name: _without_writes(t) for name, t in totals.items() if t.rest}
    states = [kept.get(s.name, s) for s in loop.states if s.name not in totals or s.name in kept]
    results = [r for r in loop.results if r.record not in totals or r.record in kept]
    results += [Result("final", s.name) for several in parts.values() for s in several]
    states += [s for several in parts.values() for s in several]
    smaller = drop_records(replace(loop, states=tuple(states), results=tuple(results)))
    made = dict(zip(results, reopened(node, smaller).outputs, strict=True))

    def final(total: _Total) -> Variable:
        whole = made.get(Result("final", total.state.name), total.state.init)
        result = index(whole, 0)
        for write, part in zip(total.writes, parts[total.state.name], strict=True):
            result = write.op(result, index(made[Result("final", part.name)], 0), *map(outside.say, write.slots))
        return expand_dims(result, 0)

    return [final(totals[r.record]) if r.record in totals else made[r] for r in loop.results]


def _running_sum(write: _Write, name: str) -> State:
    value = write.value
    init = BroadcastTo()(constant(np.zeros((), value.dtype)), constant(np.int64(1)), *write.sizes)
    read = Variable(value.type, name)
    return State(name, init, {1: read}, read + value)


def _without_writes(total: _Total) -> State:
    value = total.state.reads[1]
    for term in total.rest:
        value = value + term
    return replace(total.state, next=value)


# ---- which states ----


def _totals(loop: Loop) -> list[_Total]:
    readers, outside = readers_of(loop.outputs, loop.reads), Outside(loop)
    found = []
    for state in loop.states:
        kinds = [r.kind for r in loop.results if r.record == state.name]
        is_total = set(state.reads) == {1} and kinds == ["final"] and kind(state.next.dtype) in "iufc"
        if is_total and state.next.dtype != "float16" and len(readers[state.reads[1]]) == 1:
            total = _taken_apart(loop, state, readers, outside)
            found += [total] if total is not None else []
    return found


def _taken_apart(
    loop: Loop, state: State, readers: dict[Variable, list[Apply | None]], outside: Outside
) -> _Total | None:
    """Return what a state adds up; None if nothing of it is written at fixed positions, or it is no sum."""
    read, writes, rest = state.reads[1], list[_Write](), list[Variable]()
    stack = [state.next]
    while stack:
        v = stack.pop()
        node = v.owner if v is not read and len(readers[v]) == 1 else None
        if node is not None and node.op == Pointwise("add") and all(x.dtype == state.next.dtype for x in node.inputs):
            stack.extend(node.inputs)
        elif node is not None and (write := _write(loop, state, node, outside)) is not None:
            stack.append(node.inputs[0])
            writes.append(write)
        elif not _is_zeros(v, outside):
            rest.append(v)
    if rest.count(read) != 1 or not 0 < len(writes) <= MOST_WRITES:
        return None
    rest.remove(read)
    return _Total(state, writes[::-1], rest[::-1])


def _write(loop: Loop, state: State, node: Apply, outside: Outside) -> _Write | None:
    """Return what a node adds to an array of the shape of a state; None if it does something else."""
    if not isinstance(node.op, WriteIndex) or not node.op.accumulate:
        return None
    whole, value, *slots = node.inputs
    if value.dtype != whole.dtype or not all(map(outside.is_fixed, slots)) or not has_shape_of(loop, state, whole):
        return None
    sizes = sizes_outside(loop, value)
    return None if sizes is None else _Write(node.op, value, tuple(slots), sizes)


def _is_zeros(v: Variable, outside: Outside) -> bool:
    if not outside.is_fixed(v):
        return False
    v = outside.say(v)
    if v.owner is not None and isinstance(v.owner.op, BroadcastTo):
        v = v.owner.inputs[0]
    return isinstance(v, Constant) and not v.data.any()
