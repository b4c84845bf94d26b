"""A state whose next value is a row of a sequence is that sequence, one step late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable, sorted_nodes
from gpuscan.loop import Loop, Result, State, open_loop, read_loop
from gpuscan.loop.fixed import VIEWS
from gpuscan.loop.records import Sequence as Rows
from gpuscan.rewrite.bodies import change_loops, has_enough_rows, keeps_its_shape, reopened, rows_read
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.tensor.indexing import index
from gpuscan.tensor.joining import join
from gpuscan.tensor.products import MatMul


def states_from_rows(graph: Graph) -> Graph | None:
    """Take the results of a state that only copies a sequence, and what products read of it, from that sequence.

    Its history is these rows, and its past values are the rows before them with the initial values in front: a
    sequence, of which `hoist_products` multiplies all rows at once. A state that only pointwise work reads stays: it is
    a register or a name, where the sequence with its initial values would be a copy.
    """
    return change_loops(graph, _changed, states_from_rows.__name__)


def _changed(node: Apply) -> Sequence[Variable] | None:
    if not _rows_taken(read_loop(node)):
        return None
    loop = open_loop(node)
    taken = _rows_taken(loop)
    leaving = {r for r in loop.results if r.record in taken}
    read = {s.name for s in loop.states if s.name in taken and _meets_product(loop, s)}
    if not leaving and not read:
        return None
    kept = tuple(r for r in loop.results if r not in leaving)
    if not kept and not has_enough_rows(loop):
        return None
    changed = replace(
        loop,
        states=tuple(s for s in loop.states if s.name not in read),
        sequences=(*loop.sequences, *(_late(s, taken[s.name]) for s in loop.states if s.name in read)),
        results=kept,
    )
    made = dict(zip(kept, reopened(node, drop_records(changed)).outputs, strict=True)) if kept else {}
    states = {s.name: s for s in loop.states}
    return [_result_from_rows(r, states[r.record], taken[r.record]) if r in leaving else made[r] for r in loop.results]


def _rows_taken(loop: Loop) -> dict[str, Variable]:
    """Return for each state that takes on the rows of a sequence these rows, in the order of the steps."""
    if loop.stop is not None or not loop.states:
        return {}
    reads = {read: (s, offset) for s in loop.sequences for offset, read in s.reads.items()}
    taken = {}
    for state in loop.states:
        kinds = {r.kind for r in loop.results if r.record == state.name}
        is_row = state.next in reads and state.init.type.shape[0] == state.depth and kinds <= {"history", "final"}
        if is_row and keeps_its_shape(loop, state):
            s, offset = reads[state.next]
            rows = rows_read(loop, s, offset)
            taken[state.name] = index(rows, slice(None, None, -1)) if s.reverse else rows
    return taken


def _meets_product(loop: Loop, state: State) -> bool:
    """Whether a product reads a past value of a state, or a part or another arrangement of it."""
    past = set(state.reads.values())
    for node in sorted_nodes(loop.outputs, loop.reads):
        if isinstance(node.op, VIEWS) and node.inputs[0] in past:
            past.update(node.outputs)
        elif isinstance(node.op, MatMul) and not past.isdisjoint(node.inputs):
            return True
    return False


def _late(state: State, rows: Variable) -> Rows:
    """Return a state's past values as a sequence."""
    reads = {state.depth - lag: read for lag, read in state.reads.items()}
    return Rows(state.name, join(0, state.init, rows), reads, margin=state.depth)


def _result_from_rows(result: Result, state: State, rows: Variable) -> Variable:
    """Return what a state hands out, of the rows that it takes on."""
    if result.kind == "history":
        return rows
    last = slice(-state.depth, None)
    return index(join(0, state.init, index(rows, last)), last)
