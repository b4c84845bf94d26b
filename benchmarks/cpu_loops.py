"""How long does a warm call of a loop take on the CPU, against the NumPy loop one would write by hand?

Target: at most 1.2 times, for loops of 1000 steps and 2 to 10 pointwise operations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.timing import interleaved, print_table

Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One loop, said twice: `build` makes outputs from variables for the arguments, `by_hand` computes them."""

    operations: int
    build: Callable[..., Any]
    by_hand: Callable[..., Any]


# ---- the loops; x is a sequence, s and others are initial values, w a parameter of the shape of s ----


def decay(x, s, w):
    return gs.scan(lambda row, s, w: s * w + row, x, s, w)[0]


def decay_by_hand(x, s, w):
    out = np.empty_like(x)
    for t in range(len(x)):
        s = s * w + x[t]
        out[t] = s
    return out


def logistic(x, s, w):
    return gs.scan(lambda s, w: w * s * (1.0 - s), None, s, w, n_steps=x.shape[0])[0][-1]


def logistic_by_hand(x, s, w):
    for _ in range(len(x)):
        s = w * s * (1.0 - s)
    return s


def recurrent(x, s, w):
    return gs.scan(lambda row, s, w: np.tanh(s * w + row), x, s, w)[0]


def recurrent_by_hand(x, s, w):
    out = np.empty_like(x)
    for t in range(len(x)):
        s = np.tanh(s * w + x[t])
        out[t] = s
    return out


def garch(x, s, w):
    def step(row, variance, w):
        variance = 0.1 + w * row * row + 0.8 * variance
        return variance, row / np.sqrt(variance)

    return gs.scan(step, x, [s, None], w)[0]


def garch_by_hand(x, s, w):
    variances, residuals = np.empty_like(x), np.empty_like(x)
    for t in range(len(x)):
        s = 0.1 + w * x[t] * x[t] + 0.8 * s
        variances[t] = s
        residuals[t] = x[t] / np.sqrt(s)
    return variances, residuals


def threshold(x, s, w):
    return gs.scan(lambda row, s, w: gt.switch(s > w, 0.5 * s, s + row * row), x, s, w)[0]


def threshold_by_hand(x, s, w):
    out = np.empty_like(x)
    if x.ndim == 1:  # who has scalars writes `if`
        for t in range(len(x)):
            s = 0.5 * s if s > w else s + x[t] * x[t]
            out[t] = s
        return out
    for t in range(len(x)):
        s = np.where(s > w, 0.5 * s, s + x[t] * x[t])
        out[t] = s
    return out


def shrink(x, s, w):
    return gs.scan(lambda row, s, w: np.sign(s) * np.maximum(abs(s) - w, 0.0) + row, x, s, w)[0]


def shrink_by_hand(x, s, w):
    out = np.empty_like(x)
    for t in range(len(x)):
        s = np.sign(s) * np.maximum(abs(s) - w, 0.0) + x[t]
        out[t] = s
    return out


def absolute(x, s, w):
    return gs.scan(lambda row, s, w: abs(s) * w + row, x, s, w)[0]


def absolute_by_hand(x, s, w):
    out = np.empty_like(x)
    for t in range(len(x)):
        s = abs(s) * w + x[t]
        out[t] = s
    return out


def count(x, s, w):
    return gs.scan(lambda row, n, w: n + gt.eq(row, w), x, gt.cast(s, "int64"), w)[0][-1]


def count_by_hand(x, s, w):
    n = s.astype("int64")
    for t in range(len(x)):
        n = n + (x[t] == w)
    return n


def oscillator(x, s, w):
    def step(row, place, speed, w):
        speed = speed + 0.01 * (row - w * place - 0.1 * speed)
        return place + 0.01 * speed, speed

    return gs.scan(step, x, [s, s], w)[0]


def oscillator_by_hand(x, s, w):
    places, speeds = np.empty_like(x), np.empty_like(x)
    place = speed = s
    for t in range(len(x)):
        speed = speed + 0.01 * (x[t] - w * place - 0.1 * speed)
        place = place + 0.01 * speed
        places[t] = place
        speeds[t] = speed
    return places, speeds


def fibonacci(x, s, w):
    past = gt.stack([s, s])
    return gs.scan(lambda row, s2, s1, w: w * s1 + (1.0 - w) * s2 + row, x, {"initial": past, "taps": [-2, -1]}, w)[0]


def fibonacci_by_hand(x, s, w):
    out = np.empty_like(x)
    s2 = s1 = s
    for t in range(len(x)):
        s2, s1 = s1, w * s1 + (1.0 - w) * s2 + x[t]
        out[t] = s1
    return out


def ten(x, s, w):
    return gs.scan(lambda row, s, w: np.exp(-(s * s) * 0.5) * w + row * (1.0 - row) - 0.1 * abs(s), x, s, w)[0]


def ten_by_hand(x, s, w):
    out = np.empty_like(x)
    for t in range(len(x)):
        row = x[t]
        s = np.exp(-(s * s) * 0.5) * w + row * (1.0 - row) - 0.1 * abs(s)
        out[t] = s
    return out


CASES = {
    "s * w + x": Case(2, decay, decay_by_hand),
    "logistic map, last value": Case(3, logistic, logistic_by_hand),
    "tanh(s * w + x)": Case(3, recurrent, recurrent_by_hand),
    "threshold with switch": Case(5, threshold, threshold_by_hand),
    "n + (x == w)": Case(2, count, count_by_hand),
    "|s| * w + x": Case(3, absolute, absolute_by_hand),
    "sign(s) * max(|s| - w, 0) + x": Case(5, shrink, shrink_by_hand),
    "two lags": Case(5, fibonacci, fibonacci_by_hand),
    "GARCH, one emit": Case(7, garch, garch_by_hand),
    "oscillator, two states": Case(9, oscillator, oscillator_by_hand),
    "ten operations": Case(10, ten, ten_by_hand),
}

SHAPES: dict[str, tuple[int, ...]] = {"scalar": (), "vector of 100": (100,), "matrix 100 x 100": (100, 100)}


def measure(case: Case, shape: tuple[int, ...], steps: int, repeats: int) -> tuple[float, float]:
    """Return the seconds that gpuscan and the loop by hand take."""
    rng = np.random.default_rng(0)
    variables = [
        gt.tensor("x", shape=(None,) * (1 + len(shape))),
        *(gt.tensor(n, shape=(None,) * len(shape)) for n in "sw"),
    ]
    values = [rng.uniform(0.1, 0.9, (steps, *shape)), rng.uniform(0.1, 0.9, shape), rng.uniform(0.1, 0.9, shape)]
    values = [v if np.ndim(v) else np.float64(v) for v in values]
    f = gs.function(variables, case.build(*variables), device="cpu")
    np.testing.assert_allclose(np.asarray(f(*values)), np.asarray(case.by_hand(*values)), rtol=1e-9)
    compiled, by_hand = interleaved([lambda: f(*values), lambda: case.by_hand(*values)], repeats)
    return compiled, by_hand


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args(arguments)
    rows = []
    for name, case in CASES.items():
        for title, shape in SHAPES.items():
            compiled, by_hand = (1e6 * t / options.steps for t in measure(case, shape, options.steps, options.repeats))
            rows.append((name, case.operations, title, compiled, by_hand, compiled / by_hand))
    print(f"warm calls, {options.steps} steps, medians of {options.repeats}")
    print_table(("loop", "ops", "state", "us a step", "by hand", "ratio"), rows)
    print(f"largest ratio: {max(row[-1] for row in rows):.2f}")


if __name__ == "__main__":
    main()
