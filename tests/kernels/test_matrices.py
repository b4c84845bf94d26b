"""Linear algebra by a team gives what LAPACK gives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from gpuscan.cuda.kernel import C_TYPES
from tests.kernels.calls import FLOATS, TEAMS, Call, compile_with_nvrtc, run

FILES = ["matrices.cuh"]
SIZES = {"thread": (1, 2, 3, 4, 5, 8, 16), "warp": (1, 2, 3, 5, 16, 32), "block": (1, 4, 8, 16, 32)}
BATCH = 4


def cases(team):
    return [(n, dtype) for n in SIZES[team] for dtype in FLOATS]


# ---- Matrices, and how well they can be known.


def general(n, dtype):
    """Matrices that are well-behaved, that need pivots, ill-conditioned ones and badly scaled ones."""
    rng = np.random.default_rng(n)
    a = rng.standard_normal((BATCH, n, n))
    a[1] += 3 * np.roll(np.eye(n), 1, 0)
    a[1][np.diag_indices(n)] = 0 if n > 1 else 1
    u, _, vh = np.linalg.svd(a[2])
    a[2] = u * np.geomspace(1, 1e-3 if dtype == "float32" else 1e-7, n) @ vh
    a[3] *= np.geomspace(1, 1e3, n)[:, None]
    return a.astype(dtype)


def definite(n, dtype):
    a = general(n, "float64")
    a[2] = np.linalg.svd(a[0])[0] * np.geomspace(1, 1e-2, n) @ np.linalg.svd(a[0])[2]
    return (a @ a.swapaxes(1, 2) + 1e-3 * np.eye(n)).astype(dtype)


def right_sides(n, columns, dtype):
    return np.random.default_rng(columns).standard_normal((BATCH, n, columns)).astype(dtype)


def condition(a):
    return np.linalg.cond(a.astype("float64"))


def assert_near(result, expected, condition, dtype, factor=4.0):
    """Compare as far as a backward stable method must agree, relative to the largest element."""
    expected = expected.reshape(len(expected), -1)
    allowed = factor * np.sqrt(expected.shape[1]) * np.finfo(dtype).eps * condition
    scale = np.abs(expected).max(1)
    error = np.abs(result - expected).max(1)
    assert (error <= allowed * scale).all(), error / scale / allowed


# ---- Systems.


def inverse_of(a):
    n, dtype = a.shape[-1], str(a.dtype)
    out = {"x": (dtype, n * n), "returned": ("bool", 1)}
    return Call(f"inverse<{n}, {C_TYPES[dtype]}>(team, a, x, work)", {"a": a}, out, n * n)


def test_inverse(team):
    calls = [inverse_of(general(*case)) for case in cases(team)]
    for call, out in zip(calls, run(FILES, team, calls), strict=True):
        a = call.inputs["a"]
        assert out["returned"].all()
        assert_near(out["x"], np.linalg.inv(a.astype("float64")), condition(a), a.dtype)


def solution_of(a, b):
    n, columns, dtype = *b.shape[1:], str(a.dtype)
    out = {"x": (dtype, n * columns), "returned": ("bool", 1)}
    return Call(f"solve<{n}, {columns}, {C_TYPES[dtype]}>(team, a, b, x, work)", {"a": a, "b": b}, out, n * n)


def test_solve(team):
    calls = [
        solution_of(general(n, dtype), right_sides(n, columns, dtype))
        for (n, dtype), columns in zip(cases(team), [1, 3, 1, 17] * len(FLOATS) * len(SIZES[team]), strict=False)
    ]
    for call, out in zip(calls, run(FILES, team, calls), strict=True):
        a, b = call.inputs["a"], call.inputs["b"]
        assert out["returned"].all()
        assert_near(out["x"], np.linalg.solve(a.astype("float64"), b.astype("float64")), condition(a), a.dtype)


def test_solve_leaves_a_small_residual(team):
    # What elimination promises however ill-conditioned the matrix is.
    n = 8
    a, b = scipy.linalg.hilbert(n)[None], right_sides(n, 1, "float64")[:1]
    (out,) = run(FILES, team, [solution_of(a, b)])
    residual = a[0] @ out["x"][0] - b[0, :, 0]
    assert np.abs(residual).max() < 1e-15 * n * np.abs(a).max() * np.abs(out["x"]).max()


def singular(n):
    a = general(n, "float64")
    a[0] = 0
    a[1, :, n // 2] = 0
    if n > 1:
        a[2, -1] = 2 * a[2, 0]  # small integers, so that elimination finds a 0
        a[2] = np.round(a[2] * 1e9) % 3 - 1
        a[2, 1] = a[2, 0]
    else:
        a[2] = 0
    return a


def test_singular(team):
    sizes = SIZES[team]
    calls = [
        call
        for n in sizes
        for call in (inverse_of(singular(n)), solution_of(singular(n), right_sides(n, 2, "float64")))
    ]
    for call, out in zip(calls, run(FILES, team, calls), strict=True):
        found = [np.linalg.det(a) == 0 for a in call.inputs["a"]]
        assert found == [True, True, True, False]
        np.testing.assert_array_equal(~out["returned"], np.repeat([found], TEAMS[team][1], 0).T)
        np.testing.assert_array_equal(np.isnan(out["x"]).all(1), found)
        assert np.isfinite(out["x"][3]).all()


def test_solve_triangular(team):
    calls, expected = [], []
    forms = [(lower, trans, unit) for lower in (True, False) for trans in (False, True) for unit in (False, True)]
    for i, (n, dtype) in enumerate(cases(team)):
        for lower, trans, unit in forms if n in (3, 8) else [forms[i % 8]]:
            a = right_sides(n, n, dtype) / n + 2 * np.eye(n, dtype=dtype)  # the other triangle is not 0
            b = right_sides(n, i % 3 + 1, dtype)
            flags = ", ".join(str(int(flag)) for flag in (lower, trans, unit))
            text = f"solve_triangular<{n}, {b.shape[2]}, {flags}, {C_TYPES[dtype]}>(team, a, b, x)"
            out = {"x": (dtype, b[0].size), "returned": ("bool", 1)}
            calls.append(Call(text, {"a": a, "b": b}, out))
            options = dict(lower=lower, trans=int(trans), unit_diagonal=unit)
            expected.append(
                np.array([scipy.linalg.solve_triangular(*ab, **options) for ab in zip(a, b, strict=True)], "float64")
            )
    for call, x, out in zip(calls, expected, run(FILES, team, calls), strict=True):
        a = call.inputs["a"]
        assert out["returned"].all()
        assert_near(out["x"], x, condition(np.tril(a)) + condition(np.triu(a)), a.dtype)


def test_singular_triangle(team):
    a, b = general(4, "float64"), right_sides(4, 2, "float64")
    a[1, 2, 2] = 0
    texts = [f"solve_triangular<4, 2, true, false, {unit}, double>(team, a, b, x)" for unit in ("false", "true")]
    out = {"x": ("float64", 8), "returned": ("bool", 1)}
    plain, unit = run(FILES, team, [Call(text, {"a": a, "b": b}, out) for text in texts])
    np.testing.assert_array_equal(plain["returned"].all(1), [True, False, True, True])
    np.testing.assert_array_equal(plain["returned"].any(1), [True, False, True, True])
    np.testing.assert_array_equal(np.isnan(plain["x"]).any(1), [False, a[1, 2, 2] == 0, False, False])
    assert np.isnan(plain["x"][1]).all()
    assert unit["returned"].all()
    assert np.isfinite(unit["x"]).all()


def test_equal_rows_leave_nothing(team):
    a = general(5, "float64")
    a[:, 2] = a[:, 4] = np.array([[3.0, 1.1, 0.7, 5.3, 2.9]]) * 8  # the largest: the pivot and what it eliminates
    for out in run(FILES, team, [inverse_of(a), solution_of(a, right_sides(5, 1, "float64"))]):
        assert not out["returned"].any()
        assert np.isnan(out["x"]).all()


# ---- Determinants.


def determinants_of(a):
    n, dtype = a.shape[-1], str(a.dtype)
    log_out = {"s": (dtype, 1), "x": (dtype, 1)}
    return [
        Call(f"determinant<{n}, {C_TYPES[dtype]}>(team, a, x, work)", {"a": a}, {"x": (dtype, 1)}, n * n),
        Call(f"sign_and_log_determinant<{n}, {C_TYPES[dtype]}>(team, a, s, x, work)", {"a": a}, log_out, n * n),
    ]


def test_determinants(team):
    # Scaled, or those of 32 rows would be beyond float32.
    inputs = [general(*case) for case in cases(team)]
    for a in inputs:
        a /= np.exp(np.linalg.slogdet(a)[1] / len(a[0]) - 0.5 / len(a[0]))[:, None, None]
    results = run(FILES, team, [call for a in inputs for call in determinants_of(a)])
    for a, plain, logarithmic in zip(inputs, results[::2], results[1::2], strict=True):
        wide = a.astype("float64")
        assert_near(plain["x"], np.linalg.det(wide), condition(a), a.dtype)
        signs, logarithms = np.linalg.slogdet(wide)
        np.testing.assert_array_equal(logarithmic["s"][:, 0], signs)
        allowed = 4 * len(a[0]) * np.finfo(a.dtype).eps * (condition(a) + np.abs(logarithms))
        assert (np.abs(logarithmic["x"][:, 0] - logarithms) <= allowed).all()


def test_determinants_of_singular_matrices(team):
    results = run(FILES, team, [call for n in SIZES[team] for call in determinants_of(singular(n))])
    for plain, logarithmic in zip(results[::2], results[1::2], strict=True):
        np.testing.assert_array_equal(plain["x"][:3], 0)
        np.testing.assert_array_equal(logarithmic["s"][:3], 0)
        np.testing.assert_array_equal(logarithmic["x"][:3], -np.inf)
        assert plain["x"][3] != 0
        assert np.isfinite(logarithmic["x"][3])


# ---- Cholesky.


def cholesky_of(a):
    n, dtype = a.shape[-1], str(a.dtype)
    return Call(
        f"cholesky<{n}, {C_TYPES[dtype]}>(team, a, x)", {"a": a}, {"x": (dtype, n * n), "returned": ("bool", 1)}
    )


def test_cholesky(team):
    # Only the lower triangle is read.
    inputs = [definite(*case) for case in cases(team)]
    results = run(FILES, team, [cholesky_of(a + np.triu(np.full_like(a[0], np.nan), 1)) for a in inputs])
    for a, out in zip(inputs, results, strict=True):
        assert out["returned"].all()
        x = out["x"].reshape(a.shape)
        np.testing.assert_array_equal(x, np.tril(x))
        assert_near(out["x"], np.linalg.cholesky(a.astype("float64")), condition(a), a.dtype)


def test_indefinite(team):
    inputs = [definite(n, "float64") for n in SIZES[team]]
    for a in inputs:
        a[1, -1, -1] = -1
        a[2, 0, 0] = 0
    for out in run(FILES, team, [cholesky_of(a) for a in inputs]):
        np.testing.assert_array_equal(out["returned"].all(1), [True, False, False, True])
        np.testing.assert_array_equal(out["returned"].any(1), [True, False, False, True])
        np.testing.assert_array_equal(np.isnan(out["x"]).all(1), [False, True, True, False])
        assert np.isfinite(out["x"][[0, 3]]).all()


# ---- What NumPy does not call an error, but propagates.


def test_nan_is_no_error(team):
    a = definite(3, "float64")
    a[0, 2, 2] = np.nan
    for out in run(FILES, team, [inverse_of(a), solution_of(a, right_sides(3, 1, "float64")), cholesky_of(a)]):
        assert out["returned"].all()
        assert np.isnan(out["x"][0]).any()
        assert np.isfinite(out["x"][1:]).all()


# ---- CUDA.


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_compiles_with_nvrtc(team, arch):
    a, b = general(8, "float32"), right_sides(8, 3, "float32")
    triangular = Call(
        "solve_triangular<8, 3, true, true, false, float>(team, a, b, x)",
        {"a": a, "b": b},
        {"x": ("float32", 24), "returned": ("bool", 1)},
    )
    calls = [inverse_of(a), solution_of(a, b), triangular, *determinants_of(a), cholesky_of(a)]
    compile_with_nvrtc(FILES, team, calls, arch)


@pytest.mark.nvrtc
def test_a_thread_holds_small_matrices_in_registers():
    a, b = general(4, "float64"), right_sides(4, 1, "float64")
    for call in (inverse_of(a), solution_of(a, b), cholesky_of(a), *determinants_of(a)):
        log = compile_with_nvrtc(FILES, "thread", [call], "sm_90")
        assert " 0 bytes stack frame, 0 bytes spill stores" in log, log
