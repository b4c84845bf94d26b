"""Joining, splitting and repeating against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuscan.tensor as gt
from tests.tensor.agree import agree, run

X = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(6, dtype="int16").reshape(2, 3)


def test_join() -> None:
    agree(lambda x: gt.join(0, x, x, np.ones((1, 3))), np.concatenate([M, M, np.ones((1, 3))]), M)
    agree(lambda x: gt.concatenate([x, x[:, :1]], axis=1), np.concatenate([M, M[:, :1]], 1), M)
    agree(lambda x: gt.concatenate((x, x), -1), np.concatenate([M, M], -1), M)
    agree(lambda x: gt.concatenate([x, 7, [1.5]], axis=None), np.concatenate([M, 7, [1.5]], None), M, dtype=False)
    agree(lambda x: gt.join(1, x), M, M)
    agree(lambda x: gt.join(0, x, [x[0]]), np.concatenate([M, M[:1]]), M)


def test_stack() -> None:
    agree(lambda x: [gt.stack([x, x]), gt.stack((x, x), axis=1)], [np.stack([M, M]), np.stack([M, M], 1)], M)
    agree(lambda x: gt.stack([x, x], axis=-1), np.stack([M, M], -1), M)
    agree(lambda x: gt.stack([x[0, 0], 2, x[1, 1]]), np.stack([M[0, 0], np.int16(2), M[1, 1]]), M)
    agree(lambda x: gt.stack([[x[0, 0], 2], [0.5, 3]]), np.array([[M[0, 0], 2], [0.5, 3]]), M)
    agree(lambda x, y: gt.stack([x[0, 0], y]), np.array([0, 2.5]), M, np.array(2.5, "float32"), dtype=False)


def test_split() -> None:
    agree(lambda x: gt.split(x, 3, axis=1), np.split(X, 3, 1), X)
    agree(lambda x: gt.split(x, [1, 3], axis=-1), np.split(X, [1], -1), X)
    agree(lambda x: gt.split(x, (x.shape[0] - 1, 1)), np.split(X, [1]), X)
    agree(lambda x: gt.split(x, np.array([2, 0, 2]), axis=2), np.split(X, [2, 2], 2), X)
    agree(lambda x: gt.split(x, np.int64(2)), np.split(X, 2), X)
    x, sizes = gt.vector("x"), gt.lvector("sizes")
    parts = gt.split(x, sizes, n_splits=2)
    found = run([x, sizes], parts, [np.arange(5.0), np.array([2, 3])])
    assert [p.tolist() for p in found] == [[0, 1], [2, 3, 4]]


def test_a_size_that_does_not_divide_is_an_error_also_at_run_time() -> None:
    x = gt.vector("x")
    with pytest.raises(ValueError, match=r"reshape of .* 7 elements"):
        gt.split(x, 2)[0].eval({x: np.ones(7)}, device="cpu")


reps = st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=4)


@given(reps)
def test_tile(reps: int | list[int]) -> None:
    agree(lambda x: gt.tile(x, reps), np.tile(M, reps), M)


def test_tile_by_a_size_and_a_scalar() -> None:
    agree(lambda x: gt.tile(x, (x.shape[0], 1)), np.tile(M, (2, 1)), M)
    agree(lambda x: gt.tile(x[0, 1], 3), np.tile(M[0, 1], 3), M)
    agree(lambda n: gt.tile(np.ones(2), n), np.ones(6), np.array(3), sizes_from_values=True)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("repeats", [0, 1, 3, [2], np.int8(2)])
def test_repeat(repeats: Any, axis: int | None) -> None:
    agree(lambda x: gt.repeat(x, repeats, axis), np.repeat(M, repeats, axis), M)


def test_repeat_each_its_own_number_of_times() -> None:
    agree(lambda x: x.repeat([1, 0, 2], axis=1), np.repeat(M, [1, 0, 2], 1), M)
    agree(lambda x: gt.repeat(x, np.arange(6, dtype="uint64")), np.repeat(M, np.arange(6)), M)
    agree(lambda x: gt.repeat(x[0, 1], 3), np.repeat(M[0, 1], 3), M)
    agree(lambda x: gt.repeat(x, x.shape[0], axis=0), np.repeat(M, 2, 0), M)
    counts = np.array([2, 1])
    agree(lambda x, n: gt.repeat(x, n, 0), np.repeat(M, counts, 0), M, counts, sizes_from_values=True)
    agree(lambda x, n: gt.repeat(x, n, 1), np.repeat(M, 2, 1), M, np.array(2), sizes_from_values=True)
    agree(lambda x, n: gt.repeat(x, n, 0), np.repeat(M, counts[:1], 0), M, counts[:1], sizes_from_values=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.join(0), "join: there is nothing to join"),
        (lambda: gt.concatenate([]), "join: there is nothing to join"),
        (lambda: gt.join(0, gt.scalar(), 1), "join: scalars have no axis to join along; use stack"),
        (
            lambda: gt.join(0, gt.matrix(), gt.vector()),
            r"join: arrays must have one rank; found float64\[\?, \?\], float64\[\?\]",
        ),
        (lambda: gt.join(1, np.ones((2, 1)), np.ones((3, 1))), "join along axis 1: axis 0 has size 2 and size 3"),
        (lambda: gt.join(2, gt.matrix(), gt.matrix()), "join: there is no axis 2 in an array of 2 axes"),
        (lambda: gt.stack([]), "stack: there is nothing to stack"),
        (lambda: gt.stack([gt.scalar(), 1], axis=1), "stack: there is no axis 1 in an array of 1 axes"),
        (lambda: gt.stack([gt.vector(), 1]), r"stack: arrays must have one shape; found float64\[\?\], float64\[\]"),
        (lambda: gt.stack([np.ones(2), gt.tensor(shape=(3,))]), "join along axis 0: axis 1 has size 2 and size 3"),
        (lambda: gt.split(np.ones(7), 2), r"split: float64\[7\] does not divide into 2 equal parts along axis 0"),
        (lambda: gt.split(gt.vector(), 0), "does not divide into 0 equal parts"),
        (lambda: gt.split(np.ones(7), [3, 3]), r"split: sizes \[3, 3\] do not add up to the 7 elements along axis 0"),
        (lambda: gt.split(gt.vector(), gt.lvector("s")), "split: the number of sizes in <s: .*> is not known"),
        (lambda: gt.split(gt.vector(), 2, axis=1), "split: there is no axis 1"),
        (lambda: gt.tile(gt.vector(), -1), "tile: sizes must not be negative; found -1"),
        (lambda: gt.repeat(gt.vector(), 1.5), "repeat: sizes must be integers; found a value"),
        (lambda: gt.repeat(gt.vector(), -1), "repeat: sizes must not be negative; found -1"),
        (lambda: gt.repeat(gt.vector(), [1, -1]), "repeat: counts must not be negative; found -1"),
        (lambda: gt.repeat(np.ones(3), [1, 2]), "repeat: there are 2 counts for the 3 elements along axis 0"),
        (lambda: gt.repeat(gt.vector(), [1.0, 2]), r"repeat: the counts must be an integer or a vector of integers"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()
