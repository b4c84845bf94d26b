"""Reductions against NumPy: axes, dtypes, empty arrays, scalars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES
from tests.tensor.agree import agree

AXES: list[Any] = [None, 0, 1, -1, (0, 2), (2, 1, 0), (), [1]]
REAL = [d for d in DTYPES if np.dtype(d).kind != "c"]


def some(dtype: str, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    if np.dtype(dtype).kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return (
        (rng.normal(size=shape) * 3).astype(dtype)
        if np.dtype(dtype).kind == "f"
        else rng.integers(0, 5, shape).astype(dtype)
    )


def as_axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("which", ["sum", "prod", "max", "min", "any", "all"])
def test_reduction_over_axes(which: str, axis: Any) -> None:
    for dtype in DTYPES:
        if dtype.startswith("complex") and which in ("max", "min"):
            continue
        x = some(dtype, 2, 3, 2)
        for keepdims in (False, True):
            expected = getattr(np, which)(x, axis=as_axis(axis), keepdims=keepdims)
            if which in ("any", "all") and axis == ():
                expected = x.astype(bool)
            agree(lambda x: getattr(gt, which)(x, axis=axis, keepdims=keepdims), expected, x)  # noqa: B023


@pytest.mark.parametrize("which", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_positions(which: str, axis: int | None) -> None:
    for dtype in REAL:
        x = some(dtype, 3, 4)
        for keepdims in (False, True):
            expected = getattr(np, which)(x, axis=axis, keepdims=keepdims)
            agree(lambda x: getattr(gt, which)(x, axis=axis, keepdims=keepdims), expected, x)  # noqa: B023
    x = np.array([[1, np.nan, 3]])
    agree(lambda x: getattr(x, which)(axis=axis), getattr(np, which)(x, axis=axis), x)


@pytest.mark.parametrize("which", ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "mean", "var", "std"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_scalars(which: str, keepdims: bool) -> None:
    for dtype in ("float64", "float32", "int8", "uint16", "bool"):
        x = np.array(1, dtype)
        expected = getattr(np, which)(x.astype("float64") if which in ("mean", "var", "std") and dtype[0] != "f" else x)
        agree(lambda x: getattr(gt, which)(x, keepdims=keepdims), np.asarray(expected), x)


@pytest.mark.parametrize("which", ["sum", "prod"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32", "float64", "complex64", "bool"])
def test_dtype_of_sums(which: str, dtype: str) -> None:
    for source in ("bool", "int8", "uint8", "int64", "float32"):
        x = some(source, 3, 40)
        if source == "float32" and dtype in ("int8", "uint8", "int64", "bool"):
            x = np.abs(np.rint(x))
        expected = getattr(np, which)(x, axis=1, dtype=dtype)
        agree(lambda x: getattr(gt, which)(x, axis=1, dtype=dtype), expected, x)


@pytest.mark.parametrize("axis", [None, 0, (0, 1), 2, ()], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_var_std(dtype: str, axis: Any) -> None:
    x = some(dtype, 3, 4, 5)
    floats = x if np.dtype(dtype).kind in "fc" else x.astype("float64")
    agree(lambda x: gt.mean(x, axis), np.mean(floats, axis), x)
    agree(lambda x: x.var(axis), np.var(floats, axis), x)
    agree(lambda x: x.std(axis, keepdims=True), np.std(floats, axis, keepdims=True), x)
    if axis != ():
        agree(lambda x: gt.var(x, axis, ddof=1), np.var(floats, axis, ddof=1), x)


def test_dtype_of_a_mean() -> None:
    x = np.arange(6)
    agree(lambda x: gt.mean(x, dtype="float32"), np.mean(x, dtype="float32"), x)
    with gs.config.change_flags(floatX="float32"):
        assert gt.mean(gt.ivector()).dtype == gt.std(gt.bvector()).dtype == "float32"


def test_a_mean_of_float16_does_not_overflow() -> None:
    x = np.full(3000, 100, "float16")
    agree(gt.mean, np.float16(100), x)
    agree(gt.var, np.float16(0), x)


def test_nothing_to_reduce() -> None:
    x = np.zeros((0, 3))
    agree(lambda x: [x.sum(), x.sum(0), x.sum(1), x.prod(0)], [x.sum(), x.sum(0), x.sum(1), x.prod(0)], x)
    agree(lambda x: [x.any(), x.all(), x.max(1)], [np.False_, np.True_, x.max(1)], x)
    agree(lambda x: gt.mean(x, 0), np.full(3, np.nan), x)
    m = gt.matrix("m")
    with pytest.raises(ValueError, match="nothing to choose from along an axis of size 0"):
        m.max(0).eval({m: x}, device="cpu")


def test_not_a_number_spreads() -> None:
    x = np.array([1, np.nan, 3])
    agree(lambda x: [x.max(), x.min(), x.sum()], [np.nan, np.nan, np.nan], x)


def test_sizes_reduced_stay_known() -> None:
    x = np.zeros((2, 3, 4))
    agree(lambda x: gt.zeros(x.shape.prod()), np.zeros(24), x)
    agree(lambda x: gt.zeros(gt.sum(x.shape[:2])), np.zeros(5), x)
    agree(lambda x: gt.zeros([x.shape.max(), x.shape.min()]), np.zeros((4, 2)), x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.sum(gt.matrix(), axis=2), "sum: there is no axis 2 in an array of 2 axes"),
        (lambda: gt.max(gt.matrix(), axis=(0, -2)), r"max: axis \(0, -2\) names an axis twice"),
        (lambda: gt.sum(gt.matrix(), axis=1.0), "sum: an axis must be an integer; found 1.0"),
        (lambda: gt.sum(gt.matrix(), axis=gt.iscalar("i")), "sum: an axis must be an integer; found <i"),
        (lambda: gt.argmax(gt.matrix(), axis=(0, 1)), r"argmax: an axis must be an integer; found \(0, 1\)"),
        (lambda: gt.max(gt.zvector()), r"max of complex128\[\?\]: complex numbers have no order"),
        (lambda: gt.min(gt.zeros((0, 2)), axis=0), r"min of float64\[0, 2\]: nothing to choose from"),
        (lambda: gt.mean(gt.vector(), dtype="int8"), "a mean is computed in floating point; dtype cannot be int8"),
        (lambda: gt.max("text"), "'text', of dtype <U4, is no number"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()
