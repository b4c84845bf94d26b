"""Sums of what a one-hot code selects."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import leaves
from gpuscan.rewrite.gather_one_hot import gather_one_hot
from gpuscan.tensor.indexing import Index
from gpuscan.tensor.products import MatMul
from tests.rewrite.programs import OFF, I, X, Y, assert_agree, fixed, graph_of, i, is_kept, s, x

along = gt.arange(X.shape[1])
code = gt.eq(gt.shape_padright(I), along)
CHANGED = {
    "a code times rows": (code * X).sum(1),
    "rows times a code": (X * gt.cast(code, "float64")).sum(1),
    "a choice": gt.switch(code, X, 0).sum(1),
    "codes in columns": (X * gt.eq(I, gt.shape_padright(gt.arange(X.shape[0])))).sum(0),
    "one code for all rows": (X * gt.eq(i, along)).sum(1),
    "a vector": (x * gt.eq(gt.arange(x.shape[0]), i)).sum(),
    "a constant range": (fixed * gt.eq(gt.shape_padright(I), gt.constant([0, 1, 2, 3]))).sum(1),
    "codes times a matrix": gt.cast(gt.eq(gt.shape_padright(I), gt.arange(X.shape[0])), "float64") @ X,
    "a code times a matrix": gt.cast(gt.eq(i, gt.arange(X.shape[0])), "float64") @ X,
}
KEPT = {
    "another range": (X * gt.eq(gt.shape_padright(I), gt.arange(1, X.shape[1] + 1))).sum(1),
    "a range of another size": (X * gt.eq(gt.shape_padright(I), gt.arange(Y.shape[1]))).sum(1),
    "a sum over the rows": (X * code).sum(0),
    "a maximum": gt.switch(code, X, 0).max(1),
    "another choice": gt.switch(code, X, s).sum(1),
    "real positions": (X * gt.eq(gt.shape_padright(x), along)).sum(1),
    "an order": (X * (gt.shape_padright(I) > along)).sum(1),
    "a product of another size": gt.cast(gt.eq(gt.shape_padright(I), gt.arange(Y.shape[0])), "float64") @ X,
}


@pytest.mark.parametrize("name", CHANGED)
def test_one_element_is_read(name):
    graph = gather_one_hot(graph_of(CHANGED[name]))
    assert graph is not None
    kinds = [type(node.op) for node in graph.nodes]
    assert Index in kinds
    assert MatMul not in kinds
    assert gather_one_hot(graph) is None


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(gather_one_hot, KEPT[name])


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("positions", [[0, 3, 1], [2, -1, 7], [2, 2, 0]])
def test_values_and_gradients_also_outside(name, positions):
    values = {x: np.arange(4.0) + 0.5, X: np.arange(12.0).reshape(3, 4), fixed: np.arange(12.0).reshape(3, 4)}
    integers = {I: np.array([*positions, 1] if name == "codes in columns" else positions), i: positions[1]}
    (of,) = (v for v in values if v in graph_leaves(CHANGED[name]))
    output = CHANGED[name]
    outputs = [output, gs.grad((output**2).sum(), of)]
    found, expected = (
        gs.function([of, I, i], outputs, mode, device="cpu", on_unused_input="ignore")(values[of], *integers.values())
        for mode in (None, OFF)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def graph_leaves(output: gs.Variable) -> set[gs.Variable]:
    return set(leaves([output]))


def test_what_is_not_selected_does_not_matter():
    f = gs.function([X, I], (code * gt.log(X)).sum(1), device="cpu")
    np.testing.assert_array_equal(f([[1.0, 0.0], [0.0, 1.0]], [0, 1]), [0, 0])


@pytest.mark.parametrize("name", ["a code times rows", "a choice", "a code times a matrix"])
def test_a_selection_among_none_is_an_error(name):
    empty = np.zeros((0, 3) if "matrix" in name else (3, 0))
    written, found = (
        gs.function([X, I, i], CHANGED[name], mode, device="cpu", on_unused_input="ignore") for mode in (OFF, None)
    )
    np.testing.assert_array_equal(written(empty, [0, 1, 2], 0), [0, 0, 0])
    with pytest.raises(IndexError):
        found(empty, [0, 1, 2], 0)


def test_rows_that_broadcast_and_rows_that_do_not_fit():
    f = gs.function([X, I], (code * X).sum(1), device="cpu")
    np.testing.assert_array_equal(f([[1.0, 2.0]], [0, 1, 1]), [1, 2, 2])
    with pytest.raises(ValueError, match="broadcast"):
        f(np.ones((2, 2)), [0, 1, 1])


def test_an_embedding_in_a_loop():
    def step(word, h):
        return gt.tanh(h + gt.cast(gt.eq(word, gt.arange(X.shape[0])), "float64") @ X)

    out, _ = gs.scan(step, I, gt.zeros_like(X[0]))
    assert_agree([out, gs.grad(out.sum(), X)], [I, X], np.array([0, 2, 1]), np.arange(6.0).reshape(3, 2) / 10)
