"""A kernel bound to a loop: where each of its arguments comes from, and how many threads it is launched with."""

from __future__ import annotations

from dataclasses import dataclass

from gpuscan.cuda.kernel import Kernel
from gpuscan.cuda.reports import MOST_CODES, Failure
from gpuscan.errors import KernelError
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


@dataclass(frozen=True)
class Report:
    """One word of uint64, 0 at first, in which the kernel says what failed: see ``kernels/report.cuh``."""


@dataclass(frozen=True)
class StepsRun:
    """One word of int64 in which the kernel of a loop with a condition says how many steps ran."""


@dataclass(frozen=True)
class Strides:
    """How many teams share the steps of a lane: as many as steps, but no more than make `teams` with all `lanes`."""

    lanes: int
    teams: int

    def count(self, steps: int) -> int:
        """Return how many for so many steps."""
        return max(min(steps, self.teams // max(self.lanes, 1)), 1)


Origin = Source | Output | Number | Steps | LastRow | Scratch | Report | StepsRun | Strides


@dataclass(frozen=True)
class Place:
    """Where one record of a loop lives while the loop runs."""

    record: str
    where: str


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
        Blocks where a lane has one team, and threads of a block.
    shared_bytes : int
        Dynamic shared memory of a block.
    cooperative : bool
        Whether all blocks must run at the same time, because they wait for each other.
    messages : tuple of Failure
        What each code means that the kernel may report. With any, one of the origins is a `Report`, and the host waits
        for the kernel after each launch, to read it.
    places : tuple of Place
        Where the loop's records live while it runs.
    teams_per_block : int
        How many lanes a block carries at once.
    """

    kernel: Kernel
    origins: tuple[Origin, ...]
    grid: int
    block: int
    shared_bytes: int = 0
    cooperative: bool = False
    messages: tuple[Failure, ...] = ()
    places: tuple[Place, ...] = ()
    teams_per_block: int = 1

    def blocks(self, steps: int) -> int:
        """Return how many blocks a launch of so many steps has."""
        strides = next((origin for origin in self.origins if isinstance(origin, Strides)), None)
        if strides is None or not self.grid:
            return self.grid
        return -(-strides.lanes * strides.count(steps) // self.teams_per_block)

    def __post_init__(self) -> None:
        if bool(self.messages) != (Report() in self.origins):
            raise KernelError(f"kernel {self.kernel.name!r} has messages and a parameter to report by, or neither")
        if len(self.messages) > MOST_CODES:
            raise KernelError(f"kernel {self.kernel.name!r} has {len(self.messages)} messages, more than {MOST_CODES}")
