"""Eigenvalues, eigenvectors and singular values by a team are LAPACK's, but for signs, which have a convention."""

from __future__ import annotations

import numpy as np
import pytest

from gpuscan.cuda.kernel import C_TYPES
from tests.kernels.calls import FLOATS, Call, compile_with_nvrtc, run

FILES = ["jacobi.cuh"]
SIZES = {"thread": (1, 2, 3, 4, 5, 8, 16), "warp": (1, 2, 5, 32), "block": (3, 4, 8, 16)}
SHAPES = {
    "thread": [(1, 1), (2, 2), (4, 4), (5, 3), (3, 5), (1, 4), (4, 1), (12, 7)],
    "warp": [(1, 1), (5, 8), (8, 5), (32, 32)],
    "block": [(2, 3), (3, 3), (16, 16), (20, 6)],
}


def assert_signs(vectors):
    """Check columns: the first of the largest components is positive."""
    n = vectors.shape[-1]
    largest = np.abs(vectors).max(-2, keepdims=True)
    first = np.argmax(np.abs(vectors) == largest, -2)
    assert (np.take_along_axis(vectors, first[:, None], -2) >= 0).all(), n


# ---- Symmetric matrices.


def symmetric(n, dtype):
    """Ordinary, with clustered eigenvalues, of low rank, graded, diagonal, zero, and large and small matrices."""
    rng = np.random.default_rng(n)
    a = rng.standard_normal((8, n, n))
    a += a.swapaxes(1, 2)
    q = np.linalg.qr(a[1])[0]
    a[1] = q * np.where(np.arange(n) % 2, 1.0, 2.0) @ q.T
    a[2] = np.outer(a[2, 0], a[2, 0])
    a[3] *= np.outer(*[np.geomspace(1, 1e-6, n)] * 2)
    a[4] = np.diag(a[4, 0])
    a[5] = 0
    a[6] *= 1e30 if dtype == "float32" else 1e250
    a[7] *= 1e-30 if dtype == "float32" else 1e-250
    return np.tril(a.astype(dtype)) + np.tril(a.astype(dtype), -1).swapaxes(1, 2)


def eigenvectors_of(a, lower):
    n, dtype = a.shape[-1], str(a.dtype)
    other = np.full_like(a[0], np.nan)
    given = np.tril(a) + np.triu(other, 1) if lower else np.triu(a) + np.tril(other, -1)
    text = f"eigh<{n}, {str(lower).lower()}, {C_TYPES[dtype]}>(team, a, values, vectors, work)"
    return Call(text, {"a": given}, {"values": (dtype, n), "vectors": (dtype, n * n)}, n * n + n + 1)


def test_eigh(team):
    inputs = [symmetric(n, dtype) for n in SIZES[team] for dtype in FLOATS]
    calls = [eigenvectors_of(a, i % 2 == 0) for i, a in enumerate(inputs)]
    for a, out in zip(inputs, run(FILES, team, calls), strict=True):
        wide, n = a.astype("float64"), a.shape[-1]
        expected = np.linalg.eigvalsh(wide)
        allowed = 4 * n * np.finfo(a.dtype).eps
        size = np.abs(expected).max(1)[:, None]
        assert (np.abs(out["values"] - expected) <= allowed * size).all()
        assert (np.diff(out["values"]) >= 0).all()
        values, vectors = out["values"].astype("float64"), out["vectors"].astype("float64").reshape(a.shape)
        assert (np.abs(vectors.swapaxes(1, 2) @ vectors - np.eye(n)) <= allowed).all()
        assert (np.abs(wide @ vectors - vectors * values[:, None]) <= allowed * size[:, None]).all()
        assert_signs(out["vectors"].reshape(a.shape))


def test_eigh_of_what_is_not_finite(team):
    a = symmetric(3, "float64")
    a[0, 1, 1], a[1, 1, 0] = np.nan, np.inf
    (out,) = run(FILES, team, [eigenvectors_of(a, True)])
    for result in out.values():
        assert np.isnan(result[:2]).all()
        assert np.isfinite(result[2:]).all()


# ---- Singular values.


def general(m, n, dtype):
    """Ordinary, ill-conditioned, of low rank, with a column of zeros, graded, zero, and large and small matrices."""
    rng = np.random.default_rng(m + n)
    a = rng.standard_normal((8, m, n))
    u, s, vh = np.linalg.svd(a[1], full_matrices=False)
    a[1] = u * np.geomspace(1, 1e-12, len(s)) @ vh
    a[2] = np.outer(a[2, :, 0], a[2, 0])
    a[3, :, n // 2] = 0
    a[4] *= np.geomspace(1, 1e-20, n)
    a[5] = 0
    a[6] *= 1e30 if dtype == "float32" else 1e250
    a[7] *= 1e-30 if dtype == "float32" else 1e-250
    return a.astype(dtype)


def factors_of(a, full):
    m, n, dtype = *a.shape[1:], str(a.dtype)
    k = min(m, n)
    text = f"svd<{m}, {n}, {str(full).lower()}, {C_TYPES[dtype]}>(team, a, u, s, vh, work)"
    sizes = {"u": m * (m if full else k), "s": k, "vh": (n if full else k) * n}
    outputs = {name: (dtype, size) for name, size in sizes.items()} | {"returned": ("bool", 1)}
    return Call(text, {"a": a}, outputs, m * n + k * k + 2 * k)


def values_of(a):
    m, n, dtype = *a.shape[1:], str(a.dtype)
    k = min(m, n)
    outputs = {"s": (dtype, k), "returned": ("bool", 1)}
    return Call(f"singular_values<{m}, {n}, {C_TYPES[dtype]}>(team, a, s, work)", {"a": a}, outputs, m * n + 2 * k)


@pytest.mark.parametrize("full", [False, True])
def test_svd(team, full):
    inputs = [general(*shape, dtype) for shape in SHAPES[team] for dtype in FLOATS]
    for a, out in zip(inputs, run(FILES, team, [factors_of(a, full) for a in inputs]), strict=True):
        assert out["returned"].all()
        m, n = a.shape[1:]
        k = min(m, n)
        allowed = 4 * max(m, n) * np.finfo(a.dtype).eps
        u, s, vh = (out[name].astype("float64") for name in ("u", "s", "vh"))
        u, vh = u.reshape(len(a), m, -1), vh.reshape(len(a), -1, n)
        expected = np.linalg.svd(a.astype("float64"), compute_uv=False)
        assert (np.abs(s - expected) <= allowed * expected[:, :1]).all()
        assert (np.diff(s) <= 0).all()
        assert (np.abs(u.swapaxes(1, 2) @ u - np.eye(u.shape[2])) <= allowed).all()
        assert (np.abs(vh @ vh.swapaxes(1, 2) - np.eye(vh.shape[1])) <= allowed).all()
        product = u[:, :, :k] * s[:, None] @ vh[:, :k]
        assert (np.abs(product - a) <= allowed * expected[:, :1, None]).all()
        assert_signs(vh.swapaxes(1, 2) if m >= n else u)


def test_singular_values(team):
    inputs = [general(*shape, dtype) for shape in SHAPES[team] for dtype in FLOATS]
    for a, out in zip(inputs, run(FILES, team, [values_of(a) for a in inputs]), strict=True):
        assert out["returned"].all()
        expected = np.linalg.svd(a.astype("float64"), compute_uv=False)
        allowed = 4 * max(a.shape[1:]) * np.finfo(a.dtype).eps
        assert (np.abs(out["s"] - expected) <= allowed * expected[:, :1]).all()
        assert (np.diff(out["s"]) <= 0).all()


def test_singular_values_of_what_is_not_finite(team):
    a = general(3, 2, "float64")
    a[0, 1, 1], a[1, 1, 0] = np.nan, np.inf
    for out in run(FILES, team, [factors_of(a, True), values_of(a)]):
        returned = out.pop("returned")
        np.testing.assert_array_equal(returned.all(1), [False] + [True] * 7)
        np.testing.assert_array_equal(returned.any(1), [False] + [True] * 7)
        for result in out.values():
            assert np.isnan(result[:2]).all()
            assert np.isfinite(result[2:]).all()


# ---- CUDA.


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_compiles_with_nvrtc(team, arch):
    calls = [eigenvectors_of(symmetric(5, "float32"), True), values_of(general(4, 3, "float64"))]
    calls += [factors_of(general(*shape, "float32"), True) for shape in [(4, 3), (2, 5)]]
    compile_with_nvrtc(FILES, team, calls, arch)


@pytest.mark.nvrtc
def test_a_thread_holds_small_matrices_in_registers():
    a = symmetric(3, "float64")
    for call in (eigenvectors_of(a, True), values_of(a), factors_of(a, False)):
        log = compile_with_nvrtc(FILES, "thread", [call], "sm_90")
        assert " 0 bytes stack frame, 0 bytes spill stores" in log, log
