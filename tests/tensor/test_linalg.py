"""Linear algebra against NumPy and SciPy: values, dtypes, stacks, shapes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.linalg import LinAlgError

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor import linalg
from tests.tensor.agree import agree

FLOATS = ("float32", "float64", "complex64", "complex128")
STACKS: tuple[tuple[int, ...], ...] = ((), (3,), (2, 1), (0,))


def some(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Numbers from a normal distribution; complex ones have both parts."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype.startswith("c") else 0)
    return parts.astype(dtype)


def square(*stack: int, dtype: str = "float64") -> np.ndarray:
    return some(*stack, 4, 4, dtype=dtype) + 4 * np.eye(4, dtype=dtype)


def definite(*stack: int, dtype: str = "float64", n: int = 4) -> np.ndarray:
    a = some(*stack, n, n, dtype=dtype)
    result: np.ndarray = a @ a.conj().swapaxes(-1, -2) + np.eye(n, dtype=dtype)
    return result


def adjoint(x: Any) -> Any:
    return gt.conj(gt.swapaxes(x, -1, -2))


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_square_matrices(dtype: str, stack: tuple[int, ...]) -> None:
    a, s = square(*stack, dtype=dtype), definite(*stack, dtype=dtype)
    agree(linalg.inv, np.linalg.inv(a), a)
    agree(linalg.det, np.linalg.det(a), a)
    agree(linalg.slogdet, list(np.linalg.slogdet(a)), a)
    agree(linalg.cholesky, np.linalg.cholesky(s), s)
    agree(lambda s: linalg.cholesky(s, lower=False), np.linalg.cholesky(s, upper=True), s)
    agree(lambda s: linalg.eigh(s)[0], np.linalg.eigh(s)[0], s)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (1, 3)])
def test_factors_make_up_the_matrix(sizes: tuple[int, int], dtype: str, stack: tuple[int, ...]) -> None:
    a = some(*stack, *sizes, dtype=dtype)
    identity = np.broadcast_to(np.eye(min(sizes), dtype=dtype), (*stack, min(sizes), min(sizes)))

    def by_svd(a: Any, full: bool = False) -> Any:
        u, s, vh = linalg.svd(a, full_matrices=full)
        count = min(sizes)
        return [(u[..., :count] * s[..., None, :]) @ vh[..., :count, :], s, linalg.svd(a, compute_uv=False)]

    values = np.linalg.svd(a, compute_uv=False)
    agree(by_svd, [a, values, values], a)
    agree(lambda a: by_svd(a, True), [a, values, values], a)
    agree(lambda a: gt.matmul(*linalg.qr(a)), a, a)
    agree(lambda a: gt.matmul(*linalg.qr(a, "complete")), a, a)
    agree(lambda a: abs(linalg.qr(a, "r")), abs(np.linalg.qr(a)[1]), a)
    agree(lambda a: adjoint(linalg.qr(a)[0]) @ linalg.qr(a)[0], identity, a)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_eigenvectors(dtype: str, upper: bool) -> None:
    a = definite(2, dtype=dtype)
    other = np.tril(a) if not upper else np.triu(a)  # one triangle is read, the other is not

    def build(x: Any) -> Any:
        values, vectors = linalg.eigh(x, "U" if upper else "L")
        return (vectors * values[:, None, :]) @ adjoint(vectors)

    agree(build, a, other)


def test_shapes_of_full_factors() -> None:
    x = gt.tensor("x", shape=(7, 5, 3))
    assert [v.type.shape for v in linalg.svd(x)] == [(7, 5, 5), (7, 3), (7, 3, 3)]
    assert [v.type.shape for v in linalg.svd(x, full_matrices=False)] == [(7, 5, 3), (7, 3), (7, 3, 3)]
    assert [v.type.shape for v in linalg.qr(x, "full")] == [(7, 5, 5), (7, 5, 3)]
    unknown = gt.tensor("x", shape=(None, 0))
    assert linalg.svd(unknown, compute_uv=False).type.shape == (0,)
    assert linalg.inv(gt.tensor(shape=(None, 3))).type.shape == (3, 3)


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4)])
def test_pseudo_inverse(sizes: tuple[int, int]) -> None:
    a = some(2, *sizes)
    a[0, :, 0] = a[0, :, 1]  # of lower rank
    agree(linalg.pinv, np.linalg.pinv(a), a)
    agree(lambda a: linalg.pinv(a, rcond=0.5), np.linalg.pinv(a, rcond=0.5), a)


# ---- solutions ----

RIGHT_SIDES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((), (4,)), ((), (4, 2)), ((3,), (4,)), ((3,), (3, 4, 2)), ((3,), (4, 2)), ((), (3, 4, 2)), ((2, 1), (3, 4, 2)),
    ((), (4, 0)), ((0,), (0, 4, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("stack", "right"), RIGHT_SIDES)
def test_solve(stack: tuple[int, ...], right: tuple[int, ...]) -> None:
    for dtype in FLOATS:
        a, b = square(*stack, dtype=dtype), some(*right, dtype=dtype, seed=1)
        agree(linalg.solve, np.linalg.solve(a, b), a, b)


def check_triangular(a: np.ndarray, b: np.ndarray, lower: bool, trans: int, unit: bool) -> None:
    triangle = np.tril(a) if lower else np.triu(a)
    if unit:
        triangle = triangle * (1 - np.eye(4, dtype=a.dtype)) + np.eye(4, dtype=a.dtype)
    turned = [triangle, triangle.swapaxes(-1, -2), triangle.conj().swapaxes(-1, -2)][trans]
    options: dict[str, Any] = dict(trans="NTC"[trans], lower=lower, unit_diagonal=unit)
    agree(lambda a, b: linalg.solve_triangular(a, b, **options), np.linalg.solve(turned, b), a, b)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("trans", [0, 1, 2])
@pytest.mark.parametrize("lower", [False, True])
def test_solve_triangular(lower: bool, trans: int, unit: bool) -> None:
    for dtype in FLOATS:
        check_triangular(square(3, dtype=dtype), some(3, 4, 2, dtype=dtype, seed=1), lower, trans, unit)


@pytest.mark.parametrize(("stack", "right"), RIGHT_SIDES)
def test_solve_triangular_of_stacks(stack: tuple[int, ...], right: tuple[int, ...]) -> None:
    check_triangular(square(*stack), some(*right, seed=1), True, 1, False)


def test_solve_triangular_is_scipys() -> None:
    a, b = square(), some(4, 3)
    agree(lambda a, b: linalg.solve_triangular(a, b, trans=1), scipy.linalg.solve_triangular(a, b, trans=1), a, b)
    for order in (a.T, np.asfortranarray(a), np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2]):
        agree(linalg.solve_triangular, scipy.linalg.solve_triangular(order, b), order, b)


def test_stacks_of_vectors() -> None:
    a, b = square(3), some(5, 3, 4)
    expected = np.linalg.solve(a, b[..., None])[..., 0]
    agree(lambda a, b: linalg.solve(a, b, b_ndim=1), expected, a, b)
    triangular = np.linalg.solve(np.triu(a), b[..., None])[..., 0]
    agree(lambda a, b: linalg.solve_triangular(a, b, b_ndim=1), triangular, a, b)


@pytest.mark.parametrize("assume", ["gen", "sym", "her", "pos"])
def test_solve_reads_all_of_the_matrix(assume: str) -> None:
    a, b = definite(), some(4)
    agree(lambda a, b: linalg.solve(a, b, assume_a=assume), np.linalg.solve(a, b), a, b)


# ---- norms ----


@pytest.mark.parametrize("ord", [None, 2, 1, 0, np.inf, -np.inf, 3, 0.5, -1])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64"])
def test_norms_of_vectors(dtype: str, ord: Any) -> None:
    x = (some(3, 4, 5, dtype="complex128" if dtype == "complex128" else "float64") * 4).astype(dtype)
    x[x == 0] = 1  # negative norms divide by it
    for options in ({"axis": 1}, {"axis": -1, "keepdims": True}, {"axis": (0,)}):
        agree(
            lambda x: linalg.norm(x, ord, **options),  # noqa: B023
            np.linalg.norm(x, ord, **options).astype(np.linalg.norm(x[0, 0]).dtype),
            x,
        )
    agree(
        lambda x: linalg.norm(x, ord), np.asarray(np.linalg.norm(x[0, 0], ord), np.linalg.norm(x[0, 0]).dtype), x[0, 0]
    )


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [(0, 1), (2, 0), (-1, -2)])
def test_norms_of_matrices(axis: tuple[int, int], ord: Any) -> None:
    x = some(3, 4, 5)
    agree(lambda x: linalg.norm(x, ord, axis), np.linalg.norm(x, ord, axis), x)
    agree(lambda x: linalg.norm(x, ord, axis, keepdims=True), np.linalg.norm(x, ord, axis, keepdims=True), x)
    agree(lambda x: linalg.norm(x, ord), np.linalg.norm(x[0], ord), x[0])


def test_norm_of_everything() -> None:
    for x in (some(), some(3), some(2, 3, 4), some(2, 2, dtype="complex64")):
        agree(linalg.norm, np.linalg.norm(x), x)
        agree(lambda x: linalg.norm(x, keepdims=True), np.linalg.norm(x, keepdims=True), x)


# ---- dtypes ----


def test_integers_become_floatx() -> None:
    a, b = np.array([[2, 1], [1, 3]]), np.array([1, 2], "int8")
    agree(linalg.inv, np.linalg.inv(a), a)
    agree(linalg.solve, np.linalg.solve(a, b), a, b)
    with gs.config.change_flags(floatX="float32"):
        assert linalg.inv(gt.imatrix()).dtype == linalg.solve(gt.imatrix(), gt.ivector()).dtype == "float32"


def test_two_dtypes_meet() -> None:
    a, b = square(dtype="float32"), some(4, dtype="complex64")
    agree(linalg.solve, np.linalg.solve(a, b), a, b)
    agree(linalg.solve_triangular, np.linalg.solve(np.triu(a), b), a, b)
    assert linalg.solve(gt.fmatrix(), gt.vector()).dtype == "float64"


def test_lists_are_matrices() -> None:
    assert linalg.inv([[2, 0], [0, 4]]).eval(device="cpu").tolist() == [[0.5, 0], [0, 0.25]]
    assert linalg.solve([[2.0, 0], [0, 4]], [1, 2]).eval(device="cpu").tolist() == [0.5, 0.5]


# ---- errors ----


@pytest.mark.parametrize("function", [linalg.inv, linalg.det, linalg.slogdet, linalg.cholesky, linalg.eigh])
def test_square_matrices_are_needed(function: Callable[..., Any]) -> None:
    what = function.__name__
    with pytest.raises(gs.ShapeError, match=rf"{what}: m is float64\[2, 3\]; it must be square"):
        function(gt.tensor("m", shape=(2, 3)))
    with pytest.raises(gs.ShapeError, match=rf"{what}: v is float64\[\?\]; it must be a matrix, or a stack"):
        function(gt.vector("v"))
    with pytest.raises(gs.DtypeError, match=rf"{what}: h is float16.*cast it to float32"):
        function(gt.tensor("h", "float16", (2, 2)))


def test_a_matrix_found_not_square_is_named() -> None:
    m = gt.matrix("m")
    f = gs.function([m], linalg.inv(m), device="cpu")
    with pytest.raises(gs.ShapeError, match=r"inv: m is float64\[2, 3\]; it must be square"):
        f(np.ones((2, 3)))
    b = gt.matrix("b")
    f = gs.function([m, b], linalg.solve_triangular(m, b), device="cpu")
    with pytest.raises(gs.ShapeError, match=r"solve_triangular: m is float64\[2, 2\] and b is float64\[3, 1\]"):
        f(np.ones((2, 2)), np.ones((3, 1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda m, b: linalg.solve(m, b), r"solve: m is float64\[3, 3\] and b is float64\[4, 2\]; 3 rows and 4"),
        (lambda m, b: linalg.solve(m, 1.0), "it must have an axis or more"),
        (lambda m, b: linalg.solve(m, b, b_ndim=3), "b_ndim must be 1 for vectors or 2 for matrices, not 3"),
        (lambda m, b: linalg.solve(m, b, assume_a="banded"), "assume_a must be 'gen'.*found 'banded'"),
        (lambda m, b: linalg.solve_triangular(m, b, trans="H"), "trans must be 0, 1, 2, 'N', 'T' or 'C'; found 'H'"),
        (lambda m, b: linalg.eigh(m, "lower"), "UPLO must be 'L' or 'U'; found 'lower'"),
        (lambda m, b: linalg.qr(m, "raw"), "qr: mode must be one of 'reduced', .*; found 'raw'"),
        (lambda m, b: linalg.norm(m, "nuclear"), "norm: 'nuclear' is no norm of matrices"),
        (lambda m, b: linalg.norm(m[0], "fro"), "norm: 'fro' is no norm of vectors"),
        (lambda m, b: linalg.norm(m, 3), "norm: 3 is no norm of matrices"),
        (lambda m, b: linalg.norm(gt.tensor3("t"), 2), r"norm: t is float64\[\?, \?, \?\] and axis is None; one axis"),
        (lambda m, b: linalg.norm(m, axis=(0, 0)), "norm: m is .* and axis is"),
        (lambda m, b: linalg.norm(m, axis=2), "norm: there is no axis 2 in an array of 2 axes"),
        (
            lambda m, b: linalg.solve(gt.tensor("a", shape=(2, 3, 3)), gt.tensor("b", shape=(4, 3, 1))),
            r"solve: a is float64\[2, 3, 3\] and b is float64\[4, 3, 1\]: shapes .* do not broadcast",
        ),
    ],
)
def test_messages(wrong: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong(gt.tensor("m", shape=(3, 3)), gt.tensor("b", shape=(4, 2)))


@pytest.mark.parametrize(
    "build",
    [
        lambda a: linalg.inv(a),
        lambda a: linalg.solve(a, gt.ones(2)),
        lambda a: linalg.solve_triangular(a, gt.ones(2)),
        lambda a: linalg.cholesky(a),
    ],
)
def test_a_singular_matrix_raises_and_changes_nothing(build: Callable[[Any], Any]) -> None:
    a, count = gt.matrix("a"), gs.shared(np.float64(0), "count")
    f = gs.function([a], build(a).sum(), updates={count: count + 1}, device="cpu")
    f(np.array([[2.0, 1], [1, 2]]))
    with pytest.raises(LinAlgError):
        f(np.zeros((2, 2)))
    assert count.get_value() == 1


def test_a_factor_nobody_reads_costs_no_name() -> None:
    a = gt.matrix("a")
    f = gs.function([a], linalg.eigh(a)[1] * 1, device="cpu")
    assert f(np.eye(2)).tolist() == np.eye(2).tolist()
