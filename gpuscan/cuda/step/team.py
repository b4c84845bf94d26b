"""Which threads carry a lane: the numbers of a team that its step's text depends on."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

Kind = Literal["thread", "warp", "block", "grid"]


class Deal(NamedTuple):
    """How ranks share an array's rows: `across` of them have the columns of one, `each` of which are a rank's.

    So many `groups` of ranks have rows of their own: a rank's first is the number of its group, and so on in turn.
    """

    each: int
    across: int
    groups: int


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
    stripes : int
        Into how many groups of ranks rows are dealt out first, where a row's columns can be shared in such a group.
    """

    kind: Kind
    ranks: int = 1
    parts: int = 1
    block: int = 128
    blocks: int = 1
    width: int = 0
    columns: int = 0
    stripes: int = 1

    @property
    def threads(self) -> int:
        """Threads of one team."""
        return {"thread": 1, "warp": 32, "block": self.block, "grid": self.block * self.blocks}[self.kind]

    @property
    def per_block(self) -> int:
        """Teams of one block."""
        return max(self.block // self.threads, 1)

    def deal(self, space: tuple[int, ...]) -> Deal | None:
        """Return how columns are dealt out evenly, None if elements are dealt out by their number."""
        if len(space) < 2:
            return None
        last, across = space[-1], self.ranks // self.stripes
        if last % across == 0:
            return Deal(last // across, across, self.stripes)
        return Deal(1, last, self.ranks // last) if self.ranks % last == 0 else None

    def divides(self, space: tuple[int, ...]) -> bool:
        """Whether the threads of a rank divide its elements, by columns: else each of them has all."""
        deal = self.deal(space)
        return self.parts > 1 and deal is not None and deal.each % self.parts == 0

    def sums(self, space: tuple[int, ...]) -> int:
        """Return how many elements of an array of that shape each rank has, whose sums its threads share."""
        if deal := self.deal(space):
            return -(-prod(space[:-1]) // deal.groups) * deal.each
        return -(-prod(space) // self.ranks)

    def slots(self, space: tuple[int, ...]) -> int:
        """Return how many elements of an array of that shape each thread has."""
        return self.sums(space) // (self.parts if self.divides(space) else 1)

    def covers(self, space: tuple[int, ...]) -> bool:
        """Whether every slot of every thread holds an element."""
        deal = self.deal(space)
        even = prod(space[:-1]) % deal.groups == 0 if deal else prod(space) % self.ranks == 0
        return even and self.threads == self.ranks * self.parts

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
