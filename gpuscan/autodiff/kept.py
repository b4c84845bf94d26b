"""Which values of a forward step the backward step reads from memory, and which it computes again.

A backward step has the rows of sequences and the past values of states at hand. From them it could compute everything
the forward step did. That is right for pointwise work, which costs less than the memory it would fill. Values behind
a product or any other op that is not in `CHEAP` are kept instead, one array of all steps each: those that the
derivative reads, and not what leads to them. A gate ``sigmoid(x @ W + h @ U + b)`` keeps the gate, since its
derivative needs nothing else. Values of another shape at each step are no array: they are computed again, whatever it
takes, from what is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gpuscan.graph import Apply, Variable, sorted_nodes
from gpuscan.loop import Scan
from gpuscan.loop.sizes import of_varying_shape
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.indexing import Index, WriteIndex
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Repeat, Reshape, Stack

CHEAP = (
    *(Pointwise, Cast, Barrier, Dim, DimShuffle, Reshape, BroadcastTo, Stack, Join, Repeat),
    *(Reduce, SumTo, Index, WriteIndex, Arange, Eye),
)
"""Ops whose work is at most one pass over what they read or write. Every other op is dear: products, draws, linear
algebra. A loop inside is dear too, but its own gradient replays it from its initial values, which is cheaper."""


def is_dear(node: Apply) -> bool:
    """Whether what a node computes is kept rather than computed again."""
    return not isinstance(node.op, CHEAP) and not isinstance(node.op, Scan)


def kept_values(
    forward: Sequence[Variable],
    reads: Collection[Variable],
    backward: Sequence[Variable],
    fixed: Collection[Variable] = (),
) -> list[Variable]:
    """Return the forward values that backward steps are to read from memory.

    Parameters
    ----------
    forward : sequence of Variable
        What the forward step computes.
    reads : collection of Variable
        What both steps have at hand.
    backward : sequence of Variable
        What the backward step computes, partly from values of the forward step.
    fixed : collection of Variable
        Those of `reads` that are the same at all steps.
    """
    nodes = sorted_nodes(forward, reads)
    own = set(nodes)
    dear: set[Variable] = set()
    for node in sorted_nodes(backward, reads):
        if node in own and (is_dear(node) or any(v in dear for v in node.inputs)):
            dear.update(node.outputs)
    # A size is had without the value, once the graph is rewritten.
    readers = [node for node in sorted_nodes(backward, reads) if node not in own and not isinstance(node.op, Dim)]
    used = dict.fromkeys(v for v in (*(v for node in readers for v in node.inputs), *backward) if v in dear)
    return _without(_computed_again(nodes, dear, set(reads).difference(fixed)), used, dear)


def _computed_again(nodes: Sequence[Apply], dear: Collection[Variable], rows: Collection[Variable]) -> set[Variable]:
    """Return what cannot be kept, as its shape varies, and all that is computed from it.

    A value that is kept beside one that is computed again might differ from it in a rounding, and a derivative that
    asks which elements equal their maximum would find none.
    """
    varying = of_varying_shape(nodes, rows)
    again: set[Variable] = set()
    for node in nodes:
        if any(v in again for v in node.inputs) or any(v in varying and v in dear for v in node.outputs):
            again.update(node.outputs)
    return again


def _without(again: Collection[Variable], used: Iterable[Variable], dear: Collection[Variable]) -> list[Variable]:
    """Return `used`, and in place of what is computed `again` the `dear` values from which that is computed."""
    found: dict[Variable, None] = {}
    seen: set[Variable] = set()
    stack = list(used)[::-1]
    while stack:
        v = stack.pop()
        if v not in again:
            found[v] = None
        elif v not in seen and v.owner is not None:
            seen.add(v)
            stack += [x for x in v.owner.inputs[::-1] if x in dear]
    return list(found)
