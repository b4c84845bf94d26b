"""Broadcasts that pointwise operations do themselves."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.drop_broadcasts import drop_broadcasts
from tests.rewrite.programs import X, Y, after, assert_agree, fixed, is_kept, s, x, y


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (gt.broadcast_to(s, (x.shape[0],)) * x, "mul(s, x)"),
        (X + gt.broadcast_to(x, X.shape), "add(X, x)"),
        (fixed + gt.ones((3, 4)), "add(fixed, 1.0)"),
        (X * x.dimshuffle("x", 0), "mul(X, x)"),
        (gt.exp(X) * gt.broadcast_to(gt.sum(X, 1, keepdims=True), X.shape),
         "mul(exp(X), dimshuffle[0, x](sum[1](X)))"),
    ],
)  # fmt: skip
def test_before_and_after(output, text):
    assert after(drop_broadcasts, output) == text


@pytest.mark.parametrize(
    "output",
    [
        gt.exp(gt.broadcast_to(s, (3,))),
        x + gt.broadcast_to(s, (3,)),  # x may be of size 1
        X + gt.broadcast_to(x, Y.shape),
        gt.broadcast_to(s, (x.shape[0],)) * gt.broadcast_to(gt.exp(s), (y.shape[0],)),
        x + gt.shape_padright(y),
    ],
)
def test_what_is_left_alone(output):
    assert is_kept(drop_broadcasts, output)


def test_shapes_stay_when_both_are_broadcast():
    size = (x.shape[0],)
    both = gt.broadcast_to(s, size) * gt.broadcast_to(gt.exp(s), size)
    f = gs.function([x, s], both, device="cpu", on_unused_input="ignore")
    assert f(np.zeros(3), 1.0).shape == (3,)


def test_a_broadcast_that_must_fail_fails():
    f = gs.function([X, x], gt.broadcast_to(x, X.shape) + X, device="cpu")
    with pytest.raises(ValueError, match="broadcast"):
        f(np.zeros((2, 3)), np.zeros(2))


def test_gradients():
    cost = (gt.exp(X) * gt.sum(X, 1, keepdims=True)).mean()
    assert_agree([cost, gs.grad(cost, X)], [X], np.arange(6.0).reshape(2, 3))
