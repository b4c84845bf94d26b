"""Operators and methods of variables, and what Python may not ask of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan.tensor as gt
from gpuscan.graph.operators import MEANING, Operators
from tests.tensor.agree import agree

X, Y = np.array([7.5, -2.0, 3.0]), np.array([2.0, 3.0, -4.0])
K, L = np.array([7, 2, 3]), np.array([2, 3, 1])

FLOATS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a // b,
    lambda a, b: a % b, lambda a, b: a**2.0 + b, lambda a, b: abs(a) ** b, lambda a, b: a @ b, lambda a, b: -a * b,
    lambda a, b: +a + b, lambda a, b: a < b, lambda a, b: a <= b, lambda a, b: a > b, lambda a, b: a >= b,
    lambda a, b: list(divmod(a, b)), lambda a, b: [2.0**b, 3 / a, 3 // a, 3 % a, 3 - a, 3 * b, 3 + a],
    lambda a, b: [np.ones(3) @ a, b @ np.ones(3)], lambda a, b: list(divmod(7.0, a)), lambda a, b: [a > 1, b <= 2],
]  # fmt: skip
WHOLE: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a & b, lambda a, b: a | b, lambda a, b: a ^ b, lambda a, b: ~a + b, lambda a, b: a << b,
    lambda a, b: a >> b, lambda a, b: [6 & a, 6 | a, 6 ^ a, 1 << b, 64 >> b],
    lambda a, b: (a > 2) & ~(b > 2) | (a == 3 if isinstance(a, np.ndarray) else gt.eq(a, 3)),
]  # fmt: skip


@pytest.mark.parametrize("call", FLOATS, ids=range(len(FLOATS)))
def test_operator(call: Callable[[Any, Any], Any]) -> None:
    agree(call, call, X, Y)


@pytest.mark.parametrize("call", WHOLE, ids=range(len(WHOLE)))
def test_operator_on_integers(call: Callable[[Any, Any], Any]) -> None:
    agree(call, call, K, L)


METHODS: list[Callable[[Any], Any]] = [
    lambda x: x.sum(0), lambda x: x.prod(axis=1), lambda x: x.max(), lambda x: x.min(0), lambda x: x.mean(0),
    lambda x: x.var(), lambda x: x.std(1), lambda x: (x > 0).any(0), lambda x: (x > 0).all(), lambda x: x.argmax(0),
    lambda x: x.argmin(1), lambda x: x.dot(np.ones(3)), lambda x: x.reshape(3, 2), lambda x: x.transpose(),
    lambda x: x.swapaxes(0, 1), lambda x: x.flatten(), lambda x: x.ravel(), lambda x: x[:1].squeeze(0),
    lambda x: x.repeat(2, 0), lambda x: x.take([1, 0], 1), lambda x: x.astype("int8"), lambda x: x.clip(0, 1),
    lambda x: x.round(1), lambda x: x.conj(), lambda x: x.T, lambda x: x.real, lambda x: x.imag, lambda x: x[0],
]  # fmt: skip


@pytest.mark.parametrize("call", METHODS, ids=range(len(METHODS)))
def test_method_is_an_arrays(call: Callable[[Any], Any]) -> None:
    agree(call, call, np.arange(6.0).reshape(2, 3) - 1.26)


def test_a_method_says_what_it_is() -> None:
    assert Operators.sum.__name__ == "sum"
    assert "gpuscan.tensor.sum" in (Operators.sum.__doc__ or "")
    assert all(callable(meaning) for meaning in MEANING.values())


def test_equality_is_identity() -> None:
    x, y = gt.scalar("x"), gt.scalar("x")
    assert (x == x) is True
    assert (x == y) is False
    assert {x: 1, y: 2}[x] == 1
    assert gt.eq(x, y).dtype == "bool"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda x: bool(x),
            r"<x: float64\[\?\]> has no truth value while the graph is built: .* gpuscan.tensor.switch",
        ),
        (lambda x: 1 if x > 0 else 2, r"<gt: bool\[\?\]> has no truth value"),
        (lambda x: x.sum() and 1, "in place of and, or, not"),
        (lambda x: 0 < x < 1, "has no truth value"),
        (lambda x: int(x), r"<x: .*> has no value while the graph is built; call .eval\(\) or a compiled function"),
        (lambda x: float(x), "<x: .*> has no value"),
        (lambda x: complex(x), "<x: .*> has no value"),
        (lambda x: range(x), "<x: .*> has no value"),
        (lambda x: [1, 2][x], "<x: .*> has no value"),
        (lambda x: 3 in x, r"what <x: .*> holds is not known while the graph is built; use gpuscan.tensor.eq"),
        (lambda x: x.set(3), r"set_subtensor needs a part of an array, as in set_subtensor\(x\[i\], value\)"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        wrong(gt.vector("x"))


def test_items_cannot_be_assigned() -> None:
    x = gt.vector("x")
    with pytest.raises(TypeError, match="does not support item assignment"):
        x[0] = 1  # type: ignore[index]


def test_eval() -> None:
    x = gt.vector("x")
    assert (x * 2).eval({x: [1, 2]}, device="cpu").tolist() == [2, 4]
    assert gt.constant(3).eval(device="cpu") == 3
