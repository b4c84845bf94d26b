"""Powers by small whole numbers as products."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.small_powers import small_powers
from tests.rewrite.programs import I, X, after, assert_agree, b, f32, is_kept, n8, s, x, y

CHANGED = {
    "x ** 2": (x**2, "sqr(x)"),
    "x ** 3": (x**3, "mul(sqr(x), x)"),
    "x ** 4": (x**4, "sqr(sqr(x))"),
    "x ** 7": (x**7, "mul(sqr(mul(sqr(x), x)), x)"),
    "x ** 1": (x**1, "x"),
    "x ** 0": (x**0, "broadcastto(1.0, dim[0](x))"),
    "x ** -1": (x**-1, "reciprocal(x)"),
    "x ** -2": (x**-2, "sqr(reciprocal(x))"),
    "x ** 0.5": (x**0.5, "sqrt(x)"),
    "x ** -0.5": (x**-0.5, "reciprocal(sqrt(x))"),
    "x * x": (x * x, "sqr(x)"),
    "f32 ** 2": (f32**2, "sqr(f32)"),
    "I ** 3": (I**3, "mul(sqr(I), I)"),
    "n8 in 64 bits": (n8 ** gt.constant(np.int64(2)), "sqr(cast[int64](n8))"),
}
KEPT = {
    "x ** y": x**y,
    "2 ** x": 2**x,
    "x ** 2.5": x**2.5,
    "x ** 100": x**100,
    "I ** -1": I**-1,
    "x * y": x * y,
    "truth values": b**2,
    "complex": gt.cast(x, "complex128") ** 2,
    "an exponent that broadcasts": s ** gt.constant([2.0, 2.0]),
}


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    assert after(small_powers, output) == text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(small_powers, KEPT[name])


@pytest.mark.parametrize("n", [*range(-8, 9), 0.5, -0.5])
def test_values(n):
    values = np.array([0.0, -1.5, 3.0, 1e-160, -1e160, 1e300, 5e-324, np.inf, np.nan])
    assert_agree(x**n, [x], values if isinstance(n, int) else abs(values), rtol=1e-14)


def test_integers_wrap_around_as_they_did():
    values = np.array([-128, -100, 11, 127], "int8")
    assert_agree([n8**2, n8**3, n8**7], [n8], values)


def test_the_one_number_whose_root_differs():
    assert np.isnan(gs.function([x], x**0.5, device="cpu")([-np.inf]))
    assert gs.function([x, y], x**y, device="cpu")([-np.inf], [0.5]) == np.inf


def test_derivatives_become_products_too():
    f = gs.function([x], gs.grad((x**3).sum(), x), device="cpu")
    assert [str(node.op) for node in f.graph.nodes] == ["sqr", "mul"]
    np.testing.assert_allclose(f([2.0, 0.0]), [12, 0])


def test_inside_a_loop():
    out, _ = gs.scan(lambda row, total: total + row**2, X, s * X[0])
    f = gs.function([X, s], out, device="cpu")
    (loop,) = [node.op for node in f.graph.nodes if node.op.name == "scan"]
    assert [str(node.op) for node in loop.body.nodes] == ["sqr", "add"]
