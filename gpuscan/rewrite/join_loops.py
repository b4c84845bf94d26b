"""Two loops of the same number of steps, neither of which needs the other, become one: one launch, rows read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from gpuscan.graph import Apply, Graph, Variable, sorted_nodes, substitute
from gpuscan.loop import Loop, Options, Scan, close_loop, open_loop, read_loop
from gpuscan.loop.records import NonSequence
from gpuscan.loop.records import Sequence as Rows
from gpuscan.rewrite.bodies import has_enough_rows, identity_of_size, names_of, sizes_outside
from gpuscan.rewrite.recurrence_kind import kind_of
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, dim

MOST_OPS = 64
"""Operations of a joined step: of longer ones a thread reads no rows ahead (`cuda.strategies.MOST_AHEAD_OPS`), and has
few registers left for a second loop's."""

MOST_RECORDS = 8
"""Sequences and results of a joined loop: those of a tile share a block's memory with each other."""

ALIKE = (Pointwise, Cast, BroadcastTo, DimShuffle, Dim, Barrier)
"""Ops that mix no elements: every element of what a step computes can be a lane."""


def join_loops(graph: Graph) -> Graph | None:
    """Run loops together whose steps fit the same threads and can be computed in the same way.

    Two loops are joined if they run the same number of steps, and all of their states and emits have one shape and
    dtype and are computed from each other and from rows by pointwise work: one thread then carries an element of both,
    or all steps of both are computed at once, or both are recurrences that can be solved (`Kind`). Loops of different
    lanes or kinds are quicker apart, and so are those with products, whose weights fill a processor.

    Left as they are: loops that stop on a condition, draw or have an effect; that are profiled, run in segments or have
    a mode of their own; of which a sequence may be too short, as the message says whose it is.
    """
    joined = graph
    while (smaller := _with_two_joined(joined)) is not None:
        joined = smaller
    return None if joined is graph else joined


def _with_two_joined(graph: Graph) -> Graph | None:
    for one, other in _pairs(graph):
        if one in sorted_nodes(other.inputs) or other in sorted_nodes(one.inputs):
            continue
        if (made := _joined(one, other)) is not None:
            new = dict(zip((*one.outputs, *other.outputs), made.outputs, strict=True))
            for old, fresh in new.items():
                fresh.name = old.name
            return Graph(graph.parameters, substitute(graph.outputs, new))
    return None


def _pairs(graph: Graph) -> Iterator[tuple[Apply, Apply]]:
    """Yield loops that have in common all that joined ones must."""
    nodes = [node for node in graph.nodes if isinstance(node.op, Scan)]
    if len(nodes) < 2:
        return
    groups: dict[Any, list[Apply]] = {}
    for node in nodes:
        if (key := _key(node)) is not None:
            groups.setdefault(key, []).append(node)
    for group in groups.values():
        yield from combinations(group, 2)


def _key(node: Apply) -> Any:
    """Return what loops that can be joined have in common; None for one that is joined to no other."""
    op = node.op
    assert isinstance(op, Scan)
    options = replace(op.options, truncate_gradient=None)
    if op.stops or options != Options(keep_buffers=options.keep_buffers):
        return None
    if not op.results or not all(isinstance(n.op, ALIKE) for n in op.body.nodes):
        return None
    loop = read_loop(node)
    lanes = _lanes(loop) if has_enough_rows(loop) else None
    return None if lanes is None else (identity_of_size(loop.length), options, lanes, kind_of(loop))


def _lanes(loop: Loop) -> Any:
    """Return the dtype and sizes that all states and emits of a loop have; None if they differ or are not known."""
    found: set[Any] = set()
    for state in loop.states:
        found.add((state.next.dtype, *(identity_of_size(dim(state.init, a)) for a in range(1, state.init.ndim))))
    for emit in loop.emits:
        sizes = sizes_outside(loop, emit.value)
        found.add(None if sizes is None else (emit.value.dtype, *map(identity_of_size, sizes)))
    return found.pop() if len(found) == 1 else None


# ---- one loop of two ----


def _joined(one: Apply, other: Apply) -> Apply | None:
    """Return one loop whose results are those of the first and then those of the second; None if it is too large."""
    first, second = open_loop(one), open_loop(other)
    loop = _Joined(first, second).loop
    ops = sum(not isinstance(n.op, Dim) for n in sorted_nodes(loop.outputs, loop.reads))
    if ops > MOST_OPS or len(loop.sequences) + len(loop.results) > MOST_RECORDS:
        return None
    closed = close_loop(loop)
    return Apply(closed.op, closed.inputs, one.where)


class _Joined:
    """The records of two loops, equal sequences and non-sequences once."""

    def __init__(self, first: Loop, second: Loop) -> None:
        self.names = names_of(first)
        self.sequences = list(first.sequences)
        self.non_sequences = list(first.non_sequences)
        same: dict[Variable, Variable] = {}
        for s in second.sequences:
            same.update(self._add_rows(s))
        for n in second.non_sequences:
            same.update(self._add_fixed(n))
        second = second.replaced(same)
        named = {record: self.names.unique(record) for record in second.values}
        self.loop = replace(
            first,
            sequences=tuple(self.sequences),
            states=(*first.states, *(replace(s, name=named[s.name]) for s in second.states)),
            emits=(*first.emits, *(replace(e, name=named[e.name]) for e in second.emits)),
            non_sequences=tuple(self.non_sequences),
            results=(*first.results, *(replace(r, record=named.get(r.record, "")) for r in second.results)),
            name=_title(first, second),
        )

    def _add_rows(self, s: Rows) -> Mapping[Variable, Variable]:
        """Add a sequence, or its reads to one of the same rows; return what stands for its reads then."""
        for i, own in enumerate(self.sequences):
            if (own.source, own.margin, own.reverse) == (s.source, s.margin, s.reverse):
                reads = {**s.reads, **own.reads}
                self.sequences[i] = replace(own, reads=reads)
                return {read: reads[offset] for offset, read in s.reads.items()}
        self.sequences.append(replace(s, name=self.names.unique(s.name)))
        return {}

    def _add_fixed(self, n: NonSequence) -> Mapping[Variable, Variable]:
        for own in self.non_sequences:
            if own.source is n.source:
                return {n.read: own.read}
        self.non_sequences.append(replace(n, name=self.names.unique(n.name)))
        return {}


def _title(first: Loop, second: Loop) -> str | None:
    if first.name == second.name:
        return first.name
    return f"{first.name or 'scan'} and {second.name or 'scan'}"
