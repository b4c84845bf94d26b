"""Does a loop cost what the same computation costs with whole arrays, written by hand?

    python -m benchmarks.whole_arrays

Sums, polynomials and powers against NumPy's own functions, nets against loops that project all inputs at once and
multiply all gates' weights together, a linear recurrence against its loop step by step; ratios taken in one run.
Targets: at most 1.1 times (1.3 for the polynomial), and a twentieth for the recurrence. For steady figures set
OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.gradients import sigmoid, worst_difference
from benchmarks.timing import interleaved, print_table

Program = tuple[gs.Function, Callable[..., Any], list[Any]]


def running_sum(steps: int) -> Program:
    """All partial sums of rows of 1000."""
    x = gt.matrix("x")
    sums, _ = gs.scan(lambda row, total: total + row, x, gt.zeros(x.shape[1]))
    values = np.random.default_rng(0).normal(size=(steps, 1000))
    return gs.function([x], sums, device="cpu"), lambda x: np.cumsum(x, axis=0), [values]


def polynomial(steps: int) -> Program:
    """A polynomial by its coefficients, added up after the loop."""
    c, x = gt.vector("c"), gt.scalar("x")
    terms, _ = gs.scan(lambda c, power, x: c * x**power, [c, gt.arange(steps)], None, [x])
    coefficients = np.random.default_rng(0).normal(size=steps)
    f = gs.function([c, x], terms.sum(), device="cpu")
    return f, lambda c, x: (c * x ** np.arange(len(c))).sum(), [coefficients, np.float64(0.999)]


def power(steps: int) -> Program:
    """A power of 1000 numbers, of which the last is read."""
    a = gt.vector("a")
    powers, _ = gs.scan(lambda before, a: before * a, None, gt.ones_like(a), [a], n_steps=steps)

    def by_hand(a: Any) -> Any:
        result = np.ones_like(a)
        for _ in range(steps):
            result = result * a
        return result

    return gs.function([a], powers[-1], device="cpu"), by_hand, [np.random.default_rng(0).uniform(0.99, 1.01, 1000)]


def rnn(steps: int) -> Program:
    """A tanh net, by hand with its inputs projected before the loop."""
    x, h0, w, u = gt.ftensor3("x"), gt.fmatrix("h0"), gt.fmatrix("w"), gt.fmatrix("u")
    states, _ = gs.scan(lambda row, h, w, u: np.tanh(row @ w + h @ u), [x], [h0], [w, u])

    def by_hand(x: Any, h: Any, w: Any, u: Any) -> Any:
        projected = (x.reshape(-1, x.shape[2]) @ w).reshape(*x.shape[:2], -1)
        states = np.empty_like(projected)
        for t in range(len(x)):
            states[t] = h = np.tanh(projected[t] + h @ u)
        return states

    return gs.function([x, h0, w, u], states, device="cpu"), by_hand, net_values(steps, 2)


def lstm(steps: int) -> Program:
    """An LSTM with a matrix for each gate, by hand with the matrices joined."""
    x, h0 = gt.ftensor3("x"), gt.fmatrix("h0")
    matrices = [gt.fmatrix(f"{kind}{gate}") for kind in "wu" for gate in "ifog"]

    def step(row: Any, h: Any, c: Any, *m: Any) -> Any:
        i, f, o, g = (row @ w + h @ u for w, u in zip(m[:4], m[4:], strict=True))
        c = gt.sigmoid(f) * c + gt.sigmoid(i) * np.tanh(g)
        return gt.sigmoid(o) * np.tanh(c), c

    (states, _), _ = gs.scan(step, [x], [h0, h0], matrices)

    def by_hand(x: Any, h: Any, *m: Any) -> Any:
        size = h.shape[1]
        w, u = np.concatenate(m[:4], 1), np.concatenate(m[4:], 1)
        projected = (x.reshape(-1, x.shape[2]) @ w).reshape(*x.shape[:2], -1)
        states, c = np.empty((len(x), *h.shape), h.dtype), h
        for t in range(len(x)):
            z = projected[t] + h @ u
            gates = sigmoid(z[:, : 3 * size])
            c = gates[:, size : 2 * size] * c + gates[:, :size] * np.tanh(z[:, 3 * size :])
            states[t] = h = gates[:, 2 * size :] * np.tanh(c)
        return states

    return gs.function([x, h0, *matrices], states, device="cpu"), by_hand, net_values(steps, 8)


def net_values(steps: int, count: int) -> list[Any]:
    """Return rows, an initial state and matrices, for 32 sequences and size 64."""
    random = np.random.default_rng(0)
    rows, matrices = random.normal(size=(steps, 32, 64)), random.normal(size=(count, 64, 64)) / 8
    return [rows.astype("float32"), np.zeros((32, 64), "float32"), *matrices.astype("float32")]


def recurrence(steps: int) -> Program:
    """A linear recurrence of one lane whose factors differ from step to step."""
    a, b = gt.vector("a"), gt.vector("b")
    states, _ = gs.scan(lambda a, b, h: a * h + b, [a, b], np.float64(0.5))

    def by_hand(a: Any, b: Any) -> Any:
        states, h = np.empty_like(b), np.float64(0.5)
        for t in range(len(b)):
            states[t] = h = a[t] * h + b[t]
        return states

    random = np.random.default_rng(0)
    return gs.function([a, b], states, device="cpu"), by_hand, [random.uniform(-1, 1, steps), random.normal(size=steps)]


PROGRAMS = {
    "running sum": (running_sum, 2000),
    "polynomial": (polynomial, 10_000),
    "power, last value": (power, 2000),
    "tanh net": (rnn, 100),
    "LSTM": (lstm, 100),
    "linear recurrence": (recurrence, 1_000_000),
}


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--fewer", type=int, default=1, help="divide the numbers of steps by this")
    options = parser.parse_args(arguments)
    rows = []
    for name, (make, steps) in PROGRAMS.items():
        count = max(steps // options.fewer, 2)
        f, by_hand, values = make(count)
        difference = worst_difference([f(*values)], [by_hand(*values)])
        repeats = max(options.repeats // 5, 1) if count > 100_000 else options.repeats
        compiled, hand = interleaved([partial(f, *values), partial(by_hand, *values)], repeats)
        rows.append([name, count, compiled * 1e3, hand * 1e3, compiled / hand, f"{difference:.1e}"])
    print_table(["program", "steps", "compiled, ms", "by hand, ms", "ratio", "difference"], rows)


if __name__ == "__main__":
    main()
