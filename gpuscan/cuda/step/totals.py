"""Totals: states that only add up, whose terms are sums over lanes.

The gradient of a weight is one: each step adds to it a sum over the batch. A team that has some of the batch adds up
its own share, and the shares are added once, after the last step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gpuscan.cuda.step.body import InnerLoop, operands_of
from gpuscan.graph import Apply, Variable
from gpuscan.loop import State
from gpuscan.tensor.guards import SpecifyShape
from gpuscan.tensor.pointwise import Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Reshape

MOVES = (DimShuffle, Reshape, SpecifyShape, BroadcastTo)


@dataclass(frozen=True)
class Total:
    """A state that adds up sums.

    Attributes
    ----------
    state : str
        Its name.
    sums : tuple of Apply
        The nodes whose results are added, each a sum over an axis or a product.
    """

    state: str
    sums: tuple[Apply, ...]


def find_totals(opened: InnerLoop) -> tuple[Total, ...]:
    """Return the states of a loop that are read only to be added to, and kept only after the last step."""
    uses = Counter(v for node in opened.body.nodes for v in operands_of(node))
    uses.update(opened.loop.outputs)
    found = []
    for state in opened.loop.states:
        if set(state.reads) == {1} and _only_final(opened, state):
            sums = list(_terms(state.next, state.reads[1], uses))
            if sums and None not in sums and uses[state.reads[1]] == 1 and _is_added_to(state):
                found.append(Total(state.name, tuple(node for node in sums if node is not None)))
    return tuple(found)


def _only_final(opened: InnerLoop, state: State) -> bool:
    kinds = {(r.kind, r.rows) for r in opened.loop.results if r.record == state.name}
    return kinds <= {("final", 0), ("last", 1)} and bool(kinds)


def _is_added_to(state: State) -> bool:
    """Whether the value of a state is one of the terms of its next."""
    todo, total = [state.next], state.reads[1]
    while todo:
        v = todo.pop()
        if v is total:
            return True
        if v.owner is not None and _adds(v.owner, total):
            todo += v.owner.inputs
    return False


def _terms(value: Variable, total: Variable, uses: Counter[Variable]) -> Iterator[Apply | None]:
    """Yield the sums that `value` adds to `total`, and None for anything else that it is made of."""
    todo = [value]
    while todo:
        v = todo.pop()
        if v is total:
            continue
        node = v.owner
        if node is None or uses[v] != 1:
            yield None
        elif is_sum(node):
            yield node
        elif isinstance(node.op, (*MOVES, SumTo)) and total not in node.inputs:
            todo.append(node.inputs[0])
        elif _adds(node, total):
            todo += node.inputs
        else:
            yield None


def is_sum(node: Apply) -> bool:
    """Whether a node sums over an axis."""
    if isinstance(node.op, SumTo):
        return node.inputs[0].type.shape != node.outputs[0].type.shape
    return isinstance(node.op, MatMul) or (isinstance(node.op, Reduce) and node.op.kind == "sum")


def _adds(node: Apply, total: Variable) -> bool:
    if not isinstance(node.op, Pointwise):
        return False
    return node.op.row == "add" or (node.op.row in ("neg", "sub") and total not in node.inputs[-1:])
