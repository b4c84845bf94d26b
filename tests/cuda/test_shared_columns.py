"""Products of several left sides with one matrix: threads hold its columns once."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt


@pytest.mark.parametrize("strategy", ["warp", "block", "grid"])
def test_columns_of_a_matrix_are_held_once(strategy):
    x, w, h0 = gt.tensor3("x"), gt.matrix("w"), gt.matrix("h0")

    def step(row, h, c, w):
        return gt.tanh(h @ w + row), gt.tanh(c @ w - row)

    (h, c), _ = gs.scan(step, x, [h0, h0 * 2.0], w)
    random = np.random.default_rng(0)
    values = [random.normal(size=shape) * 0.3 for shape in ((4, 2, 32), (32, 32), (2, 32))]
    with gs.config.change_flags(strategy=strategy):
        f = gs.function([x, w, h0], [h[-1], c[-1]], device="emulator")
        found = f(*values)
    assert [plan.team for plan in f.plans] == [strategy]
    text = f.kernel_source()
    assert text.count("double w_w[") + text.count(", columns_w, ") == 1
    for a, b in zip(found, gs.function([x, w, h0], [h[-1], c[-1]], device="cpu")(*values), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
