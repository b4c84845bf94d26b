"""A kernel bound to a loop: where each of its arguments comes from, and how many threads it is launched with."""

from __future__ import annotations

from dataclasses import dataclass

from gpuscan.cuda.kernel import Kernel
from gpuscan.loop import Result

# ---- where the arguments of a kernel come from ----


@dataclass(frozen=True)
class Source:
    """The array (or number) of a sequence, state or non-sequence."""

    record: str


@dataclass(frozen=True)
class Output:
    """The array of one of the loop's results."""

    result: Result


@dataclass(frozen=True)
class Number:
    """A size or stride, fixed by the plan."""

    value: int


@dataclass(frozen=True)
class Steps:
    """The number of steps, or with `first_kept` the first step whose value is among the last that many rows."""

    first_kept: int | None = None


@dataclass(frozen=True)
class LastRow:
    """The row that step 0 reads of a sequence read backwards."""

    record: str


@dataclass(frozen=True)
class Scratch:
    """Memory of the call's own: so many elements, and as many again for each `span` steps begun; zeroed or not."""

    count: int
    per_step: int = 0
    zeroed: bool = False
    span: int = 1

    def elements(self, steps: int) -> int:
        """Return how many elements a call of so many steps needs."""
        return self.count + self.per_step * -(-steps // self.span)


Origin = Source | Output | Number | Steps | LastRow | Scratch


@dataclass(frozen=True)
class BoundKernel:
    """A kernel, where each of its arguments comes from, and how it is launched.

    Attributes
    ----------
    kernel : Kernel
        Its text and its parameters.
    origins : tuple
        For each parameter, where its argument comes from.
    grid, block : int
        Blocks, and threads of a block.
    shared_bytes : int
        Dynamic shared memory of a block.
    cooperative : bool
        Whether all blocks must run at the same time, because they wait for each other.
    """

    kernel: Kernel
    origins: tuple[Origin, ...]
    grid: int
    block: int
    shared_bytes: int = 0
    cooperative: bool = False
