"""All passes together: in any order they leave meaning, names and lines as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu import CpuProgram
from gpuscan.graph import Apply, Graph
from gpuscan.rewrite import PASSES, optimise
from gpuscan.rewrite.pipeline import Pass
from tests.oracle import as_graph, assert_same
from tests.random_loops import LOOPS, arguments
from tests.rewrite.loops import graph_of, n, s, x


def evaluate(graph: Graph, values: list[Any]) -> list[Any]:
    return CpuProgram(graph)([value[()] if np.ndim(value) == 0 else value for value in values])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(LOOPS, st.permutations(PASSES))
def test_passes_in_any_order_leave_meaning_as_it_is(loop, passes: list[Pass]):
    symbolic = as_graph(**arguments(loop))
    graph = Graph.close(symbolic.inputs, symbolic.outputs)
    expected = evaluate(graph, symbolic.values)
    for run_pass in passes:
        graph = run_pass(graph) or graph
        for found, value in zip(evaluate(graph, symbolic.values), expected, strict=True):
            assert_same(np.asarray(found), value, rtol=0)
    # A loop that another order took out of a step may become its step only now, and that is simplified in a next round.
    for run_pass in (*PASSES, *PASSES):
        graph = run_pass(graph) or graph
    assert all(run_pass(graph) is None for run_pass in PASSES), "there is still something to do"


@pytest.mark.parametrize("run_pass", PASSES, ids=lambda p: p.__name__)
def test_a_graph_without_loops_that_is_as_it_should_be(run_pass):
    assert run_pass(graph_of(gt.exp(x) + s, x.sum() * n)) is None


def test_a_pass_that_breaks_the_graph_is_named(monkeypatch):
    def lose_dtypes(graph: Graph) -> Graph:
        return Graph(graph.parameters, [gt.cast(v, "float32") for v in graph.outputs])

    monkeypatch.setattr("gpuscan.rewrite.pipeline.PASSES", (lose_dtypes,))
    with gs.config.change_flags(check=True), pytest.raises(gs.GraphError, match="after lose_dtypes: output 0"):
        optimise(graph_of(x * 2))


def test_passes_keep_names_and_lines():
    out, _ = gs.scan(lambda row, total: total + row, x, s)
    last = out[-1] * 2.0
    last.name = "last"
    graph = optimise(graph_of(last))
    assert graph.outputs[0].name == "last"
    node = graph.outputs[0].owner
    assert isinstance(node, Apply)
    assert node.where.file == __file__
