"""The programs of `whole_arrays` with PyTensor's ``scan``, for machines that have PyTensor.

PyTensor keeps what it compiles on disk: the first run on a machine takes minutes, later ones do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

Graph = tuple[Sequence[Any], Any]
"""The inputs and the outputs of a program."""


def running_sum(steps: int) -> Graph:
    x = pt.dmatrix("x")
    return [x], pytensor.scan(lambda row, total: total + row, [x], [pt.zeros(x.shape[1])], return_updates=False)


def polynomial(steps: int) -> Graph:
    c, x = pt.dvector("c"), pt.dscalar("x")
    powers = pt.arange(steps)
    terms = pytensor.scan(lambda c, power, x: c * x**power, [c, powers], None, [x], return_updates=False)
    return [c, x], terms.sum()


def power(steps: int) -> Graph:
    a = pt.dvector("a")
    start = pt.ones_like(a)
    return [a], pytensor.scan(lambda p, a: p * a, None, [start], [a], n_steps=steps, return_updates=False)[-1]


def rnn(steps: int) -> Graph:
    x, h0, w, u = pt.ftensor3("x"), pt.fmatrix("h0"), pt.fmatrix("w"), pt.fmatrix("u")
    step = lambda row, h, w, u: pt.tanh(row @ w + h @ u)  # noqa: E731
    return [x, h0, w, u], pytensor.scan(step, [x], [h0], [w, u], return_updates=False)


def lstm(steps: int) -> Graph:
    x, h0, m = pt.ftensor3("x"), pt.fmatrix("h0"), _matrices(8)
    return [x, h0, *m], _lstm(x, h0, h0, m)


def _lstm(x: Any, h0: Any, c0: Any, matrices: Sequence[Any]) -> Any:
    def step(row: Any, h: Any, c: Any, *m: Any) -> Any:
        i, f, o, g = (row @ w + h @ u for w, u in zip(m[:4], m[4:], strict=True))
        c = pt.sigmoid(f) * c + pt.sigmoid(i) * pt.tanh(g)
        return pt.sigmoid(o) * pt.tanh(c), c

    return pytensor.scan(step, [x], [h0, c0], list(matrices), return_updates=False)[0]


def _matrices(count: int) -> list[Any]:
    return [pt.fmatrix(f"m{k}") for k in range(count)]


def rnn_gradient(steps: int) -> Graph:
    x, h0, w, u, b = pt.ftensor3("x"), pt.fmatrix("h0"), pt.fmatrix("w"), pt.fmatrix("u"), pt.fvector("b")
    step = lambda row, h, w, u, b: pt.tanh(row @ w + h @ u + b)  # noqa: E731
    cost = (pytensor.scan(step, [x], [h0], [w, u, b], return_updates=False)[-1] ** 2).sum()
    return [x, h0, w, u, b], [cost, *pytensor.grad(cost, [w, u, b])]


def lstm_gradient(steps: int) -> Graph:
    x, h0, c0, m = pt.ftensor3("x"), pt.fmatrix("h0"), pt.fmatrix("c0"), _matrices(8)
    cost = (_lstm(x, h0, c0, m)[-1] ** 2).sum()
    return [x, h0, c0, *m], [cost, *pytensor.grad(cost, m)]


def recurrence(steps: int) -> Graph:
    a, b = pt.dvector("a"), pt.dvector("b")
    start = pt.constant(np.float64(0.5))
    return [a, b], pytensor.scan(lambda a, b, h: a * h + b, [a, b], [start], return_updates=False)


def nested(steps: int) -> Graph:
    b, start = pt.dmatrix("b"), pt.dvector("start")

    def step(row: Any, x: Any) -> Any:
        inner = lambda y, x, row: pt.tanh(0.5 * y + x + row)  # noqa: E731
        return pytensor.scan(inner, None, [x], [x, row], n_steps=20, return_updates=False)[-1]

    return [b, start], pytensor.scan(step, [b], [start], return_updates=False)


PROGRAMS: dict[str, Callable[[int], Graph]] = {
    "running sum": running_sum,
    "polynomial": polynomial,
    "power, last value": power,
    "tanh net": rnn,
    "LSTM": lstm,
    "tanh net, gradient": rnn_gradient,
    "LSTM, gradient": lstm_gradient,
    "linear recurrence": recurrence,
    "nested": nested,
}


def make(name: str, steps: int) -> Callable[..., Any]:
    """Return a function of NumPy arrays; what is left of compiling it is done by its first call."""
    inputs, outputs = PROGRAMS[name](steps)
    compiled: Callable[..., Any] = pytensor.function(list(inputs), outputs)
    return compiled
