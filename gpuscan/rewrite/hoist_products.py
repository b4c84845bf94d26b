"""Take products of rows with what does not change out of loops: one large product for all steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.errors import ShapeError
from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Loop, open_loop
from gpuscan.loop.fixed import VIEWS, Outside, is_sure
from gpuscan.loop.names import value_name
from gpuscan.loop.op import row_type
from gpuscan.loop.records import Sequence as Rows
from gpuscan.rewrite.bodies import change_loops, has_given_length, names_of, reopened, rows_read
from gpuscan.rewrite.drop_unread import drop_records
from gpuscan.rewrite.stacks import may_stack
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import SumTo
from gpuscan.vectorize import Batch


def hoist_products(graph: Graph) -> Graph | None:
    """Multiply all rows of a sequence at once, as the input projections ``x_t @ W`` of a recurrent net.

    What is computed from such a product, rows and what does not change goes with it, as ``x_t @ W + b``, if it has no
    more axes. Pointwise work alone stays in the step: outside it would be written to memory and read again.

    Left as they are: products that would take more than `MOST_BYTES` for all steps, whose sizes differ from step to
    step, or that one side of an `ifelse` alone reads; loops with a stop condition, as rows would be multiplied that no
    step reads; and work on several sequences where `n_steps` is given, as only the loop itself says well that one of
    them is too short.
    """
    return change_loops(graph, _hoisted, hoist_products.__name__)


def _hoisted(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    if loop.stop is not None:
        return None
    work = _RowWork(loop)
    leaving = work.leaving()
    if not leaving:
        return None
    names, outside, batch = names_of(loop), Outside(loop), Batch((loop.length,))
    added: dict[Variable, Rows] = {}
    for v in leaving:
        sequences = {read: (s, offset) for s in loop.sequences for offset, read in s.reads.items()}
        used = {read: rows_read(loop, *sequences[read]) for read in work.reads_of[v]}
        fixed = {f: outside.say(f) for f in work.fixed_of(v)}
        try:
            (source,) = batch.rebuild([v], {**fixed, **used})
        except ShapeError:  # a size that differs from step to step
            continue
        name = names.unique(value_name(v))
        reverse = sequences[next(iter(used))][0].reverse
        added[v] = Rows(name, source, {0: Variable(row_type(source), name)}, 0, reverse)
    if not added:
        return None
    moved = loop.replaced({v: s.reads[0] for v, s in added.items()})
    return reopened(node, drop_records(replace(moved, sequences=(*loop.sequences, *added.values())))).outputs


class _RowWork:
    """What a step computes from rows and from what does not change, and which of it is worth computing outside."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.outside = Outside(loop)
        self.reads_of: dict[Variable, frozenset[Variable]] = {
            read: frozenset([read]) for s in loop.sequences for read in s.reads.values()
        }
        self.reverse = {read: s.reverse for s in loop.sequences for read in s.reads.values()}
        self.worth: set[Variable] = set()
        for node in self.outside.nodes:
            self._visit(node)

    def _visit(self, node: Apply) -> None:
        rows = [v for v in node.inputs if v in self.reads_of]
        others = [v for v in node.inputs if v not in self.reads_of]
        if (
            not rows
            or self.outside.is_fixed(node.outputs[0])
            or not is_sure(node)
            or not all(map(self.outside.is_fixed, others))
        ):
            return
        reads = frozenset[Variable]().union(*(self.reads_of[v] for v in rows))
        if len(reads) > 1 and (has_given_length(self.loop) or len({self.reverse[v] for v in reads}) > 1):
            return
        (output,) = node.outputs
        self.reads_of[output] = reads
        if isinstance(node.op, MatMul):
            is_worth = len(others) == 1 and output.ndim >= rows[0].ndim
        else:
            carried = [v for v in rows if v in self.worth and v.ndim >= output.ndim]
            is_worth = isinstance(node.op, (Pointwise, Cast, SumTo, *VIEWS)) and bool(carried)
        if is_worth and may_stack(self.loop, output):
            self.worth.add(output)

    def leaving(self) -> list[Variable]:
        """Return the values to compute outside: the last ones in each chain that is worth it."""
        leaving: dict[Variable, None] = {}
        for node in self.outside.nodes:
            if node.outputs[0] not in self.worth:
                leaving.update(dict.fromkeys(map(self._without_views, node.inputs)))
        leaving.update(dict.fromkeys(map(self._without_views, self.loop.outputs)))
        return [v for v in leaving if v in self.worth and v.owner in self.outside.asked]

    def _without_views(self, v: Variable) -> Variable:
        while v in self.worth and v.owner is not None and isinstance(v.owner.op, VIEWS):
            v = v.owner.inputs[0]
        return v

    def fixed_of(self, v: Variable) -> list[Variable]:
        """Return the unchanging values that `v` is computed from."""
        found: dict[Variable, None] = {}
        stack = [v]
        while stack:
            current = stack.pop()
            if self.outside.is_fixed(current):
                found[current] = None
            elif current.owner is not None and current not in self.outside.wholes:
                stack.extend(current.owner.inputs)
        return list(found)
