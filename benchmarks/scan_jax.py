"""The programs of `whole_arrays` with JAX's ``lax.scan``, for machines that have JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

jax.config.update("jax_enable_x64", True)

Run = Callable[..., Any]


def running_sum(steps: int) -> Run:
    def run(x: Any) -> Any:
        return lax.scan(lambda total, row: (total + row, total + row), jnp.zeros(x.shape[1]), x)[1]

    return run


def polynomial(steps: int) -> Run:
    def run(c: Any, x: Any) -> Any:
        return lax.scan(lambda none, at: (none, at[0] * x ** at[1]), None, (c, jnp.arange(steps)))[1].sum()

    return run


def power(steps: int) -> Run:
    def run(a: Any) -> Any:
        return lax.scan(lambda before, _: (before * a, None), jnp.ones_like(a), None, steps)[0]

    return run


def rnn(steps: int) -> Run:
    def run(x: Any, h0: Any, w: Any, u: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            h = jnp.tanh(row @ w + h @ u)
            return h, h

        return lax.scan(step, h0, x)[1]

    return run


def lstm(steps: int) -> Run:
    return lambda x, h0, *m: _lstm(x, h0, h0, *m)


def _lstm(x: Any, h0: Any, c0: Any, *m: Any) -> Any:
    def step(before: Any, row: Any) -> Any:
        h, c = before
        i, f, o, g = (row @ w + h @ u for w, u in zip(m[:4], m[4:], strict=True))
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (h0, c0), x)[1]


def rnn_gradient(steps: int) -> Run:
    def cost(x: Any, h0: Any, w: Any, u: Any, b: Any) -> Any:
        last, _ = lax.scan(lambda h, row: (jnp.tanh(row @ w + h @ u + b), None), h0, x)
        return (last**2).sum()

    return _with_gradients(cost, (2, 3, 4))


def lstm_gradient(steps: int) -> Run:
    return _with_gradients(lambda *values: (_lstm(*values)[-1] ** 2).sum(), tuple(range(3, 11)))


def _with_gradients(cost: Run, positions: tuple[int, ...]) -> Run:
    both = jax.value_and_grad(cost, positions)

    def run(*values: Any) -> Any:
        value, gradients = both(*values)
        return value, *gradients

    return run


def recurrence(steps: int) -> Run:
    def run(a: Any, b: Any) -> Any:
        def step(h: Any, ab: Any) -> Any:
            h = ab[0] * h + ab[1]
            return h, h

        return lax.scan(step, jnp.float64(0.5), (a, b))[1]

    return run


def nested(steps: int) -> Run:
    def run(b: Any, start: Any) -> Any:
        def step(x: Any, row: Any) -> Any:
            y, _ = lax.scan(lambda y, _: (jnp.tanh(0.5 * y + x + row), None), x, None, 20)
            return y, y

        return lax.scan(step, start, b)[1]

    return run


PROGRAMS = {
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


def make(name: str, steps: int) -> Run:
    """Return a function of NumPy arrays that returns when its results are there; its first call compiles."""
    compiled = jax.jit(PROGRAMS[name](steps))
    return lambda *values: jax.block_until_ready(compiled(*values))
