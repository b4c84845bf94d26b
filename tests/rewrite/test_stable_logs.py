"""Logarithms and exponentials in stable forms, compared with arithmetic of more digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.stable_logs import stable_logs
from tests.rewrite.programs import X, Y, after, assert_agree, is_kept, s, x, y

TOP = "switch(isfinite(dimshuffle[x](max[0](x))), dimshuffle[x](max[0](x)), 0.0)"
LOG_OF_SUM = f"dimshuffle[](add(log(dimshuffle[x](sum[0](exp(sub(x, {TOP}))))), {TOP}))"

CHANGED = {
    "log(1 + x)": (gt.log(1 + x), "log1p(x)"),
    "log(x + 1)": (gt.log(x + 1), "log1p(x)"),
    "log(1 - x)": (gt.log(1 - x), "log1p(neg(x))"),
    "exp(x) - 1": (gt.exp(x) - 1, "expm1(x)"),
    "exp(x) + (-1)": (gt.exp(x) + (-1.0), "expm1(x)"),
    "1 - exp(x)": (1 - gt.exp(x), "neg(expm1(x))"),
    "log(1 + exp(x))": (gt.log(1 + gt.exp(x)), "softplus(x)"),
    "log1p(exp(x))": (gt.log1p(gt.exp(x)), "softplus(x)"),
    "log(1 - exp(x))": (gt.log(1 - gt.exp(x)), "log1mexp(x)"),
    "log(sigmoid(x))": (gt.log(gt.sigmoid(x)), "neg(softplus(neg(x)))"),
    "log(1 - sigmoid(x))": (gt.log(1 - gt.sigmoid(x)), "neg(softplus(x))"),
    "log(exp(x) + exp(y))": (gt.log(gt.exp(x) + gt.exp(y)), "logaddexp(x, y)"),
    "log(exp(x))": (gt.log(gt.exp(x)), "x"),
    "log(exp(x) * y)": (gt.log(gt.exp(x) * y), "add(x, log(y))"),
    "log(exp(x) / y)": (gt.log(gt.exp(x) / y), "sub(x, log(y))"),
    "log(y / exp(x))": (gt.log(y / gt.exp(x)), "sub(log(y), x)"),
    "exp(log(sigmoid))": (gt.exp(gt.log(gt.sqrt(x))), "sqrt(x)"),
    "sqrt(x ** 2)": (gt.sqrt(gt.sqr(x)), "abs(x)"),
    "log of a sum": (gt.log(gt.exp(x).sum()), LOG_OF_SUM),
}
KEPT = {
    "log(2 + x)": gt.log(2 + x),
    "exp(log(x)): NaN for x < 0": gt.exp(gt.log(x)),
    "log(1 + ones(3)), which may broadcast": gt.log(gt.ones(3) + x),
    "exp(x) - ones(3)": gt.exp(x) - gt.ones(3),
    "complex": gt.log(1 + gt.cast(x, "complex128")),
    "shifted already": gt.logsumexp(X, axis=1),
    "softmax's denominator": gt.log(gt.exp(x - x.max()).sum()),
    "2 - exp(x)": 2 - gt.exp(x),
}


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    assert after(stable_logs, output) == text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(stable_logs, KEPT[name])


# ---- values ----

wide = np.longdouble
FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    # as written, and its value in 80 bits, written so that it is accurate
    "log1p": (lambda v: gt.log(1 + v**2), lambda v: np.log1p(v**2)),
    "expm1": (lambda v: gt.exp(v) - 1, np.expm1),
    "softplus": (lambda v: gt.log(1 + gt.exp(v)), lambda v: np.logaddexp(v, wide(0))),
    "log sigmoid": (lambda v: gt.log(1 / (1 + gt.exp(-v))), lambda v: -np.logaddexp(-v, wide(0))),
    "log of 1 - sigmoid": (lambda v: gt.log(1 - gt.sigmoid(v)), lambda v: -np.logaddexp(v, wide(0))),
    "log softmax": (lambda v: gt.log(gt.exp(v) / gt.exp(v).sum()), lambda v: v - np.logaddexp.reduce(v)),
    "log of softmax": (lambda v: gt.log(gt.special.softmax(v)), lambda v: v - np.logaddexp.reduce(v)),
    "log of two": (lambda v: gt.log(gt.exp(v) + gt.exp(2 * v)), lambda v: np.logaddexp(v, 2 * v)),
    "log sum": (lambda v: gt.log(gt.exp(v).sum()), np.logaddexp.reduce),
}
POINTS = np.array([-1e-17, 3e-12, 0.5, -4.0, 36.0, -40.0, 300.0, -300.0])


@pytest.mark.parametrize("name", FORMS)
def test_values_beyond_what_is_written(name):
    written, exact = FORMS[name]
    found = gs.function([x], written(x), device="cpu")(POINTS)
    np.testing.assert_allclose(found, exact(POINTS.astype(wide)).astype(float), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_beyond_what_is_written(name):
    """Differences in 80 bits are good to 1e-9 where functions are smooth at the scale of their steps."""
    written, exact = FORMS[name]
    points = POINTS[2:]
    weights = np.arange(1.0, len(points) + 1)
    gradient = gs.function([x, y], gs.grad((y * written(x)).sum(), x), device="cpu")
    step = wide(1e-6)
    expected = []
    for k in range(len(points)):
        shift = np.zeros(len(points), wide)
        shift[k] = step
        up, down = (exact(points.astype(wide) + sign * shift) for sign in (1, -1))
        expected.append(float((weights * (up - down) / (2 * step)).sum()))
    np.testing.assert_allclose(gradient(points, weights), expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", FORMS)
def test_ordinary_values_and_second_derivatives(name):
    written, _ = FORMS[name]
    cost = (written(x) ** 2).sum()
    first = gs.grad(cost, x)
    assert_agree([cost, first, gs.grad(first.sum(), x)], [x], np.array([0.7, -1.2, 2.0]), atol=1e-14)


def test_out_of_range_in_a_loop_and_in_its_gradient():
    out, _ = gs.scan(lambda row, total: total + gt.log(1 + gt.exp(row)), X, gt.zeros_like(X[0]))
    f = gs.function([X], [out[-1], gs.grad(out[-1].sum(), X)], device="cpu")
    value, gradient = f([[1000.0, -1000.0], [2.0, 3.0]])
    np.testing.assert_allclose(value, [1000 + np.logaddexp(2, 0), np.logaddexp(3, 0)])
    np.testing.assert_allclose(gradient, [[1, 0], [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-3))]])


def test_cross_entropy_of_what_is_next_to_impossible():
    p = gt.special.softmax(X, axis=1)
    cost = -(Y * gt.log(p)).sum()
    f = gs.function([X, Y], [cost, gs.grad(cost, X)], device="cpu")
    cost_found, gradient = f([[0.0, 2000.0]], [[1.0, 0.0]])
    assert cost_found == 2000
    np.testing.assert_allclose(gradient, [[-1, 1]])


def test_cross_entropy_of_two_classes():
    p = gt.sigmoid(x * s)
    cost = -(y * gt.log(p) + (1 - y) * gt.log(1 - p)).mean()
    gradient = gs.grad(cost, s)
    assert_agree([cost, gradient], [x, y, s], np.array([0.5, -2.0, 1.0]), np.array([0.0, 1.0, 0.3]), 0.7)
    f = gs.function([x, y, s], [cost, gradient], device="cpu")
    value, slope = f([1000.0, -1000.0, 2000.0], [0.0, 1.0, 1.0], 1.0)
    assert value == pytest.approx(2000 / 3)
    assert slope == pytest.approx(2000 / 3)


def test_a_sum_of_no_exponentials_is_a_maximum_of_nothing():
    f = gs.function([x], gt.log(gt.exp(x).sum()), device="cpu")
    with pytest.raises(ValueError, match="nothing to choose from"):
        f([])
    assert f([-np.inf]) == -np.inf
    assert f([s.ndim, np.inf]) == np.inf
