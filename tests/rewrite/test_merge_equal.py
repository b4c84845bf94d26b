"""Equal nodes, loops and constants become one."""

from __future__ import annotations

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite import optimise
from gpuscan.rewrite.merge_equal import merge_equal
from tests.rewrite.loops import graph_of, n, s, x
from tests.rewrite.nets import loops_of, text_of


def test_equal_nodes_and_constants_are_merged():
    a, b = gt.exp(s) + 2.0, gt.exp(s) + 2.0
    graph = graph_of(a * b)
    assert text_of(graph) == (
        "mul %0\n| add %1\n| | exp %2\n| | | s\n| | 2.0\n| add %3\n| | exp %4\n| | | s\n| | 2.0\n"
    )
    merged = merge_equal(graph)
    assert merged is not None
    assert text_of(merged) == "mul %0\n| add %1\n| | exp %2\n| | | s\n| | 2.0\n| add %1 ...\n"


def test_equal_loops_are_merged():
    def build() -> gs.Variable:
        return gs.scan(lambda row, total: total + row, x, s)[0]

    merged = merge_equal(graph_of(build(), build()))
    assert merged is not None
    assert len(loops_of(merged)) == 1
    assert merged.outputs[0] is merged.outputs[1]


def test_what_differs_is_not_merged():
    different = graph_of(
        *(gt.exp(s), gt.log(s), s + 1.0, s + np.float32(1), x[0], x[1]),
        gs.scan(lambda row: row * 2.0, x, n_steps=n)[0],
        gs.scan(lambda row: row * 3.0, x, n_steps=n)[0],
        gs.scan(lambda row: row * 2.0, x, n_steps=n, go_backwards=True)[0],
    )
    assert len(set((merge_equal(different) or different).outputs)) == len(different.outputs)


def test_the_user_s_variables_stay_two():
    a, b = gt.exp(s), gt.exp(s)
    optimise(graph_of(a, b))
    assert a.owner is not b.owner


def test_equal_constants_are_one_object():
    merged = merge_equal(graph_of(s + gt.constant(2.0), s * gt.constant(2.0), x + gt.constant(np.float32(2))))
    assert merged is not None
    constants = [v for node in merged.nodes for v in node.inputs if v.owner is None and v.name is None]
    assert len(constants) == 3
    assert constants[0] is constants[1]
    assert constants[2] is not constants[0]
    assert merge_equal(merged) is None


def test_loops_over_as_many_segments_are_one():
    decayed, _ = gs.scan_checkpoints(gt.sin, outputs_info=s, n_steps=6, save_every_N=3)
    cost = decayed[-1].sum()
    names = [str(node.op) for node in optimise(graph_of(cost, gs.grad(cost, s))).nodes]
    assert len([name for name in names if name.startswith("scan[segments of")]) == 1
