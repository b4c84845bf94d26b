"""What passes share: rebuilding a graph node by node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from gpuscan.graph import Apply, Graph, Op, Variable


def rebuild(
    graph: Graph,
    replace_node: Callable[[Apply, Apply], Sequence[Variable] | None],
    only: Collection[type[Op]] | None = None,
) -> Graph:
    """Return `graph` with nodes replaced.

    Parameters
    ----------
    graph : Graph
        What to rebuild.
    replace_node : callable
        Gets each node, with its inputs replaced and as it was, inputs first; returns what to use in place of its
        outputs, or None to keep the node.
    only : collection of type, optional
        Classes of the ops whose nodes it gets; all by default.

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
        outputs = replace_node(current, node) if only is None or type(node.op) in only else None
        if outputs is None and current is node:
            continue
        for old, fresh in zip(node.outputs, current.outputs if outputs is None else outputs, strict=True):
            if fresh.owner is not None and fresh.owner not in own:  # others hold the names of what was there before
                fresh.name = fresh.name or old.name
            new[old] = fresh
    return Graph(graph.parameters, [new.get(v, v) for v in graph.outputs]) if new else graph
