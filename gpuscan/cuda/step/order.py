"""The order of a step's nodes: of those that can come next, one that continues the loop being written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpuscan.cuda.step.body import Body, operands_of
from gpuscan.cuda.step.resident import is_fixed
from gpuscan.graph import Apply, Variable, leaves
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.guards import SpecifyShape
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Reshape

if TYPE_CHECKING:
    from gpuscan.cuda.step.writer import Writer

Key = tuple[tuple[int, ...], int]

IN_PLACE = (BroadcastTo, DimShuffle, Reshape, SpecifyShape, Barrier, Arange, Eye)
"""Ops whose results are not computed: their elements are read where others are."""


def ordered(body: Body, w: Writer) -> Iterator[Apply]:
    """Yield the nodes of a body, each after those that it reads.

    Nodes that loop over the same elements are brought together: each time the elements change, a loop ends and, in a
    team of several threads, a barrier may be due.
    """
    position = {node: i for i, node in enumerate(body.nodes)}
    made = {v: node for node in body.nodes for v in node.outputs}
    users: dict[Apply, list[Apply]] = defaultdict(list)
    missing: Counter[Apply] = Counter()
    for node in body.nodes:
        for origin in {made[v] for v in _reads(body, node) if v in made}:
            users[origin].append(node)
            missing[node] += 1
    ready = [node for node in body.nodes if not missing[node]]
    current: Key | None = None
    while ready:
        node = min(ready, key=lambda n: (_rank(n, body, w, current), position[n]))
        ready.remove(node)
        key = _key(node, body, w)
        current = current if key is None or not key[0] else key
        yield node
        for user in users[node]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)


def _reads(body: Body, node: Apply) -> list[Variable]:
    """Return what a node reads; what stands inside it may read values of the outside by themselves."""
    reads = list(operands_of(node))
    for side in body.branches.get(node, ()):
        reads += leaves(side.outputs, node.inputs)
    return reads


def _rank(node: Apply, body: Body, w: Writer, current: Key | None) -> int:
    key = _key(node, body, w)
    if key is None or not key[0]:
        return 0
    return 1 if key == current else 2


def _key(node: Apply, body: Body, w: Writer) -> Key | None:
    """Return what a node loops over, None if nothing is computed."""
    if isinstance(node.op, IN_PLACE):
        return None
    if w.on_tensor_cores and is_fixed(node.outputs[0], w.loop):  # products computed together read their weights at once
        return None
    if node in body.loops or node in body.branches:
        return (-1,), 0
    space = w.space(node.outputs[-1])
    if isinstance(node.op, MatMul):
        return space, w.shape(node.inputs[0])[-1]
    if isinstance(node.op, Reduce | SumTo) and space:
        return space, -1
    return space, 0
