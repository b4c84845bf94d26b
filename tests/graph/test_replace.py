"""Graphs with some of their variables replaced."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

x, y = gt.vector("x"), gt.vector("y")


def test_inputs_and_values_in_between_are_replaced():
    double = x * 2
    out = double + x
    assert gs.clone_replace(out, {x: y}).eval({y: [1.0]}) == [3]
    assert gs.clone_replace(out, {double: y}).eval({x: [1.0], y: [5.0]}) == [6]
    assert out.eval({x: [1.0]}) == [3]


def test_one_output_or_a_list_pairs_and_numbers():
    a = gt.scalar("a")
    first, second = gs.clone_replace([a * 2, a], [(a, 3)])
    assert (first.eval(), second.eval(), first.dtype) == (6, 3, "float64")
    assert gs.clone_replace([x * 2])[0].eval({x: [1.0]}) == [2]


def test_what_a_loop_reads_is_replaced():
    w = gt.scalar("w")
    out, _ = gs.scan(lambda row, s: s * w + row, x, np.float64(0))
    new = gs.clone_replace(out[-1], {w: x.sum(), x: y})
    np.testing.assert_allclose(new.eval({x: [0.5], y: [1.0, 2.0]}), 2.5)


@pytest.mark.parametrize(
    ("replace", "error", "message"),
    [
        ({x: gt.fvector("z")}, gs.DtypeError, "'x' is float64[?]; 'z' is float32[?]. Cast it to float64"),
        ({x: gt.matrix("z")}, gs.ShapeError, "'x' is float64[?]; 'z' is float64[?, ?]: 1 axes and 2 axes"),
        ({"x": y}, TypeError, "clone_replace: what is replaced must be a variable; found 'x'"),
    ],
)
def test_messages(replace, error, message):
    with pytest.raises(error, match=re.escape(message)):
        gs.clone_replace(x * 2, replace)
