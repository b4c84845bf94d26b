"""The loops of a graph, and how to have all of them measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Scan
from gpuscan.rewrite import rebuild


def loops_of(graph: Graph) -> Iterator[Scan]:
    """Yield every loop of a graph, and those inside loops."""
    graphs = [graph]
    while graphs:
        for node in graphs.pop().nodes:
            if isinstance(node.op, Scan):
                yield node.op
                graphs.append(node.op.body)


def profiled(graph: Graph) -> Graph:
    """Return the graph with every loop measured, those inside loops too."""

    def measure(node: Apply, _: Apply) -> tuple[Variable, ...] | None:
        if not isinstance(node.op, Scan):
            return None
        op = replace(node.op, body=profiled(node.op.body), options=replace(node.op.options, profile=True))
        return Apply(op, node.inputs, node.where).outputs

    return rebuild(graph, measure)
