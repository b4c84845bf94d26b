"""Elements chosen for their size, and statistics of samples, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES
from tests.tensor.agree import agree

X = np.random.default_rng(0).normal(size=(3, 4, 5))
NAN = np.array([[0.5, np.nan, -1, 2], [3, np.inf, 1, -np.inf]])
REAL = [d for d in DTYPES if not d.startswith("c")]


def of(dtype: str, shape: tuple[int, ...] = (3, 7)) -> np.ndarray:
    """Values of which some are equal."""
    return np.random.default_rng(1).integers(0, 4, shape).astype(dtype)


# ---- the largest and the smallest ----


def largest(x: np.ndarray, count: int, axis: int) -> np.ndarray:
    """The positions of the largest in descending order, or of the smallest in ascending order, the first ones first."""
    ranked = np.argsort(-x.astype("float64") if count > 0 else x, axis, stable=True)
    return ranked.take(range(abs(count)), axis)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("count", [1, 3, -2])
def test_topk(dtype: str, count: int) -> None:
    x = of(dtype)
    for axis in (0, -1):
        at = largest(x, count, axis)
        agree(lambda x: gt.topk(x, count, axis), np.take_along_axis(x, at, axis), x)  # noqa: B023
        agree(lambda x: gt.argtopk(x, count, axis), at, x)  # noqa: B023
    at = largest(x.ravel(), count, 0)
    agree(lambda x: [gt.topk(x, count, None), gt.argtopk(x, count, None)], [x.ravel()[at], at], x)


def test_topk_takes_nan_for_the_largest() -> None:
    agree(lambda x: gt.topk(x, 2), np.array([[np.nan, 2], [np.inf, 3]]), NAN)
    agree(lambda x: gt.argtopk(x, 2), np.array([[1, 3], [1, 0]]), NAN)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_max_and_argmax(axis: int | None) -> None:
    for x in (X, of("int16"), NAN):
        agree(lambda x: gt.max_and_argmax(x, axis), [x.max(axis), x.argmax(axis)], x)
    agree(
        lambda x: gt.max_and_argmax(x, axis, keepdims=True),
        [X.max(axis, keepdims=True), X.argmax(axis, keepdims=True)],
        X,
    )


# ---- statistics ----


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_median(axis: Any) -> None:
    for x in (X, X[:2, :3, :2], X.astype("float32"), of("int64", (2, 3, 4))):
        agree(lambda x: gt.median(x, axis), np.median(x, axis), x)
        agree(lambda x: gt.median(x, axis, keepdims=True), np.median(x, axis, keepdims=True), x)


def test_median_of_little_and_of_much() -> None:
    with np.errstate(invalid="ignore"):
        for axis in (None, 0, 1):
            agree(lambda x: gt.median(x, axis), np.median(NAN, axis), NAN)  # noqa: B023
    agree(gt.median, np.array(2.0), np.array(2.0))
    agree(gt.median, np.array(1.5e308), np.array([1.7e308, 1.3e308]))


@pytest.mark.parametrize("axis", [None, 1, (0, -1)])
def test_reductions(axis: Any) -> None:
    for x in (X, of("uint8", (2, 3, 4)), of("int64", (2, 3, 4))):
        agree(lambda x: gt.ptp(x, axis), np.ptp(x, axis), x)
        agree(lambda x: [gt.amax(x, axis), gt.amin(x, axis)], [np.amax(x, axis), np.amin(x, axis)], x)
    agree(lambda x: gt.ptp(x, axis, keepdims=True), np.ptp(X, axis, keepdims=True), X)
    for dtype in DTYPES:
        x = of(dtype, (2, 3, 4))
        agree(lambda x: gt.count_nonzero(x, axis), np.asarray(np.count_nonzero(x, axis)), x)
    agree(lambda x: gt.count_nonzero(x, axis, True), np.asarray(np.count_nonzero(x, axis, keepdims=True)), x)


M, Y = X[0], X[1, :2]
F, A = np.array([1, 3, 2, 1, 4]), np.array([0.5, 1, 2, 0.1, 1])


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": True}, {"ddof": 0}, {"ddof": 3}, {"fweights": F}, {"aweights": A}, {"fweights": F, "aweights": A},
     {"aweights": A, "bias": True}, {"aweights": A, "ddof": 2}],
)  # fmt: skip
def test_cov(options: dict[str, Any]) -> None:
    agree(lambda m: gt.cov(m, **options), np.cov(M, **options), M)
    agree(lambda m: gt.cov(m[0], **options), np.cov(M[0], **options), M)
    agree(lambda m: gt.cov(m, rowvar=False, **options), np.cov(M.T, rowvar=False, **options), M.T)
    agree(lambda m, y: gt.cov(m, y, **options), np.cov(M, Y, **options), M, Y)
    agree(lambda m, y: gt.cov(m[0], y[1], **options), np.cov(M[0], Y[1], **options), M, Y)


def test_cov_of_other_dtypes() -> None:
    single, whole = M.astype("float32"), of("int64")
    agree(gt.cov, np.cov(single, dtype="float32"), single)
    agree(gt.cov, np.cov(whole), whole)
    z = M + 1j * X[2]
    agree(gt.cov, np.cov(z), z)
    agree(lambda z: gt.cov(z, fweights=F), np.cov(z, fweights=F), z)
    agree(lambda m, y: gt.cov(m.T, y.T, rowvar=False), np.cov(M, Y), M, Y)


# ---- errors ----


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x, z: gt.topk(x, 0), r"topk: kth is 0; along axis 1 of x, float64\[\?, \?\], it must be at least 1"),
        (lambda x, z: gt.topk(np.ones(3), -4), "topk: kth is -4; .* at most 3, or the negative of such a number"),
        (lambda x, z: gt.argtopk(x, gt.iscalar("k")), "argtopk: kth must be an integer known .*; found <k"),
        (lambda x, z: gt.topk(x, 1, 2), "topk: there is no axis 2"),
        (lambda x, z: gt.topk(z, 1), "complex numbers have no order"),
        (lambda x, z: gt.median(z), "complex numbers have no order"),
        (lambda x, z: gt.median(np.zeros((2, 0)), 1), "there is no middle of no elements"),
        (lambda x, z: gt.median(x, (0, 0)), "median: axis .* names an axis twice"),
        (lambda x, z: gt.ptp(x > 0), "booleans have no sign and no difference"),
        (lambda x, z: gt.max_and_argmax(x, 2), "max: there is no axis 2"),
        (lambda x, z: gt.cov(gt.tensor3("t")), r"cov: t is .*; it must be a vector or a matrix"),
        (lambda x, z: gt.cov(np.ones((2, 3)), np.ones(4)), "cov: m has 3 observations and y has 4"),
        (lambda x, z: gt.cov(np.ones((2, 3)), fweights=[1, 2]), r"cov: fweights are int64\[2\]; .* each of 3 observ"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((gs.ShapeError, gs.DtypeError, TypeError), match=message):
        wrong(gt.matrix("x"), gt.zvector("z"))
