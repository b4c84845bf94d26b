"""Products of vectors, matrices and stacks of them against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan.tensor as gt
from gpuscan.graph import DTYPES
from tests.tensor.agree import agree

RANKS = {
    "vector.vector": ((3,), (3,)),
    "matrix.vector": ((2, 3), (3,)),
    "vector.matrix": ((3,), (3, 4)),
    "matrix.matrix": ((2, 3), (3, 4)),
    "stack.vector": ((5, 2, 3), (3,)),
    "vector.stack": ((3,), (5, 3, 4)),
    "stack.matrix": ((5, 2, 3), (3, 4)),
    "matrix.stack": ((2, 3), (5, 3, 4)),
    "stack.stack": ((5, 2, 3), (5, 3, 4)),
    "stacks that broadcast": ((6, 1, 2, 3), (5, 3, 4)),
    "empty": ((2, 0), (0, 3)),
    "empty stack": ((0, 2, 3), (0, 3, 4)),
    "stack of empty": ((2, 0), (5, 0, 4)),
}


def some(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype(dtype) if dtype.startswith("f") else rng.integers(0, 3, shape).astype(dtype)


@pytest.mark.parametrize("ranks", RANKS)
def test_ranks(ranks: str) -> None:
    a, b = some(RANKS[ranks][0]), some(RANKS[ranks][1], seed=1)
    agree(gt.matmul, np.matmul(a, b), a, b)
    agree(lambda a, b: a @ b, a @ b, a, b)
    agree(gt.dot, np.dot(a, b), a, b)


def test_dot_with_scalars_and_constants() -> None:
    a = some((2, 3))
    agree(lambda a: gt.dot(a, 2), 2 * a, a)
    agree(lambda a, s: s.dot(a), 2 * a, a, np.array(2.0))
    agree(lambda a: a.dot(np.eye(3)), a, a)
    agree(lambda a: np.ones((1, 2)) @ a, np.ones((1, 2)) @ a, a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    a, b = some((2, 3), dtype), some((3, 2), dtype, seed=1)
    agree(gt.matmul, a @ b, a, b)
    agree(gt.matmul, a @ some((3,), "float32"), a, some((3,), "float32"))


def test_outer() -> None:
    for shapes in [((3,), (4,)), ((2, 2), (3,)), ((), (2,))]:
        a, b = (some(s) for s in shapes)
        agree(gt.outer, np.outer(a, b), a, b)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.matmul(gt.scalar(), gt.vector()), r"matmul: float64\[\] and float64\[\?\]; a scalar has no rows"),
        (
            lambda: gt.tensor("W", shape=(2, 3)) @ gt.tensor("h", shape=(4,)),
            r"matmul: W is float64\[2, 3\] and h is float64\[4\]; 3 columns do not meet 4 rows",
        ),
        (lambda: gt.dot(np.ones((2, 3)), np.ones((2, 3))), "3 columns do not meet 2 rows"),
        (lambda: gt.matmul(np.ones((2, 2, 3)), np.ones((4, 3, 2))), r"shapes \(2,\), \(4,\) do not broadcast"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
