"""What users write, as variables: numbers, lists, arrays, casts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES, Constant
from tests.tensor.agree import agree, same


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "bool"), (5, "int8"), (-128, "int8"), (128, "int16"), (-40_000, "int32"), (2**31, "int64"),
        (2**63, "uint64"), (1.5, "float64"), (1j, "complex128"), (np.float32(2), "float32"), (np.uint16(2), "uint16"),
        ([1, 2], "int64"), ([1.0, 2], "float64"), ([[True]], "bool"), ((1, 2j), "complex128"),
        (np.ones(2, "float16"), "float16"),
    ],
)  # fmt: skip
def test_dtype_of_a_constant(value: Any, dtype: str) -> None:
    constant = gt.constant(value)
    assert constant.dtype == dtype
    assert constant.type.shape == np.shape(value)
    same(constant.data, np.asarray(value, dtype))


def test_python_floats_are_floatx() -> None:
    with gs.config.change_flags(floatX="float32"):
        assert gt.constant(1.5).dtype == gt.constant([[1.5], [2]]).dtype == "float32"
        assert gt.constant(np.float64(1.5)).dtype == gt.constant(np.ones(2)).dtype == "float64"
        assert gt.as_tensor_variable(1).astype("floatX").dtype == "float32"


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), "f4", ">f4"])
def test_a_dtype_may_be_said_in_any_way(dtype: Any) -> None:
    assert gt.constant(3, dtype=dtype).dtype == "float32"
    assert gt.cast(gt.scalar(), dtype).dtype == "float32"
    assert gt.tensor("x", dtype).dtype == gt.zeros(2, dtype).dtype == gt.eye(2, dtype=dtype).dtype == "float32"
    assert gt.vector().astype(dtype).sum(dtype=dtype).dtype == "float32"
    assert gt.shared(3, dtype=dtype).dtype == "float32"


def test_a_constant_is_a_copy_that_nobody_can_change() -> None:
    array = np.zeros(3, ">f8")
    constant = gt.constant(array, "c")
    array[0] = 1
    assert constant.data[0] == 0
    assert constant.data.dtype.isnative
    assert constant.name == "c"
    with pytest.raises(ValueError, match="read-only"):
        constant.data[0] = 1
    assert gt.constant(constant) is constant
    assert gt.constant(constant, dtype="int8").dtype == "int8"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.constant(None), "None, of dtype object, is no number or array of supported numbers"),
        (lambda: gt.constant("abc"), "'abc', of dtype <U3, is no number"),
        (lambda: gt.constant([[1], [1, 2]]), "is no number or array of numbers: .*inhomogeneous"),
        (lambda: gt.constant(np.ones(1, "longdouble")), "of dtype (longdouble|float128), is no number"),
        (lambda: gt.constant(300, dtype="int8"), "300 is no number or array of numbers: .*out of bounds"),
        (lambda: gt.constant(np.ones(2) * 1j, dtype="float32"), "is complex; use its real or imaginary part"),
        (lambda: gt.constant(gt.scalar("s")), "<s: .*> is symbolic; a constant needs a value"),
        (lambda: gt.constant(1, dtype="float31"), "'float31' is not supported as a dtype; use one of bool, int8"),
        (lambda: gt.cast(gt.scalar(), object), "<class 'object'> is not supported as a dtype"),
        (lambda: gt.cast(gt.zscalar(), "float64"), r"cast of complex128\[\] to float64: use real\(x\)"),
        (lambda: gt.cast(1j, "int8"), r"cast of complex128\[\] to int8: use real\(x\)"),
        (lambda: gt.as_tensor_variable({}), "{}, of dtype object, is no number"),
        (lambda: gt.as_tensor_variable([gt.scalar(), "a"]), "'a', of dtype <U1, is no number"),
        (lambda: gt.as_tensor_variable(gt.matrix("m"), ndim=1), r"float64\[\?, \?\] has 1 axes more than asked for"),
        (
            lambda: gt.as_tensor_variable([gt.scalar(), gt.vector()]),
            r"stack: .* one shape; found float64\[\], float64\[\?\]",
        ),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()


def test_as_tensor_variable() -> None:
    x = gt.vector("x")
    assert gt.as_tensor_variable(x) is gt.as_tensor(x) is x
    assert gt.as_tensor_variable(3, "three").name == "three"
    assert gt.as_tensor_variable(x, ndim=3).type == gs.TensorType("float64", (1, 1, None))
    assert gt.as_tensor_variable(x, dtype="float32").dtype == "float32"
    assert isinstance(gt.as_tensor_variable([1, 2]), Constant)
    assert gt.as_tensor_variable([gt.scalar(), 1], "both").name == "both"


def test_a_list_of_variables_is_stacked() -> None:
    a, b = np.array(2.0), np.array(3.0)
    agree(lambda a, b: gt.as_tensor_variable([a, 1, b]), np.array([2.0, 1, 3]), a, b)
    agree(lambda a, b: gt.as_tensor_variable([[a, 1], (b, a * b)]), np.array([[2.0, 1], [3, 6]]), a, b)
    rows = np.arange(3.0), np.ones(3)
    agree(lambda a, b: gt.as_tensor_variable([a, b, np.zeros(3)]), np.stack([*rows, np.zeros(3)]), *rows)
    agree(lambda i: gt.as_tensor_variable([i, 2.5]), np.array([4, 2.5]), np.array(4, "int8"))


@pytest.mark.parametrize("source", DTYPES)
def test_cast(source: str) -> None:
    x = np.array([0, 1, 3, 100]).astype(source)
    targets = [d for d in DTYPES if np.dtype(source).kind != "c" or np.dtype(d).kind in "bc"]
    agree(lambda x: [gt.cast(x, d) for d in targets], [x.astype(d) for d in targets], x)
    agree(lambda x: [x.astype(d) for d in targets], [x[2].astype(d) for d in targets], x[2])
    assert [gt.cast(gt.constant(x), d).data.tolist() for d in targets] == [x.astype(d).tolist() for d in targets]


def test_a_cast_to_its_own_dtype_is_nothing() -> None:
    x, c = gt.fvector(), gt.constant(2.0, "two")
    assert gt.cast(x, "float32") is x
    assert gt.cast(c, "int8").name == "two"
    assert isinstance(gt.cast(c, "int8"), Constant)
