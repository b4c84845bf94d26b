"""Graphs of loops over three inputs, for tests of passes on what a loop hands out."""

from __future__ import annotations

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph
from tests.rewrite.nets import loops_of

x, s, n = gt.matrix("x"), gt.vector("s"), gt.iscalar("n")


def graph_of(*outputs: gs.Variable) -> Graph:
    return Graph.close([x, s, n], outputs)


def results_of(graph: Graph) -> list[str]:
    return [str(result) for loop in loops_of(graph) for result in loop.results]


def loop_of_three() -> list[gs.Variable]:
    """A loop whose outputs are a state that stands alone, a state that reads it, and an emit."""

    def step(row, first, second, offset):
        return first + row, second * first, row * offset

    return gs.scan(step, x, [s, s, None], s * 3)[0]
