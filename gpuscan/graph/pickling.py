"""How graphs are pickled and deep-copied: their nodes one after another, each after those it depends on.

A variable refers to the node that computes it and the node to its inputs, so that following references goes as deep as
the graph is long, deeper than Python's stack. Whoever is pickled first therefore writes down the list of all nodes it
depends on. When the turn of one of them comes all that it refers to is written already.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final
from weakref import WeakSet

if TYPE_CHECKING:
    from gpuscan.graph.variable import Apply


class _Listed(threading.local):
    """The nodes that are in a list being written."""

    def __init__(self) -> None:
        # Weak, as a pickle that failed may leave some behind: they cost stack later, not correctness.
        self.nodes: WeakSet[Apply] = WeakSet()


_listed = _Listed()


@final
class NodeList(list["Apply"]):
    """Nodes in order, each after those it depends on; pickled one by one."""

    def __reduce__(self) -> tuple[Any, ...]:
        new = [node for node in self if node not in _listed.nodes]
        return NodeList, (), None, self._one_by_one(new), self._end(new)

    def _one_by_one(self, new: list[Apply]) -> Iterator[Apply]:
        _listed.nodes.update(new)
        try:
            yield from list(self)
        except GeneratorExit:  # one of them could not be pickled
            _listed.nodes.difference_update(new)
            raise

    def _end(self, new: list[Apply]) -> Iterator[tuple[Any, Any]]:
        """Yield nothing: as the items of a dictionary, what it does comes after the items of the list are written."""
        _listed.nodes.difference_update(new)
        yield from ()


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
