"""Does a loop cost what the same computation costs with whole arrays, written by hand?

    python -m benchmarks.whole_arrays

Sums, polynomials and powers against NumPy's own functions, nets and their gradients against loops that project all
inputs at once and multiply all gates' weights together, a linear recurrence against its loop step by step, a loop in a
loop against two; times and the peaks of what NumPy allocates, as ratios taken in one run. Beside them are `PEERS`,
where they are installed, and a second table says how long each takes to have a program's first result.

Targets: at most 1.1 times (1.3 for the polynomial, 1.2 for gradients), a twentieth for the recurrence, and 1.2 times
the memory. For steady figures set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks import gradients, language
from benchmarks.gradients import peak_bytes, sigmoid, worst_difference
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


def nested(steps: int) -> Program:
    """Twenty fixed-point iterations at each step, on 64 lanes."""
    build, by_hand, values = language.nested(steps, 20, 64)
    return build(), by_hand, values


PROGRAMS: dict[str, tuple[Callable[[int], Program], int, float]] = {
    # a program, its number of steps, and how many times the time by hand it may take
    "running sum": (running_sum, 2000, 1.1),
    "polynomial": (polynomial, 10_000, 1.3),
    "power, last value": (power, 2000, 1.1),
    "tanh net": (rnn, 100, 1.1),
    "LSTM": (lstm, 100, 1.1),
    "tanh net, gradient": (partial(gradients.rnn, batch=32, size=64), 100, 1.2),
    "LSTM, gradient": (partial(gradients.lstm, batch=32, size=64), 100, 1.2),
    "linear recurrence": (recurrence, 1_000_000, 0.05),
    "nested": (nested, 50, 1.1),
}

PEERS = {"JAX": "benchmarks.scan_jax", "PyTensor": "benchmarks.scan_pytensor"}
MISSING = "not installed"


def installed_peers() -> dict[str, Any]:
    """Return the peers' programs, as modules; None for a peer that cannot be imported."""
    found: dict[str, Any] = {}
    for name, module in PEERS.items():
        try:
            found[name] = import_module(module)
        except ImportError:
            found[name] = None
    return found


@dataclass
class Measured:
    """One program: its seconds and peaks in bytes, compiled and by hand, and the peers' seconds."""

    steps: int
    seconds: Sequence[float]
    peaks: Sequence[int]
    difference: float
    peers: dict[str, float]
    first: dict[str, float]  # until the first result, of gpuscan and of peers


def measure(name: str, steps: int, repeats: int, peers: dict[str, Any]) -> Measured:
    """Return what a program of so many steps costs."""
    started = perf_counter()
    f, by_hand, values = PROGRAMS[name][0](steps)
    found = f(*values)
    first = {"gpuscan": perf_counter() - started}
    expected = as_list(by_hand(*values))
    calls = [partial(f, *values), partial(by_hand, *values)]
    times = max(repeats // 5, 1) if steps > 100_000 else repeats
    seconds = interleaved(calls, times)
    others = {}
    for peer, module in peers.items():
        if module is None:
            continue
        started = perf_counter()
        run = module.make(name, steps)
        result = run(*values)
        first[peer] = perf_counter() - started
        if worst_difference([np.asarray(v) for v in as_list(result)], expected) > 1e-4:
            raise AssertionError(f"{peer} computes something else for {name}")
        # By itself: a peer's threads go on for a while after a call, at the cost of whatever is measured next.
        (others[peer],) = interleaved([partial(run, *values)], times)
    difference = worst_difference(as_list(found), expected)
    return Measured(steps, seconds, [peak_bytes(call) for call in calls], difference, others, first)


def as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def milliseconds(seconds: float | None) -> float | str:
    return MISSING if seconds is None else 1e3 * seconds


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--fewer", type=int, default=1, help="divide the numbers of steps by this")
    parser.add_argument("--only", nargs="*", choices=PROGRAMS, default=list(PROGRAMS), help="these programs")
    parser.add_argument("--no-peers", action="store_true", help="leave peers out where they are installed")
    options = parser.parse_args(arguments)
    peers = dict.fromkeys(PEERS) if options.no_peers else installed_peers()
    found = {
        name: measure(name, max(PROGRAMS[name][1] // options.fewer, 2), options.repeats, peers) for name in options.only
    }
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"milliseconds and megabytes; medians of {options.repeats}, load of the machine {loads}")
    head = ["program", "steps", "compiled", "by hand", "ratio", "target", "peak", "by hand", "ratio", "difference"]
    print_table(
        [*head, *peers],
        [
            [
                *(name, m.steps, *(1e3 * t for t in m.seconds), m.seconds[0] / m.seconds[1], PROGRAMS[name][2]),
                *(*(peak / 1e6 for peak in m.peaks), m.peaks[0] / m.peaks[1], f"{m.difference:.1e}"),
                *(milliseconds(m.peers.get(peer)) for peer in peers),
            ]
            for name, m in found.items()
        ],
    )
    print("\nmilliseconds until the first result, compilation included")
    columns = ["gpuscan", *peers]
    print_table(
        ["program", *columns], [[name, *(milliseconds(m.first.get(c)) for c in columns)] for name, m in found.items()]
    )


if __name__ == "__main__":
    main()
