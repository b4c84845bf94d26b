"""Maxima and minima over time of loops of any number of steps, carried while they run."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from tests.rewrite.nets import assert_meaning_kept, loops_of

x, s, limit = gt.matrix("x"), gt.vector("s"), gt.scalar("limit")
INPUTS = [x, s, limit]
VALUES = [np.random.default_rng(0).normal(size=(5, 2)), np.array([0.5, 1.5]), np.array(0.3)]


def net(stops: bool = False):
    def step(row, h):
        new = np.tanh(h + row)
        outputs = new, gt.cast(10.0 * row * h, "int32")
        return (*outputs, gs.until(new.sum() > limit)) if stops else outputs

    return gs.scan(step, x, [s, None])[0]


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("axis", [0, (0, 1), None], ids=str)
def test_extremes_of_any_number_of_steps(axis, stops):
    h, emit = net(stops)
    after = assert_meaning_kept(INPUTS, [h.max(axis), h.min(axis), emit.max(axis), emit.min(axis)], VALUES)
    assert {r.kind for r in loops_of(after)[0].results} == {"final", "steps"} - ({"steps"} if not stops else set())


def test_not_a_number_is_the_extreme():
    rows = VALUES[0].copy()
    rows[2, 1] = np.nan
    assert_meaning_kept(INPUTS, [net()[0].max(0), net()[0].min()], [rows, *VALUES[1:]])


@pytest.mark.parametrize("axis", [0, None], ids=str)
def test_of_no_step_it_is_an_error(axis):
    f = gs.function([x, s], net()[0].max(axis), device="cpu")
    with pytest.raises(ValueError, match="nothing to choose from"):
        f(np.zeros((0, 2)), [1.0, 2.0])


def test_gradients():
    cost = net()[0].max(0).sum() - net()[0].min()
    assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, s])], VALUES)


def test_kernels_compute_the_same():
    outputs = [net()[0].max(0), net()[1].min()]
    f = gs.function([x, s], outputs, device="emulator")
    expected = gs.function([x, s], outputs, gs.Mode(optimizer=None), device="cpu")(*VALUES[:2])
    for found, value in zip(f(*VALUES[:2]), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-12)
    assert [plan.team for plan in f.plans] == ["thread"]
