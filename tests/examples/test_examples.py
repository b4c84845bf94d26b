"""The programs of docs/examples, each at a small size, and the derivatives that they stand on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    """One of the programs, imported."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'example("{path.stem}")' in text for path in EXAMPLES.glob("*.py"))


# ---- the Nile's variances ----


def test_the_nile_has_the_published_variances(device):
    fit = example("nile_likelihood").main(device=device)
    assert round(fit.noise) == 15099
    assert round(fit.level / fit.noise, 4) == 0.0973
    assert round(15099 * 0.0973, 1) == 1469.1  # how the published 1469.1 comes about
    # The maximum to more digits, as found without gradients from the filter written in NumPy.
    np.testing.assert_allclose([fit.noise, fit.level], [15098.51832, 1469.17636], rtol=1e-6)
    assert round(fit.log_likelihood, 4) == -632.5456
    assert fit.calls < 30


def test_the_nile_likelihood_has_the_slope_and_curvature_of_its_differences(device):
    from gpuscan.data import nile

    slope, curvature = example("nile_likelihood").compile_likelihood(device)
    flow, at, h = nile()[1][:30], np.array([9.0, 8.0]), 1e-4
    steps = h * np.eye(2)
    expected = [(slope(at + d, flow)[0] - slope(at - d, flow)[0]) / (2 * h) for d in steps]
    np.testing.assert_allclose(slope(at, flow)[1], expected, rtol=1e-6)
    expected = [(slope(at + d, flow)[1] - slope(at - d, flow)[1]) / (2 * h) for d in steps]
    np.testing.assert_allclose(curvature(at, flow), expected, rtol=1e-6)


# ---- the digits ----


def test_the_digits_are_learnt(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `examples`")
    pytest.importorskip("matplotlib", reason="Matplotlib is in the extra `viz`")
    picture = tmp_path / "digits.png"
    training = example("digits_lstm").main(epochs=4, hidden=32, device="cpu", picture=str(picture))
    assert len(training.losses) == len(training.accuracies) == 4
    assert training.losses == sorted(training.losses, reverse=True)
    assert training.accuracies[-1] > 0.9
    assert picture.stat().st_size > 10_000


def test_the_lstm_has_the_gradient_of_its_differences():
    lstm = example("digits_lstm")
    rng = np.random.default_rng(0)
    shapes = {"from_row": (3, 8), "from_hidden": (2, 8), "gates": (8,), "to_digit": (2, 10), "digit": (10,)}

    def loss(images, *weights):
        log_p = lstm.log_probabilities(images, dict(zip(shapes, weights, strict=True)))
        return -log_p[gt.arange(4), gt.constant([3, 1, 4, 1])].mean()

    gs.verify_grad(loss, [rng.normal(size=shape) for shape in [(5, 4, 3), *shapes.values()]], rng=1)


def test_adam_takes_the_published_steps():
    w = gs.shared(np.array([1.0, -2.0]), "w")
    cost = (w**4).sum()
    step = gs.function([], cost, updates=example("digits_lstm").adam(cost, [w], rate=0.1), device="cpu")
    expected, m, v = np.array([1.0, -2.0]), 0.0, 0.0
    for t in range(1, 6):
        g = 4 * expected**3
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected = expected - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        step()
        # Its step counter is float32.
        np.testing.assert_allclose(w.get_value(), expected, rtol=1e-4)


# ---- the eight schools ----


def test_the_chains_find_the_exact_means(tmp_path):
    pytest.importorskip("matplotlib", reason="Matplotlib is in the extra `viz`")
    schools = example("eight_schools_hmc")
    picture = tmp_path / "schools.png"
    posterior = schools.main(draws=400, warm_up=200, chains=48, device="cpu", picture=str(picture))
    assert posterior.draws.shape == (400, 48, 10)
    assert (abs(posterior.means - posterior.exact) < 5 * posterior.standard_errors).all()
    assert posterior.standard_errors.max() < 0.12
    assert posterior.shrinkage.max() < 1.02
    assert 0.7 < posterior.accepted < 0.9
    assert picture.stat().st_size > 10_000


def test_the_exact_means_are_those_of_the_literature():
    mu, tau, *_ = example("eight_schools_hmc").exact_means()
    assert round(mu, 1) == 4.4
    assert round(tau, 1) == 3.6


def test_a_path_keeps_its_energy_to_second_order_and_can_be_walked_back():
    schools = example("eight_schools_hmc")
    q, p, size = gt.matrix("q"), gt.matrix("p"), gt.scalar("size")
    steps = gt.lscalar("steps")
    (qs, ps), _ = gs.scan(schools.leapfrog, outputs_info=[q, p], non_sequences=[size], n_steps=steps)
    energy = (ps[-1] ** 2).sum() / 2 - schools.log_posterior(qs[-1]).sum()
    walk = gs.function([q, p, size, steps], [qs[-1], ps[-1], energy], device="cpu")
    at_rest = gs.function([q, p], (p**2).sum() / 2 - schools.log_posterior(q).sum(), device="cpu")
    rng = np.random.default_rng(0)
    start = rng.normal(size=(1, 10)), rng.normal(size=(1, 10))
    first = at_rest(*start)
    # With a wrong gradient the path leaves the surface of constant energy however short the steps are.
    lost = [abs(walk(*start, 0.8 / n, n)[2] - first) for n in (16, 32, 64)]
    assert lost[0] < 0.1
    np.testing.assert_allclose([lost[0] / lost[1], lost[1] / lost[2]], 4, rtol=0.15)
    q_end, p_end, _ = walk(*start, 0.05, 16)
    q_back, p_back, _ = walk(q_end, -p_end, 0.05, 16)
    np.testing.assert_allclose(q_back, start[0], rtol=1e-10)
    np.testing.assert_allclose(-p_back, start[1], rtol=1e-10)


def test_the_same_chains_on_the_emulator():
    schools = example("eight_schools_hmc")
    found = [schools.main(draws=20, warm_up=5, chains=3, leaps=2, device=device) for device in ("cpu", "emulator")]
    np.testing.assert_allclose(found[0].draws, found[1].draws, rtol=1e-9)
