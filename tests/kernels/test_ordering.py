"""Sorting, searching and running sums by a team give what NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from gpuscan.cuda.kernel import C_TYPES
from tests.kernels.calls import Call, compile_with_nvrtc, run

FILES = ["ordering.cuh"]
BATCH = 3
SHAPES = [(1, 1, 1), (1, 2, 1), (2, 3, 2), (1, 4, 1), (3, 5, 1), (1, 8, 1), (1, 16, 1), (1, 33, 1), (2, 70, 3)]
DTYPES = ["float64", "float32", "int64", "bool", "uint8"]
CASES = list(zip(SHAPES, DTYPES * 2, strict=False)) + [((1, 7, 2), dtype) for dtype in DTYPES]


def values(shape, dtype):
    """Values of which many are equal, and some NaN, infinite or a zero with a sign."""
    rng = np.random.default_rng(shape)
    x = rng.integers(0, 6, (BATCH, *shape)).astype(dtype)
    if dtype.startswith("float"):
        special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, -2.5], dtype)
        x = np.where(rng.random(x.shape) < 0.4, rng.choice(special, x.shape), x)
    return x


def call_of(function, x, dtype):
    arguments = ", ".join(map(str, x.shape[1:]))
    text = f"{function}<{arguments}, {C_TYPES[str(x.dtype)]}>(team, a, x)"
    return Call(text, {"a": x}, {"x": (dtype, x[0].size)})


def test_sort(team):
    inputs = [values(*case) for case in CASES]
    for x, out in zip(inputs, run(FILES, team, [call_of("sort", x, str(x.dtype)) for x in inputs]), strict=True):
        np.testing.assert_array_equal(out["x"].reshape(x.shape), np.sort(x, 2))


def test_argsort(team):
    inputs = [values(*case) for case in CASES]
    for x, out in zip(inputs, run(FILES, team, [call_of("argsort", x, "int64") for x in inputs]), strict=True):
        np.testing.assert_array_equal(out["x"].reshape(x.shape), np.argsort(x, 2, kind="stable"))


def search_of(x, v, side):
    arguments = f"{x.shape[1]}, {v.shape[1]}, {str(side == 'right').lower()}, {C_TYPES[str(x.dtype)]}"
    out = {"places": ("int64", v.shape[1])}
    return Call(f"searchsorted<{arguments}>(team, sorted, values, places)", {"sorted": x, "values": v}, out)


def test_searchsorted(team):
    calls, expected = [], []
    for n, count, dtype in [(1, 4, "float64"), (5, 3, "float32"), (16, 40, "int64"), (41, 37, "float64")]:
        x, v = np.sort(values((n,), dtype)), values((count,), dtype)
        for side in ("left", "right"):
            calls.append(search_of(x, v, side))
            expected.append([np.searchsorted(*xv, side) for xv in zip(x, v, strict=True)])
    for places, out in zip(expected, run(FILES, team, calls), strict=True):
        np.testing.assert_array_equal(out["places"], places)


FUNCTIONS = {"Add": np.cumsum, "Multiply": np.cumprod}


def cumulation_of(op, x):
    dtype = str(FUNCTIONS[op](x[:1, :1], 2).dtype)
    arguments = f"{', '.join(map(str, x.shape[1:]))}, gs::{op}, {C_TYPES[dtype]}"
    return Call(f"cumulate<{arguments}>(team, a, x)", {"a": x}, {"x": (dtype, x[0].size)})


def test_cumulate(team):
    rng = np.random.default_rng(0)
    inputs = []
    for shape, dtype in [*zip(SHAPES, DTYPES * 2, strict=False), ((1, 64, 1), "float64"), ((1, 1000, 1), "int64"),
                         ((40, 65, 1), "float32"), ((1, 1000, 2), "float64")]:  # fmt: skip
        x = rng.uniform(0.5, 1.5, (BATCH, *shape))
        inputs.append((x if dtype.startswith("float") else np.round(x)).astype(dtype))
    calls = [cumulation_of(op, x) for x in inputs for op in FUNCTIONS]
    results = iter(run(FILES, team, calls))
    for x in inputs:
        for function in FUNCTIONS.values():
            out, expected = next(results)["x"].reshape(x.shape), function(x, 2)
            if team == "thread" or expected.dtype.kind in "iu":
                np.testing.assert_array_equal(out, expected)
            else:
                np.testing.assert_allclose(out, expected, rtol=4 * x.shape[2] ** 0.5 * np.finfo(x.dtype).eps)


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_compiles_with_nvrtc(team, arch):
    x, long = values((1, 5, 2), "float32"), values((1, 70, 1), "float64")
    calls = [
        call for a in (x, long)
        for call in (call_of("sort", a, str(a.dtype)), call_of("argsort", a, "int64"), cumulation_of("Add", a))
    ]  # fmt: skip
    calls += [search_of(long[:, 0, :, 0], x[:, 0, :, 0].astype("float64"), "left")]
    compile_with_nvrtc(FILES, team, calls, arch)


@pytest.mark.nvrtc
def test_a_thread_sorts_in_registers():
    x = values((1, 8, 1), "float64")
    for call in (call_of("sort", x, "float64"), call_of("argsort", x, "int64")):
        log = compile_with_nvrtc(FILES, "thread", [call], "sm_90")
        assert " 0 bytes stack frame, 0 bytes spill stores" in log, log
