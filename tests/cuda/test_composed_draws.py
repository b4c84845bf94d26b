"""Draws that no thread can do by itself: made of those that threads can, with the same numbers, in one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.emulator import find_compiler
from gpuscan.cuda.step.draws import COMPOSITIONS, compose_draws
from gpuscan.errors import KernelError
from gpuscan.tensor import random
from gpuscan.tensor.random.distributions import DISTRIBUTIONS

try:
    find_compiler()
except KernelError as error:
    pytest.skip(str(error), allow_module_level=True)

P = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0, 1, 0], [0.3, 0.3, 0.4]])
COVARIANCE = np.array([[2, 0.3], [0.3, 1]])
UNEQUAL = [0.1, 0.0, 0.5, 0.2, 0.2]

Make = Callable[[Any], tuple[Any, Any]]

DRAWS: dict[str, Make] = {
    "categorical": lambda r: r.categorical(P, size=(5, 4)),
    "categorical of one": lambda r: r.categorical([[2.0]], size=3),
    "categorical, float32": lambda r: r.categorical(gt.constant(P[0].astype("float32")), dtype="int32"),
    "multinomial": lambda r: r.multinomial([1, 7, 40, 100], P),
    "multinomial of one": lambda r: r.multinomial(30, UNEQUAL),
    "choice": lambda r: r.choice(gt.arange(10.0, 15.0), size=(3, 4)),
    "choice of rows": lambda r: r.choice(gt.arange(6.0).reshape((3, 2)), size=4),
    "weighted choice": lambda r: r.choice(gt.arange(10.0, 15.0), p=UNEQUAL, size=(3, 4)),
    "subset": lambda r: r.choice(gt.arange(10.0, 15.0), size=3, replace=False),
    "subset of one": lambda r: r.choice(gt.arange(10.0, 15.0), replace=False),
    "weighted subset": lambda r: r.choice(gt.arange(10.0, 15.0), p=UNEQUAL, size=(2, 2), replace=False),
    "permutation": lambda r: r.permutation(gt.arange(14.0).reshape((7, 2))),
    "permutation of a number": lambda r: r.permutation(7),
    "dirichlet": lambda r: r.dirichlet([1e-3, 1.0, 20.0], size=4),
    "multivariate normal": lambda r: r.multivariate_normal([1.0, 2.0], COVARIANCE, size=(2, 4)),
    "multivariate normal, float32": lambda r: r.multivariate_normal([1.0, 2.0], COVARIANCE, dtype="float32"),
}


def assert_same(found: Any, expected: Any) -> None:
    """Integers and what is chosen exactly, the rest to a few roundings."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    rounding = 8 * np.finfo(found.dtype).eps if found.dtype.kind == "f" else 0
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=1e-30)


def test_all_that_have_no_text_for_a_thread_are_composed() -> None:
    assert set(COMPOSITIONS) == {name for name, row in DISTRIBUTIONS.items() if row.c is None}


@pytest.mark.parametrize("name", DRAWS)
def test_the_ops_draw_what_numpy_draws(name: str) -> None:
    following, drawn = DRAWS[name](random.default_rng(5))
    composed = compose_draws([following, drawn], [])
    assert composed[1] is not drawn
    for found, expected in zip(
        *(gs.function([], v, device="cpu")() for v in (composed, [following, drawn])), strict=True
    ):
        assert_same(found, expected)


@pytest.mark.parametrize("name", DRAWS)
def test_in_a_kernel(name: str) -> None:
    team = ("thread", "warp", "block")[list(DRAWS).index(name) % 3]

    def step(rng: Any) -> tuple[Any, Any, Any]:
        rng, drawn = DRAWS[name](rng)
        rng, after = rng.uniform()
        return drawn, after, rng

    outputs, _ = gs.scan(step, outputs_info=[None, None, random.default_rng(5)], n_steps=6)
    expected = gs.function([], outputs, device="cpu")()
    with gs.config.change_flags(strategy=team):
        f = gs.function([], outputs, device="emulator")
        found = f()
    assert f.plans[0].team == team, f.explain("str")
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_chains_of_categories() -> None:
    """A hidden Markov model's states: a row of the transition matrix for each chain, and its next category."""
    transition = gt.matrix("transition")

    def step(state: Any, rng: Any) -> tuple[Any, Any]:
        rng, state = rng.categorical(transition[state])
        return state, rng

    start = gt.zeros(50, "int64")
    (states, _), _ = gs.scan(step, outputs_info=[start, random.default_rng(7)], n_steps=40)
    f, reference = (gs.function([transition], states, device=device) for device in ("emulator", "cpu"))
    rows = np.random.default_rng(0).dirichlet([1, 2, 3, 4], size=4)
    np.testing.assert_array_equal(f(rows), reference(rows))
    assert f.plans[0].team != "host"
    assert f.plans[0].lanes.count == 50
