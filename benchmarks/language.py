"""Does a loop written with scan cost more on the CPU than the same loop written by hand?

    python -m benchmarks.language

Warm calls of a Gibbs chain, a tanh net, an LSTM and a loop in a loop, against plain NumPy loops for the same values, as
ratios taken in one run; and the time of ``function`` with the first call. Targets: at most 1.3 times, and under 100 ms.
Threaded BLAS makes small products slow and their times erratic; for steady figures set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.timing import interleaved, print_table

Program = tuple[Callable[[], gs.Function], Callable[..., Any], list[Any]]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def gibbs(steps: int) -> Program:
    """A chain of a small Boltzmann machine; by hand with NumPy's own generator, which draws other numbers."""
    random = np.random.default_rng(203940)
    w, visible, hidden = random.uniform(size=(2, 2)), random.uniform(size=2), random.uniform(size=2)

    def build() -> gs.Function:
        stream = gt.random.RandomStream(1234)
        sample = gt.lvector("sample")

        def step(v: Any, w: Any, visible: Any, hidden: Any) -> Any:
            h = stream.binomial(1, gt.sigmoid(v @ w + hidden), size=hidden.shape)
            return stream.binomial(1, gt.sigmoid(h @ w.T + visible), size=visible.shape)

        values, updates = gs.scan(
            step,
            outputs_info=sample,
            non_sequences=[gs.shared(w), gs.shared(visible), gs.shared(hidden)],
            n_steps=steps,
        )
        return gs.function([sample], values[-1], updates=updates, device="cpu")

    def by_hand(v: np.ndarray) -> np.ndarray:
        for _ in range(steps):
            h = random.binomial(1, sigmoid(v @ w + hidden))
            v = random.binomial(1, sigmoid(h @ w.T + visible))
        return v

    return build, by_hand, [np.array([1, 0])]


def matrices(count: int, size: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [(random.normal(size=(size, size)) / np.sqrt(size)).astype("float32") for _ in range(count)]


def rnn(steps: int, batch: int = 32, size: int = 64) -> Program:
    """A tanh net."""

    def build() -> gs.Function:
        x, h0, w, u = gt.ftensor3("x"), gt.fmatrix("h0"), gt.fmatrix("w"), gt.fmatrix("u")
        states, _ = gs.scan(lambda row, h, w, u: np.tanh(row @ w + h @ u), [x], [h0], [w, u])
        return gs.function([x, h0, w, u], states, device="cpu")

    def by_hand(x: Any, h: Any, w: Any, u: Any) -> Any:
        states = np.empty_like(x)
        for t in range(steps):
            h = np.tanh(x[t] @ w + h @ u)
            states[t] = h
        return states

    x = np.random.default_rng(0).normal(size=(steps, batch, size)).astype("float32")
    return build, by_hand, [x, np.zeros((batch, size), "float32"), *matrices(2, size)]


def lstm(steps: int, batch: int = 32, size: int = 64) -> Program:
    """An LSTM with a matrix for each gate."""

    def step(sigmoid: Any, row: Any, h: Any, c: Any, *m: Any) -> Any:
        i, f, o, g = (row @ w + h @ u for w, u in zip(m[:4], m[4:], strict=True))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def build() -> gs.Function:
        x, h0, c0 = gt.ftensor3("x"), gt.fmatrix("h0"), gt.fmatrix("c0")
        m = [gt.fmatrix(f"m{i}") for i in range(8)]
        (states, _), _ = gs.scan(partial(step, gt.sigmoid), [x], [h0, c0], m)
        return gs.function([x, h0, c0, *m], states, device="cpu")

    def by_hand(x: Any, h: Any, c: Any, *m: Any) -> Any:
        states = np.empty_like(x)
        for t in range(steps):
            h, c = step(sigmoid, x[t], h, c, *m)
            states[t] = h
        return states

    x = np.random.default_rng(0).normal(size=(steps, batch, size)).astype("float32")
    zeros = np.zeros((batch, size), "float32")
    return build, by_hand, [x, zeros, zeros, *matrices(8, size)]


def nested(steps: int, inner: int = 20, lanes: int = 64) -> Program:
    """Fixed-point iterations inside a loop: an implicit step of a differential equation on many lanes."""

    def build() -> gs.Function:
        b, start = gt.matrix("b"), gt.vector("start")

        def step(row: Any, x: Any) -> Any:
            found, _ = gs.scan(lambda y, x, row: np.tanh(0.5 * y + x + row), None, [x], [x, row], n_steps=inner)
            return found[-1]

        out, _ = gs.scan(step, [b], [start])
        return gs.function([b, start], out, device="cpu")

    def by_hand(b: Any, x: Any) -> Any:
        out = np.empty_like(b)
        for t in range(steps):
            y = x
            for _ in range(inner):
                y = np.tanh(0.5 * y + x + b[t])
            out[t] = x = y
        return out

    return build, by_hand, [np.random.default_rng(0).normal(size=(steps, lanes)), np.zeros(lanes)]


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--fewer", type=int, default=1, help="divide the numbers of steps by this")
    options = parser.parse_args(arguments)
    rows = []
    for make, steps in ((gibbs, 10_000), (rnn, 100), (lstm, 100), (nested, 50)):
        build, by_hand, values = make(max(steps // options.fewer, 2))
        start = perf_counter()
        f = build()
        f(*values)
        first = perf_counter() - start
        repeats = max(options.repeats // 5, 1) if make is gibbs else options.repeats
        compiled, hand = interleaved([partial(f, *values), partial(by_hand, *values)], repeats)
        rows.append([make.__name__, compiled * 1e3, hand * 1e3, compiled / hand, first * 1e3])
    print_table(["loop", "compiled, ms", "by hand, ms", "ratio", "first, ms"], rows)


if __name__ == "__main__":
    main()
