"""What is decided about a loop before any text is written: plain data, made and printed without a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from gpuscan.cuda.binding import Place
from gpuscan.cuda.estimate import Estimate
from gpuscan.cuda.step.body import InnerLoop
from gpuscan.cuda.step.lanes import Lanes
from gpuscan.cuda.step.team import ONE_THREAD, Team
from gpuscan.cuda.step.totals import Total
from gpuscan.graph import Apply, Variable
from gpuscan.loop import Loop


@dataclass(frozen=True)
class Traffic:
    """Bytes through device memory: once a call, and for each step.

    Every input is counted as read once and every kept output as written once: reads that several lanes or several taps
    share are served by caches and registers, and what is fixed stays on chip where it fits.
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
        Which threads carry a lane, or ``host`` where no kernel takes the loop.
    loop : Loop
        What is planned, open, with concrete shapes but for the number of steps.
    opened : InnerLoop or None
        The same with everything inside its step opened; None for ``host``.
    lanes : Lanes or None
        The axes along which nothing is mixed, so that each position along them has a team.
    shape : Team
        How many threads carry a lane, and how they divide it.
    random : frozenset of Variable
        The values that are random states.
    totals : tuple of Total
        The states that only add up, of which each team has a share.
    ahead : int
        How many steps before their use the rows of sequences are loaded.
    places : tuple of Place
        Where each record lives.
    traffic : Traffic
        Bytes through device memory.
    precision : str
        What operands of products on tensor cores are rounded to; ``highest`` where there are none.
    on_tensor_cores : frozenset of Apply
        Those products.
    notes : tuple of str
        What else there is to say.
    estimate : Estimate or None
        How long a step takes, roughly, and what bounds it.
    teams_to_fill : int
        How many teams keep the whole GPU busy.
    refusals : mapping of str to str
        Why each other team was not taken.
    """

    team: str
    loop: Loop
    opened: InnerLoop | None = None
    lanes: Lanes | None = None
    shape: Team = ONE_THREAD
    random: frozenset[Variable] = frozenset()
    totals: tuple[Total, ...] = ()
    ahead: int = 1
    places: tuple[Place, ...] = ()
    traffic: Traffic = Traffic(0, 0)
    precision: str = "highest"
    on_tensor_cores: frozenset[Apply] = frozenset()
    notes: tuple[str, ...] = ()
    estimate: Estimate | None = None
    teams_to_fill: int = 1
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def lane_count(self) -> int:
        """Number of lanes, or of tiles of them: of teams that the loop has work for."""
        return self.lanes.count if self.lanes is not None else 1

    @property
    def seconds(self) -> float:
        """What a step is estimated to take, without end where there is no estimate."""
        return float("inf") if self.estimate is None else self.estimate.seconds

    @property
    def block(self) -> int:
        """Threads of a block."""
        return self.shape.block

    @property
    def grid(self) -> int:
        """Number of blocks."""
        if self.team in ("grid", "prefix"):
            return self.shape.blocks
        return -(-self.lane_count // self.shape.per_block)

    @property
    def over_steps(self) -> bool:
        """Whether steps run side by side, as they do not wait for each other."""
        return self.team not in ("grid", "prefix", "host") and not self.loop.states and self.loop.stop is None

    @property
    def tile(self) -> int:
        """How many lanes a team carries."""
        return prod(self.lanes.tile) if self.lanes is not None else 1

    def headline(self) -> str:
        """Say in a few words who carries what."""
        who = {"thread": "a thread", "warp": "a warp", "block": f"a block of {self.block} threads"}
        each = who.get(self.shape.kind, f"a grid of {self.shape.blocks} blocks of {self.block} threads")
        tile = f"a tile of {self.tile} lanes" if self.tile > 1 else "a lane"
        return f"{tile} {each}, rows loaded {self.ahead} step{'s' * (self.ahead != 1)} ahead"

    def explain(self) -> Iterator[str]:
        """Yield lines that say all of this."""
        title = self.loop.title
        if self.team == "host":
            yield f"{title}: driven from the host, one array operation a node a step"
        else:
            yield f"{title}: one kernel launch, team {self.team}"
            if self.over_steps:
                yield "  no state is carried: steps run side by side, like lanes"
            if self.tile > 1:
                yield f"  a tile of {self.tile} lanes a block: {self.lane_count} tiles"
            lanes = f"{self._shape()}: {self.lane_count * self.tile}"
            yield f"  lanes {lanes}, grid {self.grid} x block {self.block}{self._divided()}"
        for place in self.places:
            yield f"  {place.record}: {place.where}"
        if self.team != "host":
            yield f"  device memory: {self.traffic.once} bytes a call and {self.traffic.per_step} bytes a step"
        yield from (f"  {note}" for note in self.notes)
        if self.estimate is not None:
            yield f"  a step takes about {seconds_text(self.estimate.seconds)}, bound by {self.estimate.bound}"
        for team, reason in self.refusals.items():
            yield f"  not team {team}: {reason}"

    def _divided(self) -> str:
        """Say how a lane's elements are divided."""
        if self.shape.threads == 1:
            return ""
        parts = f", {self.shape.parts} threads to each" if self.shape.parts > 1 else ""
        rows = f" in {self.shape.stripes} groups of rows" if self.shape.stripes > 1 else ""
        return f"; elements dealt out to {self.shape.ranks}{rows}{parts}"

    def _shape(self) -> str:
        sizes = self.lanes.sizes if self.lanes is not None else ()
        return " x ".join(map(str, sizes)) or "of a scalar"


def seconds_text(seconds: float) -> str:
    """Return a time in a unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def row_of(variable: Variable) -> tuple[int, ...]:
    """Return the sizes of a value inside a loop, all known."""
    return tuple(size for size in variable.type.shape if size is not None)
