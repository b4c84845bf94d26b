"""QR factors by a team are LAPACK's, signs included."""

from __future__ import annotations

import numpy as np
import pytest

from gpuscan.cuda.kernel import C_TYPES
from tests.kernels.calls import FLOATS, Call, compile_with_nvrtc, run

FILES = ["qr.cuh"]
SHAPES = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (3, 5), (8, 8), (7, 1), (1, 6), (16, 16), (20, 6)]
BATCH = 5


def shapes(team):
    return SHAPES if team == "thread" else [*SHAPES[2:], (32, 32)]


def matrices(m, n, dtype):
    """Ordinary ones, one with columns of zeros and one of very small, one of very large elements."""
    a = np.random.default_rng(m * n).standard_normal((BATCH, m, n))
    a[1, :, n // 2] = 0
    a[2] = np.triu(a[2])  # nothing to reflect
    a[3] *= 1e-30 if dtype == "float32" else 1e-250
    a[4] *= 1e30 if dtype == "float32" else 1e250
    return a.astype(dtype)


def factors_of(a, complete):
    m, n, dtype = *a.shape[1:], str(a.dtype)
    inner = m if complete else min(m, n)
    text = f"qr<{m}, {n}, {str(complete).lower()}, {C_TYPES[dtype]}>(team, a, q, r, work)"
    return Call(text, {"a": a}, {"q": (dtype, m * inner), "r": (dtype, inner * n)}, m * n + 2 * min(m, n))


@pytest.mark.parametrize("complete", [False, True])
def test_qr(team, complete):
    calls = [factors_of(matrices(*shape, dtype), complete) for shape in shapes(team) for dtype in FLOATS]
    for call, out in zip(calls, run(FILES, team, calls), strict=True):
        a = call.inputs["a"].astype("float64")
        q, r = (
            np.array(x) for x in zip(*(np.linalg.qr(x, "complete" if complete else "reduced") for x in a), strict=True)
        )
        allowed = 20 * a.shape[1] * np.finfo(call.inputs["a"].dtype).eps
        # A factor is as sensitive as the columns are nearly dependent.
        width = min(a.shape[1:])
        sensitive = np.array([np.linalg.cond(x[:, :width]) for x in a])[:, None]
        sensitive[1] = 1e30
        size = np.abs(r).max((1, 2))[:, None]
        found_q, found_r = (out[name].astype("float64") for name in "qr")
        assert (np.abs(found_q - q.reshape(BATCH, -1)) <= allowed * sensitive).all()
        assert (np.abs(found_r - r.reshape(BATCH, -1)) <= allowed * sensitive * size).all()
        found_q, found_r = found_q.reshape(q.shape), found_r.reshape(r.shape)
        np.testing.assert_array_equal(found_r, np.triu(found_r))
        assert (np.abs(found_q.swapaxes(1, 2) @ found_q - np.eye(q.shape[2])) <= allowed).all()
        assert (np.abs(found_q @ found_r - a).max((1, 2)) <= allowed * size[:, 0]).all()


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_compiles_with_nvrtc(team, arch):
    calls = [factors_of(matrices(*shape, "float32"), shape == (5, 3)) for shape in [(3, 5), (5, 3), (20, 6)]]
    compile_with_nvrtc(FILES, team, calls, arch)


@pytest.mark.nvrtc
def test_a_thread_holds_small_matrices_in_registers():
    log = compile_with_nvrtc(FILES, "thread", [factors_of(matrices(4, 4, "float64"), False)], "sm_90")
    assert " 0 bytes stack frame, 0 bytes spill stores" in log, log
