"""What is said to those who ask for a derivative that there is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.autodiff.pointwise import GRADIENTS
from gpuscan.autodiff.rules import DERIVATIVES
from gpuscan.gradient import GradientError, verify_grad
from gpuscan.graph import Op, TensorType

HERE = r"made at .*test_errors\.py:\d+"


@final
@dataclass(frozen=True)
class Lookup(Op):
    """An op of a user's own, which has no rule."""

    def infer(self, inputs: Any) -> Any:
        return (TensorType("float64", inputs[0].type.shape),)


@pytest.fixture
def x() -> gs.Variable:
    return gt.vector("x")


@pytest.fixture
def cost(x: gs.Variable) -> gs.Variable:
    return (x**2).sum()


# ---- no derivative on the way ----


@pytest.mark.parametrize(
    ("build", "op"),
    [
        (lambda x: gt.cast(gt.cast(x, "int64"), "float64").sum(), r"cast\[int64\]"),
        (lambda x: gt.cast(x > 0, "float64").sum(), "gt"),
        (lambda x: gt.cast(gt.argmax(x), "float64"), r"argmax\[0\]"),
        (lambda x: gt.cast(x.any(), "float64"), r"any\[0\]"),
        (lambda x: gt.arange(x.shape[0]).astype("float64").sum(), r"dim\[0\]"),
    ],
)
def test_through_integers(x: gs.Variable, build: Callable[..., gs.Variable], op: str) -> None:
    with pytest.raises(
        gs.DisconnectedInputError,
        match=rf"depend on 'x' \(float64\[\?\]\) in a way that has a derivative: it passes through {op}, {HERE}",
    ):
        gs.grad(build(x), x)


def test_through_integers_in_a_loop(x: gs.Variable) -> None:
    steps, _ = gs.scan(lambda row: gt.cast(gt.cast(row, "int64"), "float64"), x)
    with pytest.raises(gs.DisconnectedInputError, match=r"does not depend on 'x' .* in a way that has a derivative"):
        gs.grad(steps.sum(), x)


def test_through_an_op_without_a_rule(x: gs.Variable) -> None:
    cost = Lookup()(x).sum()
    with pytest.raises(gs.NullTypeGradError, match=rf"lookup has no derivative; it was {HERE}"):
        gs.grad(cost, x)
    with pytest.raises(gs.NullTypeGradError, match=rf"lookup has no derivative; it was {HERE}"):
        gs.pushforward(cost, x, gt.ones_like(x))


def test_through_an_op_without_a_rule_in_a_loop(x: gs.Variable) -> None:
    history, _ = gs.scan(lambda row, a: a + Lookup()(row), x, gt.zeros(()))
    with pytest.raises(gs.NullTypeGradError, match=rf"lookup has no derivative; it was {HERE}"):
        gs.grad(history[-1], x)


def test_an_op_without_a_rule_beside_the_way(x: gs.Variable) -> None:
    y = gt.vector("y")
    g = gs.grad((Lookup()(x) * y).sum(), y)
    assert g.owner is not None


def test_a_row_without_a_rule(x: gs.Variable, monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[str, Any] = GRADIENTS
    monkeypatch.setitem(table, "digamma", None)
    with pytest.raises(gs.NullTypeGradError, match=rf"digamma has no derivative; it was {HERE}"):
        gs.grad(gt.digamma(x).sum(), x)
    with pytest.raises(gs.NullTypeGradError, match=rf"digamma has no derivative; it was {HERE}"):
        gs.pushforward(gt.digamma(x), x, x)


def test_a_stated_none(x: gs.Variable, monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[Any, Any] = DERIVATIVES
    monkeypatch.setitem(table, Lookup, None)
    with pytest.raises(gs.NullTypeGradError, match="lookup has no derivative"):
        gs.grad(Lookup()(x).sum(), x)


def test_through_complex_numbers(x: gs.Variable) -> None:
    z = gt.zvector("z")
    cost = gt.abs(x * z).sum()
    message = rf"works on complex numbers \(complex128\[\?\]\), through which derivatives are not taken; it was {HERE}"
    with pytest.raises(gs.NullTypeGradError, match=message):
        gs.grad(cost, x)
    with pytest.raises(gs.NullTypeGradError, match=message):
        gs.pushforward(cost, x, x)


def test_complex_numbers_beside_the_way(x: gs.Variable) -> None:
    z = gt.zvector("z")
    history, _ = gs.scan(lambda row, c, a: a * gt.real(c) + row, [x, z], gt.zeros(()))
    f = gs.function([x, z], gs.grad(history[-1], x), device="cpu")
    np.testing.assert_allclose(f([1.0, 2.0], np.array([3 + 1j, 0.5])), [0.5, 1])


def test_complex_numbers_on_the_way_into_and_through_a_loop(x: gs.Variable) -> None:
    z = gt.zvector("z")

    first = gt.zeros((), "complex128")
    through_rows, _ = gs.scan(lambda c, a: gt.real(c) + a, x * z, gt.zeros(()))
    (through_a_state, _), _ = gs.scan(lambda row, c: [gt.real(c) * row, c * 0.5 + row], x, [None, first])
    for cost in (through_rows[-1], through_a_state[-1]):
        with pytest.raises(gs.NullTypeGradError, match="works on complex numbers"):
            gs.grad(cost, x)
        with pytest.raises(gs.NullTypeGradError, match="works on complex numbers"):
            gs.pushforward(cost, x, x)


# ---- the cost ----


def test_cost_that_is_no_scalar(x: gs.Variable) -> None:
    with pytest.raises(
        gs.ShapeError, match=r"the cost must be a scalar; x is float64\[\?\]. Reduce it, as in cost.sum"
    ):
        gs.grad(x, x)


def test_cost_of_integers(x: gs.Variable) -> None:
    with pytest.raises(gs.DtypeError, match=r"grad: the cost is int64\[\]; derivatives are of real floating-point"):
        gs.grad(gt.cast(x, "int64").sum(), x)


def test_complex_cost(x: gs.Variable) -> None:
    with pytest.raises(gs.DtypeError, match=r"grad: the cost 'c' is complex128\[\]"):
        gs.grad(gt.zscalar("c"), x)


def test_cost_that_is_no_variable(x: gs.Variable) -> None:
    with pytest.raises(TypeError, match=r"grad: the cost must be a variable; found 3.0 of type float"):
        gs.grad(3.0, x)  # type: ignore[arg-type]


def test_gradient_of_nothing(x: gs.Variable) -> None:
    with pytest.raises(ValueError, match="nothing to differentiate; pass a cost or known_grads"):
        gs.grad(None, x)
    with pytest.raises(ValueError, match="nothing to differentiate"):
        gs.grad(None, x, known_grads={})


# ---- wrt ----


def test_wrt_integers(x: gs.Variable, cost: gs.Variable) -> None:
    with pytest.raises(gs.DtypeError, match=r"grad: wrt 'n' is int64\[\]; derivatives are of real floating-point"):
        gs.grad(cost, [x, gt.lscalar("n")])


def test_wrt_complex(cost: gs.Variable) -> None:
    with pytest.raises(gs.DtypeError, match=r"grad: wrt 'z' is complex128\[\?\]"):
        gs.grad(cost, gt.zvector("z"))


def test_wrt_no_variable(x: gs.Variable, cost: gs.Variable) -> None:
    with pytest.raises(TypeError, match=r"grad: wrt must be a variable; found 'x' of type str"):
        gs.grad(cost, "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"pushforward: wrt must be a variable; found 1.0 of type float"):
        gs.pushforward(cost, [x, 1.0], [x, x])  # type: ignore[list-item]
    with pytest.raises(gs.DtypeError, match=r"pushforward: wrt 'n' is int64\[\]"):
        gs.pushforward(cost, gt.lscalar("n"), 1)


# ---- disconnected ----


def test_disconnected(x: gs.Variable, cost: gs.Variable) -> None:
    y = gt.matrix("y")
    message = r"grad: what is differentiated does not depend on 'y' \(float64\[\?, \?\]\); disconnected_inputs='ignore'"
    with pytest.raises(gs.DisconnectedInputError, match=message):
        gs.grad(cost, [x, y])
    with pytest.warns(UserWarning, match="does not depend on 'y'") as caught:
        gs.grad(cost, [x, y], disconnected_inputs="warn")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_y = gs.grad(cost, y, disconnected_inputs="ignore")
    assert by_y.eval({y: np.ones((2, 3))}).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("returned", ["None", "disconnected"])
def test_return_disconnected(x: gs.Variable, cost: gs.Variable, returned: str) -> None:
    found = gs.grad(cost, [x, gt.scalar("y")], disconnected_inputs="ignore", return_disconnected=returned)
    assert found[0] is not None
    assert found[1] is None


def test_held_constant(x: gs.Variable) -> None:
    squares = x**2
    squares.name = "squares"
    with pytest.raises(gs.DisconnectedInputError, match="consider_constant holds 'squares' constant"):
        gs.grad(squares.sum(), x, consider_constant=[squares])


def test_output_that_nothing_moves(x: gs.Variable, cost: gs.Variable) -> None:
    y = gt.scalar("y")
    with pytest.raises(gs.DisconnectedInputError, match=r"pushforward: 'an output' .* does not depend on any of wrt"):
        gs.pushforward([cost, cost * y], y, 1.0)
    with pytest.warns(UserWarning, match="does not depend on any of wrt") as caught:
        gs.pushforward(cost, y, 1.0, disconnected_outputs="warn")
    assert caught[0].filename == __file__


# ---- derivatives that are given ----


def test_known_gradient_of_another_shape(x: gs.Variable, cost: gs.Variable) -> None:
    with pytest.raises(
        gs.ShapeError, match=r"grad: the known gradient for 'x' of float64\[\?\] is float64\[\]: 1 axes"
    ):
        gs.grad(None, x, known_grads={x: np.float64(1)})
    y = gt.vector("y", shape=(3,))
    with pytest.raises(gs.ShapeError, match=r"for 'y' of float64\[3\] is float64\[2\]: axis 0 has size 3 and size 2"):
        gs.grad(None, y, known_grads={y: np.ones(2)})
    with pytest.raises(
        gs.DtypeError, match=r"the known gradient for 'x' of float64\[\?\] is complex128\[1\]; it must be"
    ):
        gs.grad(cost, x, known_grads={x: np.array([1j])})
    with pytest.raises(gs.DtypeError, match=r"grad: known_grads 'n' is int64\[\]"):
        gs.grad(cost, x, known_grads={gt.lscalar("n"): 1})


def test_cotangent_of_a_shape_that_only_a_call_tells(x: gs.Variable) -> None:
    """Of the wrong shape it would broadcast against what comes after, and the gradient be wrong without a word."""
    c = gt.vector("c")
    f = gs.function([x, c], gs.pullback(x.dimshuffle(0) * 2, x, c), device="cpu")
    assert f([1.0, 2.0], [1.0, 3.0]).tolist() == [2.0, 6.0]
    with pytest.raises(ValueError, match="broadcast"):
        f([1.0, 2.0], [1.0, 2.0, 3.0])


def test_numbers_of_derivatives(x: gs.Variable, cost: gs.Variable) -> None:
    with pytest.raises(ValueError, match=r"pullback: outputs are 2, with 1 cotangents; each needs one"):
        gs.pullback([cost, cost], x, [1.0])
    with pytest.raises(ValueError, match=r"pushforward: wrt are 1, with 2 tangents; each needs one"):
        gs.pushforward(cost, [x], [x, x])


def test_a_value_listed_twice(x: gs.Variable, cost: gs.Variable) -> None:
    twice = gs.pullback([cost, cost], x, [1.0, 2.0]).eval({x: [1.0, 2.0]})
    np.testing.assert_allclose(twice, [6, 12])
    assert gs.pushforward(cost, [x, x], [gt.ones_like(x), gt.ones_like(x)]).eval({x: [1.0, 2.0]}) == 12


# ---- options ----


@pytest.mark.parametrize(
    ("option", "call"),
    [
        ("grad: disconnected_inputs", lambda c, x: gs.grad(c, x, disconnected_inputs="no")),
        ("grad: return_disconnected", lambda c, x: gs.grad(c, x, return_disconnected="no")),
        ("pullback: disconnected_inputs", lambda c, x: gs.pullback(c, x, 1.0, disconnected_inputs="no")),
        ("pushforward: disconnected_outputs", lambda c, x: gs.pushforward(c, x, x, disconnected_outputs="no")),
        ("grad: disconnected_inputs", lambda c, x: gs.jacobian(c, x, disconnected_inputs="no")),
    ],
)
def test_options(x: gs.Variable, cost: gs.Variable, option: str, call: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be one of '\w+', .*; found 'no'"):
        call(cost, x)


def test_hessian_by_a_matrix() -> None:
    m = gt.matrix("m")
    with pytest.raises(gs.ShapeError, match=r"hessian: wrt must be vectors; 'm' is float64\[\?, \?\]"):
        gs.hessian((m**2).sum(), m)


# ---- verify_grad ----


def test_verify_grad_finds_an_error(x: gs.Variable) -> None:
    def halved(v: gs.Variable) -> gs.Variable:
        return gs.gradient.grad_scale(v, 0.5) ** 2

    with pytest.raises(GradientError, match=r"the gradient by argument 0 at \(\d,\) is .*; finite differences give"):
        verify_grad(halved, [np.array([1.0, 2.0])], rng=0)
    verify_grad(lambda v: v**2, [np.array([1.0, 2.0])], rng=0)
    verify_grad(lambda a, b: gt.outer(a, b), [np.ones(2), np.arange(3.0)], rng=np.random.default_rng(1))


def test_verify_grad_finds_what_is_no_number() -> None:
    with pytest.raises(GradientError, match="is nan"):
        verify_grad(lambda v: gt.sqrt(gt.abs(v)) * 0 + gt.switch(v > 0, v, v), [np.array([0.0])], rng=0)
