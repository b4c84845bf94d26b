"""Diagonals, triangles, running sums, differences, order and sums of exponentials against NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES
from gpuscan.host.special import float_floor_div, float_mod
from tests.tensor.agree import agree

X = np.random.default_rng(0).normal(size=(3, 4, 5))
REAL = [d for d in DTYPES if not d.startswith("c")]


def of(dtype: str, shape: tuple[int, ...] = (3, 7)) -> np.ndarray:
    """Values of which some are equal."""
    values = np.random.default_rng(1).integers(0, 4, shape)
    return values.astype(dtype)


# ---- diagonals and triangles ----


@pytest.mark.parametrize("offset", [-9, -2, -1, 0, 1, 3, 9])
def test_diagonals(offset: int) -> None:
    for matrix in (X[0], X[0].T, X[0, :, :4]):
        agree(lambda x: gt.diag(x, offset), np.diag(matrix, offset), matrix)
        agree(lambda x: gt.trace(x, offset), np.trace(matrix, offset), matrix)
    agree(lambda v: gt.diag(v, offset), np.diag(X[0, 0], offset), X[0, 0])
    for axes in [(0, 1), (1, 0), (0, 2), (-1, 1)]:
        agree(lambda x: gt.diagonal(x, offset, *axes), np.diagonal(X, offset, *axes), X)  # noqa: B023
        agree(lambda x: gt.trace(x, offset, *axes), np.trace(X, offset, *axes), X)  # noqa: B023


@pytest.mark.parametrize("k", [-9, -1, 0, 1, 2, 9])
def test_triangles(k: int) -> None:
    for x in (X, X[0], X[0].T, X[0, 0], of("int8"), of("bool")):
        agree(lambda x: gt.tril(x, k), np.tril(x, k), x)
        agree(lambda x: gt.triu(x, k), np.triu(x, k), x)
    assert np.array_equal(gt.tri(3, 4, k).eval(device="cpu"), np.tri(3, 4, k))
    agree(lambda x, k: gt.triu(x, k), np.triu(X, k), X, np.array(k))


def test_triangles_keep_what_is_not_a_number_out() -> None:
    x = np.full((2, 2), np.nan)
    agree(gt.tril, np.tril(x), x)


# ---- running sums and differences ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_sums_and_products(dtype: str) -> None:
    x = of(dtype)
    with np.errstate(over="ignore"):
        for axis in (None, 0, -1):
            agree(lambda x: gt.cumsum(x, axis), np.cumsum(x, axis), x)  # noqa: B023
            agree(lambda x: gt.cumprod(x, axis), np.cumprod(x, axis), x)  # noqa: B023
    agree(lambda x: gt.cumsum(x, 0, "float32"), np.cumsum(x.real, 0, "float32"), x.real)
    agree(lambda x: x.cumsum(0), np.cumsum(x, 0), x)


def test_running_sums_of_little() -> None:
    agree(gt.cumsum, np.cumsum(2.5), np.array(2.5))
    agree(lambda x: gt.cumprod(x, 1), np.ones((2, 0)), np.ones((2, 0)))


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_differences(n: int) -> None:
    for x in (X, of("uint8"), of("bool"), of("int64")):
        for axis in (0, -1):
            agree(lambda x: gt.diff(x, n, axis), np.diff(x, n, axis), x)  # noqa: B023


# ---- order ----


@pytest.mark.parametrize("dtype", REAL)
def test_sort(dtype: str) -> None:
    x = of(dtype)
    for axis in (None, 0, -1):
        agree(lambda x: gt.sort(x, axis), np.sort(x, axis), x)  # noqa: B023
        agree(lambda x: gt.argsort(x, axis), np.argsort(x, axis, stable=True), x)  # noqa: B023
    agree(lambda x: x.sort(0), np.sort(x, 0), x)
    agree(lambda x: x.argsort(kind="quicksort"), np.argsort(x, stable=True), x)


def test_nan_is_last() -> None:
    x = np.array([np.nan, 1, -np.inf, np.nan, np.inf])
    agree(gt.sort, np.sort(x), x)
    agree(gt.argsort, np.argsort(x, stable=True), x)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str) -> None:
    x = np.array([0.5, 1, 1, 2])
    for v in (np.array([[0, 1, 2.5], [1.5, 2, np.inf]]), np.array(1.0), np.array([1, 2], "int8"), np.zeros(0)):
        agree(lambda x, v: gt.searchsorted(x, v, side), np.searchsorted(x, v, side), x, v)
    shuffled = x[[2, 0, 3, 1]]
    agree(lambda x: gt.searchsorted(x, 1.5, side, gt.argsort(x)), np.searchsorted(x, 1.5, side), shuffled)
    agree(lambda x: gt.searchsorted(x, 1.5, side), np.searchsorted([1, 2], 1.5, side), np.array([1, 2]))


# ---- sums of exponentials ----

FAR = np.array([[1000.0, 1000.5, -1000], [-1e4, -1e4 - 1, -2e4], [0.1, -0.2, 3]])


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), ()])
def test_logsumexp_and_softmax(axis: Any) -> None:
    for x in (FAR, FAR.astype("float32"), X[0]):
        if axis != ():
            agree(lambda x: gt.logsumexp(x, axis), scipy.special.logsumexp(x, axis), x)
            agree(lambda x: gt.logsumexp(x, axis, keepdims=True), scipy.special.logsumexp(x, axis, keepdims=True), x)
            agree(lambda x: gt.log_softmax(x, axis), scipy.special.log_softmax(x, axis), x)
            agree(lambda x: gt.softmax(x, axis), scipy.special.softmax(x, axis), x)
        else:
            agree(lambda x: gt.logsumexp(x, axis), x, x)


def test_sums_of_exponentials_of_integers_and_infinities() -> None:
    agree(gt.logsumexp, scipy.special.logsumexp(np.arange(4)), np.arange(4))
    agree(gt.softmax, scipy.special.softmax(np.arange(4)), np.arange(4, dtype="int8"))
    for x in ([-np.inf, -np.inf], [-np.inf, 1], [np.inf, 1], [np.nan, 1]):
        agree(gt.logsumexp, scipy.special.logsumexp(x), np.array(x))
        agree(gt.log_softmax, scipy.special.log_softmax(x), np.array(x))
        agree(gt.softmax, scipy.special.softmax(x), np.array(x))


# ---- special functions ----


def test_special_has_the_same_functions() -> None:
    assert all(getattr(gt, name) is getattr(gt.special, name) for name in gt.special.__all__ if hasattr(gt, name))
    assert gt.special.expit is gt.sigmoid


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_of_floats_from_rests(dtype: str) -> None:
    special = [0.0, 1, 0.1, 0.3, 7, 2.5, 5e-324, 1e16, np.inf]
    drawn = np.random.default_rng(0).integers(-50, 50, 200) / 10
    x = np.concatenate([special, -np.array(special), [np.nan], drawn]).astype(dtype)
    for found, expected in ((float_mod, np.remainder), (float_floor_div, np.floor_divide)):
        result, exact = found(x[:, None], x), expected(x[:, None], x)
        np.testing.assert_array_equal(result, exact, strict=True)
        numbers = ~np.isnan(exact)
        np.testing.assert_array_equal(np.signbit(result[numbers]), np.signbit(exact[numbers]))


def test_log1mexp_near_both_ends() -> None:
    x = np.array([-1e-300, -1e-17, -1e-3, -0.7, -0.69, -20, -700, -np.inf, 0, -0.0, 1, np.nan])
    exact = [np.log(1e-300), np.log(1e-17), np.log1p(-np.exp(-1e-3)), np.log1p(-np.exp(-0.7)), np.log1p(-np.exp(-0.69))]
    exact += [-np.exp(-20) * (1 + np.exp(-20) / 2), -np.exp(-700), 0, -np.inf, -np.inf, np.nan, np.nan]
    np.testing.assert_allclose(gt.log1mexp(x).eval(device="cpu"), exact, rtol=3e-13)


# ---- errors ----


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x, z: gt.diagonal(x[0]), r"diagonal: the array is float64\[\?\]; it needs two axes"),
        (lambda x, z: gt.diagonal(x, axis1=1, axis2=-1), "axis1 and axis2 are both axis 1"),
        (lambda x, z: gt.diag(gt.tensor3("t")), r"diag: t is .*; it must be a vector or a matrix"),
        (lambda x, z: gt.tril(gt.scalar("s")), r"tril: s is float64\[\]; it needs an axis"),
        (lambda x, z: gt.cumsum(x, 2), "cumsum: there is no axis 2 in an array of 2 axes"),
        (lambda x, z: gt.diff(x, -1), "diff: n must not be negative; found -1"),
        (lambda x, z: gt.diff(gt.scalar("s")), r"diff: s is float64\[\]; a scalar has no neighbours"),
        (lambda x, z: gt.sort(z), r"sort of complex128\[\?\]: complex numbers have no order"),
        (lambda x, z: gt.argsort(x, 5), "argsort: there is no axis 5"),
        (lambda x, z: gt.sort(x, kind="bogo"), "sort: there is no kind 'bogo'"),
        (lambda x, z: gt.searchsorted(x, 1), r"searchsorted: x is float64\[\?, \?\]; it must be a vector"),
        (lambda x, z: gt.searchsorted(x[0], 1, side="middle"), "side must be 'left' or 'right'; found 'middle'"),
        (lambda x, z: gt.logsumexp(x, 2), "there is no axis 2"),
        (lambda x, z: gt.softmax(z), "complex numbers have no order"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((gs.ShapeError, gs.DtypeError, ValueError), match=message):
        wrong(gt.matrix("x"), gt.zvector("z"))
