"""Exponentials that are divided by and multiplied with."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.cancel_factors import cancel_factors
from tests.rewrite.programs import OFF, X, Y, after, assert_agree, is_kept, s, x, y

e, p = gt.exp(x), gt.sigmoid(x)
q = gt.exp(x) / gt.exp(x).sum()
powers = gt.exp(X)
total = powers.sum(1, keepdims=True)

CHANGED = {
    "y / e * e": (y / e * e, "broadcastto(y, "),
    "x / e * e": (x / e * e, "x"),
    "-(x / e) * e": (-(x / e) * e, "neg(x)"),
    "x / (e * p) * p": (x / (e * p) * p, "true_div(x, exp(x))"),
    "derivative of log(sigmoid)": (x / p * p * (1 - p), "mul(x, sub(1.0, sigmoid(x)))"),
    "in a sum": ((x / e + p) * e, "add(x, mul(sigmoid(x), exp(x)))"),
    "in a sum that a sigmoid multiplies": ((x / p + y) * p, "add(x, mul(y, sigmoid(x)))"),
    "a sum of quotients": ((X / total).sum(1), "true_div(sum[1](X), dimshuffle[0](dimshuffle[0, x](sum[1](exp(X)))))"),
}
KEPT = {
    "x / y * y: y may be 0": x / y * y,
    "x / e * exp(y)": x / e * gt.exp(y),
    "e / e: 1 of what shape and NaN": e / e,
    "a sum of quotients by anything": (X / Y[:, :1]).sum(1),
    "along another axis": (X / total).sum(0),
    "a sum that is not multiplied": x / e + p,
}


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    assert after(cancel_factors, output).startswith(text)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(cancel_factors, KEPT[name])


def test_values_and_shapes():
    values = np.array([[0.5, -1.0, 2.0]])
    for name, (output, _) in CHANGED.items():
        if name != "a sum of quotients":
            inputs = [x, y] if "y" in name.split()[0] or "sigmoid multiplies" in name else [x]
            assert_agree([output, gs.grad(output.sum(), x)], inputs, *[values[0], np.array([2.0])][: len(inputs)])
    assert_agree(CHANGED["a sum of quotients"][0], [X], values)


def test_zero_and_infinite_exponentials():
    f = gs.function([x], x / e * e, device="cpu")
    np.testing.assert_array_equal(f([-1000.0, 1000.0]), [-1000, 1000])


def test_nan_of_what_is_divided_by_and_multiplied_with_is_not_handed_on():
    values = [-1000.0, 0.0, np.nan]  # an exponential of 0, of 1 and of NaN
    written = gs.function([x, y], y / e * e, OFF, device="cpu")(values, [0.0, 2.0, 3.0])
    np.testing.assert_array_equal(written, [np.nan, 2, np.nan])
    found = gs.function([x, y], y / e * e, device="cpu")(values, [0.0, 2.0, 3.0])
    np.testing.assert_array_equal(found, [0, 2, 3])


def test_a_chain_of_products_is_looked_into_only_so_far():
    product = x
    for _ in range(300):
        product = product / s * gt.exp(x)
    assert is_kept(cancel_factors, product)


def test_the_gradient_by_what_was_cancelled_is_that_of_what_was_written():
    ratio = x / e
    assert_agree(gs.grad((ratio * e).sum(), [ratio, x]), [x], np.array([0.5, -1.0]))
