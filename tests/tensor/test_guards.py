"""Assertions, prints and promised shapes, outside and inside loops."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.printing import Print
from gpuscan.raise_op import Assert, assert_op

x = gt.vector("x")
m = gt.matrix("m")
n = gt.lscalar("n")


# ---- assertions ----


def test_an_assertion_that_holds_is_its_value(device):
    f = gs.function([x], [assert_op(x, x > 0, x.sum() < 9, msg="in range") * 2, Assert()(x.sum(), True)], device=device)
    np.testing.assert_array_equal(f([1.0, 2.0])[0], [2, 4])
    with pytest.raises(AssertionError, match=r"^in range \(asserted at .*test_guards.py:\d+\)$"):
        f([1.0, -2.0])


def test_a_failing_step_is_named(device):
    def step(row, s):
        inner, _ = gs.scan(lambda v: gt.assert_op(v, v < 5, msg="too large"), row, name="inner")
        return s + inner.sum()

    out, _ = gs.scan(step, m, np.float64(0), name="outer")
    f = gs.function([m], out, device=device)
    np.testing.assert_array_equal(f(np.ones((2, 3))), [3, 6])
    rows = np.ones((4, 3))
    rows[2, 1] = 7
    # In a kernel, where a loop inside is a part of the step, the outermost loop's step is the one that is known.
    inner = r"scan\[inner\], step 1: " if device == "cpu" else ""
    with pytest.raises(AssertionError, match=rf"^scan\[outer\], step 2: {inner}too large \(asserted"):
        f(rows)


def test_a_call_that_fails_changes_no_shared_variable():
    total = gs.shared(np.zeros(2), "total")
    f = gs.function([x], [], updates={total: total + assert_op(x, x > 0)})
    with pytest.raises(AssertionError, match="an assertion does not hold"):
        f([-1.0, 1.0])
    np.testing.assert_array_equal(total.get_value(), [0, 0])


def test_an_assertion_of_a_step_on_outer_values_is_made_in_the_step(device):
    def step(row):
        return row * assert_op(n, n > 0, msg="n must be positive")

    out, _ = gs.scan(step, x, name="times")
    f = gs.function([x, n], out, device=device)
    assert f([], -1).shape == (0,)  # no step, no assertion
    with pytest.raises(AssertionError, match=r"scan\[times\], step 0: n must be positive"):
        f([1.0], -1)


def test_an_assertion_outside_is_made_once_before_the_loop():
    checked = assert_op(n, n > 0, msg="n must be positive")
    out, _ = gs.scan(lambda row: row * checked, x)
    with pytest.raises(AssertionError, match=r"^n must be positive"):
        gs.function([x, n], out)([], -1)


def test_an_assertion_is_part_of_a_kernel_and_a_print_is_not():
    for guard, team in ((Assert("positive"), "thread"), (lambda v, _: Print("v")(v), "host")):
        out, _ = gs.scan(lambda row, s, guard=guard: guard(row, row > 0) + s, x, np.float64(0))
        f = gs.function([x], out, device="emulator")
        f([1.0])
        assert [plan.team for plan in f.plans] == [team]
        assert team != "host" or "not team thread: print prints, which is the host's to do" in f.explain("str")


# ---- prints ----


def test_a_print_says_what_it_was_asked_to(device, capsys):
    f = gs.function([x], Print("x is", attrs=["__str__", "shape", "max"])(x) * 1, device=device)
    f([1.0, 2.5])
    assert capsys.readouterr().out == "x is __str__ = [1.  2.5]\nx is shape = (2,)\nx is max = 2.5\n"


def test_two_prints_are_two_prints(capsys):
    gs.function([x], Print("same")(x) + Print("same")(x))([1.0])
    assert capsys.readouterr().out == "same __str__ = [1.]\n" * 2


def test_two_loops_that_print_are_two_loops(capsys):
    a, b = (gs.scan(lambda v: Print("v")(v), x)[0] for _ in range(2))
    gs.function([x], a + b)([1.0, 2.0])
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_print_of_an_outer_value_in_a_step_prints_at_each_step(device, capsys):
    out, _ = gs.scan(lambda row: row + Print("n")(n), x)
    gs.function([x, n], out, device=device)([1.0, 2.0, 3.0], 4)
    assert capsys.readouterr().out == "n __str__ = 4\n" * 3


def test_a_print_in_a_loop_inside_a_step_stays_there(capsys):
    def step(row):
        inner, _ = gs.scan(lambda: Print("n")(n), n_steps=2)
        return row + inner.sum()

    out, _ = gs.scan(step, x)
    f = gs.function([x, n], out)
    f([1.0, 2.0, 3.0], 4)
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_what_nothing_reads_is_not_printed(capsys):
    (a, _), _ = gs.scan(lambda v: (v * 2, Print("unread")(v)), x)
    gs.function([x], a)([1.0])
    assert capsys.readouterr().out == ""


# ---- promised shapes ----


def test_a_promised_shape_is_known_and_checked(device):
    y = gt.specify_shape(m, (None, 3))
    assert (y.static_shape, gt.specify_shape(x, gt.constant([2])).static_shape) == ((None, 3), (2,))
    f = gs.function([m, n], [y.sum(0), gt.specify_shape(m, (n, None)) * 1], device=device)
    np.testing.assert_array_equal(f(np.ones((2, 3)), 2)[0], [2, 2, 2])
    with pytest.raises(gs.ShapeError, match=r"axis 1 must have size 3; found shape \(2, 4\) \(made at .*test_guards"):
        f(np.ones((2, 4)), 2)
    with pytest.raises(gs.ShapeError, match=r"axis 0 must have size 5; found shape \(2, 3\) \(made at .*test_guards"):
        f(np.ones((2, 3)), 5)


def test_a_promise_that_says_nothing_new_is_no_node():
    y = gt.zeros((2, 3))
    assert gt.specify_shape(y, (2, None)) is y
    assert gt.specify_shape(y, [2, 3]) is y


def test_a_promised_shape_in_a_kernel():
    out, _ = gs.scan(lambda row, s: s + gt.specify_shape(row, (3,)), m, gt.zeros(3))
    f = gs.function([m], out, device="emulator")
    np.testing.assert_array_equal(f(np.ones((2, 3))), [[1, 1, 1], [2, 2, 2]])
    assert f.plans[0].team == "thread"
    with pytest.raises(ValueError, match="specify_shape"):
        f(np.ones((2, 4)))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: assert_op(x), TypeError, "an assertion needs a condition"),
        (lambda: assert_op(x, "yes"), gs.DtypeError, "an assertion's condition cannot be used"),
        (lambda: gt.specify_shape(x, (2, 3)), gs.ShapeError, "x is float64[?]; 2 sizes are not its shape"),
        (lambda: gt.specify_shape(gt.zeros(3), (2,)), gs.ShapeError, "float64[3], not (2,): axis 0 has size 3"),
        (lambda: gt.specify_shape(x, (1.5,)), gs.DtypeError, "specify_shape: sizes must be integers"),
        (lambda: gt.specify_shape(x, (-1,)), gs.ShapeError, "specify_shape: sizes must not be negative"),
    ],
)  # fmt: skip
def test_messages(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()
