"""Spread numbers, grids, indices of triangles, filled diagonals and arrays stacked along axes against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan.tensor as gt
from tests.tensor.agree import agree, same

A, B = np.array([1.0, 10.0]), np.array([[100.0], [0.1]])
X = np.arange(24.0).reshape(2, 3, 4)
V = np.arange(3, dtype="int16")

# ---- spread numbers ----


@pytest.mark.parametrize("num", [0, 1, 2, 7])
@pytest.mark.parametrize("endpoint", [True, False])
def test_spaces(num: int, endpoint: bool) -> None:
    for name, a, b in (("linspace", A, B), ("logspace", A / 5, B / 50), ("geomspace", A, B), ("geomspace", -A, -B)):
        ours, theirs = getattr(gt, name), getattr(np, name)
        agree(lambda a, b: ours(a, b, num, endpoint), theirs(a, b, num, endpoint), a, b)  # noqa: B023
        agree(lambda b: ours(np.sign(a), b, num, endpoint), theirs(np.sign(a), b, num, endpoint), b)  # noqa: B023
        single = np.abs(a).astype("float32")
        agree(lambda a: ours(a, 3, num, endpoint), theirs(single, 3, num, endpoint, dtype="float32"), single)  # noqa: B023
        same(ours(1, 3, num, endpoint).eval(device="cpu"), theirs(1, 3, num, endpoint))
    for dtype in ("int64", "float32"):
        agree(
            lambda a: gt.linspace(a, 1.5, num, endpoint, dtype),  # noqa: B023
            np.linspace(-A, 1.5, num, endpoint, dtype=dtype),
            -A,
        )
    assert gt.geomspace(1, 300, num, endpoint, "int64").dtype == gt.logspace(1, 3, num, dtype="int64").dtype == "int64"


def test_logspace_to_another_base() -> None:
    agree(lambda a: gt.logspace(0, a, 4, base=2.0), np.logspace(0, A, 4, base=2.0), A)
    agree(lambda a, b: gt.logspace(0, a, 4, base=b), np.logspace(0, A, 4, base=2.0), A, np.array(2.0))


def test_geomspace_goes_where_the_quotient_does_not_fit() -> None:
    agree(lambda a: gt.geomspace(a, 1e300, 3), np.array([1e-300, 1, 1e300]), np.array(1e-300))
    agree(lambda a: gt.geomspace(a, 1, 3), np.array([-1, np.nan, 1]), np.array(-1.0))


# ---- grids ----


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sparse", [False, True])
def test_meshgrid(indexing: Any, sparse: bool) -> None:
    vectors = [V, A, X[0, 0], np.array(5.0)]
    for count in range(1, 5):
        expected = np.meshgrid(*vectors[:count], indexing=indexing, sparse=sparse)
        agree(lambda *xi: gt.meshgrid(*xi, indexing=indexing, sparse=sparse), list(expected), *vectors[:count])
    assert gt.meshgrid() == []


# ---- matrices ----


@pytest.mark.parametrize("k", [-4, -1, 0, 2])
def test_indices_of_triangles(k: int) -> None:
    for m in (None, 2, 5):
        for ours, theirs in ((gt.tril_indices, np.tril_indices), (gt.triu_indices, np.triu_indices)):
            for found, expected in zip(ours(3, k, m), theirs(3, k, m), strict=True):
                same(found.eval(device="cpu"), expected)
    agree(lambda x: x[gt.triu_indices(3, 1)], X[0][np.triu_indices(3, 1)], X[0])


def test_identity() -> None:
    same(gt.identity(3).eval(device="cpu"), np.identity(3))
    agree(lambda x: gt.identity(x.shape[0], "int8"), np.identity(2, "int8"), X)


def filled(a: np.ndarray, val: Any) -> np.ndarray:
    a = a.copy()
    np.fill_diagonal(a, val)
    return a


def test_fill_diagonal() -> None:
    for a in (X[0], X[0].T, X[0, :, :3], X[:2, :2, :2]):
        agree(lambda a: gt.fill_diagonal(a, 5), filled(a, 5), a)
    for a in (X[0], X[0].T):
        agree(gt.fill_diagonal, filled(a, V), a, V)
    agree(gt.fill_diagonal, filled(X[0].astype("int64"), 7), X[0].astype("int64"), np.array(7, "int8"))
    t = gt.tensor3("t")
    with pytest.raises(ValueError, match="axis 1 must have size 2"):
        gt.fill_diagonal(t, 0).eval({t: X}, device="cpu")


# ---- stacked ----


def test_stacks() -> None:
    for arrays in ((V, V + 1), (X[0], X[1]), (X, X + 1), (np.array(1.5), np.array(2))):
        for ours, theirs in ((gt.vstack, np.vstack), (gt.hstack, np.hstack), (gt.dstack, np.dstack)):
            agree(lambda *a: ours(a), theirs(arrays), *arrays)  # noqa: B023
    agree(lambda x, v: gt.vstack([x, v, [1, 2, 3, 4]]), np.vstack([X[0], X[1, 0], [1, 2, 3, 4]]), X[0], X[1, 0])
    agree(lambda x: gt.hstack([x, 7]), np.hstack([V, np.int8(7)]), V)


def test_axes() -> None:
    for x in (np.array(2), V, X[0], X, X[None]):
        agree(gt.atleast_3d, np.atleast_3d(x), x)
    agree(lambda x: [gt.shape_padaxis(x, a) for a in (0, 1, -1, 3)], [np.expand_dims(X, a) for a in (0, 1, -1, 3)], X)


# ---- errors ----


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.logspace(0, 1, -1), "logspace: the number of elements must not be negative; found -1"),
        (lambda: gt.geomspace(1, 2, -1), "geomspace: the number of elements must not be negative; found -1"),
        (lambda: gt.geomspace(1, 2j), r"geomspace: bounds must be real numbers; use exp\(linspace"),
        (lambda: gt.meshgrid(gt.matrix("x")), r"meshgrid: x is float64\[\?, \?\]; it must be a vector"),
        (lambda: gt.meshgrid([1], indexing="yx"), "meshgrid: indexing must be 'xy' or 'ij'; found 'yx'"),
        (lambda: gt.triu_indices(gt.iscalar("n")), "triu_indices: n, k and m must be integers known .* Use triu for"),
        (lambda: gt.tril_indices(3, 0.5), "tril_indices: n, k and m must be integers known .* Use tril for"),
        (lambda: gt.fill_diagonal(gt.vector("x"), 1), r"fill_diagonal: x is float64\[\?\]; it needs two axes or more"),
        (lambda: gt.fill_diagonal(np.ones((2, 2, 3)), 1), "more than two axes must be of one size"),
        (lambda: gt.fill_diagonal(gt.imatrix("x"), 0.5), "set_subtensor: a value of float64.* does not fit into x"),
        (lambda: gt.fill_diagonal(np.ones((2, 2)), [1, 2, 3]), "set_subtensor: a value of .* does not fit a part"),
        (lambda: gt.vstack([]), "join: there is nothing to join"),
        (lambda: gt.hstack([]), "join: there is nothing to join"),
        (lambda: gt.vstack([np.ones(2), np.ones(3)]), "join along axis 0"),
        (lambda: gt.shape_padaxis(gt.vector(), 2), "shape_padaxis: there is no axis 2 in an array of 2 axes"),
        (lambda: gt.identity(-1), "eye: sizes must not be negative"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()
