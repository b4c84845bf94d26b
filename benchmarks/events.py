"""How long a call keeps the device busy, as each library lets it be measured."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

Call = Callable[[], Any]
Times = Callable[[Call, int], list[float]]

SHORT = 5e-3  # seconds; a shorter call is timed in a queue of calls, for the wait at its end would count otherwise


def cupy_times(call: Call, count: int) -> list[float]:
    """Return the seconds of each of `count` calls queued on CuPy's current stream, by CUDA events between them.

    A call that the host issues more slowly than the device runs it takes as long as the host does, as in a user's loop.
    """
    import cupy

    events = [cupy.cuda.Event() for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        call()
        event.record()
    events[-1].synchronize()
    return [cupy.cuda.get_elapsed_time(a, b) / 1e3 for a, b in pairwise(events)]


def torch_times(call: Call, count: int) -> list[float]:
    """Do the same on PyTorch's current stream; on the processor's clock where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return wall_times(call, count)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        call()
        event.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) / 1e3 for a, b in pairwise(events)]


def jax_times(call: Call, count: int) -> list[float]:
    """Return the seconds of calls by the clock, as JAX has no events: each waited for, or all at once if short."""
    import jax

    start = perf_counter()
    jax.block_until_ready(call())
    once = perf_counter() - start
    if once > SHORT:
        return wall_times(lambda: jax.block_until_ready(call()), count)
    start = perf_counter()
    for _ in range(count):
        result = call()
    jax.block_until_ready(result)
    return [(perf_counter() - start) / count]


def wall_times(call: Call, count: int) -> list[float]:
    """Return the seconds of each of `count` calls by the clock, for calls that return when they are done."""
    times = []
    for _ in range(count):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return times


BY_LIBRARY: dict[str, Times] = {"cupy": cupy_times, "torch": torch_times, "jax": jax_times}


def measured(call: Call, times: Times, seconds: float, most: int = 100) -> float:
    """Return the median time of a call.

    Parameters
    ----------
    call : callable
        Has been called once, so that it is compiled; is called again before it counts, unless it is slow.
    times : callable
        One of this file's ways.
    seconds : float
        About how long to measure.
    most : int
        Calls at most.
    """
    (once,) = times(call, 1)
    if once > seconds:
        return once
    once = median(times(call, 2))
    return median(times(call, int(min(max(seconds / max(once, 1e-7), 3), most))))
