"""Sigmoid and softmax found in what is written out."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.stable_quotients import stable_quotients
from tests.rewrite.programs import OFF, X, after, assert_agree, is_kept, s, x, y

SHIFTED = (
    "exp(sub(x, switch(isfinite(dimshuffle[x](max[0](x))), dimshuffle[x](max[0](x)), 0.0)))"
)  # fmt: skip

one_exp = gt.exp(x)
CHANGED = {
    "1 / (1 + exp(-x))": (1 / (1 + gt.exp(-x)), "sigmoid(x)"),
    "1 / (exp(x) + 1)": (1 / (gt.exp(x) + 1), "sigmoid(neg(x))"),
    "reciprocal": (gt.reciprocal(1 + gt.exp(x)), "sigmoid(neg(x))"),
    "exp(x) / (1 + exp(x))": (one_exp / (1 + one_exp), "sigmoid(x)"),
    "exp(x) / (exp(x) + exp(2 * x))": (one_exp / (one_exp + gt.exp(2 * x)), "sigmoid(sub(x, mul(2.0, x)))"),
    "y / (1 + exp(x)) * exp(x)": (y / (1 + one_exp) * one_exp, "mul(y, sigmoid(x))"),
    "sigmoid(-x) * exp(x)": (gt.sigmoid(-x) * one_exp, None),
    "exp(x) / exp(x).sum()": (one_exp / one_exp.sum(), f"true_div({SHIFTED}, dimshuffle[x](sum[0]({SHIFTED})))"),
}
KEPT = {
    "1 / (2 + exp(x))": 1 / (2 + gt.exp(x)),
    "exp(y) / (1 + exp(x))": gt.exp(y) / (1 + gt.exp(x)),
    "y / (1 + exp(x))": y / (1 + gt.exp(x)),
    "a sum along another axis": gt.exp(X) / gt.exp(X).sum(1),
    "a softmax": gt.special.softmax(X, axis=1),
    "complex": 1 / (1 + gt.exp(gt.cast(x, "complex128"))),
    "a number that broadcasts": gt.ones(3) / (1 + gt.exp(-s)),
}


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    changed = after(stable_quotients, output)
    assert text is None or changed == text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(stable_quotients, KEPT[name])


@pytest.mark.parametrize("name", CHANGED)
def test_values_and_gradients(name):
    output, _ = CHANGED[name]
    gradient = gs.grad((output * output).sum(), x)
    inputs = [x, y] if name.startswith("y") else [x]
    values = [np.array([0.5, -2.0, 3.0]), np.array([1.0, -1.0, 2.0])][: len(inputs)]
    assert_agree([output, gradient], inputs, *values)
    if y in inputs:
        return  # its derivative is summed to a shape that only a call tells, and stays as it is written
    found, slope = gs.function(inputs, [output, gradient], device="cpu")(
        *([np.array([800.0, -800.0, 1.0])] * len(inputs))
    )
    assert np.isfinite(found).all()
    assert np.isfinite(slope).all()


def test_a_softmax_in_a_loop_and_its_gradient_out_of_range():
    def step(row, p):
        e = gt.exp(row + p)
        return e / e.sum()

    out, _ = gs.scan(step, X, gt.zeros_like(X[0]))
    f = gs.function([X], [out[-1], gs.grad((out[-1] ** 2).sum(), X)], device="cpu")
    value, gradient = f([[900.0, 0.0], [0.0, 900.0]])
    np.testing.assert_array_equal(value, [0, 1])
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))


def test_a_softmax_of_nothing_is_a_maximum_of_nothing():
    softmax = one_exp / one_exp.sum()
    assert gs.function([x], softmax, OFF, device="cpu")([]).shape == (0,)
    with pytest.raises(ValueError, match="nothing to choose from"):
        gs.function([x], softmax, device="cpu")([])
