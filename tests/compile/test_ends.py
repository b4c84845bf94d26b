"""In and Out: inputs with values of their own."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

x, y = gt.vector("x"), gt.scalar("y")
X = np.arange(3.0)


def test_a_value_for_calls_that_leave_an_input_out(device):
    f = gs.function([x, gs.In(y, value=2)], x * y, device=device)
    np.testing.assert_array_equal(f(X), X * 2)
    np.testing.assert_array_equal(f(X, 3), X * 3)
    np.testing.assert_array_equal(f(X, y=4), X * 4)
    np.testing.assert_array_equal(f(x=X), X * 2)


def test_a_value_in_front():
    f = gs.function([gs.In(y, value=2), x], x * y, device="cpu")
    np.testing.assert_array_equal(f(x=X), X * 2)
    with pytest.raises(TypeError) as caught:
        f(X)
    assert str(caught.value) == "the function takes 2 values (input 'y' (may be left out), input 'x'); found 1"


def test_a_value_that_is_updated(device):
    f = gs.function([x, gs.In(y, value=2, update=y + 1)], x * y, device=device)
    assert [f(X)[1], f(X)[1], f(X, 10)[1], f(X)[1]] == [2, 3, 10, 11]
    assert f[y] == f["y"] == 12
    f["y"] = 5
    assert f(X)[1] == 5


def test_a_call_that_fails_updates_nothing():
    f = gs.function([x, gs.In(y, value=2, update=y + 1)], x[5] * y, device="cpu")
    with pytest.raises(IndexError):
        f(X)
    assert f[y] == 2


def test_the_value_of_a_shared_variable():
    shared = gs.shared(3.0, name="shared")
    f = gs.function([x, gs.In(y, value=shared)], x * y, device="cpu")
    assert f(X)[1] == 3
    shared.set_value(7.0)
    assert (f(X)[1], f(X, 2)[1], shared.get_value()) == (7, 2, 7)


def test_the_values_given_are_not_changed():
    start = np.zeros(3)
    f = gs.function([gs.In(x, value=start, update=x + 1)], x, device="cpu")
    first = f()
    f()
    np.testing.assert_array_equal(start, np.zeros(3))
    np.testing.assert_array_equal(first, np.zeros(3))


def test_a_name_as_a_keyword():
    f = gs.function([gs.In(x, name="data"), y], x * y, device="cpu")
    np.testing.assert_array_equal(f(data=X, y=2), X * 2)
    assert "input 'data', input 'y'" in repr(f)


def test_precision_may_be_lost_for_one_input():
    a, b = gt.ivector("a"), gt.ivector("b")
    f = gs.function([gs.In(a, allow_downcast=True), b], a + b, device="cpu")
    np.testing.assert_array_equal(f(X + 0.5, [1, 1, 1]), [1, 2, 3])
    with pytest.raises(gs.DtypeError, match="input 'b'"):
        f([1, 1, 1], X + 0.5)


def test_what_has_no_effect_is_taken():
    f = gs.function([gs.In(x, borrow=True, mutable=True)], gs.Out(x * 2, borrow=True), device="cpu")
    np.testing.assert_array_equal(f(X), X * 2)
    assert gs.function([x], [gs.Out(x + 1)], device="cpu")(X)[0].shape == (3,)
    assert list(gs.function([x], {"a": gs.Out(x)}, device="cpu")(X)) == ["a"]


def test_wrong_inputs():
    with pytest.raises(TypeError, match="In: the first argument must be a variable; found 3"):
        gs.In(3)
    with pytest.raises(ValueError, match="has an update but no value to start from"):
        gs.In(y, update=y + 1)
    with pytest.raises(TypeError, match="inputs must be a list of variables"):
        gs.function(gs.In(x), x)
    with pytest.raises(ValueError, match="input 'x' is listed twice"):
        gs.function([x, gs.In(x, value=X)], x)
    with pytest.raises(gs.ShapeError, match="function: the value of input 'x' must have 1 axis"):
        gs.function([gs.In(x, value=3.0)], x)
    with pytest.raises(gs.DtypeError, match=r"the value of input 'y', float64\[\], cannot be that of .* 'w'"):
        gs.function([gs.In(y, value=gs.shared(1, name="w"))], y)
    with pytest.raises(TypeError, match="the shared variable 'w' cannot be an input"):
        gs.function([gs.In(gs.shared(1, name="w"))], y)
    with pytest.raises(KeyError, match="has no input 'x' with a value of its own"):
        gs.function([x], x, device="cpu")["x"]


def test_an_update_that_does_not_fit():
    with pytest.raises(gs.DtypeError, match="the update of shared variable 'y'"):
        gs.function([gs.In(y, value=1, update=y + 1j)], y)
    shared = gs.shared(3.0, name="shared")
    with pytest.raises(ValueError, match="two entries"):
        gs.function([gs.In(y, value=shared, update=y + 1)], y, updates={shared: y})
