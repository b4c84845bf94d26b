"""Transpositions, reshapes, broadcasts and slices that follow one another, or change nothing."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite.compose_moves import compose_moves
from tests.rewrite.programs import X, Y, after, assert_agree, fixed, is_kept, s, x, y

rows, columns = X.shape[0], X.shape[1]

CHANGED = {
    "X.T.T": (X.T.T, "X"),
    "two transpositions": (X.dimshuffle(1, 0, "x").dimshuffle(1, 2, 0), "dimshuffle[0, x, 1](X)"),
    "an axis put in and taken out": (x.dimshuffle("x", 0).dimshuffle(1), "x"),
    "a new axis by index": (x[:, None], "dimshuffle[0, x](x)"),
    "everything": (X[:, :], "X"),
    "two reshapes": (fixed.reshape((12,)).reshape((2, 6)), "reshape(fixed, 2, 6)"),
    "flattened and back": (gt.reshape(X, (rows * columns,)).reshape((rows, columns)), "X"),
    "to its own sizes": (X.reshape((rows, columns)), "X"),
    "to its own known sizes": (fixed.reshape((3, 4)), "fixed"),
    "axes of size 1 only": (gt.reshape(x, (x.shape[0], 1)), "dimshuffle[0, x](x)"),
    "broadcast to its own sizes": (gt.broadcast_to(X, (rows, columns)), "X"),
    "two broadcasts": (gt.broadcast_to(gt.broadcast_to(s, (3,)), (2, 3)), "broadcastto(s, 2, 3)"),
    "leading axes": (gt.broadcast_to(x.dimshuffle("x", 0), (3, x.shape[0])), "broadcastto(x, 3, dim[0](x))"),
}
KEPT = {
    "X.T": X.T,
    "another order": gt.reshape(X, (columns, rows)),
    "a reshape that may fail": gt.reshape(x, (2, 3)).reshape((6,)),
    "a reshape of the rest": x.reshape((-1, 2)),
    "a broadcast of what may be of size 1": gt.broadcast_to(x, (3,)),
    "a broadcast that may fail": gt.broadcast_to(gt.broadcast_to(x, (3,)), (2, y.shape[0])),
    "part of a slice": X[1:],
    "dropping an axis whose size is not known": X.dimshuffle(1),
}


@pytest.mark.parametrize("name", CHANGED)
def test_before_and_after(name):
    output, text = CHANGED[name]
    assert after(compose_moves, output) == text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_left_alone(name):
    assert is_kept(compose_moves, KEPT[name])


@pytest.mark.parametrize("name", CHANGED)
def test_values(name):
    inputs = {x: np.arange(4.0), X: np.arange(6.0).reshape(2, 3), fixed: np.arange(12.0).reshape(3, 4), s: 2.0}
    output, _ = CHANGED[name]
    found, expected = (
        gs.function(list(inputs), output, mode, device="cpu", on_unused_input="ignore")(*inputs.values())
        for mode in (None, gs.Mode(optimizer=None))
    )
    np.testing.assert_array_equal(found, expected)


def test_what_would_have_failed_still_fails():
    f = gs.function([x], gt.reshape(x, (2, 3)).reshape((6,)), device="cpu")
    with pytest.raises(ValueError, match="reshape"):
        f(np.zeros(7))


def test_the_result_is_no_view_of_an_argument():
    f = gs.function([X], X.T.T, device="cpu")
    argument = np.zeros((2, 2))
    f(argument)[0, 0] = 1
    assert not argument.any()


def test_gradients_and_loops():
    out, _ = gs.scan(lambda row, total: total + row.reshape((row.shape[0], 1))[:, 0].dimshuffle("x", 0)[0], X, Y[0])
    assert_agree([out, gs.grad((out**2).sum(), X)], [X, Y], np.arange(6.0).reshape(2, 3), np.ones((1, 3)))
