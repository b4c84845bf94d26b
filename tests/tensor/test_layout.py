"""Reshaping, transposing and broadcasting against NumPy."""

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


def test_reshape() -> None:
    agree(lambda x: x.reshape((4, 6)), X.reshape(4, 6), X)
    agree(lambda x: x.reshape(-1), X.reshape(-1), X)
    agree(lambda x: x.reshape(2, -1, 2), X.reshape(2, -1, 2), X)
    agree(lambda x: gt.reshape(x, (x.shape[0], -1)), X.reshape(2, -1), X)
    agree(lambda x: gt.reshape(x, np.array([3, 8])), X.reshape(3, 8), X)
    agree(lambda x: gt.reshape(x, gt.constant([3, 8], dtype="int8")), X.reshape(3, 8), X)
    agree(lambda x: x.reshape([x.shape[1] * 2, x.shape[2]]), X.reshape(6, 4), X)
    agree(lambda x: x.reshape(x.shape[::-1]), X.reshape(4, 3, 2), X)
    agree(lambda x: x[0, 0, 0].reshape(()), X[0, 0, 0], X)
    agree(lambda x: x[:1, :1, :1].reshape(()), X[0, 0, 0], X)
    agree(lambda x: x.reshape((1, -1, 1)), np.zeros((1, 0, 1)), np.zeros((0, 4)))


def test_reshape_to_sizes_that_are_values() -> None:
    x, v = gt.vector("x"), gt.lvector("v")
    y = gt.reshape(x, v, ndim=2)
    assert y.type.shape == (None, None)
    assert run([x, v], [y], [np.arange(6.0), np.array([3, -1])])[0].shape == (3, 2)


def test_dimshuffle_and_transpose() -> None:
    agree(lambda x: x.dimshuffle(1, "x", 0, 2), X.transpose(1, 0, 2)[:, None], X)
    agree(lambda x: x.dimshuffle([-1, 0, 1]), X.transpose(2, 0, 1), X)
    agree(lambda x: x.dimshuffle("x", 0, 1, 2, None), X[None, ..., None], X)
    agree(lambda x: x[:1, 1:2].dimshuffle(2), X[0, 1], X)
    agree(lambda x: x[:1, 1:2, 2:3].dimshuffle(), X[0, 1, 2], X)
    agree(lambda x: x[0, 0, 0].dimshuffle("x"), X[0, 0, :1], X)
    agree(lambda x: [x.T, x.transpose(), x.transpose(None)], [X.T] * 3, X)
    agree(lambda x: [x.transpose(1, 0, 2), x.transpose((1, 0, 2))], [X.transpose(1, 0, 2)] * 2, X)
    agree(lambda x: x[0, 0].T, X[0, 0], X)
    agree(lambda x: x.swapaxes(0, -1), X.swapaxes(0, -1), X)
    x = gt.matrix()
    assert x.dimshuffle(0, 1) is x


@pytest.mark.parametrize(("source", "destination"), [(0, 2), (-1, 0), (1, 1), ((0, 1), (2, 0)), ([2, 0], [0, 1])])
def test_moveaxis(source: Any, destination: Any) -> None:
    agree(lambda x: gt.moveaxis(x, source, destination), np.moveaxis(X, source, destination), X)


def test_flatten() -> None:
    agree(lambda x: [x.flatten(), x.ravel(), gt.flatten(x, 1)], [X.ravel()] * 3, X)
    agree(lambda x: [x.flatten(2), x.flatten(3)], [X.reshape(2, -1), X], X)
    agree(lambda x: x[0, 0, 0].flatten(), X.ravel()[:1], X)
    empty = np.zeros((0, 3, 2))
    agree(lambda x: [x.flatten(), x.flatten(2)], [np.zeros(0), np.zeros((0, 6))], empty)


def test_axes_of_size_one() -> None:
    y = X[:1, :, :1]
    agree(lambda x: [x.squeeze(0), x.squeeze((0, -1)), gt.squeeze(x, [2])], [y[0], y[0, :, 0], y[..., 0]], y)
    agree(lambda x: x[:1].squeeze(0), X[0], X)
    known = gt.tensor(shape=(1, 3, 1))
    assert known.squeeze().type.shape == (3,)
    assert gt.tensor(shape=(None, 3)).squeeze().type.shape == (None, 3)
    agree(lambda x: gt.expand_dims(x, 1), np.expand_dims(M, 1), M)
    agree(lambda x: gt.expand_dims(x, (0, -1)), np.expand_dims(M, (0, -1)), M)
    agree(lambda x: [gt.shape_padleft(x), gt.shape_padright(x, 2)], [M[None], M[..., None, None]], M)
    agree(lambda x: [gt.atleast_1d(x[0, 0]), gt.atleast_1d(x)], [M[0, :1], M], M)
    agree(lambda x: [gt.atleast_2d(x[0, 0]), gt.atleast_2d(x[0]), gt.atleast_2d(x)], [M[:1, :1], M[:1], M], M)


def test_a_size_that_must_be_one_is_checked_at_run_time() -> None:
    x = gt.matrix("x")
    with pytest.raises(ValueError, match="cannot be dropped: its size is 2, not 1"):
        x.squeeze(0).eval({x: np.ones((2, 2))}, device="cpu")


def test_broadcast_to() -> None:
    agree(lambda x: gt.broadcast_to(x, (4, 2, 3)), np.broadcast_to(M, (4, 2, 3)), M)
    agree(lambda x: gt.broadcast_to(x[:, :1], x.shape), np.broadcast_to(M[:, :1], (2, 3)), M)
    agree(lambda x: gt.broadcast_to(x[0, 1], (x.shape[1], 2)), np.broadcast_to(M[0, 1], (3, 2)), M)
    agree(lambda x: gt.broadcast_to(x[0, 1], ()), M[0, 1], M)
    agree(lambda x: gt.broadcast_to(x[0, 1], 3), np.full(3, M[0, 1]), M)
    agree(lambda x: gt.broadcast_to(0.5, x.shape), np.full((2, 3), 0.5), M)


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.lists(shapes, min_size=1, max_size=3))
def test_broadcast_arrays(shapes: list[tuple[int, ...]]) -> None:
    arrays = [np.random.default_rng(0).random(s) for s in shapes]
    try:
        expected = np.broadcast_arrays(*arrays)
    except ValueError:
        return
    agree(gt.broadcast_arrays, list(expected), *arrays)


@given(shapes, st.lists(st.integers(0, 6), max_size=3))
def test_static_shape_of_a_reshape(shape: tuple[int, ...], target: list[int]) -> None:
    x = np.zeros(shape)
    target = [-1 if n == 6 else n for n in target]
    try:
        expected = x.reshape(target)
    except ValueError:
        with pytest.raises(ValueError, match="reshape"):
            gt.reshape(gt.tensor(shape=shape), target)
        return
    agree(lambda x: gt.reshape(x, target), expected, x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.tensor(shape=(6,)).reshape(4, 2), r"reshape of float64\[6\], 6 elements, to \(4, 2\), 8 elements"),
        (
            lambda: gt.tensor(shape=(6,)).reshape(4, -1),
            r"reshape of float64\[6\]: 6 elements do not divide into sizes \(4,\)",
        ),
        (
            lambda: gt.tensor(shape=(6,)).reshape(4, gt.iscalar()),
            r"6 elements do not divide into sizes \(4,\) and one more",
        ),
        (lambda: gt.vector().reshape(-1, -1), r"reshape of float64\[\?\]: only one size can be -1"),
        (lambda: gt.vector().reshape(2, -2), "reshape: sizes must not be negative; found -2"),
        (lambda: gt.vector().reshape(2, 3, ndim=3), "reshape: ndim is 3 but there are 2 sizes"),
        (lambda: gt.vector().reshape(2.0), "reshape: sizes must be integers; found a value"),
        (lambda: gt.vector().reshape((2, np.array([1, 2]))), r"reshape: sizes must be integers; found .* int64\[2\]"),
        (lambda: gt.vector().reshape(gt.ivector("s")), "reshape: the number of sizes in <s: .*> is not known"),
        (lambda: gt.matrix().dimshuffle(0, 0), r"dimshuffle\(0, 0\) uses an axis twice"),
        (lambda: gt.matrix().dimshuffle(0, 2), "dimshuffle: there is no axis 2 in an array of 2 axes"),
        (lambda: gt.matrix().dimshuffle("y", 0), "dimshuffle: an axis must be an integer; found 'y'"),
        (lambda: gt.tensor(shape=(2, 3)).dimshuffle(1), r"axis 0 of float64\[2, 3\] cannot be dropped: its size is 2"),
        (lambda: gt.tensor(shape=(2, 3)).squeeze(0), r"axis 0 of float64\[2, 3\] cannot be dropped: its size is 2"),
        (lambda: gt.matrix().transpose(0), "transpose: 1 axes named for an array of 2"),
        (lambda: gt.matrix().transpose("x", 0), "transpose: an axis must be an integer; found 'x'"),
        (lambda: gt.matrix().flatten(3), "flatten: ndim must be between 1 and 2, not 3"),
        (lambda: gt.moveaxis(gt.matrix(), (0, 0), (0, 1)), "moveaxis: .* must name equally many different axes"),
        (lambda: gt.moveaxis(gt.matrix(), 0, (0, 1)), "moveaxis: .* must name equally many different axes"),
        (lambda: gt.expand_dims(gt.vector(), 3), "expand_dims: there is no axis 3 in an array of 2 axes"),
        (lambda: gt.shape_padleft(gt.vector(), -1), r"float64\[\?\] has 1 axes more than asked for"),
        (lambda: gt.shape_padright(gt.vector(), -1), r"float64\[\?\] has 1 axes more than asked for"),
        (lambda: gt.broadcast_to(gt.matrix(), (3,)), r"float64\[\?, \?\] cannot be broadcast to 1 axes"),
        (lambda: gt.broadcast_to(np.ones(2), (3,)), r"float64\[2\] cannot be broadcast to \(3,\): axis 0 has size 2"),
        (lambda: gt.broadcast_arrays(np.ones(2), np.ones(3)), r"shapes \(2,\), \(3,\) do not broadcast"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()
