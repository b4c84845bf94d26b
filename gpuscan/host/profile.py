"""What is measured of a loop."""

from __future__ import annotations

import threading
from typing import final

from gpuscan.errors import counted


@final
class LoopProfile:
    """How often a loop was run, for how many steps and how long.

    Attributes
    ----------
    title : str
        What messages call the loop.
    calls, steps : int
        How often it ran, and how many steps in all.
    seconds : float
        How long that took; of a loop on a GPU until the GPU was done.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.calls = 0
        self.steps = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    def add(self, steps: int, seconds: float) -> None:
        """Count one run."""
        with self._lock:
            self.calls += 1
            self.steps += steps
            self.seconds += seconds

    def __str__(self) -> str:
        each = f", {self.seconds / self.steps * 1e6:.3g} us a step" if self.steps else ""
        return f"{self.title}: {counted(self.calls, 'call')}, {counted(self.steps, 'step')}, {self.seconds:.3g} s{each}"
