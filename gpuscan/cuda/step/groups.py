"""Groups: what a step computes element by element in one loop over a thread's own elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from gpuscan.cuda.step.hazards import Buffer
from gpuscan.cuda.step.positions import plus, times, unravel
from gpuscan.cuda.step.team import Team

UNROLLED = 64
"""Elements of a thread up to which loops over them are unrolled, so that arrays of them can be registers."""


@dataclass(eq=False)
class Group:
    """A loop over elements, while it is being written.

    Attributes
    ----------
    space : tuple of int
        Sizes along which it loops.
    extent : int
        How many terms each of its elements sums over; 0 if it sums nothing.
    before, inside, after : list of str
        Statements before the loop, in it, and after it.
    publish : list of str
        Statements for each element once its sum is complete.
    reads, writes : set
        Shared buffers that it touches.
    unrolled : bool
        Whether the terms of its sums are written out, because arrays of registers are read by their number.
    numbered : bool
        Whether the terms of a part are numbered by `rr`.
    copies : dict of str to str
        A block's copies, made before it, of arrays that a grid shares: what makes each, by its name.
    """

    space: tuple[int, ...]
    extent: int
    names: tuple[str, ...]
    slot: str
    before: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    publish: list[str] = field(default_factory=list)
    reads: set[Buffer] = field(default_factory=set)
    writes: set[Buffer] = field(default_factory=set)
    unrolled: bool = False
    numbered: bool = False
    copies: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[tuple[int, ...], int]:
        """What tells groups apart that can be one."""
        return self.space, self.extent


def new_group(space: tuple[int, ...], extent: int, team: Team) -> Group:
    """Return an empty group."""
    element = "e"
    names = (element,) if len(space) == 1 else tuple(f"i{axis}" for axis in range(len(space)))
    return Group(space, extent, names, element if team.kind == "thread" else "k")


def each(group: Group, team: Team, lines: list[str], *, summing: bool = False) -> Iterator[str]:
    """Yield the loop over a thread's own elements with `lines` inside.

    Parameters
    ----------
    group : Group
        Whose elements.
    team : Team
        Which threads.
    lines : list of str
        Statements.
    summing : bool
        Whether they add terms to sums. The elements are then the rank's, which its threads share; and where there are
        several of these, threads without an element take the last one, so that all threads stay together.
    """
    count = prod(group.space)
    slots = team.sums(group.space) if summing else team.slots(group.space)
    if slots <= UNROLLED:
        yield "#pragma unroll"
    if team.kind == "thread":
        yield f"for (int e = 0; e < {count}; ++e) {{"
        yield from _decoded(group, "e")
    else:
        yield f"for (int k = 0; k < {slots}; ++k) {{"
        yield from (f"    {line}" for line in _dealt_out(group, team, slots, summing=summing))
    yield from (f"    {line}" for line in lines)
    yield "}"


def _decoded(group: Group, number: str) -> Iterator[str]:
    """Yield the statement that names the position of element `number`."""
    if len(group.space) > 1:
        yield f"    {_named(group.names, unravel(number, group.space))}"


def _named(names: tuple[str, ...], texts: tuple[str, ...]) -> str:
    return f"int const {', '.join(f'{name} = {text}' for name, text in zip(names, texts, strict=True))};"


def _dealt_out(group: Group, team: Team, slots: int, *, summing: bool) -> Iterator[str]:
    """Yield the statements that name the position of the element in slot k."""
    count, clamped = prod(group.space), summing and team.parts > 1
    bounded = not team.covers(group.space)
    if deal := team.deal(group.space):
        # Columns are dealt out evenly: where in a row a thread's elements are needs no division.
        each, across, groups = deal
        rows = count // group.space[-1]
        rank = f"min(team.rank, {team.ranks - 1})" if clamped and bounded else "team.rank"
        row, column = ("k", "0") if each == 1 else (f"k / {each}", f"k % {each}")
        if not summing and team.divides(group.space):
            each //= team.parts
            row, column = ("k", "0") if each == 1 else (f"k / {each}", f"k % {each}")
            column = plus(times(column, team.parts), "team.part")
        column = times(column, across)
        if groups == 1:
            column = plus(column, rank)
        else:
            row, column = f"{times(row, groups)} + {rank} / {across}", plus(column, f"{rank} % {across}")
            if clamped and rows % groups:
                row = f"min({row}, {rows - 1})"
        leading = unravel("i_row", group.space[:-1]) if len(group.space) > 2 else (row,)
        if len(group.space) > 2:
            yield f"int const i_row = {row};"
        yield _named(group.names, (*leading, column))
        if bounded and not clamped:
            idle = "team.rank >= " + str(team.ranks)
            over = f" || {group.names[0] if len(group.space) == 2 else 'i_row'} >= {rows}"
            yield f"if ({idle}{over if rows % groups else ''}) continue;"
        return
    number = "team.rank" if slots == 1 else f"k * {team.ranks} + team.rank"
    if clamped and bounded:
        number = f"min({number}, {count - 1})"
    yield f"int const e = {number};"
    if bounded and not clamped:
        yield f"if (e >= {count}) continue;"
    if len(group.space) > 1:
        yield _named(group.names, unravel("e", group.space))
