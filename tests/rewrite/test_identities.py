"""Algebra that cancels: bit for bit, but for the sign of a zero."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.identities import identities
from tests.rewrite.programs import OFF, I, X, Y, after, assert_agree, b, f32, fixed, i, is_kept, n8, s, x, y

CHANGED = {
    "x + 0": (x + 0, "x"),
    "0 + x": (0 + x, "x"),
    "x - 0": (x - 0, "x"),
    "x * 1": (x * 1, "x"),
    "x / 1": (x / 1, "x"),
    "x * -1": (x * -1, "neg(x)"),
    "-(-x)": (gt.neg(-x), "x"),
    "x + (-y)": (x + (-y), "sub(x, y)"),
    "(-x) + y": ((-x) + y, "sub(y, x)"),
    "x - (-y)": (x - (-y), "add(x, y)"),
    "-(x - y)": (-(x - y), "sub(y, x)"),
    "(-x) * (-y)": ((-x) * (-y), "mul(x, y)"),
    "(-x) / (-y)": ((-x) / (-y), "true_div(x, y)"),
    "(-x) * 3": ((-x) * 3.0, "mul(x, -3.0)"),
    "-(x * 3)": (-(x * 3.0), "mul(x, -3.0)"),
    "x / 4": (x / 4.0, "mul(x, 0.25)"),
    "abs(-x)": (abs(-x), "abs(x)"),
    "sqr(abs(x))": (gt.sqr(abs(x)), "sqr(x)"),
    "x + zeros of its shape": (x + gt.zeros_like(x), "x"),
    "x + zeros of its known shape": (fixed + gt.zeros((3, 4)), "fixed"),
    "another dtype": (f32 + gt.constant(np.float64(0)), "cast[float64](f32)"),
    "I - I": (I - I, "broadcastto(0, dim[0](I))"),
    "i * 0": (i * 0, "0"),
    "switch(True)": (gt.switch(gt.constant(True), s, gt.exp(s)), "s"),
    "switch of the same": (gt.switch(s > 0, s, s), "s"),
    "switch(~b)": (gt.switch(~b, x, y), "switch(b, y, x)"),
    "b & True": (b & gt.constant(True), "b"),
    "b | False": (b | gt.constant(False), "b"),
    "b & False": (b & gt.constant(False), "broadcastto(False, dim[0](b))"),
    "~~b": (~~b, "b"),
    "not (x == y)": (gt.logical_not(gt.eq(x, y)), "neq(x, y)"),
    "maximum(x, x)": (gt.maximum(x, x), "x"),
    "floor(floor(x))": (gt.floor(gt.floor(x)), "floor(x)"),
}
KEPT = {
    "x - x: NaN of infinities": x - x,
    "x * 0: NaN of infinities": x * 0,
    "x / x": x / x,
    "0 - x": 0 - x,
    "x / 3: its inverse is rounded": x / 3.0,
    "x / inf": x / gt.constant(np.inf),
    "x / 0": x / gt.constant(0.0),
    "x / 2**1074: its inverse is out of range": x / gt.constant(2.0**-1074),
    "I // 4": I // 4,
    "not (x < y): NaN": gt.logical_not(x < y),
    "x + zeros(3): x may be of size 1": x + gt.zeros(3),
    "X + zeros of another shape": X + gt.zeros_like(Y),
    "known + zeros that may not fit": fixed + gt.zeros_like(Y),
    "known * ones that may not fit": fixed * gt.ones_like(x),
    "integers * zeros that may not fit": gt.cast(fixed, "int64") * gt.zeros_like(I),
    "bits": I & 1,
    "cast below zero": i - (-gt.cast(n8[0], "int8")),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    assert after(identities, output) == text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(identities, KEPT[name])


SPECIAL = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 5e-324, 1.7e308])
VALUES = {x: SPECIAL, y: SPECIAL[::-1].copy(), s: -0.5, I: np.array([-(2**63), 0, 7]), i: 3,
          f32: SPECIAL[:-1].astype("f4"), b: np.arange(9) % 2 == 0, fixed: np.ones((3, 4))}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_results_are_the_same_for_infinities_and_nan(name):
    output, _ = CHANGED[name]
    inputs = list(VALUES)
    found, expected = (
        gs.function(inputs, output, mode, device="cpu", on_unused_input="ignore")(*VALUES.values())
        for mode in (OFF.including("identities"), OFF)
    )
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_the_sign_of_a_zero_is_what_may_change():
    f = gs.function([x], x + 0.0, device="cpu")
    assert np.signbit(f([-0.0]))
    assert not np.signbit(gs.function([x], x + 0.0, OFF, device="cpu")([-0.0]))


def test_a_size_that_does_not_fit_is_still_an_error():
    f = gs.function([x], x + gt.zeros(3), device="cpu")
    np.testing.assert_array_equal(f([2.0]), [2, 2, 2])
    with pytest.raises(ValueError, match="add"):
        f([1.0, 2.0])


def test_the_gradient_is_that_of_what_was_written():
    one = x * 1
    cost = (one * one + (x - x) + gt.neg(-x)).sum()
    assert_agree([cost, gs.grad(cost, x), gs.grad(cost, one)], [x], np.array([1.0, -2.0]))


def test_inside_a_loop():
    out, _ = gs.scan(lambda row, total: gt.neg(-row) * 1 + total + 0, X, Y[0])
    f = gs.function([X, Y], out, device="cpu")
    (loop,) = [node.op for node in f.graph.nodes if node.op.name == "scan"]
    assert [str(node.op) for node in loop.body.nodes] == ["add"]
    assert_agree(out, [X, Y], np.eye(3), np.ones((1, 3)))
