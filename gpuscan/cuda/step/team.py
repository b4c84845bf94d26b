"""Which threads carry a lane: the numbers of a team that its step's text depends on."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

Kind = Literal["thread", "warp", "block", "grid"]


@dataclass(frozen=True)
class Team:
    """A team.

    Attributes
    ----------
    kind : str
        ``thread``, ``warp``, ``block`` or ``grid``.
    ranks : int
        Among how many of its threads, or groups of threads, the elements of arrays are dealt out.
    parts : int
        How many threads share a rank and divide its long sums among them.
    block : int
        Threads of a block.
    blocks : int
        Blocks of a grid team, which all run at the same time.
    width, columns : int
        Of a grid whose blocks own whole columns of matrices: how many each owns, and of how many; else 0.
    """

    kind: Kind
    ranks: int = 1
    parts: int = 1
    block: int = 128
    blocks: int = 1
    width: int = 0
    columns: int = 0

    @property
    def threads(self) -> int:
        """Threads of one team."""
        return {"thread": 1, "warp": 32, "block": self.block, "grid": self.block * self.blocks}[self.kind]

    @property
    def per_block(self) -> int:
        """Teams of one block."""
        return max(self.block // self.threads, 1)

    def slots(self, space: tuple[int, ...]) -> int:
        """Return how many elements of an array of that shape each rank has."""
        return -(-prod(space) // self.ranks)

    def covers(self, space: tuple[int, ...]) -> bool:
        """Whether every slot of every thread holds an element."""
        return prod(space) % self.ranks == 0 and self.threads == self.ranks * self.parts

    def c_type(self) -> str:
        """Return the team's type in ``kernels/team.cuh``."""
        if self.kind == "thread":
            return "gs::ThreadTeam"
        if self.kind == "warp":
            return f"gs::WarpTeam<{self.ranks}, {self.parts}>"
        if self.kind == "block":
            return f"gs::BlockTeam<{self.block}, {self.ranks}, {self.parts}>"
        if self.width:
            rows = self.ranks // self.columns
            return f"gs::TiledGridTeam<{self.blocks}, {self.block}, {rows}, {self.columns}, {self.width}>"
        return f"gs::GridTeam<{self.blocks}, {self.block}, {self.ranks}, {self.parts}>"


ONE_THREAD = Team("thread")
"""A lane a thread."""


def space_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes along which a value has more than one element."""
    return tuple(size for size in shape if size != 1)
