"""Loops that are computed many steps at a time: against the oracle, and against the same loop step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu import at_once
from gpuscan.cpu.recurrence import recurrence
from tests.oracle import check_loop
from tests.random_loops import LOOPS, arguments

OPTIONS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    "print_blob": True,
}


@pytest.fixture
def small(monkeypatch):
    """Have every loop that can be computed at once be so, in pieces of a few steps."""
    monkeypatch.setattr(at_once, "FEWEST_STEPS", 1)
    monkeypatch.setattr(at_once, "PIECE", 24)
    monkeypatch.setattr(at_once, "WIDEST", {"recurrence": 1000, "map": 1000})


@pytest.fixture
def calls(monkeypatch) -> list[bool]:
    """Whether each loop that could be computed at once was."""
    made: list[bool] = []
    call = at_once.AtOnce.__call__

    def noted(self: Any, *inputs: Any) -> Any:
        results = call(self, *inputs)
        made.append(results is not None)
        return results

    monkeypatch.setattr(at_once.AtOnce, "__call__", noted)
    return made


@settings(max_examples=150, **OPTIONS)
@given(LOOPS)
def test_random_loops(small, loop):
    check_loop(**arguments(loop), device="cpu")


def test_recurrences_of_every_kind(small, calls):
    def step(x, y, h, total, product, largest, decayed, count, before):
        return (
            *(0.5 * h - x * h + y, total + x * y, y * product, np.maximum(x, largest)),
            *(decayed + 0.1 * (x - decayed), count + (x > 0), x),
        )

    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (2, 50))
    info = [0.3, 0.0, 1.0, -9.0, 2.0, np.int64(4), 7.0]
    for backwards in (False, True):
        check_loop(step, [x, y], [np.asarray(v) for v in info], go_backwards=backwards, device="cpu")
    assert calls == [True, True]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
def test_linear_recurrences_of_several_lanes(dtype, shape, calls):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 70, *shape)).astype(dtype)
    check_loop(lambda a, b, h: a * h + b, [a, b], np.ones(shape, dtype), device="cpu")
    check_loop(lambda b, h: np.asarray(0.5, dtype) * h + b, b, np.ones(shape, dtype), device="cpu")
    assert calls == [True, True]


@pytest.mark.parametrize("n", [0, 1, 31, 32, 40])
def test_taps_and_fewer_steps_than_rows(n):
    rows = np.arange(60.0)
    check_loop(
        lambda early, late, h: 0.9 * h + early * late,
        {"input": rows, "taps": [-2, 1]},
        np.float64(1),
        n_steps=np.int64(n),
        go_backwards=n == 40,
        device="cpu",
    )


@pytest.mark.parametrize("options", [{}, {"n_steps": 40}, {"go_backwards": True}], ids=str)
@pytest.mark.parametrize("margin", [0, 1])
def test_rows_that_are_handed_on_as_they_are_are_just_those_of_the_steps(options, margin, calls):
    x = gt.vector("x")
    rows = {"input": x, "taps": [0, margin][: margin + 1]}
    terms = gs.scan(lambda *rows: rows[0] * 3 - rows[-1], rows, **options)[0]
    total = gs.scan(lambda *given: given[-1] + given[0], rows, 0.5, **options)[0][-1]
    values = np.arange(60.0) ** 2
    steps = options.get("n_steps", 60 - margin)
    turned = slice(None, None, -1 if "go_backwards" in options else 1)
    first, last = values[: 60 - margin][turned][:steps], values[margin:][turned][:steps]
    found = gs.function([x], [terms, total], device="cpu")(values)
    np.testing.assert_array_equal(found[0], first * 3 - last)
    np.testing.assert_allclose(found[1], 0.5 + first.sum(), rtol=1e-14)
    assert calls == [True, True]


STEP_BY_STEP: dict[str, Callable[..., Any]] = {
    "not linear": lambda x, h: np.tanh(h) + x,
    "linear in a product": lambda x, h: h * h + x,
    "an integer": lambda x, h: 3 * h + 1,
    "smoothing in single precision": lambda x, h: h + np.float32(1e-4) * (x - h),
    "a stop": lambda x, h: (h + x, gs.until(h > 100)),
}


@pytest.mark.parametrize("name", STEP_BY_STEP)
def test_loops_that_run_step_by_step(name, calls):
    start = np.int64(1) if name == "an integer" else np.float64(1)
    dtype = "float32" if "single" in name else start.dtype
    check_loop(STEP_BY_STEP[name], np.linspace(-1, 1, 50).astype(dtype), start.astype(dtype), device="cpu")
    assert not any(calls)


def test_wide_rows_and_few_steps_run_step_by_step(calls):
    f = gs.function([x := gt.matrix("x")], gs.scan(lambda row, s: s + row, x, x[0])[0], device="cpu")
    f(np.ones((50, 100)))
    f(np.ones((10, 10)))
    f(np.ones((50, 10)))
    assert calls == [False, False, True]


def test_errors_are_those_of_the_loop():
    x, y, n = gt.vector("x"), gt.vector("y"), gt.iscalar("n")
    f = gs.function([x, y, n], gs.scan(lambda a, b, s: s + a * b, [x, y], 0.0, n_steps=n)[0], device="cpu")
    with pytest.raises(gs.LoopError, match="sequence 'b' has 40 rows along its first axis; 50 steps need 50"):
        f(np.ones(60), np.ones(40), 50)


def test_a_recurrence_is_as_safe_as_the_loop():
    # A parallel form by prefix products would meet 2^2000 and 2^-2000 on the way.
    a = np.where(np.arange(4000) < 2000, 2.0, 0.5)
    found = recurrence("linear", np.float64(0.0), 4000, a, np.zeros(4000))
    np.testing.assert_array_equal(found, 0.0)
    fixed = recurrence("linear", np.float64(1.0), 4000, 2.0, -1.0)
    np.testing.assert_array_equal(fixed, 1.0)  # an unstable fixed point, hit exactly
    with np.errstate(over="ignore"):
        assert recurrence("linear", np.float64(1.0), 2000, a[:2000], 0.0)[-1] == np.inf
