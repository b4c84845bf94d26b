"""Graphs used like one op."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

a, b = gt.vector("a"), gt.scalar("b")


@pytest.mark.parametrize("inline", [True, False])
def test_a_call_is_its_graph(inline, device):
    affine = gs.OpFromGraph([a, b], a * b + 1, inline=inline, name="affine")
    twice = affine(affine(a, 2), b)
    f = gs.function([a, b], [twice, twice.sum()], device=device)
    for found, expected in zip(f([1.0, 2.0], 3.0), ([10, 16], 26), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert ("affine" in gs.debugprint(f, file="str")) is not inline
    assert "Inner graph of affine" in gs.debugprint(twice, file="str")


@pytest.mark.parametrize("inline", [True, False])
def test_in_a_step_and_around_a_loop(inline, device):
    def running(xs):
        return gs.scan(lambda row, s: row + s, xs, np.float64(0))[0]

    total = gs.OpFromGraph([a], running(a)[-1], inline=inline)
    m = gt.matrix("m")
    out, _ = gs.scan(lambda row, s: s + total(row), m, np.float64(0))
    f = gs.function([m], out, device=device)
    np.testing.assert_array_equal(f(np.ones((3, 2))), [2, 4, 6])


@pytest.mark.parametrize("inline", [True, False])
def test_what_a_step_calls_is_part_of_its_kernel(inline):
    double = gs.OpFromGraph([a], a * 2, inline=inline)
    m = gt.matrix("m")
    out, _ = gs.scan(lambda row, s: double(row) + s, m, gt.zeros(3))
    f = gs.function([m], out, device="emulator")
    np.testing.assert_array_equal(f(np.ones((2, 3))), [[2] * 3, [4] * 3])
    assert [plan.team for plan in f.plans] == ["thread"]


def test_arrays_that_are_part_of_it_reach_the_kernel():
    weighted = gs.OpFromGraph([a], a * np.array([1.0, 2.0, 3.0]))
    m = gt.matrix("m")
    out, _ = gs.scan(lambda row, s: s + weighted(row), m, gt.zeros(3))
    f = gs.function([m], out[-1], device="emulator")
    np.testing.assert_array_equal(f(np.ones((2, 3))), [2, 4, 6])
    assert [plan.team for plan in f.plans] == ["thread"]


def test_what_is_used_more_than_once_is_computed_once():
    square = gs.OpFromGraph([a], gt.exp(a), inline=False)
    y = square(a)
    f = gs.function([a], y * y + y)
    assert f.kernel_source().count("exp") == 1


def test_shared_variables_are_found():
    rate = gs.shared(2.0, "rate")
    scaled = gs.OpFromGraph([a], [a * rate, a + rate])
    product, total = scaled(a)
    f = gs.function([a], [product, total])
    rate.set_value(3.0)
    np.testing.assert_array_equal(f([1.0]), [[3], [4]])


def test_known_sizes_go_in():
    total = gs.OpFromGraph([a], a * 2)
    assert total(gt.zeros(3)).static_shape == (3,)
    assert total(np.ones(2, "float32")).dtype == "float64"


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: gs.OpFromGraph([a], a * b), gs.MissingInputError, "need 'b' (float64[]), which is not among"),
        (lambda: gs.OpFromGraph([1], a), TypeError, "inputs must be variables; found 1"),
        (lambda: gs.OpFromGraph([a, b], a * b, name="f")(a), TypeError, "f takes 2 arguments (a, b); found 1"),
        (lambda: gs.OpFromGraph([a], a)(b), gs.ShapeError, "argument 0 (a: float64[?]) is float64[]"),
    ],
)  # fmt: skip
def test_messages(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()


def test_an_argument_that_would_lose_precision():
    count = gt.lscalar("count")
    with pytest.raises(gs.DtypeError, match=r"argument 0 \(count: int64\[\]\) is float64\[\], which does not fit"):
        gs.OpFromGraph([count], count + 1)(b)
