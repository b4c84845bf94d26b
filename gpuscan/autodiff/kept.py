"""Which values of a forward step the backward step reads from memory, and which it computes again.

A backward step has the rows of sequences and the past values of states at hand. From them it could compute everything
the forward step did. That is right for pointwise work, which costs less than the memory it would fill. Values behind
a product or any other op that is not in `CHEAP` are kept instead, one array of all steps each: those that the
derivative reads, and not what leads to them. A gate ``sigmoid(x @ W + h @ U + b)`` keeps the gate, since its
derivative needs nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gpuscan.graph import Apply, Variable, sorted_nodes
from gpuscan.loop import Scan
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
    forward: Sequence[Variable], reads: Collection[Variable], backward: Sequence[Variable]
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
    """
    own = set(sorted_nodes(forward, reads))
    dear: set[Variable] = set()
    for node in sorted_nodes(backward, reads):
        if node in own and (is_dear(node) or any(v in dear for v in node.inputs)):
            dear.update(node.outputs)
    # A size is had without the value, once the graph is rewritten.
    readers = [node for node in sorted_nodes(backward, reads) if node not in own and not isinstance(node.op, Dim)]
    used = [v for node in readers for v in node.inputs]
    return list(dict.fromkeys(v for v in (*used, *backward) if v in dear))
