"""Derivatives by what steps compute from non-sequences alone: the numbers, and that they leave the backward loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import sorted_nodes
from gpuscan.loop import Loop, Scan, open_loop
from tests.autodiff.check import check


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


X, S, W, M = normal(5, 3), normal(3, seed=1), normal(4, seed=2), normal(3, 3, seed=3)

Step = Callable[..., Any]


def loop(step: Step, *fixed: Any, x: Any = X, **options: Any) -> Callable[..., gs.Variable]:
    """Return what builds a cost of a loop over `x` from S and the values of `fixed`."""
    return lambda s, *given: gs.scan(step, gt.constant(x), s, list(given), **options)[0]


def parameters(row: Any, s: Any, w: Any) -> Any:
    return w[0] + gt.exp(w[1]) * row + gt.sigmoid(w[2:]).sum() * np.tanh(s)


STEPS: dict[str, tuple[Step, list[Any]]] = {
    "parts of a vector": (parameters, [W]),
    "a softmax": (lambda row, s, m: np.tanh(s @ gt.softmax(m, 1)) + row, [M]),
    "a matrix decomposed": (lambda row, s, m: np.tanh(s @ gt.linalg.inv(m @ m.T + gt.eye(3))) + row, [M]),
    "a product": (lambda row, s, m, n: np.sin(s @ (m @ n)) + row, [M * 0.3, M.T * 0.3]),
    "one in another": (lambda row, s, w: s * gt.exp(-gt.exp(w[0])) + row * gt.exp(w[0]), [W]),
    "read as it is besides": (lambda row, s, w: s * 0.3 * w + row * np.sin(w), [S]),
    "an array joined": (lambda row, s, w: (s * gt.concatenate([w[:1] ** 2, gt.exp(w[1:3])])) * 0.5 + row, [W]),
    "transposed after": (lambda row, s, m: np.tanh(s @ gt.tanh(m).T) + row, [M]),
    "larger than what it is made of": (lambda row, s, w: (gt.outer(w, gt.exp(w)) * s[0]).sum(0)[:3] * 0.1 + row, [W]),
    "the next value itself": (lambda row, s, w: gt.exp(w[:3]), [W]),
}


@pytest.mark.parametrize("name", STEPS)
def test_derivatives(name: str) -> None:
    step, fixed = STEPS[name]
    check(loop(step), S, *fixed)


@pytest.mark.parametrize(
    "options",
    [
        {"n_steps": 3},
        {"n_steps": 1},
        {"go_backwards": True},
        {"checkpoint": 2},
        {"checkpoint": "sqrt"},
    ],
    ids=str,
)
def test_loops_of_every_kind(options: dict[str, Any]) -> None:
    check(loop(parameters, **options), S, W)


def test_a_loop_that_stops() -> None:
    check(loop(lambda row, s, w: (parameters(row, s, w), gs.until(row[0] < -0.5))), S, W)


def test_a_loop_in_a_loop() -> None:
    def outer(row: Any, s: Any, w: Any) -> Any:
        inner, _ = gs.scan(lambda v, row, w: v * gt.exp(-(w[0] ** 2)) + row * w[1], None, s, [row, w], n_steps=3)
        return inner[-1] + gt.exp(w[2])

    check(loop(outer), S, W)


def test_a_truncated_gradient_adds_up_the_last_steps() -> None:
    w = gt.vector("w")
    cost = gs.scan(parameters, gt.constant(X), gt.constant(S), w, truncate_gradient=2)[0][-1].sum()
    before = gs.scan(parameters, gt.constant(X[:-2]), gt.constant(S), w)[0][-1]
    same = gs.scan(parameters, gt.constant(X[-2:]), gs.gradient.disconnected_grad(before), w)[0][-1].sum()
    found, expected = gs.function([w], [gs.grad(cost, w), gs.grad(same, w)], device="cpu")(W)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_no_step_gives_no_gradient() -> None:
    w, n = gt.vector("w"), gt.iscalar("n")
    states = gs.scan(parameters, gt.constant(X), gt.constant(S), w, n_steps=n)[0]
    np.testing.assert_array_equal(gs.function([w, n], gs.grad(states.sum(), w), device="cpu")(W, 0), np.zeros(4))


# ---- where that is done ----


def backward_loop(step: Step, fixed: np.ndarray) -> Loop:
    w = gt.tensor("w", shape=(None,) * fixed.ndim)
    cost = (gs.scan(step, gt.constant(X), gt.constant(S), w)[0] ** 2).sum()
    *_, last = (node for node in sorted_nodes([gs.grad(cost, w)]) if isinstance(node.op, Scan))
    return open_loop(last)


def ops_of(loop: Loop) -> set[str]:
    return {node.op.name.partition("[")[0] for node in sorted_nodes(loop.outputs, loop.reads)}


def test_parts_of_a_vector_are_totals_of_their_own() -> None:
    loop = backward_loop(parameters, W)
    assert [s.next.type.shape for s in loop.states if s.name.startswith("d_")] == [(), (), ()]
    assert "inc" not in ops_of(loop)


def test_the_derivative_of_a_softmax_leaves_the_loop() -> None:
    softmax = backward_loop(lambda row, s, m: np.tanh(s @ gt.softmax(m, 1)) + row, M)
    plain = backward_loop(lambda row, s, m: np.tanh(s @ m) + row, M)
    assert ops_of(softmax) - ops_of(plain) <= {"exp", "max", "sum", "sub", "true_div", "switch", "isfinite"}
    assert len([s for s in softmax.states if s.name.startswith("d_")]) == 1


def test_a_gradient_that_is_clipped_is_clipped_at_each_step() -> None:
    """What passes through a clip is not linear in what comes in: the sum of clipped numbers is no clipped sum."""

    def step(row: Any, s: Any, w: Any) -> Any:
        return s + gs.gradient.grad_clip(w * 2.0, -0.5, 0.5)[:3] * row

    w = gt.vector("w")
    cost = gs.scan(step, gt.constant(np.ones((5, 3))), gt.constant(S), w)[0][-1].sum()
    found = gs.function([w], gs.grad(cost, w), device="cpu")(W)
    np.testing.assert_allclose(found, [5.0, 5.0, 5.0, 0.0])  # 0.5 a step, of five steps, times 2


def test_totals_are_no_larger_than_what_they_are_of() -> None:
    loop = backward_loop(lambda row, s, w: (gt.outer(w, w) * s[0]).sum(0)[:3] * 0.1 + row, W)
    assert max(s.next.ndim for s in loop.states) == 1
