"""Products in which vectors take part, powers of matrices and convolutions against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES
from tests.tensor.agree import agree

BY_ROWS = [((3,), (3,)), ((2, 3), (3,)), ((3,), (4, 3)), ((2, 3), (4, 3)), ((5, 2, 3), (4, 3)), ((2, 3), (5, 4, 3))]
MATVEC = [((4, 3), (3,)), ((4, 3), (2, 3)), ((4, 3), (5, 2, 3)), ((2, 4, 3), (3,)), ((2, 4, 3), (2, 3)),
          ((5, 1, 4, 3), (2, 3)), ((0, 3), (2, 3)), ((4, 0), (2, 0))]  # fmt: skip


def some(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith("c"):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype) if dtype.startswith("f") else rng.integers(0, 3, shape).astype(dtype)


def matvec(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul(a, b[..., None])[..., 0]


def vecmat(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul(a.conj()[..., None, :], b)[..., 0, :]


@pytest.mark.parametrize("shapes", BY_ROWS)
def test_inner(shapes: Any) -> None:
    a, b = some(shapes[0]), some(shapes[1], seed=1)
    agree(gt.inner, np.inner(a, b), a, b)


def test_inner_and_vdot_of_scalars_and_complex_numbers() -> None:
    a, b = some((2, 3), "complex128"), some((3, 2), "complex128", 1)
    agree(gt.inner, np.inner(a, b.T), a, b.T)
    agree(gt.inner, a * 2, a, np.array(2.0))
    agree(gt.vdot, np.vdot(a, b), a, b)
    agree(gt.vdot, np.vdot(a[0, 0], 2.0), a[0, 0], np.array(2.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    a, b, m = some((2, 3), dtype), some((2, 3), dtype, 1), some((3, 4), dtype, 2)
    agree(gt.vecdot, np.vecdot(a, b), a, b)
    agree(gt.vdot, np.vdot(a, b), a, b)
    agree(gt.matvec, matvec(m.T, a), m.T, a)
    agree(gt.vecmat, vecmat(a, m), a, m)
    agree(gt.batched_dot, [(a.astype(dtype) * b).sum(1).astype(dtype)], a, b)


def test_vecdot() -> None:
    for a, b in [((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (4, 3)), ((2, 0), (2, 0))]:
        x, y = some(a), some(b, seed=1)
        agree(gt.vecdot, np.vecdot(x, y), x, y)
    x, y = some((3, 2, 4)), some((3, 4), seed=1)
    agree(lambda x, y: gt.vecdot(x, y, axis=0), np.vecdot(x[:, 0], y, axis=0), x[:, 0], y)


@pytest.mark.parametrize("shapes", MATVEC)
def test_matvec_and_vecmat(shapes: Any) -> None:
    m, v = some(shapes[0]), some(shapes[1], seed=1)
    agree(gt.matvec, matvec(m, v), m, v)
    agree(gt.vecmat, vecmat(v, np.swapaxes(m, -1, -2)), v, np.swapaxes(m, -1, -2))


@pytest.mark.parametrize("of_a", [(), (3,), (2, 3)])
@pytest.mark.parametrize("of_b", [(), (3,), (3, 4)])
def test_batched_dot(of_a: tuple[int, ...], of_b: tuple[int, ...]) -> None:
    a, b = some((5, *of_a)), some((5, *of_b), seed=1)
    agree(gt.batched_dot, np.stack([np.dot(x, y) for x, y in zip(a, b, strict=True)]), a, b)


def test_cross() -> None:
    a, b = some((4, 3)), some((5, 1, 3), seed=1)
    agree(gt.cross, np.cross(a, b), a, b)
    agree(gt.cross, np.cross(a[0], b[0, 0]), a[0], b[0, 0])
    agree(lambda a, b: gt.cross(a, b, axisa=0, axisc=0), np.cross(a.T, b, axisa=0, axisc=0), a.T, b)
    agree(lambda a: gt.cross(a, a[:, ::-1], axis=0), np.cross(a.T, a.T[:, ::-1], axis=0), a.T)
    agree(lambda a: gt.cross(a, [1, 2, 3]), np.cross(some((2, 3), "int8"), [1, 2, 3]), some((2, 3), "int8"))


def test_cross_of_other_vectors_is_refused_at_run_time() -> None:
    x = gt.matrix("x")
    with pytest.raises(gs.ShapeError, match="axis 1 must have size 3"):
        gt.cross(x, x).eval({x: np.ones((2, 4))}, device="cpu")


# ---- powers ----


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6, 7, 16, -1, -3])
def test_matrix_power(n: int) -> None:
    for x in (some((3, 3)), some((2, 3, 3), "float32"), some((2, 2), "complex128")):
        agree(lambda x: gt.matrix_power(x, n), np.linalg.matrix_power(x, n), x)
    whole = some((3, 3), "int64") + 3 * np.eye(3, dtype="int64")
    agree(lambda x: gt.matrix_power(x, n), np.linalg.matrix_power(whole, n), whole)
    assert gt.linalg.matrix_power is gt.matrix_power


# ---- convolutions ----


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (5, 2), (5, 1), (1, 1), (3, 5), (2, 5), (4, 4)])
def test_convolve(mode: str, sizes: tuple[int, int]) -> None:
    a, v = some(sizes[:1]), some(sizes[1:], seed=1)
    expected = np.convolve(a, v, mode)
    agree(lambda a: gt.convolve(a, v, mode), expected, a)
    agree(lambda v: gt.convolve(a, v, mode), expected, v)
    x, y = gt.dvector("x"), gt.tensor("y", shape=v.shape)
    np.testing.assert_allclose(gt.convolve(x, y, mode).eval({x: a, y: v}, device="cpu"), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_convolve_dtypes(dtype: str) -> None:
    a, v = some((4,), dtype), some((2,), dtype, 1)
    agree(lambda a: gt.convolve(a, v), np.convolve(a, v), a)


# ---- errors ----


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: gt.inner(np.ones(2), np.ones(3)), "2 columns do not meet 3 rows"),
        (lambda x: gt.vecdot(1.5, x), r"vecdot: argument 1 is float64\[\]; it must be a vector, or a stack of them"),
        (lambda x: gt.vecdot(x, np.ones(3), axis=1), "vecdot: there is no axis 1 in an array of 1 axes"),
        (lambda x: gt.matvec(x[0], x), r"matvec: argument 1 is float64\[\?\]; it must be a matrix, or a stack of them"),
        (lambda x: gt.vecmat(x, x[0]), r"vecmat: argument 2 is float64\[\?\]; it must be a matrix, or a stack of them"),
        (lambda x: gt.batched_dot(x, 2), r"batched_dot: an argument is float64\[\]; it must have one to three axes"),
        (lambda x: gt.batched_dot(x, gt.tensor4("t")), "batched_dot: t is .* Use einsum for others"),
        (lambda x: gt.cross(x, np.ones((4, 2))), r"cross: axis -1 of b, float64\[4, 2\], has size 2; .* three"),
        (lambda x: gt.cross(x, 1.5), "cross: there is no axis -1 in an array of 0 axes"),
        (lambda x: gt.matrix_power(x, 0.5), "matrix_power: n must be an integer known .*, not 0.5"),
        (lambda x: gt.matrix_power(x, gt.iscalar("n")), "matrix_power: n must be .*, not <n: .*>; use scan"),
        (lambda x: gt.matrix_power(np.ones((2, 3)), 1), r"matrix_power: the array is float64\[2, 3\]; it must be"),
        (lambda x: gt.matrix_power(x[0], 2), r"matrix_power: the array is float64\[\?\]; it must be a square matrix"),
        (lambda x: gt.convolve(x, [1, 2]), r"convolve: x is float64\[\?, \?\]; it must be a vector that is not empty"),
        (lambda x: gt.convolve(x[0], []), r"convolve: an argument is float64\[0\]; .* that is not empty"),
        (lambda x: gt.convolve(x[0], gt.vector("v")), r"the length of one must be known .* specify_shape"),
        (lambda x: gt.convolve(x[0], [1, 2], "half"), "mode must be one of 'full', 'same', 'valid'; found 'half'"),
    ],
)  # fmt: skip
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong(gt.matrix("x"))
