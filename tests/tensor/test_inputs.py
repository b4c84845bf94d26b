"""Constructors of inputs, and shared variables."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import SharedVariable, TensorType

SHAPES = dict(scalar=(), vector=(None,), row=(1, None), col=(None, 1), matrix=(None,) * 2, tensor3=(None,) * 3)
SHAPES |= dict(tensor4=(None,) * 4)
LETTERS = dict(b="int8", w="int16", i="int32", l="int64", f="float32", d="float64", c="complex64", z="complex128")


@pytest.mark.parametrize("title", SHAPES)
def test_constructors(title: str) -> None:
    plain = getattr(gt, title)
    x = plain("x")
    assert (x.name, x.type, x.owner) == ("x", TensorType("float64", SHAPES[title]), None)
    assert plain().name is None
    assert plain(dtype="int16").dtype == "int16"
    assert plain("x", shape=(1,) * x.ndim).type.shape == (1,) * x.ndim
    with gs.config.change_flags(floatX="float32"):
        assert plain().dtype == "float32"
    for letter, dtype in LETTERS.items():
        typed = getattr(gt, letter + title)
        assert typed.__name__ == letter + title
        assert typed("x", dtype=dtype).type == TensorType(dtype, SHAPES[title])


def test_tensor() -> None:
    assert gt.tensor().type == TensorType("float64", ())
    assert gt.tensor("x", "int8", (2, None)).type == TensorType("int8", (2, None))
    assert gt.tensor("x", shape=3).type.shape == gt.tensor("x", shape=np.array([3])).type.shape == (3,)
    old = gt.tensor("float32", shape=[None, np.int64(2)])
    assert (old.name, old.type) == (None, TensorType("float32", (None, 2)))
    assert all(type(size) is int for size in old.type.shape[1:])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.vector("v", shape=(1, 2)), r"vector has 1 axes; shape \(1, 2\) has 2"),
        (
            lambda: gt.fvector("v", dtype="float64"),
            r"fvector makes float32, not float64; use vector\(name, dtype=...\)",
        ),
        (lambda: gt.tensor("x", shape=(2.5,)), r"tensor: a shape is declared as integers, .* found \(2.5,\)"),
        (lambda: gt.tensor("x", shape=(-1,)), r"tensor: sizes must not be negative; found \(-1,\)"),
        (lambda: gt.tensor("x", shape=None), r"tensor: shape must tell the rank"),
        (lambda: gt.tensor("x", "float8"), "'float8' is not supported as a dtype"),
        (lambda: gt.shared(gt.scalar("s")), r"shared\(\) needs a value to start from; <s: float64\[\]> is symbolic"),
        (lambda: gt.shared("text"), "'text', of dtype <U4, is no number"),
        (lambda: gt.shared([1, 2], shape=(3,)), r"shared variable None is int64\[3\]; its value cannot be int64\[2\]"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()


def test_dtype_of_a_shared_variable() -> None:
    assert gt.shared(1).dtype == "int64"
    assert gt.shared(1.5).dtype == "float64"
    assert gt.shared(np.float32(1)).dtype == "float32"
    assert gt.shared(1, dtype="float16").dtype == "float16"
    with gs.config.change_flags(floatX="float32"):
        assert gt.shared(1.5).dtype == gt.shared([1.5]).dtype == "float32"
        assert gt.shared(np.ones(2)).dtype == "float64"


def test_a_shared_variable_takes_values_of_any_size() -> None:
    s = gt.shared(np.zeros((2, 3)), "s")
    assert s.type.shape == (None, None)
    s.set_value(np.ones((4, 1)))
    assert s.get_value().shape == (4, 1)
    fixed = gt.shared(np.zeros((2, 3)), "s", shape=(2, None))
    fixed.set_value(np.ones((2, 9)))
    with pytest.raises(
        gs.ShapeError, match=r"shared variable 's' is float64\[2, \?\]; its value cannot be float64\[3, 3\]"
    ):
        fixed.set_value(np.ones((3, 3)))
    assert fixed.get_value().shape == (2, 9)


def test_values_are_copied_unless_borrowed() -> None:
    array = np.zeros(2)
    s, borrowed = gt.shared(array), gt.shared(array, borrow=True)
    array[0] = 1
    assert s.get_value().tolist() == [0, 0]
    assert borrowed.get_value().tolist() == [1, 0]
    s.get_value()[1] = 5
    assert s.get_value().tolist() == [0, 0]
    s.get_value(borrow=True)[1] = 5
    assert s.get_value().tolist() == [0, 5]
    s.set_value(array)
    array[0] = 2
    assert s.get_value().tolist() == [1, 0]
    s.set_value(array, borrow=True)
    assert s.get_value(borrow=True) is array


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", 1.5),
        ("float32", 2),
        ("float32", np.ones(())),
        ("int8", -3),
        ("int8", np.int64(7)),
        ("uint8", True),
        ("bool", True),
        ("complex64", 1.5),
        ("float64", [[1, 2]]),
        ("int64", np.array([], "int64")),
    ],
)
def test_values_that_fit(dtype: str, value: Any) -> None:
    s = gt.shared(np.zeros(np.shape(value)), dtype=dtype)
    s.set_value(value)
    assert s.get_value().dtype == dtype
    np.testing.assert_array_equal(s.get_value(), value)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int64", 1.5),
        ("int64", 2.0),
        ("int8", 300),
        ("int8", np.int64(300)),
        ("uint8", -1),
        ("bool", 2),
        ("float32", 1j),
        ("float32", "a"),
        ("float32", None),
    ],
)
def test_values_that_do_not_fit(dtype: str, value: Any) -> None:
    s = gt.shared(np.zeros(()), "s", dtype=dtype)
    with pytest.raises(gs.DtypeError, match=rf"shared variable 's' is {dtype}\[\]; set_value got "):
        s.set_value(value)
    assert s.get_value() == 0


def test_an_array_on_a_gpu_is_copied_to_the_host() -> None:
    class OnDevice:
        dtype = np.dtype("float64")

        def get(self) -> np.ndarray:
            return np.array([1.0, 2])

    s = gt.shared(np.zeros(2))
    s.set_value(OnDevice())
    assert s.get_value().tolist() == [1, 2]
    s.storage = OnDevice()
    assert s.get_value().tolist() == s.get_value(borrow=True).tolist() == [1, 2]


def test_pickling_a_shared_variable() -> None:
    s = gt.shared(np.arange(3.0), "s", shape=(None,))
    copy: SharedVariable = pickle.loads(pickle.dumps(s))
    assert (copy.name, copy.type) == (s.name, s.type)
    copy.set_value([9.0])
    assert s.get_value().tolist() == [0, 1, 2]
