"""What is the same at every step of a loop, and which work may run although no step asks for it."""

from __future__ import annotations

from typing import final

from gpuscan.control import IfElse
from gpuscan.graph import Apply, Constant, Nested, Variable, free_values, sorted_nodes, substitute
from gpuscan.loop.records import Loop
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.indexing import At, Index, Item, New, Range
from gpuscan.tensor.ordering import ArgSort, SearchSorted, Sort
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Reshape, Stack, dim

VIEWS = (BroadcastTo, DimShuffle, Index, Reshape)
"""Ops that hand on elements without computing: cheaper where they are read than as a value of their own."""

CHEAP = (Pointwise, Cast, Barrier, Dim, Stack, Arange, Eye, *VIEWS)
"""Ops that backends do in passing: in registers, or before their own loop. A step's work is more than these."""

SURE = (*CHEAP, MatMul, Reduce, SumTo, Join, Cumulate, Sort, ArgSort, SearchSorted)
"""Ops that cannot fail on values of the right shapes, an `Index` as far as `is_sure` tells. They may run although the
step that asked for them does not."""


def is_sure(node: Apply) -> bool:
    """Whether a node cannot fail, whatever the values are that it is given; shapes are checked before any step."""
    op = node.op
    if isinstance(op, Index):
        items = [item for item in op.pattern if not isinstance(item, New)]
        return all(map(_is_inside, items, node.inputs[0].type.shape))
    if isinstance(op, Reshape | BroadcastTo | SumTo):
        return all(map(_follows_from_sizes, node.inputs[1:]))
    return isinstance(op, SURE)


def _is_inside(item: Item, size: int | None) -> bool:
    """Whether an item of an index has something to read along an axis; known sizes are checked when a node is made."""
    return isinstance(item, Range) or (isinstance(item, At) and isinstance(item.position, int) and size is not None)


def _follows_from_sizes(size: Variable) -> bool:
    """Whether a value follows from sizes of other arrays alone."""
    sizes = [v for node in sorted_nodes([size]) if isinstance(node.op, Dim) for v in node.outputs]
    return not free_values([size], sizes)


def holds_draw(node: Apply) -> bool:
    """Whether a node, or one of a graph inside it, draws random numbers."""
    if isinstance(node.op, Draw):
        return True
    return isinstance(node.op, Nested) and any(holds_draw(n) for g in node.op.graphs for n in g.nodes)


def _asked(loop: Loop) -> set[Apply]:
    """Return the nodes that the outputs of a step are computed through, but for the sides of an `ifelse`."""
    asked: set[Apply] = set()
    stack = [v.owner for v in loop.outputs if v.owner is not None]
    while stack:
        node = stack.pop()
        if node not in asked:
            asked.add(node)
            read = node.inputs[:1] if isinstance(node.op, IfElse) else node.inputs
            stack.extend(v.owner for v in read if v.owner is not None)
    return asked


@final
class Outside:
    """Says values of the inside of a loop outside of it: those that are the same at every step, and safe to compute.

    These are non-sequences, constants, sizes of rows and of states, which no step changes, and what is computed from
    them alone by nodes that draw nothing, have no effect, and cannot fail. In a loop that is known to run a step they
    may: what no step asks for must not fail.

    Attributes
    ----------
    nodes : list of Apply
        The nodes of the step, in order.
    ahead : list of Apply
        Those whose values may be computed before the loop.
    asked : set of Apply
        Those that every step asks for: what one side of an `ifelse` alone reads may be there to be skipped.
    """

    def __init__(self, loop: Loop) -> None:
        self.sources = {n.read: n.source for n in loop.non_sequences}
        self.wholes = {v: s.source for s in loop.sequences for v in s.reads.values()}
        self.wholes |= {v: s.init for s in loop.states for v in s.reads.values()}
        self.nodes = sorted_nodes(loop.outputs, loop.reads)
        self.asked = _asked(loop)
        self.ahead: list[Apply] = []
        self._fixed = set(self.sources)
        certain = bool(loop.length.known)
        for node in self.nodes:
            same = self._is_size(node) or all(map(self.is_fixed, node.inputs))
            if same and not node.op.effect and not holds_draw(node) and (certain or is_sure(node)):
                self.ahead.append(node)
                self._fixed.update(node.outputs)

    def _is_size(self, node: Apply) -> bool:
        """Whether a node is a size of a row or of a state, which the whole of it tells outside."""
        return isinstance(node.op, Dim) and node.inputs[0] in self.wholes

    def is_fixed(self, v: Variable) -> bool:
        """Whether an inner value can be said outside."""
        return v in self._fixed or isinstance(v, Constant)

    def say(self, v: Variable) -> Variable:
        """Return a fixed value as one of the outside."""
        sizes: dict[Variable, Variable] = {}
        for node in sorted_nodes([v], self.sources):
            if self._is_size(node):
                assert isinstance(node.op, Dim)
                sizes[node.outputs[0]] = dim(self.wholes[node.inputs[0]], node.op.axis + 1)
        return substitute([v], {**self.sources, **sizes})[0]
