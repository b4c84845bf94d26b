"""Timing that two ways of one computation can be compared by, and tables to show it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

Call = Callable[[], Any]


def seconds(call: Call) -> float:
    """How long one call takes."""
    start = perf_counter()
    call()
    return perf_counter() - start


def interleaved(calls: Sequence[Call], repeats: int) -> list[float]:
    """Return the median time of each call.

    The calls take turns, so that a machine that grows slow or busy does so for all of them alike, and each is called
    once before, so that none pays for first uses.
    """
    for call in calls:
        call()
    gc.collect()
    gc.disable()
    try:
        rounds = [[seconds(call) for call in calls] for _ in range(repeats)]
    finally:
        gc.enable()
    return [median(times) for times in zip(*rounds, strict=True)]


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table whose first column is text and whose others are numbers, aligned."""
    texts = [list(head), *([_text(cell) for cell in row] for row in rows)]
    first, *others = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for name, *cells in texts:
        print("  ".join([name.ljust(first), *(cell.rjust(w) for cell, w in zip(cells, others, strict=True))]))


def _text(cell: Any) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
