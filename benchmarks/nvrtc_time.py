"""How long does NVRTC take for the kernels of the worked examples, and what do they need of a GPU?

    python -m benchmarks.nvrtc_time

Needs CuPy and NVRTC (the extra ``nvrtc``, ``cuda12`` or ``cuda13``), no GPU. Each kernel is compiled afresh, without
the cache; the median of five compilations is printed. Target: under 0.15 s each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.config import config
from gpuscan.cuda.kernel import Kernel
from gpuscan.cuda.launch import compile_kernel, resources
from gpuscan.demo import compile_filter

ARCH = "sm_90"


def product() -> gs.Function:
    """Element-wise product of two vectors."""
    a, b = gt.vector("a"), gt.vector("b")
    out, _ = gs.scan(lambda a, b: a * b, [a, b])
    f = gs.function([a, b], out, device="emulator")
    f(np.arange(5.0), np.arange(5.0))
    return f


def cumulative_sum() -> gs.Function:
    """Running sum of the rows of a matrix."""
    m, s = gt.matrix("M"), gt.vector("s")
    out, _ = gs.scan(lambda row, acc: acc + row, [m], [s])
    f = gs.function([m, s], out, device="emulator")
    f(np.ones((4, 3)), np.zeros(3))
    return f


def fibonacci() -> gs.Function:
    """Two lags and an emit."""
    init = gt.fvector("init")
    outputs, _ = gs.scan(lambda a, b: (a + b, (a + b) / b), None, [dict(initial=init, taps=[-2, -1]), None], n_steps=10)
    f = gs.function([init], outputs, device="emulator")
    f([1, 1])
    return f


def power() -> gs.Function:
    """A ** k, the last value only."""
    a, k = gt.vector("A"), gt.iscalar("k")
    out, _ = gs.scan(lambda prior, a: prior * a, None, gt.ones_like(a), a, n_steps=k)
    f = gs.function([a, k], out[-1], device="emulator")
    f(np.arange(10.0), 2)
    return f


def polynomial() -> gs.Function:
    """A polynomial, its terms added up inside the loop."""
    c, x = gt.vector("c"), gt.scalar("x")
    out, _ = gs.scan(lambda c, p, acc, x: acc + c * x**p, [c, gt.arange(10000)], [np.float64(0)], x)
    f = gs.function([c, x], out[-1], device="emulator")
    f(np.array([1.0, 0.0, 2.0]), 3.0)
    return f


def nile() -> gs.Function:
    """The local-level filter of the demo."""
    f = compile_filter("emulator")
    f(np.arange(100.0), 15099.0, 1469.1)
    return f


EXAMPLES: tuple[Callable[[], gs.Function], ...] = (product, cumulative_sum, fibonacci, power, polynomial, nile)


def kernels() -> Iterator[tuple[str, Kernel]]:
    """Yield the kernel of each example."""
    from gpuscan.cuda.thread_text import thread_kernel

    for example in EXAMPLES:
        (plan,) = example().plans
        scalars = frozenset(n.name for n in plan.loop.non_sequences if n.source.ndim == 0)
        yield example.__name__, thread_kernel(plan, scalars).kernel


def compile_time(kernel: Kernel) -> float:
    """Return how long one compilation takes, in seconds."""
    with tempfile.TemporaryDirectory() as folder, config.change_flags(cache_dir=folder):
        start = time.perf_counter()
        compile_kernel(kernel, ARCH)
        return time.perf_counter() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{'kernel':16}{'NVRTC, s':>10}{'registers':>11}{'spilled bytes':>15}   ({ARCH})")
    for name, kernel in kernels():
        took = float(np.median([compile_time(kernel) for _ in range(repeats)]))
        needs = resources(kernel, ARCH)
        print(f"{name:16}{took:10.3f}{needs.registers:11}{needs.spill_bytes:15}")


if __name__ == "__main__":
    main()
