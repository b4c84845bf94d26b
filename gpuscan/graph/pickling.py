"""How graphs are pickled and deep-copied: their nodes one after another, each after those it depends on.

A variable refers to the node that computes it and the node to its inputs, so that following references goes as deep as
the graph is long, deeper than Python's stack. Whoever is pickled first therefore writes down the list of all nodes it
depends on. When the turn of one of them comes all that it refers to is written already.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from gpuscan.graph.variable import Apply


class _Listed(threading.local):
    """The nodes that are in a list being written. Out of date it costs stack, not correctness."""

    def __init__(self) -> None:
        self.nodes: set[Apply] = set()


_listed = _Listed()


@final
class NodeList(list["Apply"]):
    """Nodes in order, each after those it depends on; pickled one by one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return NodeList, (), None, self._one_by_one()

    def _one_by_one(self) -> Iterator[Apply]:
        # Pickle and copy.deepcopy take an item only when they are done with an earlier one, or take them in batches and
        # then handle them in order.
        new = [node for node in self if node not in _listed.nodes]
        _listed.nodes.update(new)
        try:
            yield from list(self)
        finally:
            _listed.nodes.difference_update(new)


def reduce_node(node: Apply) -> tuple[Any, ...]:
    """Return what an `Apply` is pickled as: what it is made from, or if it is the first, all nodes up to it."""
    from gpuscan.graph.traversal import sorted_nodes  # which knows variables, as this does not

    if node in _listed.nodes or all(v.owner is None for v in node.inputs):
        return _node, (type(node), node.op, node.inputs, node.where, tuple(v.name for v in node.outputs))
    return _last, (NodeList(sorted_nodes(node.outputs)),)


def _last(nodes: Sequence[Apply]) -> Apply:
    return nodes[-1]


def _node(make: type[Apply], op: Any, inputs: Iterable[Any], where: Any, names: Iterable[str | None]) -> Apply:
    node = make(op, tuple(inputs), where)
    for output, name in zip(node.outputs, names, strict=True):
        output.name = name
    return node


def output_of(node: Apply, index: int) -> Any:
    """Return an output of a node: what a variable that it computes is pickled as."""
    return node.outputs[index]
