"""Reductions over fewer elements."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite import optimise
from gpuscan.rewrite.smaller_reductions import smaller_reductions
from gpuscan.tensor.reduction import SumTo
from tests.rewrite.programs import I, X, Y, after, assert_agree, b, fixed, graph_of, is_kept, n8, s, text_of, x

column = gt.shape_padright(x)

CHANGED = {
    "two sums": (gt.outer(I, I).sum(1).sum(0), "sum[0, 1](mul(dimshuffle[0, x](I), dimshuffle[x, 0](I)))"),
    "two maxima": (X.max(0).max(0), "max[0, 1](X)"),
    "over one element": (column.sum(1), "dimshuffle[0](dimshuffle[0, x](x))"),
    "over one element and others": (column.max((0, 1)), "max[0](dimshuffle[0](dimshuffle[0, x](x)))"),
    "any of one": (gt.shape_padright(b).any(1), "dimshuffle[0](dimshuffle[0, x](b))"),
    "narrow integers of one": (gt.shape_padright(n8).sum(1), "cast[int64](dimshuffle[0](dimshuffle[0, x](n8)))"),
    "transposed": (X.T.sum(0), "sum[1](X)"),
    "transposed, in another order": (X.dimshuffle("x", 1, 0).max(2), "dimshuffle[x, 0](max[0](X))"),
    "the argmax of a transposed": (X.T.argmax(0), "argmax[1](X)"),
    "broadcast": (gt.broadcast_to(s, (5,)).sum(), "mul(dimshuffle[](s), 5.0)"),
    "broadcast along one of two": (gt.broadcast_to(x, (3, x.shape[0])).max(0),
                                   "broadcastto(dimshuffle[0](x), dim[0](x))"),
    "negatives": ((-X).sum(0), "neg(sum[0](X))"),
    "to a size that it has": (SumTo()(X, X.shape[0], X.shape[1]), "X"),
    "to a size that is known": (SumTo()(X, gt.constant(np.int64(1)), X.shape[1]), "dimshuffle[x, 0](sum[0](X))"),
}  # fmt: skip
KEPT = {
    "a sum of maxima": X.max(1).sum(0),
    "argmax of argmax": X.argmax(1).argmax(0),
    "argmax of one, of which there may be none": column.argmax(1),
    "a product of broadcasts": gt.broadcast_to(s, (5,)).prod(),
    "a maximum of nothing or something": gt.broadcast_to(s, (x.shape[0],)).max(),
    "to a size that is not known": SumTo()(X, Y.shape[0], Y.shape[1]),
    "known sizes": fixed.sum(1),
    "two sums, which round": X.sum(1).sum(0),
    "negative maxima": (-X).max(0),
}


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    assert after(smaller_reductions, output) == text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(smaller_reductions, KEPT[name])


@pytest.mark.parametrize("name", CHANGED)
def test_values(name):
    inputs = {I: np.array([1, 2]), x: np.arange(4.0), X: np.arange(6.0).reshape(2, 3) - 2.5, s: 2.0,
              b: np.array([True, False]), n8: np.array([100, 127], "int8")}  # fmt: skip
    output, _ = CHANGED[name]
    if name == "to a size that is known":
        inputs[X] = inputs[X][:1]
    found, expected = (
        gs.function(list(inputs), output, mode, device="cpu", on_unused_input="ignore")(*inputs.values())
        for mode in (None, gs.Mode(optimizer=None))
    )
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_sum_of_no_copies_of_infinity_is_zero():
    f = gs.function([x, s], gt.broadcast_to(s, (x.shape[0],)).sum(), device="cpu")
    assert text_of(f.graph).startswith("switch(eq(dim[0]")
    assert f([], np.inf) == 0
    assert f([1, 2], np.inf) == np.inf


def test_what_derivatives_sum_to_a_shape_that_it_had():
    out = gs.grad(gt.tanh(X + Y).sum(), X)
    known = gs.grad(gt.tanh(X * 2).sum(), X)
    assert "sum_to" in text_of(optimise(graph_of(out)))
    assert "sum" not in text_of(optimise(graph_of(known)))
    assert_agree(out, [X, Y], np.ones((1, 3)), np.arange(6.0).reshape(2, 3))
    assert_agree(out, [X, Y], np.ones((2, 3)), np.arange(6.0).reshape(2, 3))


def test_inside_a_loop():
    out, _ = gs.scan(lambda row, total: total + gt.shape_padright(-row).sum(1).sum(), X, s)
    assert_agree([out, gs.grad(out[-1], X)], [X, s], np.arange(6.0).reshape(2, 3), 1.0)
