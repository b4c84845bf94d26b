"""Needless conversions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES
from gpuscan.rewrite.drop_casts import drop_casts, keeps_all
from gpuscan.tensor.pointwise import Cast
from tests.rewrite.programs import I, after, assert_agree, b, f32, is_kept, n8, x


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (Cast("float64")(x), "x"),
        (gt.cast(gt.cast(f32, "float64"), "float32"), "f32"),
        (gt.cast(gt.cast(n8, "int64"), "float64"), "cast[float64](n8)"),
        (gt.cast(gt.cast(n8, "float32"), "int8"), "n8"),
        (gt.cast(gt.cast(gt.cast(n8, "int16"), "int32"), "uint8"), "cast[uint8](n8)"),
        (gt.cast(gt.cast(b, "int8"), "bool"), "b"),
    ],
)
def test_before_and_after(output, text):
    assert after(drop_casts, output) == text


@pytest.mark.parametrize(
    "output",
    [
        gt.cast(x, "float32"),
        gt.cast(gt.cast(x, "float32"), "float64"),
        gt.cast(gt.cast(x, "int64"), "float64"),
        gt.cast(gt.cast(I, "float64"), "int64"),  # 2**53 + 1 is no float64
        gt.cast(gt.cast(n8, "uint8"), "int16"),
        gt.cast(gt.cast(n8, "bool"), "int8"),
    ],
)
def test_what_is_left_alone(output):
    assert is_kept(drop_casts, output)


def test_which_dtypes_hold_which():
    """Every number of a narrow dtype that is tried comes back from the dtype that is said to hold it."""
    edges = {
        dtype: np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, np.iinfo(dtype).max - 1, 0, 1], dtype)
        for dtype in DTYPES
        if np.dtype(dtype).kind in "iu"
    }
    for narrow, wide in itertools.product(edges, DTYPES):
        if keeps_all(narrow, wide):
            np.testing.assert_array_equal(edges[narrow].astype(wide).real.astype(narrow), edges[narrow])
        elif np.dtype(wide).kind == "f":
            with np.errstate(all="ignore"):
                converted = edges[narrow].astype(wide)
            assert [float(v) for v in converted] != edges[narrow].tolist()


def test_gradients_through_conversions():
    cost = (gt.cast(gt.cast(f32, "float64"), "float32") ** 2).sum()
    assert_agree(gs.grad(cost, f32), [f32], np.array([1, 2], "f4"))
