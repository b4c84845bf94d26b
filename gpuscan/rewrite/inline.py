"""Put the graphs of `OpFromGraph` in the place of their calls."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.control import GraphCall
from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.rebuild import rebuild


def inline(graph: Graph) -> Graph | None:
    """Replace calls by what they call, unless they are to stay one node; a call inside a call follows."""
    inlined = graph
    while any(_is_call(node) for node in inlined.nodes):
        inlined = rebuild(inlined, _opened)
    return None if inlined is graph else inlined


def _is_call(node: Apply) -> bool:
    return isinstance(node.op, GraphCall) and node.op.inline


def _opened(node: Apply, _: Apply) -> Sequence[Variable] | None:
    if not isinstance(node.op, GraphCall) or not node.op.inline:
        return None
    return node.op.graph.call(node.inputs)
