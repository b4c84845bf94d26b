"""Sums over time of values written at positions of an array are written there after the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from gpuscan.graph import Apply, Graph, Variable, leaves
from gpuscan.loop import Emit, Loop, Result, State, open_loop
from gpuscan.loop.fixed import Outside
from gpuscan.rewrite.bodies import (
    change_loops,
    has_fixed_size,
    has_shape_of,
    may_be_total,
    names_of,
    readers_of,
    reopened,
    sizes_outside,
)
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.rewrite.matching import is_number
from gpuscan.rewrite.stacks import may_stack
from gpuscan.tensor.convert import constant
from gpuscan.tensor.indexing import At, Gather, Range, WriteIndex, index
from gpuscan.tensor.layout import expand_dims, shape_padleft
from gpuscan.tensor.pointwise import Pointwise
from gpuscan.tensor.shaping import BroadcastTo

MOST_WRITES = 32
"""Values of one total that become records: each is two arguments of a kernel, and registers."""


def write_after(graph: Graph) -> Graph | None:
    """Carry what a step adds to parts of an array as records of their own, and add them to the array after the loop.

    The gradient of ``w[0] + w[1] * x`` by w adds two numbers to two elements at each step. As two running sums they
    need no array, each of them may be a product or a sum over a batch that other passes and kernels know, and nothing
    is copied. The gradient of ``table[k]``, with rows k of a sequence, adds a row where each step says: these rows are
    stacked, as the positions are, and added all at once.

    Left as they are: arrays of which more than the last value is read; positions that a step computes from states;
    float16, which may not hold what is between.
    """
    return change_loops(graph, _changed, write_after.__name__)


def _changed(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    totals = {t.state.name: t for t in _Totals(loop).found()}
    if not totals:
        return None
    parts = [part for t in totals.values() for part in t.parts]
    states = [totals[s.name].without_parts() if s.name in totals else s for s in loop.states]
    leaving = {name for name, t in totals.items() if not t.rest}
    smaller = replace(
        loop,
        states=(*(s for s in states if s.name not in leaving), *(s for p in parts for s in p.states)),
        emits=(*loop.emits, *(e for p in parts for e in p.emits)),
        results=(*(r for r in loop.results if r.record not in leaving), *(r for p in parts for r in p.results)),
    )
    made = dict(zip(smaller.results, reopened(node, drop_records(smaller)).outputs, strict=True))
    return [totals[r.record].final(made) if r.record in totals else made[r] for r in loop.results]


# ---- what is added to an array ----


class _Part(ABC):
    """What one write of a step adds to an array: the records that carry it, and what becomes of them after the loop."""

    states: Sequence[State] = ()
    emits: Sequence[Emit] = ()

    @property
    def results(self) -> list[Result]:
        """What is asked for of the records."""
        return [Result("final", s.name) for s in self.states] + [Result("history", e.name) for e in self.emits]

    @abstractmethod
    def added_to(self, whole: Variable, made: Mapping[Result, Variable]) -> Variable:
        """Return an array with what all steps add to it."""


@final
class _Sum(_Part):
    """A value at positions that are the same at all steps: a running sum."""

    def __init__(self, name: str, write: _Write, slots: Sequence[Variable], sizes: Sequence[Variable]) -> None:
        start = BroadcastTo()(constant(np.zeros((), write.value.dtype)), constant(np.int64(1)), *sizes)
        read = Variable(write.value.type, name)
        self.op = write.op
        self.slots = slots
        self.states = [State(name, start, {1: read}, read + write.value)]

    def added_to(self, whole: Variable, made: Mapping[Result, Variable]) -> Variable:
        (result,) = self.results
        return self.op(whole, index(made[result], 0), *self.slots)


@final
class _Rows(_Part):
    """A value at positions along the first axis that rows say: both are stacked."""

    def __init__(self, names: Sequence[str], write: _Write) -> None:
        (positions,) = write.slots
        value = shape_padleft(write.value, write.whole.ndim - 1 + positions.ndim - write.value.ndim)
        self.op = replace(write.op, pattern=(Gather(positions.ndim + 1), *write.op.pattern[1:]))
        self.emits = [Emit(name, v) for name, v in zip(names, (value, positions), strict=True)]

    def added_to(self, whole: Variable, made: Mapping[Result, Variable]) -> Variable:
        value, positions = (made[r] for r in self.results)
        return self.op(whole, value, positions)


@dataclass(frozen=True)
class _Total:
    """A state that adds up `parts` and other terms."""

    state: State
    parts: Sequence[_Part]
    rest: Sequence[Variable]

    def without_parts(self) -> State:
        """Return the state with the other terms alone."""
        value = self.state.reads[1]
        for term in self.rest:
            value = value + term
        return replace(self.state, next=value)

    def final(self, made: Mapping[Result, Variable]) -> Variable:
        """Return the final value, with an axis in front."""
        result = index(made.get(Result("final", self.state.name), self.state.init), 0)
        for part in self.parts:
            result = part.added_to(result, made)
        return expand_dims(result, 0)


# ---- which states, and which writes ----


@dataclass(frozen=True)
class _Write:
    """A node that adds `value` to an array, at positions that `slots` fill in."""

    op: WriteIndex
    whole: Variable
    value: Variable
    slots: Sequence[Variable]


class _Totals:
    """Finds the states of a loop that add up, to parts of them too."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.names = names_of(loop)
        self.outside = Outside(loop)
        self.readers = readers_of(loop.outputs, loop.reads)
        self.carried = {v for s in loop.states for v in s.reads.values()}
        self.widest = max((v.ndim for s in loop.sequences for v in s.reads.values()), default=-1)

    def found(self) -> list[_Total]:
        """Return them."""
        totals = [self._total(s) for s in self.loop.states if may_be_total(self.loop, s, self.readers)]
        return [t for t in totals if t is not None]

    def _total(self, state: State) -> _Total | None:
        """Return what a state adds up; None if nothing of it is written to a part, or it is no sum."""
        read, parts, rest = state.reads[1], list[_Part](), list[Variable]()
        stack = [state.next]
        while stack and len(parts) <= MOST_WRITES:
            v = stack.pop()
            node = v.owner if v is not read and len(self.readers[v]) == 1 else None
            if node is not None and node.op == Pointwise("add") and all(x.dtype == v.dtype for x in node.inputs):
                stack.extend(node.inputs)
            elif node is not None and (part := self._part(state, node)) is not None:
                stack.append(node.inputs[0])
                parts.append(part)
            elif not self._is_zeros(state, v):
                rest.append(v)
        if rest.count(read) != 1 or not 0 < len(parts) <= MOST_WRITES:
            return None
        rest.remove(read)
        return _Total(state, parts[::-1], rest[::-1])

    def _part(self, state: State, node: Apply) -> _Part | None:
        """Return what a node adds to an array of the shape of a state; None if it does something else."""
        if not isinstance(node.op, WriteIndex) or not node.op.accumulate:
            return None
        whole, value, *slots = node.inputs
        if value.dtype != whole.dtype or not has_shape_of(self.loop, state, whole, self.outside):
            return None
        write = _Write(node.op, whole, value, slots)
        if not all(map(self.outside.is_fixed, slots)):
            return self._rows(state.name, write)
        sizes = sizes_outside(self.loop, value, self.outside)
        if sizes is None:
            return None
        return _Sum(self.names.unique(f"{state.name}_part"), write, [self.outside.say(v) for v in slots], sizes)

    def _rows(self, name: str, write: _Write) -> _Part | None:
        """Return a write to rows of an array that sequences name, if its values are no wider than rows of those."""
        first, *others = write.op.pattern
        if not isinstance(first, At | Gather) or len(write.slots) != 1 or any(item != Range() for item in others):
            return None
        (positions,) = write.slots
        rows_say = self.carried.isdisjoint(leaves([positions], self.loop.reads))
        if not rows_say or write.value.ndim > self.widest:
            return None
        stacked = (write.value, positions)
        if not all(has_fixed_size(self.loop, v, self.outside) and may_stack(self.loop, v) for v in stacked):
            return None
        return _Rows([self.names.unique(f"{name}_{what}") for what in ("rows", "positions")], write)

    def _is_zeros(self, state: State, v: Variable) -> bool:
        """Whether a term adds nothing, and checks no shape: a number, or an array that is certain to fit."""
        if not self.outside.is_fixed(v) or not is_number(self.outside.say(v), 0):
            return False
        return v.ndim == 0 or has_shape_of(self.loop, state, v, self.outside)
