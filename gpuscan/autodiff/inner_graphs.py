"""Derivatives of ops that hold graphs or only pass a value on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import Cotangent, accumulate
from gpuscan.autodiff.forward import carry
from gpuscan.autodiff.reverse import collect
from gpuscan.autodiff.rules import DERIVATIVES, Derivative, Outgoing, has_derivative
from gpuscan.control import GraphCall, IfElse, ifelse
from gpuscan.graph import Apply, Graph, Variable
from gpuscan.tensor.guards import Assert, Print, SpecifyShape

# ---- what passes its first input on ----


def _pull_first(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert incoming[0] is not None
    return [incoming[0].total(), *[None] * (len(node.inputs) - 1)]


def _push_first(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    return [tangents[0]]


for _op in (Assert, Print, SpecifyShape):
    DERIVATIVES[_op] = Derivative(_pull_first, _push_first)


# ---- graphs inside ----


def _pull_graph(
    graph: Graph, inputs: Sequence[Variable], incoming: Sequence[Cotangent | None]
) -> list[Variable | None]:
    """Return what goes out for the inputs of a graph, for what came in for its outputs."""
    given: dict[Variable, Variable] = {}
    for output, cotangent in zip(graph.call(inputs), incoming, strict=True):
        if cotangent is not None and has_derivative(output):
            accumulate(given, output, cotangent.total())
    wrt = [v for v in dict.fromkeys(inputs) if has_derivative(v)]
    found: Mapping[Variable, Variable | None] = dict(zip(wrt, collect(given, wrt), strict=True))
    # An input that stands in two places gets all of it in the first.
    seen: set[Variable] = set()
    outgoing = []
    for v in inputs:
        outgoing.append(None if v in seen else found.get(v))
        seen.add(v)
    return outgoing


def _push_graph(graph: Graph, inputs: Sequence[Variable], tangents: Sequence[Variable | None]) -> list[Variable | None]:
    known: dict[Variable, Variable] = {}
    for v, t in zip(inputs, tangents, strict=True):
        if t is not None:
            known[v] = t
    return carry(known, graph.call(inputs))


def _pull_call(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, GraphCall)
    return _pull_graph(node.op.graph, node.inputs, incoming)


def _push_call(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    assert isinstance(node.op, GraphCall)
    return _push_graph(node.op.graph, node.inputs, tangents)


DERIVATIVES[GraphCall] = Derivative(_pull_call, _push_call)


def _pull_branches(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, IfElse)
    condition, *inputs = node.inputs
    then, otherwise = (_pull_graph(graph, inputs, incoming) for graph in node.op.graphs)
    return [None, *_either(condition, then, otherwise, inputs)]


def _push_branches(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    assert isinstance(node.op, IfElse)
    condition, *inputs = node.inputs
    then, otherwise = (_push_graph(graph, inputs, tangents[1:]) for graph in node.op.graphs)
    return _either(condition, then, otherwise, node.outputs)


def _either(
    condition: Variable, then: Sequence[Variable | None], otherwise: Sequence[Variable | None], like: Sequence[Variable]
) -> list[Variable | None]:
    """Return for each value what one side gives where the condition holds, else the other; None where neither does."""
    return [
        None
        if a is None and b is None
        else ifelse(condition, gt.zeros_like(v) if a is None else a, gt.zeros_like(v) if b is None else b)
        for a, b, v in zip(then, otherwise, like, strict=True)
    ]


DERIVATIVES[IfElse] = Derivative(_pull_branches, _push_branches)
