"""What passes share: rebuilding a graph node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuscan.graph import Apply, Graph, Variable


def rebuild(graph: Graph, replace_node: Callable[[Apply, Apply], Sequence[Variable] | None]) -> Graph:
    """Return `graph` with nodes replaced.

    Parameters
    ----------
    graph : Graph
        What to rebuild.
    replace_node : callable
        Gets each node, with its inputs replaced and as it was, inputs first; returns what to use in place of its
        outputs, or None to keep the node.

    Returns
    -------
    Graph
        `graph` itself if every node was kept.
    """
    new: dict[Variable, Variable] = {}
    own = set(graph.nodes)
    for node in graph.nodes:
        current = node
        if new and any(v in new for v in node.inputs):
            current = node.with_inputs([new.get(v, v) for v in node.inputs])
        outputs = replace_node(current, node)
        if outputs is None and current is node:
            continue
        for old, fresh in zip(node.outputs, current.outputs if outputs is None else outputs, strict=True):
            if fresh.owner is not None and fresh.owner not in own:  # others hold the names of what was there before
                fresh.name = fresh.name or old.name
            new[old] = fresh
    return Graph(graph.parameters, [new.get(v, v) for v in graph.outputs]) if new else graph
