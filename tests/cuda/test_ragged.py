"""Loops inside a step that a condition ends, whose rows something reads: in one launch, with room for all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.emulator import find_compiler
from gpuscan.errors import KernelError

try:
    find_compiler()
except KernelError as error:
    pytest.skip(str(error), allow_module_level=True)

TEAMS = ("thread", "warp", "block", "grid")
rng = np.random.default_rng(0)


@dataclass(frozen=True)
class Program:
    """A loop whose step runs another until a condition holds."""

    inputs: list[gs.Variable]
    output: gs.Variable
    values: list[Any]


def newton() -> Program:
    a = gt.vector("a")
    return Program([a], gs.map(lambda a: root(a)[-1], a)[0], [0.1 + 10 * rng.random(7)])


def root(a: Any) -> Any:
    def step(x: Any, a: Any) -> Any:
        moved = x - (x**3 - a) / (3 * x * x)
        return moved, gs.until(abs(moved - x) <= 1e-6 * abs(moved))

    return gs.scan(step, None, gt.maximum(a, 1), a, n_steps=30)[0]


def reductions() -> Program:
    a = gt.vector("a")

    def step(a: Any) -> Any:
        xs = root(a)
        return (xs**2).sum() + xs.max() + xs.min() + xs.mean() + (xs > 2).sum()

    return Program([a], gs.map(step, a)[0], [0.1 + 10 * rng.random(7)])


def parts() -> Program:
    a = gt.vector("a")

    def step(a: Any) -> Any:
        def inside(x: Any, a: Any) -> Any:
            return x * 1.3 + a, gt.exp(-x) * a, gs.until(x > 4)

        (xs, es), _ = gs.scan(inside, None, [a, None], a, n_steps=12)
        total = es.sum() + xs[1:].sum() + (xs[:-1] * es[1:]).sum() + (xs * es[::-1]).sum()
        return total + xs[0] ** 2 + (xs * es.max())[-1] + (xs[1:] - xs[:-1]).sum() + xs.shape[0]

    return Program([a], gs.map(step, a)[0], [0.2 + rng.random(6)])


def ends() -> Program:
    """The last and the first row alone, of a state and of an emit: nothing else is kept."""
    a = gt.vector("a")

    def step(a: Any) -> Any:
        def inside(x: Any, a: Any) -> Any:
            return x * 1.3 + a, gt.exp(-x) * a, gt.sin(x), gs.until(x > 4)

        (xs, es, firsts), _ = gs.scan(inside, None, [a, None, None], a, n_steps=12)
        return xs[-1] * es[-1] + firsts[0] + firsts[:1].sum()

    return Program([a], gs.map(step, a)[0], [0.2 + rng.random(6)])


def weights() -> Program:
    rows, h0, w = gt.matrix("rows"), gt.matrix("h0"), gt.matrix("w")

    def step(h: Any, w: Any, rows: Any) -> Any:
        def inside(row: Any, h: Any, w: Any) -> Any:
            new = gt.tanh(h @ w + row)
            return new, gs.until(new.sum() > 1)

        return gs.scan(inside, rows, h, w, n_steps=6)[0][-1]

    values = [rng.normal(size=(5, 3)), rng.normal(size=(3, 3)), 0.5 * rng.normal(size=(7, 3))]
    return Program([h0, w, rows], gs.scan(step, h0, None, [w, rows])[0], values)


def lags() -> Program:
    a = gt.vector("a")

    def step(h: Any, a: Any) -> Any:
        def inside(two_ago: Any, one_ago: Any, a: Any) -> Any:
            new = 0.5 * gt.sin(two_ago) + 0.3 * one_ago + a
            return new, gs.until(new > 2)

        past = {"initial": gt.stack([h, h * 0.5]), "taps": [-2, -1]}
        return gs.scan(inside, None, past, a, n_steps=5)[0][-1] * 0.5

    return Program([a], gs.scan(step, None, gt.constant(0.3), a[0], n_steps=4)[0], [np.array([0.7, 1])])


def backwards() -> Program:
    """Rows that another loop reads, in either order, and a length that is a count."""
    a = gt.vector("a")

    def step(a: Any) -> Any:
        xs = root(a)
        ahead, _ = gs.scan(lambda x, s: 0.5 * s + x, xs, gt.constant(0.0))
        behind, _ = gs.scan(lambda x, s: 0.5 * s + x, xs, gt.constant(0.0), go_backwards=True)
        return ahead[-1] + 2 * behind[-1] + (ahead * behind).sum()

    return Program([a], gs.map(step, a)[0], [0.1 + 10 * rng.random(7)])


PROGRAMS: dict[str, Callable[[], Program]] = {
    f.__name__: f for f in (newton, reductions, parts, ends, weights, lags, backwards)
}
CASES = [(name, TEAMS[(i + j) % 4]) for i, name in enumerate(PROGRAMS) for j in range(2)]


@pytest.mark.parametrize(("name", "team"), CASES)
def test_values_and_gradients_in_one_launch(name: str, team: str) -> None:
    program = PROGRAMS[name]()
    cost = (program.output**2).sum()
    outputs = [program.output, *gs.grad(cost, program.inputs)]
    expected = gs.function(program.inputs, outputs, device="cpu")(*program.values)
    with gs.config.change_flags(strategy=team):
        f = gs.function(program.inputs, outputs, device="emulator")
        found = f(*program.values)
    assert {plan.team for plan in f.plans} == {team}, f.explain("str")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_a_bound_that_a_call_says() -> None:
    a, n = gt.vector("a"), gt.lscalar("n")

    def step(a: Any, n: Any) -> Any:
        return gs.scan(lambda x: (x * 1.5, gs.until(x > 4)), None, a, n_steps=n)[0].sum()

    output, _ = gs.map(step, a, n)
    f, reference = (gs.function([a, n], output, device=device) for device in ("emulator", "cpu"))
    for most in (3, 20):
        np.testing.assert_allclose(f([0.1, 1, 3], most), reference([0.1, 1, 3], most), rtol=1e-12)
        assert f.plans[0].team == "thread"


@pytest.mark.parametrize(
    "read",
    [
        lambda xs: gt.sort(xs)[0],
        lambda xs: xs[xs > 2].sum(),
        lambda xs: xs[::2].sum(),
        lambda xs: xs.argmax(),
        lambda xs: xs[gt.constant([0, -1])].sum(),
    ],
)
def test_what_has_no_rule_is_left_to_the_host(read: Callable[[Any], Any]) -> None:
    a = gt.vector("a")
    output, _ = gs.map(lambda a: read(root(a)), a)
    f, reference = (gs.function([a], output, device=device) for device in ("emulator", "cpu"))
    values = [0.5, 3, 9]
    np.testing.assert_allclose(f(values), reference(values), rtol=1e-12)
    assert f.plans[0].team == "host"
    assert "depends on values" in str(f.explain("str"))
