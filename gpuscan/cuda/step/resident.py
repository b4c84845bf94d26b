"""Weights that stay with the threads that need them: each holds the columns of its own elements for the whole loop."""

from __future__ import annotations

from dataclasses import dataclass

from gpuscan.cuda.step.team import Team
from gpuscan.graph import Variable
from gpuscan.loop import Loop
from gpuscan.tensor.indexing import Index
from gpuscan.tensor.shaping import DimShuffle

MOST_WRITTEN_OUT = 512
"""Multiplications of a thread up to which a product's terms are written out, as weights in registers need."""


@dataclass(frozen=True)
class Columns:
    """The columns of a matrix that a thread needs: `count` of them, `rows` rows of each, `vector` by `vector`.

    `across` ranks have all columns together.
    """

    count: int
    rows: int
    across: int
    vector: int = 1

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.count * self.rows

    def places(self, team: Team) -> int:
        """Return how many threads of a block have places of their own for them in shared memory.

        Threads of a block that have the same columns of other rows share one.
        """
        return self.across * team.parts if team.kind == "block" else team.block

    @property
    def number(self) -> str:
        """Which of its rows a thread is at in a sum."""
        return "rr" if self.vector == 1 else f"rv * {self.vector} + ri"

    def row(self, team: Team, number: str) -> str:
        """Return which row of the matrix a thread's row `number` is."""
        if team.parts == 1:
            return number
        if self.vector == 1:
            return f"({number} * {team.parts} + team.part)"
        size = self.vector
        return f"({number} / {size} * {size * team.parts} + team.part * {size} + {number} % {size})"


def own_columns(team: Team, space: tuple[int, ...], rows: int, columns: int, vector: int = 1) -> Columns | None:
    """Return which part of a matrix each thread needs for a product over `space`; None if that differs by slot.

    Parameters
    ----------
    team : Team
        The threads.
    space : tuple of int
        Sizes of the product, its columns last.
    rows, columns : int
        Sizes of the matrix on the right.
    vector : int
        How many neighbouring terms a thread takes at once.
    """
    if team.kind == "thread" or not space or space[-1] != columns:
        return None
    each = -(-rows // team.parts)
    if deal := team.deal(space):
        return Columns(deal.each, each, deal.across, vector)
    if columns % team.ranks == 0:
        return Columns(columns // team.ranks, each, team.ranks, vector)
    return Columns(1, each, columns, vector) if team.ranks % columns == 0 else None


def is_fixed(variable: Variable, loop: Loop) -> bool:
    """Whether a value is a non-sequence of a loop, or a part or the transpose of one."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle | Index):
        if len(variable.owner.inputs) != 1:
            return False
        variable = variable.owner.inputs[0]
    return any(n.read is variable for n in loop.non_sequences)


def record_of(variable: Variable, loop: Loop) -> str:
    """Return the name of the non-sequence that a fixed value is, or is a part of."""
    while variable.owner is not None:
        variable = variable.owner.inputs[0]
    return next(n.name for n in loop.non_sequences if n.read is variable)
