"""Stack what each step read of a state where that is what is read of its initial value and history joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Emit, Result, Scan, State, open_loop, read_loop
from gpuscan.rewrite.bodies import names_of, readers_of, reopened
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.indexing import Index, Range
from gpuscan.tensor.shaping import Join


def stack_past(graph: Graph) -> Graph | None:
    """Have a loop stack the values that its steps start from, where they alone are read: as backward loops do.

    ``join(0, initial, history)`` copies the history. Where other loops read its rows but for the last, or it is made of
    ``history[:-1]``, these rows are what each step of the loop read of its state, and nothing else is kept. Left as it
    is where the history is read for something else too: then there would be two stacks of it, as there are now.
    """
    readers = readers_of(graph.outputs, graph.parameters)
    joins = {node: source for node in graph.nodes if (source := _joined(node, readers)) is not None}
    if not joins:
        return None
    stacked: dict[Apply, list[int]] = {}
    for node, index in joins.values():
        stacked.setdefault(node, []).append(index)
    values = {node.outputs[0] for node in joins}
    shorter = {n for node in joins for n in readers[node.outputs[0]] if n is not None and _is_whole(node)}

    def change(node: Apply, original: Apply) -> Sequence[Variable] | None:
        if original in joins:
            rows = node.inputs[1]
            return [rows if _is_whole(original) or rows.owner is None else rows.owner.inputs[0]]
        if original not in shorter and original not in stacked:
            return None
        changed = _without_last(node, original, values) if original in shorter else node
        return (_with_past(changed, stacked[original]) if original in stacked else changed).outputs

    return rebuild(graph, change)


def _joined(node: Apply, readers: dict[Variable, list[Apply | None]]) -> tuple[Apply, int] | None:
    """Return the loop, and which of its results, whose past values a node joins, if they can be stacked instead."""
    if not isinstance(node.op, Join) or node.op.axis != 0 or len(node.inputs) != 2:
        return None
    init, rows = node.inputs
    is_whole = _is_whole(node)
    history = rows if is_whole or rows.owner is None else rows.owner.inputs[0]
    loop_node = history.owner
    if loop_node is None or not isinstance(loop_node.op, Scan):
        return None
    if len({*readers[history], *readers[rows]}) > (1 if is_whole else 2):
        return None  # something else reads it
    loop, result = read_loop(loop_node), loop_node.op.results[history.index]
    state = loop.state(result.record)
    if result.kind != "history" or state is None or set(state.reads) != {1} or not _is_one_row(state, init):
        return None
    if is_whole:
        fits = all(_reads_all_but_last(reader, node.outputs[0]) for reader in readers[node.outputs[0]])
    else:
        fits = loop.stop is None and bool(loop.length.known)  # of no step the initial value would still be there
    return (loop_node, history.index) if fits else None


def _is_whole(node: Apply) -> bool:
    """Whether what a node joins to an initial value is no ``history[:-1]``."""
    owner = node.inputs[1].owner
    if owner is None or not isinstance(owner.op, Index):
        return True
    return owner.op.pattern != (Range(None, -1), *[Range()] * (node.inputs[1].ndim - 1))


def _is_one_row(state: State, init: Variable) -> bool:
    return state.init is init and init.type.shape[0] == 1


def _reads_all_but_last(reader: Apply | None, rows: Variable) -> bool:
    """Whether a loop reads of `rows` for each step one row, and not the last of them."""
    if reader is None or not isinstance(reader.op, Scan):
        return False
    loop = read_loop(reader)
    reading = [s for s in loop.sequences if s.source is rows]
    others = [loop.length, *(s.init for s in loop.states), *(n.source for n in loop.non_sequences)]
    return all(s.margin == 1 and set(s.reads) <= {0} for s in reading) and all(v is not rows for v in others)


# ---- the loop, and those that read ----


def _with_past(node: Apply, indices: Sequence[int]) -> Apply:
    """Return a loop with stacks of past values in the place of some histories."""
    loop = open_loop(node)
    names, results, emits = names_of(loop), list(loop.results), list(loop.emits)
    for i in indices:
        state = loop.state(results[i].record)
        assert state is not None
        emits.append(Emit(names.unique(f"{state.name}_past"), state.reads[1]))
        results[i] = Result("history", emits[-1].name)
    return reopened(node, drop_records(replace(loop, emits=tuple(emits), results=tuple(results))))


def _without_last(node: Apply, original: Apply, values: set[Variable]) -> Apply:
    """Return a loop that read rows with one more after the last, now that it is not there."""
    assert isinstance(node.op, Scan)
    shorter = {s.name for s in read_loop(original).sequences if s.source in values}
    sequences = (replace(s, margin=0) if s.name in shorter else s for s in node.op.sequences)
    return Apply(replace(node.op, sequences=tuple(sequences)), node.inputs, node.where)
