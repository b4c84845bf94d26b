"""Truncated gradients go through the last steps alone: the state before them counts as given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def step(row: Any, older: Any, newer: Any, w: Any) -> Any:
    return np.tanh(row * w + 0.3 * newer) - 0.5 * older


STATE = [-2, -1]


def truncated(x: Any, init: Any, w: Any, steps: int, backwards: bool) -> Any:
    out, _ = gs.scan(step, [x], [dict(initial=init, taps=STATE)], [w], truncate_gradient=steps, go_backwards=backwards)
    return out


def in_two(x: Any, init: Any, w: Any, steps: int, backwards: bool) -> Any:
    """The same loop in two parts, of which the first is held constant."""
    count = x.type.shape[0] - steps
    first, last = (x[steps:], x[:steps]) if backwards else (x[:count], x[count:])
    held = [gs.disconnected_grad(v) for v in (first, init, w)]
    before, _ = gs.scan(step, held[0], [dict(initial=held[1], taps=STATE)], held[2], go_backwards=backwards)
    past = gt.concatenate([held[1], before])[-2:]
    after, _ = gs.scan(step, last, [dict(initial=past, taps=STATE)], w, go_backwards=backwards)
    return gt.concatenate([before, after])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("read", [lambda h: h[-1], lambda h: h, lambda h: h[::2]], ids=["last", "all", "every other"])
def test_only_the_last_steps_count(read: Any, steps: int, backwards: bool) -> None:
    values = normal(7, 3), normal(2, 3, seed=1), normal(3, seed=2)
    inputs = [gt.tensor(name, "float64", v.shape) for name, v in zip("xiw", values, strict=True)]
    found = []
    for build in (truncated, in_two):
        cost = (read(build(*inputs, steps, backwards)) ** 2).sum()
        gradients = gs.grad(cost, inputs, disconnected_inputs="ignore")
        found.append(gs.function(inputs, [cost, *gradients], device="cpu", on_unused_input="ignore")(*values))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("steps", [7, 100, -1])
def test_as_many_steps_as_there_are_truncate_nothing(steps: int) -> None:
    values = normal(7, 3), normal(2, 3, seed=1), normal(3, seed=2)
    inputs = [gt.matrix("x"), gt.matrix("i"), gt.vector("w")]
    found = []
    for k in (steps, -1):
        cost = truncated(*inputs, k, False)[-1].sum()
        found.append(gs.function(inputs, gs.grad(cost, inputs), device="cpu")(*values))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_checkpoints_keep_is_told_before_anything_runs() -> None:
    x = gt.tensor("x", "float64", (100, 5))
    out, _ = gs.scan(lambda row, s: np.tanh(s + row), x, gt.zeros(5), checkpoint="sqrt", name="net")
    for device in ("cpu", "emulator"):
        text = gs.function([x], gs.grad(out[-1].sum(), x), device=device).explain("str")
        assert text is not None
        assert "keeps the states at the ends of 10 segments of 10 steps: 400 bytes for" in text
        assert "4000; it runs 100 steps again, a segment at a time" in text
    y = gt.matrix("y")
    out, _ = gs.scan(lambda row, s: np.tanh(s + row), y, y[0], checkpoint=7)
    text = gs.function([y], gs.grad(out[-1].sum(), y), device="cpu").explain("str")
    assert text is not None
    assert "keeps the states at the ends of segments, and runs each segment again" in text
