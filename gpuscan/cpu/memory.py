"""How the C library keeps the memory of arrays that are freed."""

from __future__ import annotations

from functools import cache

import numpy as np

LARGEST_KEPT = 2**25 - 2**16
"""Just under 32 MiB, from which size on glibc asks the system for each array by itself, whatever it was told."""


@cache
def keep_freed_memory() -> None:
    """Have the C library keep memory of arrays of medium size when they are freed, once in a process.

    At first glibc hands arrays of 128 KiB and more back to the system, and the next one of that size is made of new
    pages, whose first touch costs more than the arithmetic on them. The threshold is dynamic (``mallopt(3)``,
    ``M_MMAP_THRESHOLD``): it rises to the size of the largest array that was freed, up to 32 MiB. One such array is
    made here and freed, untouched. Other C libraries take no notice.
    """
    np.empty(LARGEST_KEPT, "uint8")
