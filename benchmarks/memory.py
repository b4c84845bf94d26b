"""How much does memory grow while a loop of which only the last value is read runs on the CPU?

Target: under 1 MB for A**k with k = 10**6 on a vector of 10**4. Without ``--steps`` it runs shorter loops too, to show
that the growth does not depend on the length.
"""

from __future__ import annotations

import argparse
import tracemalloc
from time import perf_counter

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.timing import print_table


def power() -> gs.Function:
    """Return the function of (A, k) that computes A**k by a loop, as the seed documents do."""
    k, A = gt.iscalar("k"), gt.vector("A")
    result, _ = gs.scan(lambda prior, A: prior * A, outputs_info=gt.ones_like(A), non_sequences=A, n_steps=k)
    return gs.function([A, k], result[-1], device="cpu")


def growth(f: gs.Function, A: np.ndarray, steps: int) -> tuple[float, float]:
    """Return by how many MB memory grows at most during a call, and how many seconds it takes untraced."""
    f(A, 1)
    start = perf_counter()
    f(A, steps)
    seconds = perf_counter() - start
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    f(A, steps)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - before) / 1e6, seconds


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[10**2, 10**4, 10**6])
    parser.add_argument("--size", type=int, default=10**4, help="elements of the vector")
    options = parser.parse_args(arguments)
    f, A = power(), np.linspace(0.9, 1.0, options.size)
    rows = []
    for steps in options.steps:
        peak, seconds = growth(f, A, steps)
        whole = steps * A.nbytes / 1e6
        rows.append((f"A**{steps}", options.size, peak, whole, seconds))
    print_table(("loop", "elements", "peak MB", "MB of a history", "seconds"), rows)


if __name__ == "__main__":
    main()
