"""Equal constants become one object, which passes that compare inputs rely on."""

from __future__ import annotations

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite import optimise
from gpuscan.rewrite.merge_equal import merge_equal
from tests.rewrite.programs import graph_of, s, x


def test_equal_constants_are_one_object():
    merged = merge_equal(graph_of(x + gt.constant(2.0), x * gt.constant(2.0), s + gt.constant(np.float32(2))))
    assert merged is not None
    constants = [v for node in merged.nodes for v in node.inputs if v.owner is None and v.name is None]
    assert len(constants) == 3
    assert constants[0] is constants[1]
    assert constants[2] is not constants[0]
    assert merge_equal(merged) is None


def test_loops_over_as_many_segments_are_one():
    decayed, _ = gs.scan_checkpoints(gt.sin, outputs_info=x, n_steps=6, save_every_N=3)
    cost = decayed[-1].sum()
    names = [str(node.op) for node in optimise(graph_of(cost, gs.grad(cost, x))).nodes]
    assert len([name for name in names if name.startswith("scan[segments of")]) == 1
