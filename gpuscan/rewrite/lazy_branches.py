"""Move what only one side of an `ifelse` reads into that side, so that it is computed only where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuscan.control import IfElse, close_branches, open_branches
from gpuscan.graph import Apply, Graph, Variable, leaves

Side = tuple[Apply, int]
"""A node of an `ifelse`, and 0 for what it computes if the condition holds or 1 for what it computes if not."""

MOST_NESTED = 16
"""Sides inside sides are not nested deeper: neither Python's text nor its stack would hold them. An `ifelse` that would
be is computed whether it is asked for or not, and what its own sides need inside those."""


def lazy_branches(graph: Graph) -> Graph | None:
    """Compute what one side alone needs inside that side; a side inside a side is filled when the pass comes to it."""
    if not any(isinstance(node.op, IfElse) for node in graph.nodes):
        return None
    home = _homes(graph)
    if not home:
        return None
    inside: dict[Apply, list[Apply]] = {}
    for node, (owner, _) in home.items():
        inside.setdefault(owner, []).append(node)
    new: dict[Variable, Variable] = {}
    for node in graph.nodes:
        if node in home:
            continue
        filled = _filled(node, inside[node]) if node in inside else node
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
    levels: dict[Variable, int] = {}  # how many sides deep a value is read
    home: dict[Apply, Side] = {}
    for node in reversed(graph.nodes):
        wanted = {place for v in node.outputs for place in places.get(v, ())}
        level = max((levels.get(v, 0) for v in node.outputs), default=0)
        too_deep = isinstance(node.op, IfElse) and level >= MOST_NESTED
        if len(wanted) == 1 and (side := next(iter(wanted))) is not None and not too_deep:
            home[node] = side
        else:
            level = 0
        for v, place in _reads(node):
            places.setdefault(v, set()).add(home.get(node, place))
            levels[v] = max(levels.get(v, 0), level + (place is not None))
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


def _filled(node: Apply, inside: Sequence[Apply]) -> Apply:
    """Return the node of an `ifelse` with the nodes `inside`, which only its sides need, in them."""
    assert isinstance(node.op, IfElse)
    computed = {v for n in inside for v in n.outputs}
    read = [*node.inputs[1:], *(v for n in reversed(inside) for v in n.inputs)]
    captured = [v for v in read if v not in computed]
    return close_branches(node.inputs[0], captured, *open_branches(node), node.op.title, node.where)
