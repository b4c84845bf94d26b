"""Move what only one side of an `ifelse` reads into that side, so that it is computed only where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuscan.control import IfElse, close_branches, open_branches
from gpuscan.graph import Apply, Graph, Variable, leaves, sorted_nodes

Side = tuple[Apply, int]
"""A node of an `ifelse`, and 0 for what it computes if the condition holds or 1 for what it computes if not."""


def lazy_branches(graph: Graph) -> Graph | None:
    """Compute what one side alone needs inside that side; a side inside a side is filled when the pass comes to it."""
    if not any(isinstance(node.op, IfElse) for node in graph.nodes):
        return None
    home = _homes(graph)
    if not home:
        return None
    new: dict[Variable, Variable] = {}
    for node in graph.nodes:
        if node in home:
            continue
        filled = _filled(node, home) if any(n is node for n, _ in home.values()) else node
        inputs = [new.get(v, v) for v in filled.inputs]
        if filled is node and all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            continue
        for old, fresh in zip(node.outputs, filled.with_inputs(inputs).outputs, strict=True):
            fresh.name = old.name
            new[old] = fresh
    return Graph(graph.parameters, [new.get(v, v) for v in graph.outputs])


def _homes(graph: Graph) -> dict[Apply, Side]:
    """Return for each node that one side alone needs the outermost such side."""
    places: dict[Variable, set[Side | None]] = {v: {None} for v in graph.outputs}
    home: dict[Apply, Side] = {}
    for node in reversed(graph.nodes):
        wanted = {place for v in node.outputs for place in places.get(v, ())}
        if len(wanted) == 1 and (side := next(iter(wanted))) is not None:
            home[node] = side
        for v, place in _reads(node):
            places.setdefault(v, set()).add(home.get(node, place))
    return home


def _reads(node: Apply) -> Iterator[tuple[Variable, Side | None]]:
    """Yield each input of a node with the side that reads it; None: it is always read."""
    if not isinstance(node.op, IfElse):
        yield from ((v, None) for v in node.inputs)
        return
    condition, *captured = node.inputs
    yield condition, None
    for side, graph in enumerate(node.op.graphs):
        read = set(leaves(graph.outputs, graph.parameters))
        yield from ((v, (node, side)) for v, p in zip(captured, graph.parameters, strict=True) if p in read)


def _filled(node: Apply, home: Mapping[Apply, Side]) -> Apply:
    """Return the node with what only its sides need inside them."""
    assert isinstance(node.op, IfElse)
    inside = {n for n, (owner, _) in home.items() if owner is node}
    sides = open_branches(node)
    computed = {v for n in inside for v in n.outputs}
    # The sides as they are stand for themselves; what they read of the nodes moved in is looked through.
    given = [v for v in node.inputs[1:] if v not in computed]
    given += [v for n in sorted_nodes([*sides[0], *sides[1]]) if n in inside for v in n.inputs if v not in computed]
    return close_branches(node.inputs[0], given, *sides, node.op.title, node.where)
