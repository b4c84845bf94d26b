"""Closed graphs: nothing captured, equal by structure."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan.tensor as gt
from gpuscan.errors import GraphError
from gpuscan.graph import Graph, TensorType, Variable


def close(build: Callable[..., Any], *inputs: Variable) -> Graph:
    outputs = build(*inputs)
    return Graph.close(inputs, outputs if isinstance(outputs, list) else [outputs])


def test_closing_makes_parameters_of_its_own() -> None:
    x, y = gt.vector("x"), gt.vector("y")
    graph = Graph.close([x, y], [x + y, x])
    assert [p.name for p in graph.parameters] == ["x", "y"]
    assert not {x, y} & set(graph.parameters)
    assert graph.outputs[1] is graph.parameters[0]
    assert len(graph.nodes) == 1
    assert repr(graph) == "<Graph of 2 parameters, 1 nodes, 2 outputs>"


def test_a_captured_value_is_refused() -> None:
    x, y, s = gt.vector("x"), gt.vector("y"), gt.shared(1.0, "s")
    with pytest.raises(
        GraphError, match=r"<y: float64\[\?\]> is read inside the function but is not a parameter of it"
    ):
        Graph.close([x], [x + y])
    with pytest.raises(GraphError, match="<s: "):
        Graph.close([x], [x * s])
    with pytest.raises(GraphError, match="<y: "):
        Graph([x], [y])
    Graph.close([x, s], [x * s, gt.constant(1)])


def test_a_parameter_is_listed_once() -> None:
    x = gt.vector()
    with pytest.raises(GraphError, match="a parameter of a graph is listed twice"):
        Graph([x, x], [x])


def test_closing_over_a_computed_value() -> None:
    x = gt.vector("x")
    y = gt.exp(x)
    graph = Graph.close([y], [y * 2])
    assert [str(node.op) for node in graph.nodes] == ["mul"]


def test_a_graph_does_not_change() -> None:
    graph = close(lambda x: x + 1, gt.vector())
    with pytest.raises(AttributeError, match=r"Graph\.outputs cannot be set"):
        graph.outputs = ()


SAME = {
    "arithmetic": lambda x: gt.tanh(x) * 2 + x,
    "an index": lambda x: x[1:, None],
    "a reduction": lambda x: x.sum(0),
    "a constant": lambda x: x + np.array([1.0, np.nan]),
    "two outputs": lambda x: [x + 1, x * 2],
    "the parameter": lambda x: x,
    "sizes": lambda x: gt.zeros(x.shape),
}


@pytest.mark.parametrize("build", SAME.values(), ids=SAME)
def test_equal_structure_makes_equal_graphs(build: Callable[..., Any]) -> None:
    a, b = close(build, gt.vector("a")), close(build, gt.vector("b"))
    assert a == b
    assert hash(a) == hash(b)
    assert a == pickle.loads(pickle.dumps(a))


def test_other_structure_makes_other_graphs() -> None:
    graphs = [close(build, gt.vector()) for build in SAME.values()]
    graphs.append(close(lambda x: gt.tanh(x) * 3 + x, gt.vector()))
    graphs.append(close(lambda x: gt.tanh(x) * np.float32(2) + x, gt.vector()))
    graphs.append(close(lambda x: gt.tanh(x) * 2 + x, gt.fvector()))
    graphs.append(close(lambda x: gt.tanh(x) * 2 + x, gt.tensor(shape=(3,))))
    graphs.append(close(lambda x: gt.tanh(x) * 2 + gt.tanh(x), gt.vector()))
    graphs.append(close(lambda x: 2 * gt.tanh(x) + x, gt.vector()))
    graphs.append(close(lambda x: [x * 2, x + 1], gt.vector()))
    graphs.append(close(lambda x: x + np.array([1.0, -np.nan]), gt.vector()))
    assert len(set(graphs)) == len(graphs)
    assert graphs[0] != "something else"


def test_which_parameter_is_read_counts() -> None:
    x, y = gt.vector(), gt.vector()
    assert Graph.close([x, y], [x - y]) != Graph.close([x, y], [y - x])
    assert Graph.close([x, y], [x - y]) == Graph.close([y, x], [y - x])


def test_a_known_parameter_is_another() -> None:
    int64 = TensorType("int64", ())
    graphs = [close(gt.zeros, Variable(int64, known=n)) for n in (None, 2, 3)]
    assert len(set(graphs)) == 3


def test_calling_and_specialising() -> None:
    graph = close(lambda x: x.reshape((2, -1)).sum(0), gt.vector("x"))
    y = gt.tensor("y", shape=(6,))
    (out,) = graph.call([y])
    assert out.type.shape == (3,)
    special = graph.specialise([y.type])
    assert special.outputs[0].type.shape == (3,)
    assert special.parameters[0].name == "x"
    assert graph.outputs[0].type.shape == (None,)
    with pytest.raises(ValueError, match="argument"):
        graph.call([])
