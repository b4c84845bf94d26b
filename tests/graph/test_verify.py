"""The check of graphs between rewrites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import gpuscan.tensor as gt
from gpuscan.errors import GraphError, ShapeError
from gpuscan.graph import Graph, Op, TensorType, verify

MOOD: dict[str, Any] = {}


@dataclass(frozen=True)
class Moody(Op):
    """An op that infers what `MOOD` says at the time, for graphs that become wrong."""

    def infer(self, inputs: Any) -> Any:
        if isinstance(MOOD["type"], Exception):
            raise MOOD["type"]
        return (MOOD["type"],)


def graph_of(type_: Any) -> Graph:
    MOOD["type"] = type_
    x = gt.vector("x")
    return Graph.close([x], [Moody()(x)])


def test_a_good_graph_passes() -> None:
    x = gt.vector("x")
    graph = Graph.close([x], [gt.tanh(x).sum(), x])
    verify(graph, after="nothing", types=[v.type for v in graph.outputs])


def test_a_node_whose_type_is_wrong_names_the_pass() -> None:
    graph = graph_of(TensorType("int8", ()))
    MOOD["type"] = TensorType("int16", (2,))
    with pytest.raises(
        GraphError, match=r"after fuse: moody \(made at .*\) infers int16\[2\] but its outputs are int8\[\]"
    ):
        verify(graph, after="fuse")


def test_a_node_that_refuses_its_inputs_names_the_pass() -> None:
    graph = graph_of(TensorType("int8", ()))
    MOOD["type"] = ShapeError("too long")
    with pytest.raises(
        GraphError, match=r"after fuse: moody \(made at .*test_verify.py:\d+\) refuses its inputs: too long"
    ):
        verify(graph, after="fuse")


def test_outputs_must_fit_what_they_were() -> None:
    x = gt.vector("x")
    graph = Graph.close([x], [x * 2])
    verify(graph, after="fuse", types=[TensorType("float64", (3,))])
    with pytest.raises(GraphError, match=r"after fuse: output 0 became float64\[\?\]; it was float32\[\?\]"):
        verify(graph, after="fuse", types=[TensorType("float32", (None,))])
    with pytest.raises(GraphError, match=r"after fuse: output 0 became float64\[\?\]; it was float64\[\]"):
        verify(graph, after="fuse", types=[TensorType("float64", ())])
    with pytest.raises(GraphError, match="after fuse: there are 1 outputs; there were 2"):
        verify(graph, after="fuse", types=[x.type, x.type])
