"""The loops of a graph, and how to have all of them measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Nested, Variable
from gpuscan.loop import Scan
from gpuscan.rewrite import rebuild


def loops_of(graph: Graph) -> Iterator[Scan]:
    """Yield every loop of a graph, and those inside its nodes."""
    graphs = [graph]
    while graphs:
        for node in graphs.pop().nodes:
            if isinstance(node.op, Scan):
                yield node.op
            if isinstance(node.op, Nested):
                graphs.extend(node.op.graphs)


def profiled(graph: Graph) -> Graph:
    """Return the graph with every loop measured, those inside its nodes too."""

    def measure(node: Apply, _: Apply) -> tuple[Variable, ...] | None:
        if not isinstance(node.op, Nested):
            return None
        op = node.op.with_graphs([profiled(inner) for inner in node.op.graphs])
        if isinstance(op, Scan):
            op = replace(op, options=replace(op.options, profile=True))
        return Apply(op, node.inputs, node.where).outputs

    return rebuild(graph, measure)
