"""What passes over loops share: loops inside loops, the rows that steps read, and sizes said outside of the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gpuscan.graph import Apply, Graph, Variable, free_values, sorted_nodes, substitute
from gpuscan.loop import Loop, Scan, State, close_loop
from gpuscan.loop.fixed import Outside
from gpuscan.loop.names import Names
from gpuscan.loop.records import Sequence as Rows
from gpuscan.loop.sizes import has_computed_size
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.rewrite.sizes import identity, size_of
from gpuscan.tensor.convert import constant
from gpuscan.tensor.indexing import index
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.shaping import Dim, dim

# ---- loops inside loops ----


Change = Callable[[Apply], Sequence[Variable] | None]
"""From the node of a loop to what to use in place of its results; None to keep it."""


def change_loops(graph: Graph, change: Change, rewrite: str, inside: Change | None = None) -> Graph | None:
    """Return `graph` with loops changed, those inside a loop before it; None if nothing changed.

    What leaves an inner loop is then in the step of the loop around it, and may leave that too.

    Parameters
    ----------
    graph : Graph
        What to rewrite.
    change : callable
        What is done to a loop.
    rewrite : str
        The pass: a loop whose own mode leaves it out is left as it is.
    inside : callable, optional
        What is done to a loop inside a loop; the same by default.
    """

    def on_loop(node: Apply, change: Change) -> Sequence[Variable] | None:
        op = node.op
        if not isinstance(op, Scan) or (op.options.mode is not None and not op.options.mode.allows(rewrite)):
            return None
        body = rebuild(op.body, on_inner)
        current = node if body is op.body else Apply(op.with_graphs([body]), node.inputs, node.where)
        changed = change(current)
        return current.outputs if changed is None and current is not node else changed

    def on_inner(node: Apply, _: Apply) -> Sequence[Variable] | None:
        return on_loop(node, change if inside is None else inside)

    changed = rebuild(graph, lambda node, _: on_loop(node, change))
    return None if changed is graph else changed


def names_of(loop: Loop) -> Names:
    """Return the names of a loop's records, to name others unlike them."""
    return Names(loop.record_names)


def reopened(node: Apply, loop: Loop) -> Apply:
    """Return the changed `loop` of `node` as a node made where that was."""
    closed = close_loop(loop)
    return Apply(closed.op, closed.inputs, node.where)


def readers_of(outputs: Sequence[Variable], reads: Collection[Variable]) -> dict[Variable, list[Apply | None]]:
    """Return the nodes that read each value; None stands for being an output."""
    readers: dict[Variable, list[Apply | None]] = {}
    for node in sorted_nodes(outputs, reads):
        for v in node.inputs:
            readers.setdefault(v, []).append(node)
    for v in outputs:
        readers.setdefault(v, []).append(None)
    return readers


def may_be_total(loop: Loop, state: State, readers: Mapping[Variable, Sequence[Apply | None]]) -> bool:
    """Whether of a state nothing is asked for but its next value, from its last, and what that is in the end.

    Of a sum then only the terms matter. Not of float16, which may not hold what is between.
    """
    kinds = [r.kind for r in loop.results if r.record == state.name]
    is_read_once = set(state.reads) == {1} and len(readers.get(state.reads[1], ())) == 1
    is_number = kind(state.next.dtype) in "iufc" and state.next.dtype != "float16"
    return is_read_once and kinds == ["final"] and is_number


# ---- the rows that steps read ----


def has_given_length(loop: Loop) -> bool:
    """Whether there may be more steps than sequences have rows for, as something else than sizes decides it."""
    sizes = [v for node in sorted_nodes([loop.length]) if isinstance(node.op, Dim) for v in node.outputs]
    return loop.length.known is None and bool(free_values([loop.length], sizes))


def has_enough_rows(loop: Loop) -> bool:
    """Whether sequences are sure to have rows for all steps: their own sizes decide the number of steps."""
    terms, stack = [], [loop.length]
    while stack:
        v = stack.pop()
        if v.owner is not None and v.owner.op == Pointwise("minimum"):
            stack.extend(v.owner.inputs)
        else:
            terms.append(v)
    return all(any(_is_usable(s, term) for term in terms) for s in loop.sequences)


def _is_usable(s: Rows, steps: Variable) -> bool:
    """Whether a sequence has rows for at least so many steps."""
    rows, node = dim(s.source, 0), steps.owner
    if rows.known is not None and steps.known is not None:
        return rows.known - s.margin >= steps.known
    if node is not None and node.op == Pointwise("sub") and node.inputs[1].known == s.margin:
        return _has_rows(s, node.inputs[0])
    return s.margin == 0 and _has_rows(s, steps)


def rows_read(loop: Loop, s: Rows, offset: int) -> Variable:
    """Return the rows that the steps of `loop` read of a sequence at an offset, in the order they have in it."""
    rows, length = dim(s.source, 0), loop.length
    if s.margin == 0 and _has_rows(s, length):
        return s.source
    if s.reverse:
        first = rows - length - constant(np.int64(s.margin - offset))
        return index(s.source, slice(first, first + length))
    if not offset:
        return index(s.source, slice(None, length))
    return index(s.source, slice(constant(np.int64(offset)), constant(np.int64(offset)) + length))


def _has_rows(s: Rows, count: Variable) -> bool:
    """Whether a sequence is certain to have so many rows."""
    return _same_size(dim(s.source, 0), count) or _same_size(size_of(s.source, 0), count)


# ---- sizes ----


def sizes_outside(loop: Loop, value: Variable, outside: Outside | None = None) -> list[Variable] | None:
    """Return the sizes of a value of a step, said outside the loop; None if that needs the value.

    Who asks for many says what there is `outside`, as finding that takes a walk through the step.
    """
    outside = Outside(loop) if outside is None else outside
    said = [outside.say(size_of(value, axis)) for axis in range(value.ndim)]
    inner = set(loop.reads)
    return None if any(v in inner for v in free_values(said, ())) else said


def has_fixed_size(loop: Loop, value: Variable, outside: Outside) -> bool:
    """Whether a value of a step has the same shape at all steps: others cannot be stacked."""
    return sizes_outside(loop, value, outside) is not None or not has_computed_size([value])


def keeps_its_shape(loop: Loop, state: State) -> bool:
    """Whether the next value of a state is certain to have the shape of the one before."""
    return has_shape_of(loop, state, state.next)


def has_shape_of(loop: Loop, state: State, value: Variable, outside: Outside | None = None) -> bool:
    """Whether a value of a step is certain to have the shape of a state; `outside` as for `sizes_outside`."""
    own = [size_of(state.init, axis) for axis in range(1, state.init.ndim)]
    found = sizes_outside(loop, value, outside)
    return found is not None and [*map(identity_of_size, found)] == [*map(identity, own)]


def identity_of_size(size: Variable) -> Any:
    """Return what two sizes that are certain to be equal have in common, also of one that asks computed arrays."""
    answers: dict[Variable, Variable] = {}
    for node in sorted_nodes([size]):
        if isinstance(node.op, Dim):
            answer = size_of(node.inputs[0], node.op.axis)
            if not _same_size(answer, node.outputs[0]):
                answers[node.outputs[0]] = answer
    return identity(substitute([size], answers)[0])


def _same_size(a: Variable, b: Variable) -> bool:
    if a.known is not None or b.known is not None:
        return a.known == b.known
    of = [v.owner for v in (a, b)]
    return of[0] is not None and of[1] is not None and (of[0].op, of[0].inputs) == (of[1].op, of[1].inputs)
