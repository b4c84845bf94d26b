"""Which steps may give rows of different shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import sorted_nodes
from gpuscan.loop.sizes import has_computed_size, of_varying_shape, sizing_values

x, v, k, mask = gt.matrix("x"), gt.vector("v"), gt.lscalar("k"), gt.tensor("mask", dtype="bool", shape=(None,))

FROM_SHAPES: dict[str, Callable[[], gs.Variable]] = {
    "pointwise": lambda: gt.exp(v) * k,
    "product": lambda: x @ v,
    "sum": lambda: x.sum(0),
    "zeros like": lambda: gt.zeros_like(x),
    "a size computed from sizes": lambda: gt.zeros((x.shape[0] * 2 + 1, v.shape[0] // 2)),
    "range of a size": lambda: gt.arange(x.shape[0]),
    "part up to a size": lambda: v[: x.shape[0]],
    "an element": lambda: x[k] + v[k],
    "elements": lambda: v[gt.constant([0, 2])],
    "reshape": lambda: x.reshape(-1),
    "a loop": lambda: gs.scan(lambda row: row * k, x)[0],
    "a loop of a fixed length": lambda: gs.scan(lambda s: s * 2, None, v, n_steps=3)[0],
}
FROM_VALUES: dict[str, Callable[[], gs.Variable]] = {
    "zeros": lambda: gt.zeros(k),
    "computed zeros": lambda: gt.zeros((2, k + x.shape[0])),
    "range": lambda: gt.arange(k),
    "part": lambda: v[:k],
    "part from": lambda: v[v.argmax() :],
    "mask": lambda: v[mask],
    "computed mask": lambda: v[v > 0],
    "reshape": lambda: v.reshape(k, -1),
    "repeat": lambda: gt.repeat(v, k),
    "identity": lambda: gt.eye(k),
    "inside": lambda: gt.zeros(k).sum() + v,
    "a loop's length": lambda: gs.scan(lambda s: s * 2, None, v, n_steps=k)[0],
    "rows of a loop": lambda: gs.scan(lambda row: gt.zeros(k), x)[0],
}


@pytest.mark.parametrize("name", FROM_SHAPES)
def test_sizes_that_follow_from_shapes(name):
    assert not has_computed_size([FROM_SHAPES[name]()])


@pytest.mark.parametrize("name", FROM_VALUES)
def test_sizes_that_depend_on_values(name):
    assert has_computed_size([FROM_VALUES[name]()])


@pytest.mark.parametrize("name", FROM_SHAPES)
def test_shapes_that_are_the_same_at_each_step(name):
    assert not of_varying_shape(sorted_nodes([FROM_SHAPES[name]()]), {x, v, k})


@pytest.mark.parametrize("name", FROM_VALUES)
def test_shapes_that_vary_from_step_to_step(name):
    nodes = sorted_nodes([gt.exp(FROM_VALUES[name]())])
    decided = {"part from": {v}, "computed mask": {v}, "mask": {mask}}.get(name, {k})
    varying = of_varying_shape(nodes, decided)
    assert varying
    assert (nodes[-1].outputs[0] in varying) == (name != "inside")
    if name not in ("inside", "rows of a loop"):
        assert not of_varying_shape(nodes, {x, v, k, mask} - decided)


@pytest.mark.parametrize("name", FROM_SHAPES)
def test_no_value_decides_a_size(name):
    assert not sizing_values([FROM_SHAPES[name]()])


@pytest.mark.parametrize("name", FROM_VALUES)
def test_the_values_that_decide_sizes(name):
    deciding = {"part from": {v}, "mask": {mask}, "computed mask": {v}}.get(name, {k})
    assert sizing_values([FROM_VALUES[name]()]) == deciding


def test_values_that_decide_sizes_inside_what_a_step_holds():
    (called,) = gs.OpFromGraph([v, k], [v[:k].sum()])(v, k * 2)
    assert sizing_values([called]) == {k}
    assert sizing_values([gs.ifelse(v[0] > 0, v[:k].sum(), v.sum())]) == {k}
    assert sizing_values([gt.set_subtensor(v[:k], 0.0)]) == {k}


def test_a_loop_that_stops_says_itself_how_many_rows_there_are():
    rows = gs.scan(lambda row: (row, gs.until(row.sum() > k)), x)[0]
    assert has_computed_size([rows])
    assert of_varying_shape(sorted_nodes([rows]), {x}) == {rows}
    assert not sizing_values([rows])

    inner, _ = gs.scan(lambda row: gs.scan(lambda e: (e * 2, gs.until(e > 3)), row)[0], x)
    f = gs.function([x], inner, device="cpu")
    np.testing.assert_array_equal(f([[1, 1, 4], [0, 0, 5]]), [[2, 2, 8], [0, 0, 10]])
    with pytest.raises(gs.LoopError, match="step 1: output 'output_0' has shape"):
        f([[1, 1, 4], [5, 1, 1]])


def test_rows_that_would_broadcast_into_the_first():
    def step(k):
        return gs.scan(lambda j: gt.ones(k) * j, gt.arange(2))[0]

    n = gt.ivector("n")
    f = gs.function([n], gs.scan(step, n)[0], device="cpu")
    assert f([3, 3]).shape == (2, 2, 3)
    with pytest.raises(gs.LoopError, match=r"step 1: output 'output_0' has shape \(2, 1\), but \(2, 3\)"):
        f([3, 1])


def test_states_that_would_broadcast_into_their_buffer(device):
    def step(k, s):
        return s[:k]

    n = gt.ivector("n")
    f = gs.function([n], gs.scan(step, n, gt.constant(np.arange(3.0)))[0], device=device)
    np.testing.assert_array_equal(f([3, 5]), [[0, 1, 2], [0, 1, 2]])
    with pytest.raises(gs.LoopError, match=r"step 0: state 's' has shape \(3,\) before the step and \(1,\) after it"):
        f([1])
