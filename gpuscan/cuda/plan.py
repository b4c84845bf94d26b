"""What is decided about a loop before any text is written: plain data, made and printed without a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpuscan.graph import Variable
from gpuscan.loop import Loop


@dataclass(frozen=True)
class Place:
    """Where one record of a loop lives while the loop runs."""

    record: str
    where: str


@dataclass(frozen=True)
class Traffic:
    """Bytes through device memory: once a call, and for each step.

    Every input is counted as read once and every kept output as written once. For the thread team that is what the
    kernel does: reads that several lanes or several taps share are served by caches and registers.
    """

    once: int
    per_step: int

    def total(self, steps: int) -> int:
        """Return the bytes of a call of so many steps."""
        return self.once + steps * self.per_step


@dataclass(frozen=True)
class KernelPlan:
    """How one loop runs.

    Attributes
    ----------
    team : str
        Which threads carry a lane: ``thread``, ``prefix``, or ``host`` where no kernel takes the loop.
    loop : Loop
        What is planned, open, with concrete shapes but for the number of steps.
    lanes : tuple of int
        Sizes of the axes along which nothing is mixed.
    block : int
        Threads of a block.
    blocks : int
        Number of blocks; 0 for as many as give each lane a thread.
    ahead : int
        How many steps before their use the rows of sequences are loaded; 0 where a tile of them is.
    places : tuple of Place
        Where each record lives.
    traffic : Traffic
        Bytes through device memory.
    refusals : mapping of str to str
        Why each faster team was refused.
    """

    team: str
    loop: Loop
    lanes: tuple[int, ...] = ()
    block: int = 0
    blocks: int = 0
    ahead: int = 1
    places: tuple[Place, ...] = ()
    traffic: Traffic = Traffic(0, 0)
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def lane_count(self) -> int:
        """Number of lanes."""
        count = 1
        for size in self.lanes:
            count *= size
        return count

    @property
    def grid(self) -> int:
        """Number of blocks."""
        if self.blocks:
            return self.blocks
        return -(-self.lane_count // self.block) if self.block else 0

    def explain(self) -> Iterator[str]:
        """Yield lines that say all of this."""
        title = self.loop.title
        if self.team == "host":
            yield f"{title}: driven from the host, one array operation a node a step"
        else:
            yield f"{title}: one kernel launch, team {self.team}"
            yield f"  lanes {self._shape()}: {self.lane_count}, grid {self.grid} x block {self.block}"
            if self.loop.sequences and self.ahead:
                yield f"  rows of sequences are loaded {self.ahead} steps ahead"
        for place in self.places:
            yield f"  {place.record}: {place.where}"
        if self.team != "host":
            yield f"  device memory: {self.traffic.once} bytes a call and {self.traffic.per_step} bytes a step"
        for team, reason in self.refusals.items():
            yield f"  not team {team}: {reason}"

    def _shape(self) -> str:
        return " x ".join(map(str, self.lanes)) or "of a scalar"


def row_of(variable: Variable) -> tuple[int, ...]:
    """Return the sizes of a value inside a loop, all known."""
    return tuple(size for size in variable.type.shape if size is not None)
