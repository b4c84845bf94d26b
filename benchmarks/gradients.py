"""How long do gradients of recurrent nets take on the CPU, and how much memory do they keep?

    python -m benchmarks.gradients

Two tables: forward and gradient of a tanh net and of an LSTM against loops written by hand in NumPy for the same
values, as ratios taken in one run; and the gradient of a long tanh net with all states kept and with checkpoints, its
time and the peak of what NumPy allocates. By hand inputs are projected before the loop, an LSTM's matrices are joined,
and the gradients of weights are products after it. Targets: at most 1.2 times the loop by hand; with
``checkpoint="sqrt"`` under 5 % of the memory in at most 1.6 times the time.
"""

from __future__ import annotations

import argparse
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.timing import interleaved, print_table
from gpuscan.autodiff import grad

Arrays = list[np.ndarray]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def weights(size: int, count: int) -> Arrays:
    """Return square matrices small enough for a state to neither die out nor saturate."""
    random = np.random.default_rng(1)
    return [(random.normal(size=(size, size)) / np.sqrt(size)).astype("float32") for _ in range(count)]


def rnn(steps: int, batch: int, size: int) -> tuple[gs.Function, Callable[..., Any], Arrays]:
    """Return a tanh net and its gradient, compiled and by hand, and values for both."""
    x, h0 = gt.ftensor3("x"), gt.fmatrix("h0")
    w, u, b = gt.fmatrix("W"), gt.fmatrix("U"), gt.fvector("b")
    states, _ = gs.scan(lambda row, h, w, u, b: np.tanh(row @ w + h @ u + b), [x], [h0], [w, u, b])
    cost = (states[-1] ** 2).sum()
    f = gs.function([x, h0, w, u, b], [cost, *grad(cost, [w, u, b])], device="cpu")

    def by_hand(x: Any, h0: Any, w: Any, u: Any, b: Any) -> Any:
        projected = (x.reshape(-1, size) @ w + b).reshape(x.shape)
        h, dz = np.empty((steps + 1, batch, size), "float32"), np.empty_like(projected)
        h[0] = h0
        for t in range(steps):
            h[t + 1] = np.tanh(projected[t] + h[t] @ u)
        dh = 2 * h[-1]
        for t in reversed(range(steps)):
            dz[t] = dh * (1 - h[t + 1] * h[t + 1])
            dh = dz[t] @ u.T
        rows, befores, owed = (a.reshape(-1, size) for a in (x, h[:-1], dz))
        return (h[-1] ** 2).sum(), rows.T @ owed, befores.T @ owed, owed.sum(0)

    random = np.random.default_rng(0)
    sequence = random.normal(size=(steps, batch, size)).astype("float32")
    state = np.zeros((batch, size), "float32")
    return f, by_hand, [sequence, state, *weights(size, 2), np.zeros(size, "float32")]


def lstm(steps: int, batch: int, size: int) -> tuple[gs.Function, Callable[..., Any], Arrays]:
    """Return an LSTM with a matrix for each gate and its gradient, compiled and by hand, and values for both."""
    x, h0, c0 = gt.ftensor3("x"), gt.fmatrix("h0"), gt.fmatrix("c0")
    matrices = [gt.fmatrix(f"{kind}{gate}") for kind in "WU" for gate in "ifog"]

    def step(row: Any, h: Any, c: Any, *matrices: Any) -> Any:
        i, f, o, g = (row @ w + h @ u for w, u in zip(matrices[:4], matrices[4:], strict=True))
        c = gt.sigmoid(f) * c + gt.sigmoid(i) * np.tanh(g)
        return gt.sigmoid(o) * np.tanh(c), c

    (states, _), _ = gs.scan(step, [x], [h0, c0], matrices)
    cost = (states[-1] ** 2).sum()
    f = gs.function([x, h0, c0, *matrices], [cost, *grad(cost, matrices)], device="cpu")

    def apart(z: Any) -> Arrays:
        return [z[:, k : k + size] for k in range(0, 4 * size, size)]

    def by_hand(x: Any, h0: Any, c0: Any, *matrices: Any) -> Any:
        w, u = np.concatenate(matrices[:4], 1), np.concatenate(matrices[4:], 1)
        gates = (x.reshape(-1, size) @ w).reshape(steps, batch, 4 * size)  # projected inputs, until a step is done
        h, c = np.empty((2, steps + 1, batch, size), "float32")
        h[0], c[0] = h0, c0
        tanh_c = np.empty_like(x)
        for t in range(steps):
            z = gates[t] + h[t] @ u
            gates[t, :, : 3 * size] = sigmoid(z[:, : 3 * size])
            gates[t, :, 3 * size :] = np.tanh(z[:, 3 * size :])
            i, f, o, g = apart(gates[t])
            c[t + 1] = f * c[t] + i * g
            tanh_c[t] = np.tanh(c[t + 1])
            h[t + 1] = o * tanh_c[t]
        dh, dc = 2 * h[-1], np.zeros_like(c0)
        dz = np.empty_like(gates)
        for t in reversed(range(steps)):
            i, f, o, g = apart(gates[t])
            dc = dc + dh * o * (1 - tanh_c[t] * tanh_c[t])
            np.concatenate((dc * g, dc * c[t], dh * tanh_c[t], dc * i), 1, out=dz[t])
            sigmoids = gates[t, :, : 3 * size]
            dz[t, :, : 3 * size] *= sigmoids * (1 - sigmoids)
            dz[t, :, 3 * size :] *= 1 - g * g
            dc = dc * f
            dh = dz[t] @ u.T
        rows, befores, owed = (a.reshape(-1, a.shape[2]) for a in (x, h[:-1], dz))
        return (h[-1] ** 2).sum(), *apart(rows.T @ owed), *apart(befores.T @ owed)

    random = np.random.default_rng(0)
    sequence = random.normal(size=(steps, batch, size)).astype("float32")
    state = np.zeros((batch, size), "float32")
    return f, by_hand, [sequence, state, state, *weights(size, 8)]


def worst_difference(found: Any, expected: Any) -> float:
    """Return the largest difference, relative to the largest value of each array."""
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(a - e).max() / np.abs(e).max()) for a, e in pairs)


def long_rnn(steps: int, batch: int, size: int, checkpoint: str | None) -> Callable[[], Any]:
    """Return a call that takes the gradient of a tanh net whose input is projected already."""
    x, h0, u = gt.ftensor3("x"), gt.fmatrix("h0"), gt.fmatrix("U")
    states, _ = gs.scan(lambda row, h, u: np.tanh(row + h @ u), [x], [h0], [u], checkpoint=checkpoint)
    cost = (states[-1] ** 2).sum()
    f = gs.function([x, h0, u], [cost, grad(cost, u)], device="cpu")
    random = np.random.default_rng(0)
    sequence = random.normal(size=(steps, batch, size)).astype("float32")
    state = np.zeros((batch, size), "float32")
    return lambda: f(sequence, state, *weights(size, 1))


def peak_bytes(call: Callable[[], Any]) -> int:
    """Return the most that was allocated during a call, beyond what was there."""
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100, help="of the nets compared with loops by hand")
    parser.add_argument("--long", type=int, default=10_000, help="steps of the net with checkpoints")
    options = parser.parse_args(arguments)

    rows = []
    for make in (rnn, lstm):
        f, by_hand, values = make(options.steps, 32, 64)
        difference = worst_difference(f(*values), by_hand(*values))
        compiled, hand = interleaved([partial(f, *values), partial(by_hand, *values)], options.repeats)
        rows.append([make.__name__, compiled * 1e3, hand * 1e3, compiled / hand, f"{difference:.1e}"])
    print(f"forward and gradient, {options.steps} steps, batch 32, size 64, float32")
    print_table(["net", "compiled, ms", "by hand, ms", "ratio", "difference"], rows)

    calls = {kind: long_rnn(options.long, 16, 64, kind) for kind in (None, "sqrt")}
    times = interleaved(list(calls.values()), max(options.repeats // 3, 1))
    peaks = [peak_bytes(call) for call in calls.values()]
    print(f"\ngradient of a tanh net, {options.long} steps, batch 16, size 64, float32")
    print_table(
        ["checkpoint", "ms", "times", "peak, MB", "%"],
        [
            [str(kind), t * 1e3, t / times[0], peak / 1e6, 100 * peak / peaks[0]]
            for kind, t, peak in zip(calls, times, peaks, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
