"""What is left of 1 beside a sigmoid."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.complement_sigmoids import complement_sigmoids
from tests.rewrite.programs import after, assert_agree, is_kept, s, text_of, x

p = gt.sigmoid(x)


def test_before_and_after():
    assert after(complement_sigmoids, 1 - p) == "sigmoid(neg(x))"
    assert after(complement_sigmoids, gt.sqr(1 - p) + (1 - p)) == "add(sqr(sigmoid(neg(x))), sigmoid(neg(x)))"


@pytest.mark.parametrize("output", [p * (1 - p), 2 - p, 1 - gt.tanh(x), gt.ones(3) - gt.sigmoid(s), gt.ones(3) - p])
def test_what_is_left_alone(output):
    assert is_kept(complement_sigmoids, output)


def test_values_and_derivatives():
    assert gs.function([x], 1 - p, device="cpu")([50.0]) == pytest.approx(np.exp(-50), rel=1e-14)
    assert_agree([1 - p, gs.grad((1 - p).sum(), x)], [x], np.array([0.5, -3.0, 5.0]))


def test_a_derivative_reads_the_result():
    f = gs.function([x], [p, gs.grad(p.sum(), x)], device="cpu")
    assert text_of(f.graph) == "sigmoid(x); mul(sigmoid(x), sub(1.0, sigmoid(x)))"
