"""Gradients of functions that are made of other operations, against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


Case = tuple[Callable[..., Any], list[np.ndarray]]
M, V, T = normal(3, 4), normal(4, seed=1), normal(2, 3, 4, seed=2)
SQUARE = normal(3, 3) + 3 * np.eye(3)
ORDER = np.argsort(normal(2, 3, 4, seed=3), axis=1)

CASES: dict[str, Case] = {
    "roll": (lambda x: gt.roll(x, 2, -1) ** 2, [M]),
    "roll of all": (lambda x: gt.roll(x, 5) * x, [M]),
    "roll by a symbolic shift": (lambda x: gt.roll(x, gt.argmax(x[0]), 1) * x, [M]),
    "flip": (lambda x: gt.flip(x) * x, [T]),
    "vstack, hstack and dstack": (
        lambda x, v: gt.vstack([x, v]).sum(0) * gt.hstack([v, v])[:4] * gt.dstack([v, x[0]])[0, :, 1],
        [M, V],
    ),
    "meshgrid": (lambda x, v: gt.meshgrid(x[0], v)[1] * gt.meshgrid(x[0], v)[0], [M, V]),
    "pad with a constant": (lambda x: gt.pad(x, ((1, 2), (0, 3)), constant_values=x[0, 0]) ** 2, [M]),
    "pad with edges": (lambda x: gt.pad(x, 2, "edge") ** 2, [M]),
    "pad by wrapping": (lambda x: gt.pad(x, (5, 1), "wrap") ** 2, [M]),
    "pad by reflecting": (lambda x: gt.pad(x, (1, 6), "reflect") ** 2, [M]),
    "take_along_axis": (lambda x: gt.take_along_axis(x, ORDER[:, :2], 1) ** 2, [T]),
    "inner": (gt.inner, [M, T]),
    "vdot": (gt.vdot, [M, normal(3, 4, seed=4)]),
    "vecdot": (gt.vecdot, [M, V]),
    "matvec": (gt.matvec, [M, normal(2, 4)]),
    "matvec of stacks": (gt.matvec, [T, normal(2, 4)]),
    "vecmat": (gt.vecmat, [normal(2, 3), M]),
    "vecmat of stacks": (gt.vecmat, [normal(2, 3), T]),
    "batched_dot": (gt.batched_dot, [T, normal(2, 4, 2)]),
    "batched_dot of vectors": (gt.batched_dot, [M, normal(3, 4, seed=5)]),
    "cross": (gt.cross, [SQUARE, normal(2, 1, 3)]),
    "matrix_power": (lambda x: gt.matrix_power(x, 5) / 100, [SQUARE]),
    "matrix_power of the inverse": (lambda x: gt.matrix_power(x, -2), [SQUARE]),
    "logspace": (lambda v: gt.logspace(v[0], v[1], 4, base=2 + v[2] ** 2), [V]),
    "geomspace": (lambda v: gt.geomspace(1 + v[0] ** 2, 2 + v[1] ** 2, 4), [V]),
    "ptp": (lambda x: gt.ptp(x, 1), [M]),
    "max_and_argmax": (lambda x: gt.max_and_argmax(x, 0)[0] ** 2, [M]),
    "fill_diagonal": (lambda x, v: gt.fill_diagonal(x, v[:3]) ** 2, [M, V]),
    "relu": (lambda x: gt.relu(x) + gt.relu(x, 0.1) ** 2, [M]),
    "relu of slopes": (gt.relu, [M, V]),
    "logit": (lambda x: gt.logit(gt.sigmoid(x) ** 2), [M]),
    "fmin and fmax": (lambda x, v: gt.fmin(x, v) * gt.fmax(x, 2 * v), [M, V]),
    "nan_to_num": (lambda x: gt.nan_to_num(gt.switch(x > 1, np.nan, x), 1.5) ** 2, [M]),
    "logdiffexp": (lambda x, v: gt.logdiffexp(v + x**2 + 0.1, v), [M, V]),
    "median": (lambda x: gt.median(x, 1) ** 2 + gt.median(x), [M]),
    "median of an odd number": (lambda x: gt.median(x, 0) ** 2, [M]),
    "cov": (gt.cov, [M]),
    "weighted cov": (lambda x, v: gt.cov(x, aweights=v**2, ddof=0), [M, V]),
    "convolve": (lambda x, v: gt.convolve(x[0], v[:3]) * gt.convolve(x[1], x[2, :3]), [M, V]),
    "convolve to the same size": (lambda x, v: gt.convolve(x[0], v[:3], "same"), [M, V]),
    "convolve where they overlap": (lambda x, v: gt.convolve(x[0, :2], v, "valid"), [M, V]),
    "topk": (lambda x: gt.topk(x, 2) * gt.topk(x, -2), [M]),
    "shape_padaxis and atleast_3d": (lambda x: gt.shape_padaxis(x, 1) * gt.atleast_3d(x)[..., 0], [SQUARE]),
}


@pytest.mark.parametrize("case", CASES)
def test_gradient(case: str) -> None:
    build, point = CASES[case]
    gs.gradient.verify_grad(build, point, n_tests=1, rng=0, abs_tol=1e-5, rel_tol=1e-5, device="cpu")


def test_where_there_is_no_finite_difference() -> None:
    x = gt.dvector("x")
    at = {x: np.array([0.0, 1, -1])}
    for alpha in (0, 0.25):
        (slope,) = gs.grad(gt.relu(x, alpha).sum(), [x])
        assert slope.eval(at, device="cpu").tolist() == [alpha, 1, alpha]
    difference = gt.logdiffexp(x, gt.constant([-np.inf, -np.inf, -2]))
    (slope,) = gs.grad(difference.sum(), [x])
    np.testing.assert_allclose(slope.eval(at, device="cpu"), [1, 1, 1 / (1 - np.exp(-1))])
