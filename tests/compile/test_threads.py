"""Threads that call the same functions at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

THREADS, CALLS = 4, 30


@pytest.fixture(autouse=True)
def eager_switching() -> Iterator[None]:
    """Have threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work: Callable[[int], None]) -> None:
    """Run `work` in several threads that start at once; the first error is raised."""
    gate = threading.Barrier(THREADS)

    def run(thread: int) -> None:
        gate.wait()
        work(thread)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(run, range(THREADS)))


def test_calls_do_not_mix(device):
    x, s = gt.matrix("x"), gt.vector("s")
    out, _ = gs.scan(lambda row, s: s * 0.5 + row, x, s, allow_gc=False, profile=True)
    f = gs.function([x, s], [out, out.sum()], device=device)

    def work(thread: int) -> None:
        rng = np.random.default_rng(thread)
        for call in range(CALLS):
            rows, width = 3 + call % 4, 1 + (call + thread) % 3  # new plans are made while others run
            values, state = rng.normal(size=(rows, width)), rng.normal(size=width)
            found, total = f(values, state)
            expected = []
            for row in values:
                state = state * 0.5 + row
                expected.append(state)
            np.testing.assert_allclose(found, expected)
            np.testing.assert_allclose(total, np.sum(expected))

    together(work)
    assert f.profile[0].calls == THREADS * CALLS


def test_no_update_is_lost(device):
    count, double = gs.shared(0, name="count"), gs.shared(0, name="double")
    _, updates = gs.scan(lambda: {count: count + 1}, n_steps=3)
    new = updates[count]
    f = gs.function([], updates={count: new, double: new * 2}, device=device)
    g = gs.function([], updates={double: double + 2, count: count + 1}, device=device)
    read = gs.function([], [count * 2, double * 1], device=device)
    odd = []

    def work(thread: int) -> None:
        for _ in range(CALLS):
            f() if thread % 2 else g()
            twice, other = read()
            odd.extend([(twice, other)] if twice != other else [])

    together(work)
    assert not odd  # what is read together was stored together
    assert count.get_value() == THREADS * CALLS // 2 * 4
    assert double.get_value() == 2 * count.get_value()


def test_values_of_inputs_that_are_updated():
    y = gt.scalar("y")
    f = gs.function([gs.In(y, value=0, update=y + 1)], y, device="cpu")
    seen = []
    together(lambda _: seen.extend(float(f()) for _ in range(CALLS)))
    assert sorted(seen) == list(range(THREADS * CALLS))


def test_a_call_inside_a_call_of_the_same_thread():
    """As a value of a shared variable may be asked for while a function updates it."""
    count = gs.shared(0, name="count")
    f = gs.function([], updates={count: count + 1}, device="cpu")
    with count.lock:
        f()
    assert count.get_value() == 1
