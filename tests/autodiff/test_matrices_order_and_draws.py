"""Derivatives of linear algebra, order, draws, guards and inner graphs, both ways, against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

linalg, draw = gt.linalg, gt.random


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def state() -> Any:
    return gs.shared(np.random.default_rng(1))


A = normal(3, 3)
POSITIVE = A @ A.T + 3 * np.eye(3)
STACK = normal(2, 3, 3, seed=1) + 3 * np.eye(3)
TALL = normal(4, 3, seed=2)
SIDE = normal(3, 2, seed=3)
SCALES = np.abs(A) + 0.1

CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "inv": (linalg.inv, [STACK]),
    "solve": (linalg.solve, [POSITIVE, SIDE]),
    "solve, one matrix for a stack": (lambda a, b: linalg.solve(a, b), [POSITIVE, normal(2, 3, 2)]),
    "solve, a stack for one side": (lambda a, b: linalg.solve(a, b), [STACK, SIDE]),
    "solve_triangular": (lambda a, b: linalg.solve_triangular(a, b, lower=True), [POSITIVE, SIDE]),
    "solve_triangular, transposed, unit diagonal": (
        lambda a, b: linalg.solve_triangular(a, b, lower=False, trans=1, unit_diagonal=True), [POSITIVE, SIDE]
    ),
    "cholesky": (linalg.cholesky, [POSITIVE]),
    "det": (linalg.det, [STACK]),
    "slogdet": (lambda a: linalg.slogdet(a)[1], [STACK]),
    "eigh, values": (lambda a: linalg.eigh(a)[0], [POSITIVE]),
    "eigh, vectors": (lambda a: linalg.eigh(a)[1] ** 2, [POSITIVE]),
    "svd, values alone": (lambda a: linalg.svd(a, compute_uv=False), [TALL]),
    "qr, q": (lambda a: linalg.qr(a)[0], [TALL]),
    "qr, r": (lambda a: linalg.qr(a)[1], [TALL]),
    "norm": (linalg.norm, [A]),
    "cumsum": (lambda a: gt.cumsum(a, 1), [A]),
    "cumprod with zeros": (lambda a: gt.cumprod(a, 1), [A * np.array([1.0, 0.0, 1.0])]),
    "sort": (lambda a: gt.sort(a, 0), [A]),
    "einsum": (lambda a, b: gt.einsum("ij,jk->ki", a, b), [A, POSITIVE]),
    "logsumexp": (lambda a: gt.logsumexp(a, 1), [A]),
    "softmax": (lambda a: gt.softmax(a, 1), [A]),
    "ifelse": (lambda a: gs.ifelse(a[0, 0] > 0, a * 2, a**2), [A]),
    "ifelse, the other side": (lambda a: gs.ifelse(a[0, 0] > 9, a * 2, a**2), [A]),
    "OpFromGraph": (lambda a: gs.OpFromGraph([V], gt.tanh(V) * V, inline=False)(a), [A]),
    "assertion": (lambda a: gt.assert_op(a * a, gt.all(a < 100)), [A]),
    "gammainc": (lambda x: gt.gammainc(2.0, x), [SCALES + 0.2]),
    "gammaincc": (lambda x: gt.gammaincc(2.5, x), [SCALES + 0.2]),
    "normal": (lambda m, s: draw.normal(m, s, rng=state()), [A, SCALES]),
    "normal, one scale": (lambda m, s: draw.normal(m, s, rng=state()), [A, 0.5]),
    "normal of scale 0": (lambda m: draw.normal(m, 0.0, rng=state()), [A]),
    "uniform": (lambda low, high: draw.uniform(low, high, rng=state()), [A, A + 2]),
    "lognormal": (lambda m, s: draw.lognormal(m, s, rng=state()), [A, SCALES / 4]),
    "exponential": (lambda s: draw.exponential(s, rng=state()), [SCALES]),
    "student_t": (lambda m, s: draw.student_t(4.0, m, s, rng=state()), [A, SCALES]),
}  # fmt: skip
V = gt.matrix("v")


@pytest.mark.parametrize("case", CASES)
def test_backwards(case: str) -> None:
    function, point = CASES[case]
    gs.gradient.verify_grad(function, point, abs_tol=1e-5, rel_tol=1e-5, rng=0)


@pytest.mark.parametrize("case", CASES)
def test_forwards_is_the_transpose_of_backwards(case: str) -> None:
    function, point = CASES[case]
    inputs = [gt.tensor(f"x{i}", "float64", np.shape(v)) for i, v in enumerate(point)]
    output = gt.as_tensor_variable(function(*inputs))
    tangents = [np.asarray(normal(*np.shape(v), seed=5)) for v in point]
    shape = gs.function(inputs, output, device="cpu")(*point).shape
    weights = gt.constant(normal(*shape, seed=6))
    pushed = gs.pushforward(output, inputs, tangents)
    pulled = gs.pullback(output, inputs, weights)
    along = [(pushed * weights).sum(), sum((gt.constant(t) * g).sum() for t, g in zip(tangents, pulled, strict=True))]
    forwards, backwards = gs.function(inputs, along, device="cpu", on_unused_input="ignore")(*point)
    np.testing.assert_allclose(forwards, backwards, rtol=1e-9, atol=1e-10)


def test_draws_in_a_loop_are_replayed() -> None:
    """The gradient of a path sees the numbers that the path was made of, with checkpoints too."""
    for checkpoint in (None, 2):

        def end(scale: Any, start: Any, checkpoint: Any = checkpoint) -> Any:
            rng = state()

            def step(x: Any, rng: Any, scale: Any) -> Any:
                following, z = draw.normal(0.0, scale, rng=rng).owner.outputs
                return x * 0.9 + z, following

            (path, _), _ = gs.scan(step, None, [start, rng], [scale], n_steps=5, checkpoint=checkpoint)
            return path

        gs.gradient.verify_grad(end, [0.5, 1.0], rng=0)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: linalg.svd(x)[0].sum(), r"svd.*singular values alone.*made at .*test_matrices_order"),
        (lambda x: linalg.qr(x, mode="complete")[0].sum(), r"qr.*reduced form"),
        (
            lambda x: gt.gammainc(x, 2.0).sum(),
            r"gammainc has no derivative by 'x'; it was made at .*test_matrices_order",
        ),
        (lambda x: draw.gamma(x, 1.0, rng=state()).sum(), r"gamma has no derivative by 'x'"),
    ],
)
def test_what_has_no_derivative_is_named(output: Callable[..., Any], message: str) -> None:
    x = gt.matrix("x")
    with pytest.raises(gs.gradient.NullTypeGradError, match=message):
        gs.grad(output(x), x)
