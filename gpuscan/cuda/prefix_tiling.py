"""How the prefix team cuts time and lanes into tiles, and what of a tile is in shared memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpuscan.graph import Variable
from gpuscan.loop import Loop

THREADS = 256
"""Threads of a block: enough warps to hide each other's waits, and few enough that several blocks share an SM, of which
one looks back while the others move data."""

BLOCKS_PER_SM = 4
"""Blocks that an SM is to hold at once: registers and shared memory of a block are kept to a quarter of an SM's."""

STEPS = range(31, 0, -2)
"""Steps of one thread, the first that fits. Odd, so that threads which read shared memory so many elements apart meet
no bank twice; many, because looking back costs the same for every tile: some 14 ns for each of the tiles that are under
way, in which time a GPU of 4 TB/s moves 56 KB."""

MOST_BYTES = 44 * 1024
"""Shared memory for the rows of a tile: with what threads hand to each other, four blocks fit on an SM with 227 KB."""

MOST_MEETING_BYTES = 12 * 1024
"""Shared memory in which the warps of a block leave what they composed."""


@dataclass(frozen=True)
class Tiling:
    """What a tile is.

    Attributes
    ----------
    threads : int
        Threads of a block.
    steps : int
        Steps of one thread.
    lanes : int
        Lanes of a tile, a power of 2 up to the threads of a warp.
    """

    threads: int
    steps: int
    lanes: int

    @property
    def span(self) -> int:
        """Steps of a tile."""
        return self.threads // self.lanes * self.steps


def tiling_of(loop: Loop, lanes: int) -> Tiling:
    """Return how a loop of so many lanes is cut."""
    together = min(32, 1 << max(lanes - 1, 0).bit_length())
    # A map has two numbers of 8 bytes at most, and each warp leaves one for each state and lane.
    while together > 1 and together * len(loop.states) * 16 * THREADS // 32 > MOST_MEETING_BYTES:
        together //= 2
    size = slots_of(loop).size
    steps = next((n for n in STEPS if n * THREADS * size <= MOST_BYTES), STEPS[-1])
    return Tiling(THREADS, steps, together)


@dataclass(frozen=True)
class Slots:
    """Where in shared memory a step of a lane has what it reads and what is kept of it, in bytes of one such step.

    What is kept takes the place of something of the same dtype that was read, where there is some: by then the step has
    read it.
    """

    rows: tuple[int, ...]
    kept: tuple[int, ...]
    size: int


def slots_of(loop: Loop) -> Slots:
    """Return the slots of a loop: for each of `reads_of`, and for each of `kept_of`."""
    size = 0
    rows: list[int] = []
    free: list[tuple[str, int]] = []
    for v in reads_of(loop):
        rows.append(size)
        free.append((v.dtype, size))
        size += _itemsize(v.dtype)
    kept: list[int] = []
    for record in kept_of(loop):
        dtype = loop.value_of(record).dtype
        place = next((slot for slot in free if slot[0] == dtype), (dtype, size))
        if place in free:
            free.remove(place)
        else:
            size += _itemsize(dtype)
        kept.append(place[1])
    return Slots(tuple(rows), tuple(kept), size)


def reads_of(loop: Loop) -> list[Variable]:
    """Return what a step reads of the sequences, each tap by itself."""
    return [v for s in loop.sequences for v in s.reads.values()]


def kept_of(loop: Loop) -> list[str]:
    """Return the names of the records of which the value of a step is written."""
    return list(dict.fromkeys(r.record for r in loop.results if r.is_kept))


def _itemsize(dtype: str) -> int:
    return int(np.dtype(dtype).itemsize)
