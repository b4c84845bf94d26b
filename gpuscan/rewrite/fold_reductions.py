"""Reduce over time while a loop runs: a running sum, maximum or minimum in place of a history that is only reduced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Loop, Result, Scan, State, close_loop, open_loop
from gpuscan.rewrite.bodies import names_of, readers_of, sizes_outside
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.convert import cast, constant
from gpuscan.tensor.elementwise import maximum, minimum
from gpuscan.tensor.indexing import index
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import BroadcastTo

FOLDS = {"sum": lambda total, value: total + value, "max": maximum, "min": minimum}


def fold_reductions(graph: Graph) -> Graph | None:
    """Carry the sum, maximum or minimum over all steps of a value, if that is all that is read of its history.

    Means are sums, divided after the loop. A reduction over further axes does those after the loop. The maximum of a
    loop that may run no step is taken of as many of its one final value as steps ran: of none it is the error that it
    was. Left as they are: histories that something else reads, as the product that a sum over time has become; and
    float16, whose sums a whole array keeps in more digits.
    """
    readers = readers_of(graph.outputs, graph.parameters)
    folds = {node: found for node in graph.nodes if isinstance(node.op, Scan) and (found := _folds(node, readers))}
    if not folds:
        return None
    reduced = {fold.reader: fold for found in folds.values() for fold in found}
    finals: dict[Apply, tuple[Variable, Variable]] = {}  # with the number of steps

    def fold(node: Apply, original: Apply) -> Sequence[Variable] | None:
        if original in reduced:
            return [reduced[original].rest(*finals[original])]
        if original not in folds:
            return None
        loop, outputs = open_loop(node), folds[original]
        names = names_of(loop)
        states = [f.state(loop, names.unique(f"{f.op.kind}_{f.record}")) for f in outputs]
        results = (*loop.results, *(Result("final", s.name) for s in states))
        results += () if loop.stop is None else (Result("steps"),)
        made = close_loop(replace(loop, states=(*loop.states, *states), results=results))
        new = Apply(made.op, made.inputs, node.where).outputs
        steps = loop.length if loop.stop is None else new[-1]
        finals.update({f.reader: (v, steps) for f, v in zip(outputs, new[len(loop.results) :], strict=False)})
        return new[: len(loop.results)]

    return rebuild(graph, fold)


@dataclass(frozen=True)
class _Fold:
    """A reduction that `reader` does to the history of a record."""

    reader: Apply
    op: Reduce
    record: str

    def state(self, loop: Loop, name: str) -> State:
        """Return the state that carries it."""
        value = loop.value_of(self.record)
        dtype = self.reader.outputs[0].dtype
        sizes = sizes_outside(loop, value)
        assert sizes is not None
        start = BroadcastTo()(constant(_identity(self.op.kind, dtype)), constant(np.int64(1)), *sizes)
        read = Variable(value.type.with_dtype(dtype), name)
        return State(name, start, {1: read}, FOLDS[self.op.kind](read, cast(value, dtype)))

    def rest(self, final: Variable, steps: Variable) -> Variable:
        """Return the reduction from the state's final value: over the axes that are not time."""
        if self.op.kind != "sum" and not steps.known:
            return self.op(index(final, slice(None, steps)))
        axes = tuple(a - 1 for a in self.op.axes if a)
        whole = index(final, 0)
        return Reduce(self.op.kind, axes)(whole) if axes else whole


def _identity(which: str, dtype: str) -> np.ndarray:
    """Return what a reduction starts from."""
    if which == "sum":
        return np.zeros((), dtype)
    largest = np.inf if kind(dtype) == "f" else np.iinfo(dtype).max
    smallest = -np.inf if kind(dtype) == "f" else np.iinfo(dtype).min
    return np.asarray(smallest if which == "max" else largest, dtype)


def _folds(node: Apply, readers: dict[Variable, list[Apply | None]]) -> list[_Fold]:
    loop = open_loop(node)
    found = []
    for result, history in zip(loop.results, node.outputs, strict=True):
        reading = readers.get(history, [])
        reduces = [r for r in dict.fromkeys(reading) if r is not None and _is_over_time(r)]
        if result.kind == "history" and reading and len(reduces) == len(set(reading)):
            is_sized = sizes_outside(loop, loop.value_of(result.record)) is not None
            found += [_Fold(r, r.op, result.record) for r in reduces if isinstance(r.op, Reduce)] if is_sized else []
    return found


def _is_over_time(node: Apply) -> bool:
    op, value = node.op, node.inputs[0]
    if not isinstance(op, Reduce) or 0 not in op.axes or op.kind not in FOLDS or value.dtype == "float16":
        return False
    return op.kind == "sum" or kind(value.dtype) in "iuf"
