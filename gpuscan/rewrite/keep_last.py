"""Keep only those values of a loop that are read: ``history[-1]``, ``history[-3:]``, ``history[::5]``.

``history[-1]`` of a state after no step is its initial value, as its final value is; without this pass it would be an
index error. Programs that run a loop no times then get what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Op, Variable
from gpuscan.loop import Loop, Result, Scan, close_loop, open_loop, read_loop
from gpuscan.rewrite.bodies import readers_of
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.indexing import At, Bound, Index, Item, Range, Slot

MOST_PARTS = 4
"""How many parts of one history are kept apart: each is a result of its own, at which every step looks."""


def keep_last(graph: Graph) -> Graph | None:
    """Read the end of a history, or every few rows of it, or the first ones, from a result of the loop that is no more.

    ``history[-1]`` of a state becomes its final value, which costs nothing, whatever else is read; after no step that
    is the initial value. Other reads of the last k rows, and of rows from the start on at constant positions, stop the
    whole history from being kept, and are therefore changed only where nothing reads the rest of it. Loops whose
    gradient runs them in segments hand out whole histories.
    """
    wanted = _wanted(graph)
    ends: dict[tuple[Apply, Result], Variable] = {}

    def read_end(node: Apply, original: Apply) -> Sequence[Variable] | None:
        if original in wanted:
            source = original.inputs[0].owner
            assert source is not None
            return list(_reader(node, wanted[original]).apply(ends[source, wanted[original]], *node.inputs[1:]))
        added = {r for reader, r in wanted.items() if reader.inputs[0].owner is original}
        return _with_results(node, original, sorted(added, key=str), ends) if added else None

    return rebuild(graph, read_end) if wanted else None


def _with_results(
    node: Apply, original: Apply, added: Sequence[Result], ends: dict[tuple[Apply, Result], Variable]
) -> Sequence[Variable]:
    """Return the outputs of the loop of `node`, after noting in `ends` those for the results `added`."""
    loop = open_loop(node)
    results = loop.results + tuple(r for r in added if r not in loop.results)
    outputs = close_loop(replace(loop, results=results)).outputs
    ends.update({(original, result): output for result, output in zip(results, outputs, strict=True)})
    return outputs[: len(loop.results)]


def _wanted(graph: Graph) -> dict[Apply, Result]:
    """Return for each node that reads the end of a history the result that it can be read from instead."""
    readers = readers_of(graph.outputs, graph.parameters)
    wanted: dict[Apply, Result] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Scan):
            continue
        loop = read_loop(node)
        for result, history in zip(node.op.results, node.outputs, strict=True):
            if result.kind == "history":
                wanted.update(_ends_of(loop, result, history, readers.get(history, [])))
    return wanted


def _ends_of(loop: Loop, result: Result, history: Variable, readers: Sequence[Apply | None]) -> dict[Apply, Result]:
    rows = {node: _rows_from_end(node, history) for node in readers if node is not None}
    is_state = loop.state(result.record) is not None
    last_row = {
        node: Result("final", result.record) for node, count in rows.items() if is_state and _is_last(node, count)
    }
    others = {n: _rows_kept(n, history, result.record, count) for n, count in rows.items() if n not in last_row}
    if None in readers or None in others.values() or len(set(others.values())) > MOST_PARTS:
        return last_row
    if loop.options.checkpoint is not None and any(r is not None and r.kind == "part" for r in others.values()):
        return last_row
    return last_row | {node: kept for node, kept in others.items() if kept is not None}


def _rows_kept(node: Apply, history: Variable, record: str, from_end: int | None) -> Result | None:
    """Return the result that `node` can be computed from; None if it needs the whole of `history`."""
    if from_end is not None:
        return Result("last", record, from_end)
    if not isinstance(node.op, Index) or any(v is history for v in node.inputs[1:]):
        return None
    rows = _from_start(node.op.pattern[0])
    if rows is None:
        return None
    return Result("part", record, first=rows.start, stop=rows.stop, every=rows.step)


def _from_start(item: Item) -> slice | None:
    """Return the rows that an item of an index takes, if they are less than all and counted from the first one."""
    if isinstance(item, At):
        position = item.position
        return slice(position, position + 1, 1) if isinstance(position, int) and position >= 0 else None
    if not isinstance(item, Range):
        return None
    start, stop, step = item.bounds
    if isinstance(start, Slot) or isinstance(stop, Slot) or isinstance(step, Slot):
        return None
    rows = slice(start or 0, stop, step or 1)
    is_less = stop is not None or rows.step > 1
    return rows if is_less and min(rows.start, rows.step, stop or 0) >= 0 else None


def _reader(node: Apply, result: Result) -> Op:
    """Return what reads of a result what `node` reads of the history."""
    assert isinstance(node.op, Index)
    if result.kind != "part":
        return node.op
    first = At(0) if isinstance(node.op.pattern[0], At) else Range()
    return Index((first, *node.op.pattern[1:]))


def _is_last(node: Apply, count: int | None) -> bool:
    return count == 1 and isinstance(node.op, Index) and isinstance(node.op.pattern[0], At)


def _rows_from_end(node: Apply, history: Variable) -> int | None:
    """Return how many rows at the end of `history` decide what `node` reads; None if others do too."""
    if not isinstance(node.op, Index) or any(v is history for v in node.inputs[1:]):
        return None
    first = node.op.pattern[0]
    if isinstance(first, At):
        start: Bound = first.position
    elif isinstance(first, Range) and _goes_to_the_end(first):
        start = first.start
    else:
        return None
    return -start if isinstance(start, int) and start < 0 else None


def _goes_to_the_end(rows: Range) -> bool:
    """Whether a slice is the same of a whole and of the last part of it, if it starts in that part."""
    forward = rows.step is None or (isinstance(rows.step, int) and rows.step > 0)
    return forward and (rows.stop is None or (isinstance(rows.stop, int) and rows.stop < 0))
