"""Gradients of loops that hypothesis draws: against the same loop unrolled in the graph, and finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import gpuscan as gs
import gpuscan.tensor as gt
from tests.autodiff.check import dot, random_like
from tests.autodiff.gentle_loops import draw, gentle
from tests.on_teams import TEAMS, check_on
from tests.random_loops import LOOPS, RandomLoop, running_sum

OPTIONS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
    "print_blob": True,
}


FEWEST = {"prefix": 15, "thread": 30, "warp": 30, "block": 30, "grid": 30, "host": 30}
"""Of the loops of the gradients below, how many each team carries at least."""


def differences(f: Callable[[float], float]) -> float | None:
    """Return the derivative of `f` at 0; None where it is not smooth there, as where a loop stops a step later."""

    def central(h: float) -> float:
        coarse, fine = (f(h) - f(-h)) / (2 * h), (f(h / 2) - f(-h / 2)) / h
        return (4 * fine - coarse) / 3

    wide, narrow = central(2e-4), central(5e-5)
    return narrow if np.isclose(wide, narrow, rtol=1e-5, atol=1e-6) else None


def same(found: Sequence[Any], expected: Sequence[Any], of: Sequence[Any], rtol: float = 1e-6) -> None:
    for g, e, x in zip(found, expected, of, strict=True):
        assert (np.shape(g), g.dtype) == (np.shape(x), np.float64)
        np.testing.assert_allclose(g, e, rtol=rtol, atol=rtol)


# ---- first derivatives ----


def check_gradients(loop: RandomLoop) -> None:
    if (drawn := draw(gentle(loop))) is None:
        return
    wrt = drawn.wrt
    gradients = gs.grad(drawn.cost, wrt, disconnected_inputs="ignore")
    f = drawn.function([drawn.cost, *gradients])
    value, *found = f(*drawn.values)
    if drawn.unrolled is not None:
        flat = [drawn.unrolled, *gs.grad(drawn.unrolled, wrt, disconnected_inputs="ignore")]
        same([value, *found], drawn.function(flat)(*drawn.values), [value, *drawn.points])
    rng = np.random.default_rng(0)
    # By each alone: an error in one must not drown in the others.
    for i, (point, g) in enumerate(zip(drawn.points, found, strict=True)):
        (direction,) = random_like([point], rng)

        def along(h: float, i: int = i, moved: Any = direction) -> float:
            points = list(drawn.points)
            points[i] = points[i] + h * moved
            return float(f(*drawn.at(points))[0])

        if (expected := differences(along)) is not None:
            np.testing.assert_allclose(dot([g], [direction]), expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=120, **OPTIONS)
@given(LOOPS)
def test_gradients_on_the_cpu(loop: RandomLoop) -> None:
    check_gradients(loop)


@pytest.mark.parametrize("team", TEAMS)
def test_gradients_on_every_team(team: str) -> None:
    carried = []

    # As in tests/loop.
    @settings(max_examples=20, derandomize=True, phases=[Phase.explicit, Phase.generate], **OPTIONS)
    @given(LOOPS)
    def check(loop: RandomLoop) -> None:
        loop = gentle(loop)
        if (drawn := draw(running_sum(loop) if team == "prefix" else loop)) is not None:
            gradients = gs.grad(drawn.cost, drawn.wrt, disconnected_inputs="ignore")
            carried.append(check_on(team, drawn.inputs, [drawn.cost, *gradients], drawn.values))

    check()
    assert sum(carried) >= FEWEST[team]


@settings(max_examples=40, **OPTIONS)
@given(LOOPS)
def test_gradients_in_segments(loop: RandomLoop) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gs, "scan", partial(gs.scan, checkpoint=2))
        check_gradients(loop)


# ---- second derivatives ----


@settings(max_examples=30, **OPTIONS)
@given(LOOPS)
def test_second_derivatives(loop: RandomLoop) -> None:
    """Reverse over reverse, forward over reverse and, of the gradient, finite differences."""
    if (drawn := draw(gentle(loop))) is None:
        return
    rng = np.random.default_rng(loop.seed)
    wrt = drawn.wrt
    t = [gt.constant(v) for v in random_like(drawn.points, rng)]

    def products(cost: gs.Variable) -> list[gs.Variable]:
        gradients = gs.grad(cost, wrt, disconnected_inputs="ignore")
        return gs.grad(dot(gradients, t), wrt, disconnected_inputs="ignore") if wrt else []

    gradients = gs.grad(drawn.cost, wrt, disconnected_inputs="ignore")
    if not wrt:
        return
    forward = gs.pushforward(gradients, wrt, t, disconnected_outputs="ignore")
    f = drawn.function([*gradients, *products(drawn.cost), *forward])
    found = f(*drawn.values)
    count = len(wrt)
    backward, moved = found[count : 2 * count], found[2 * count :]
    same(moved, backward, drawn.points, 1e-8)
    if drawn.unrolled is not None:
        same(backward, drawn.function(products(drawn.unrolled))(*drawn.values), drawn.points)
    u = random_like(drawn.points, rng)

    def slope(h: float) -> float:
        points = [p + h * v.data for p, v in zip(drawn.points, t, strict=True)]
        return float(dot(f(*drawn.at(points))[:count], u))

    if (expected := differences(slope)) is not None:
        np.testing.assert_allclose(dot(backward, u), expected, rtol=1e-5, atol=1e-6)
