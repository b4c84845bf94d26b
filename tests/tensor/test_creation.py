"""New arrays against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from tests.tensor.agree import agree

X = np.arange(6.0).reshape(2, 3)


def test_filled_arrays() -> None:
    agree(lambda x: gt.zeros(x.shape), np.zeros((2, 3)), X)
    agree(lambda x: gt.ones((x.shape[1], 2), "int8"), np.ones((3, 2), "int8"), X)
    agree(lambda x: gt.empty(x.shape[0]), np.zeros(2), X)
    agree(lambda x: gt.full(x.shape, 7.5), np.full((2, 3), 7.5), X)
    agree(lambda x: gt.full((2, 2), x[0, 1], "float32"), np.ones((2, 2), "float32"), X)
    agree(lambda x: gt.full((4, 3), x[1]), np.full((4, 3), X[1]), X)
    agree(lambda x: gt.full((), -0.0), np.full((), -0.0), X)
    agree(lambda x: gt.alloc(x[0, 0], 2, x.shape[0]), np.zeros((2, 2)), X)
    agree(lambda x: gt.alloc(1.5, (3, 1)), np.full((3, 1), 1.5), X)
    agree(lambda x: gt.alloc(1.5), np.array(1.5), X)
    assert np.signbit(gt.full(2, -0.0).eval(device="cpu")).all()


def test_arrays_like_another() -> None:
    i = X.astype("int32")
    agree(lambda x: [gt.zeros_like(x), gt.ones_like(x), gt.empty_like(x)], [i * 0, i * 0 + 1, i * 0], i)
    agree(lambda x: gt.full_like(x, 2.9), np.full_like(i, 2.9), i)
    agree(lambda x: gt.zeros_like(x, "bool"), np.zeros_like(i, "bool"), i)
    agree(lambda x: gt.ones_like(x[0, 0]), np.ones((), "int32"), i)
    agree(lambda x: gt.identity_like(x), np.eye(2, 3, dtype="int32"), i)


@pytest.mark.parametrize(
    "bounds", [(5,), (2, 9), (9, 2, -2), (0, 10, 3), (3, 3), (0.0, 1.0, 0.1), (1, 0), (0.5, 3), (0, 1, np.float32(0.1))]
)
def test_arange_of_numbers(bounds: tuple[Any, ...]) -> None:
    dtype = np.result_type(*(np.min_scalar_type(b) if isinstance(b, int) else b for b in bounds))
    expected = np.arange(*bounds, dtype="int64" if dtype.kind in "iu" else dtype)
    agree(lambda: gt.arange(*bounds), expected)
    agree(lambda: gt.arange(*bounds, dtype="float32"), expected.astype("float32"))


@given(
    start=st.integers(-128, 127), stop=st.integers(-128, 127), step=st.integers(-128, 127).filter(bool),
    dtype=st.sampled_from(["int8", "int16", "int64", "float32"]),
)  # fmt: skip
def test_arange_of_values(start: int, stop: int, step: int, dtype: str) -> None:
    bounds = np.array([start, stop, step], dtype)
    expected = np.arange(start, stop, step, dtype="int64" if dtype.startswith("int") else dtype)
    inputs = [gt.scalar(dtype=dtype) for _ in bounds]
    assert gt.arange(*inputs).type.shape == (None,)
    found = gt.arange(*inputs).eval(dict(zip(inputs, bounds, strict=True)), device="cpu")
    np.testing.assert_array_equal(found, expected)
    constants = gt.arange(*(gt.constant(b) for b in bounds))
    assert constants.type.shape == expected.shape


@given(
    st.tuples(*[st.floats(-9, 9, width=32)] * 2, st.floats(0.125, 3, width=32)), st.sampled_from(["float32", "float64"])
)
def test_length_of_a_float_arange(bounds: tuple[float, ...], dtype: str) -> None:
    numbers = gt.arange(*(gt.constant(b, dtype=dtype) for b in bounds))
    assert numbers.type.shape == numbers.eval(device="cpu").shape


def test_arange_over_a_size() -> None:
    agree(lambda x: gt.arange(x.shape[1]), np.arange(3), X)
    agree(lambda x: gt.arange(x.shape[0], x.size, 2), np.arange(2, 6, 2), X)
    agree(lambda n: gt.arange(n), np.arange(4), np.array(4, "int8"), sizes_from_values=True)
    assert gt.arange(2**40).type.shape == (2**40,)


def test_eye() -> None:
    agree(lambda x: gt.eye(3), np.eye(3), X)
    agree(lambda x: gt.eye(x.shape[0], 4, 1, "int8"), np.eye(2, 4, 1, "int8"), X)
    agree(lambda x: gt.eye(3, k=-2), np.eye(3, k=-2), X)
    agree(lambda k: gt.eye(3, 3, k), np.eye(3, k=-1), np.array(-1, "int8"))


@pytest.mark.parametrize("num", [0, 1, 2, 7])
def test_linspace(num: int) -> None:
    a, b = np.array([0.0, 1]), np.array([[2.0], [3]])
    agree(lambda: gt.linspace(0, 5, num), np.linspace(0, 5, num))
    agree(lambda a, b: gt.linspace(a, b, num), np.linspace(a, b, num), a, b)
    agree(lambda a: gt.linspace(a, 1, num), np.linspace(a, 1, num, dtype="float32"), a.astype("float32"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.zeros(-1), "broadcast_to: sizes must not be negative; found -1"),
        (lambda: gt.zeros((2, 1.5)), r"broadcast_to: sizes must be integers; found a value of type float64\[\]"),
        (lambda: gt.zeros(gt.scalar("n")), r"broadcast_to: sizes must be integers; found n of type float64\[\]"),
        (lambda: gt.zeros(gt.lvector("n")), "broadcast_to: the number of sizes in <n: .*> is not known"),
        (lambda: gt.arange(gt.vector()), "arange: bounds and step must be scalars"),
        (lambda: gt.arange(0, 3, 0), "arange: the step must not be 0"),
        (lambda: gt.arange(0, float("inf")), "arange: from 0.0 to inf in steps of 1.0 is no finite number of elements"),
        (lambda: gt.arange(1j), "arange: bounds and step must be real numbers"),
        (lambda: gt.eye(2.0), r"eye: sizes must be integers; found a value of type float64\[\]"),
        (lambda: gt.eye(2, k=0.5), r"eye: the diagonal must be an integer, not float64\[\]"),
        (lambda: gt.eye(2, -3), "eye: sizes must not be negative; found -3"),
        (lambda: gt.identity_like(gt.vector()), r"identity_like: needs a matrix, not float64\[\?\]"),
        (lambda: gt.linspace(0, 1, -1), "linspace: the number of elements must not be negative; found -1"),
        (lambda: gt.full((2,), np.ones(3)), r"float64\[3\] cannot be broadcast to \(2,\): axis 0 has size 3"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()


def test_floatx() -> None:
    with gs.config.change_flags(floatX="float32"):
        assert gt.zeros(2).dtype == gt.eye(2).dtype == gt.linspace(0, 1).dtype == gt.ones(2).dtype == "float32"
