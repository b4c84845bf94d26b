"""Draws driven from the host on a GPU: with arrays that refuse what CuPy's refuse."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor import random
from gpuscan.tensor.random.functions import FUNCTIONS
from tests.cuda.stand_in import StandIn
from tests.tensor.random.test_draws import ARGUMENTS


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: StandIn())
    monkeypatch.setattr("gpuscan.cuda.launch.gpu_count", lambda: 1)


def check(inputs, outputs, *values):
    expected, found = (gs.function(inputs, outputs, device=device)(*values) for device in ("cpu", "cuda"))
    for e, v in zip(expected, found, strict=True):
        assert isinstance(v, np.ndarray)
        assert v.dtype == e.dtype
        np.testing.assert_allclose(v, e, rtol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("size", [None, (), (3, 2)], ids=str)
def test_every_distribution(name, size):
    sample = FUNCTIONS[name](*ARGUMENTS.get(name, ()), size=size, rng=random.default_rng(3))
    check([], sample.owner.outputs)


def test_parameters_on_the_device_and_on_the_host():
    n, k, p, lam = gt.lscalar("n"), gt.lvector("k"), gt.vector("p"), gt.matrix("lam")
    rng = random.default_rng(3)
    outputs = [
        random.binomial(n, p, rng=rng),
        random.binomial(k, p, rng=rng),
        random.binomial(k, 0.3, size=(4, 3), rng=rng),
        random.poisson(lam, rng=rng),
        random.gamma(p, lam, rng=rng),
        random.integers(k - 5, k + n, rng=rng),
        random.categorical(lam, rng=rng),
        random.multinomial(n, p / p.sum(), rng=rng),
        random.choice(lam, size=n, p=p[:2], rng=rng),
        random.choice(lam, size=2, replace=False, p=p[:2], rng=rng),
        random.choice(n, size=(2,), replace=False, rng=rng),
        random.permutation(lam, rng=rng),
        random.normal(size=(n, 2), rng=rng),
    ]
    values = 7, np.array([1, 20, 3000]), np.array([0.2, 0.5, 0.9]), np.array([[0.5, 3.0, 9.0], [11.0, 40.0, 1e6]])
    check([n, k, p, lam], outputs, *values)


def test_a_loop_driven_from_the_host():
    w = gt.matrix("w")

    def step(x, rng):
        rng, noise = rng.normal(size=x.shape)
        rng, kept = rng.binomial(1, gt.sigmoid(x), size=x.shape)
        return gt.tanh(x @ w) + noise * kept, rng

    (xs, states), _ = gs.scan(step, outputs_info=[gt.zeros(3), random.default_rng(3)], n_steps=4)
    check([w], [xs, states], np.eye(3))


def test_a_stream_keeps_its_states_on_the_device():
    stream = random.RandomStream(3)
    f = gs.function([], stream.normal(size=2), device="cuda")
    first, second = f(), f()
    assert not np.any(first == second)
    state, _ = stream.state_updates[0]
    assert type(state.storage).__name__ == "DeviceArray"
    assert state.get_value()[1] == 2
