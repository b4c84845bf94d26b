"""Constants folded: what follows from constants alone is computed once, and no more than that."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Constant
from gpuscan.printing import Print
from gpuscan.rewrite.fold_constants import fold_constants
from gpuscan.tensor.shaping import Dim
from tests.rewrite.programs import I, X, after, fixed, graph_of, i, is_kept, s, x

two, three = gt.constant(2.0), gt.constant(3.0)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (x * (two + three), "mul(x, 5.0)"),
        (x + gt.exp(gt.constant([0.0, 0.0])), "add(x, [1. 1.])"),
        (x + gt.constant([[1.0, 2.0], [3.0, 4.0]]).sum(1), "add(x, [3. 7.])"),
        (I + gt.cast(gt.constant(7), "int64") // 2, "add(I, 3)"),
        (x + gt.constant([1.0, 2.0])[1], "add(x, 2.0)"),
        (I * Dim(0)(fixed), "mul(I, 3)"),
        (gt.switch(gt.constant(1.0) > 2, x, s), "switch(False, x, s)"),
        (x[gt.constant(1)], "index[1](x)"),
        (X[gt.constant(1) :, : gt.constant(3) * 2], "index[1:, :6](X)"),
        (X[gt.constant(1) : i], "index[1:?, :](X, i)"),
        (gt.inc_subtensor(x[gt.constant(1) :: 2], s), "inc[1::2](x, s)"),
        (x * gt.constant([1.0, 2.0])[gt.constant(1)], "mul(x, 2.0)"),
    ],
)
def test_before_and_after(output, text):
    assert after(fold_constants, output) == text


@pytest.mark.parametrize(
    "output",
    [
        x * two,
        X.shape[0] * 2,
        gt.zeros((1000, 1000)) + X,  # a number is handed on as a number
        gt.arange(100) + I,
        gt.eye(50) @ X,
        X[i, 1:],
    ],
)
def test_what_is_left_alone(output):
    assert is_kept(fold_constants, output)


def test_what_fails_fails_when_it_is_called():
    wrong = gt.constant(2) ** gt.constant(-1)
    f = gs.function([], wrong, device="cpu")
    with pytest.raises(ValueError, match="negative integer powers"):
        f()


def test_what_is_printed_is_printed_at_each_call(capsys):
    f = gs.function([], Print("two")(two) + 1, device="cpu")
    assert [f(), f()] == [3, 3]
    assert capsys.readouterr().out.count("two") == 2


def test_values_and_dtypes_are_those_of_a_call():
    for value in (np.float32(0.1), np.int8(100), np.uint64(2**63), np.complex64(1 + 2j), True):
        a = gt.constant(value)
        for output in (a + a, a * a, gt.cast(a, "complex128")):
            (folded,) = (fold_constants(graph_of(output)) or graph_of(output)).outputs
            expected = gs.function([], output, gs.Mode(optimizer=None), device="cpu")()
            assert isinstance(folded, Constant)
            assert (folded.dtype, folded.data) == (expected.dtype.name, expected)


def test_inside_a_loop():
    out, _ = gs.scan(lambda row: row * (two + three), X)
    (node,) = [n for n in gs.function([X], out, device="cpu").graph.nodes if n.op.name == "scan"]
    assert [str(n) for n in node.op.body.nodes] == [str(n) for n in node.op.body.nodes if n.op.name == "mul"]


def test_the_gradient_of_what_was_folded_is_taken_before():
    a = two * x.sum()
    b = (two + three) * a
    f = gs.function([x], [b, gs.grad(b, a)], device="cpu")
    assert f([1.0, 2.0]) == [30, 5]


def test_numbers_from_outside_are_folded_in_the_steps_of_loops():
    """As those that the derivative of ``row ** 2`` computes with its exponent are, which is no array of the step."""
    rows = gt.matrix("rows")
    h, _ = gs.scan(lambda row, h, scale: h * scale + row**2, rows, x, two)
    f = gs.function([rows, x], [h[-1], gs.grad(h[-1].sum(), rows)], device="cpu")
    assert "**" not in f.kernel_source()
    assert "where" not in f.kernel_source()
    given = np.array([[1.0, -2.0], [0.0, 3.0]])
    last, gradient = f(given, np.ones(2))
    np.testing.assert_allclose(last, 4 + 2 * given[0] ** 2 + given[1] ** 2)
    np.testing.assert_allclose(gradient, [4 * given[0], 2 * given[1]])


def test_numbers_stay_outside_of_a_loop_whose_mode_leaves_the_pass_out():
    mode = gs.Mode().excluding("fold_constants")
    h, _ = gs.scan(lambda h, scale: h * scale, None, x, two, n_steps=3, mode=mode)
    assert is_kept(fold_constants, h)


def test_numbers_that_a_step_cannot_take_fail_when_a_step_runs():
    n, rows = gt.iscalar("n"), gt.tensor("rows", shape=(3,))
    h, _ = gs.scan(lambda h, flag: h + rows[flag], None, gt.zeros((2, 3)), gt.constant(False), n_steps=n)
    f = gs.function([rows, n], h, device="cpu")
    assert f(np.ones(3), 0).shape == (0, 2, 3)
    with pytest.raises(gs.LoopError, match="step 0"):
        f(np.ones(3), 1)
