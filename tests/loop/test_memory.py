"""Loops keep what is read of them and nothing else, measured."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

WIDTH, STEPS = 1000, 400
ROW = WIDTH * 8
HISTORY = STEPS * ROW

start = gt.vector("start")


def peak(f: gs.Function, *values: Any) -> int:
    """Return the most memory in use during a call, above what was before."""
    f(*values)  # what is made once
    tracemalloc.start()
    try:
        f(*values)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def compiled(outputs: Any, updates: Any = None) -> gs.Function:
    return gs.function([start], outputs, updates=updates, device="cpu")


def step(a: Any, b: Any) -> Any:
    return a * 0.5, b + a, a - b


def loop(until: bool = False) -> Any:
    def stopping(a: Any, b: Any) -> Any:
        return (*step(a, b), gs.until(a.sum() < -1))

    return gs.scan(stopping if until else step, outputs_info=[start, start, None], n_steps=STEPS)[0]


LITTLE: dict[str, Callable[[Any, Any, Any], Any]] = {
    "last of a state": lambda a, b, c: a[-1],
    "last of two states": lambda a, b, c: [a[-1], b[-1]],
    "last of an emit": lambda a, b, c: c[-1],
    "last three": lambda a, b, c: a[-3:],
    "last but one": lambda a, b, c: b[-2],
    "last three of an emit": lambda a, b, c: c[-3:],
    "an element of the last": lambda a, b, c: a[-1, 5],
    "number of steps": lambda a, b, c: gs.scan_steps(a),
    "number of rows": lambda a, b, c: a.shape[0] + c.shape[0],
}


@pytest.mark.parametrize("until", [False, True], ids=["", "until"])
@pytest.mark.parametrize("read", LITTLE)
def test_the_end_alone(read, until):
    f = gs.function([start], LITTLE[read](*loop(until)), device="cpu", on_unused_input="ignore")
    assert peak(f, np.ones(WIDTH)) < 20 * ROW


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_of_several(which):
    used = peak(compiled(loop()[which]), np.ones(WIDTH))
    assert HISTORY <= used < HISTORY + 20 * ROW


def test_all_that_is_read():
    a, _, c = loop()
    used = peak(compiled([a, c]), np.ones(WIDTH))
    assert 2 * HISTORY <= used < 2 * HISTORY + 20 * ROW


def test_updates_alone():
    kept = gs.shared(np.zeros(WIDTH), name="kept")
    _, updates = gs.scan(lambda a: (a * 0.5, {kept: kept + a}), outputs_info=start, n_steps=STEPS)
    assert peak(compiled(None, updates), np.ones(WIDTH)) < 20 * ROW
    np.testing.assert_allclose(kept.get_value(), 4.0)


def test_what_a_loop_inside_makes_is_given_back():
    def outer(s: Any) -> Any:
        inner, _ = gs.scan(lambda a: a * 0.5, outputs_info=s, n_steps=STEPS)
        return inner.sum(0)

    out, _ = gs.scan(outer, outputs_info=start, n_steps=6)
    assert peak(compiled(out[-1]), np.ones(WIDTH)) < 2 * HISTORY + 20 * ROW


def test_a_history_that_is_reduced_is_given_back_early():
    (a, b, c) = loop()
    used = peak(compiled([(a * a).sum(), (b * b).sum(), (c * c).sum()]), np.ones(WIDTH))
    assert used < 4 * HISTORY + 20 * ROW


def test_a_loop_with_updates_alone_and_lags():
    kept = gs.shared(np.zeros(WIDTH), name="kept")
    past = gt.matrix("past")

    def step(before: Any, last: Any) -> Any:
        return last * 0.5 + before, {kept: last}

    _, updates = gs.scan(step, outputs_info={"initial": past, "taps": [-2, -1]}, n_steps=STEPS)
    f = gs.function([past], updates=updates, device="cpu")
    assert peak(f, np.ones((2, WIDTH))) < 20 * ROW


def test_what_a_loop_read_is_given_back_after_it():
    """Rows and histories are views of what all steps read and store: none must be held on to."""
    rows = gt.tanh(gt.outer(gt.arange(STEPS), start))
    h, _ = gs.scan(lambda row, h: gt.tanh(row + h), rows, start)
    back, _ = gs.scan(lambda row, h: gt.tanh(row * h), h, start, go_backwards=True)
    again, _ = gs.scan(lambda row, h: gt.tanh(row - h), back, start)
    assert 2 * HISTORY < peak(compiled(again), np.ones(WIDTH)) < 2 * HISTORY + 20 * ROW


def test_initial_values_are_given_back_when_the_first_step_has_read_them():
    power, _ = gs.scan(lambda before, a: before * a, None, gt.ones_like(start), start, n_steps=STEPS)
    assert peak(compiled(power[-1]), np.ones(WIDTH)) < 2.5 * ROW
