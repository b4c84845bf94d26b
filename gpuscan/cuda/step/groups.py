"""Groups: what a step computes element by element in one loop over a thread's own elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from gpuscan.cuda.step.hazards import Buffer
from gpuscan.cuda.step.positions import plus, times, unravel
from gpuscan.cuda.step.team import Deal, Team

UNROLLED = 64
"""Elements of a thread up to which loops over them are unrolled, so that arrays of them can be registers."""

WIDEST_LOAD = 16
"""Bytes that one instruction of a thread loads."""


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
    vector : int
        How many neighbouring terms of its sums a thread takes at once; if several, `rv` and `ri` say which it is at.
    copies : dict of str to str
        A block's copies, made before it, of arrays that a grid shares: what makes each, by its name.
    """

    space: tuple[int, ...]
    extent: int
    names: tuple[str, ...]
    slot: str
    vector: int = 1
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
    def key(self) -> tuple[tuple[int, ...], int, int]:
        """What tells groups apart that can be one."""
        return self.space, self.extent, self.vector


def terms_at_once(team: Team, space: tuple[int, ...], extent: int, size: int) -> int:
    """Return how many neighbouring terms of a sum a thread takes at once: as many as one load brings.

    Threads that share a sum would else take turns, and each of their loads would bring one term.

    Parameters
    ----------
    team : Team
        The threads.
    space : tuple of int
        Sizes of the sums.
    extent, size : int
        Number of terms, and bytes of one.
    """
    count = WIDEST_LOAD // size
    if team.kind == "thread" or team.sums(space) > UNROLLED or extent % (count * team.parts):
        return 1
    return count


def new_group(space: tuple[int, ...], extent: int, team: Team, vector: int = 1) -> Group:
    """Return an empty group."""
    element = "e"
    names = (element,) if len(space) == 1 else tuple(f"i{axis}" for axis in range(len(space)))
    return Group(space, extent, names, element if team.kind == "thread" else "k", vector)


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
    """Yield the statements that name the position of the element in slot k.

    Only the last slots of a thread may be without an element, and only those are asked: what is known of the others
    lets the compiler put together their addresses and their loads.
    """
    count, clamped = prod(group.space), summing and team.parts > 1
    idle = team.threads != team.ranks * team.parts  # whether some threads have no rank
    rank = f"min(team.rank, {team.ranks - 1})" if clamped and idle else "team.rank"
    if deal := team.deal(group.space):
        # Columns are dealt out evenly: where in a row a thread's elements are needs no division.
        yield from _rows_dealt_out(group, team, deal, rank, slots, idle=idle, summing=summing)
        return
    number = rank if slots == 1 else f"k * {team.ranks} + {rank}"
    ragged = count % team.ranks != 0
    yield f"int const e = {_at_most(number, count - 1, slots) if clamped and ragged else number};"
    if not clamped:
        yield from _without_element(team, f"e >= {count}", slots, idle=idle, ragged=ragged)
    if len(group.space) > 1:
        yield _named(group.names, unravel("e", group.space))


def _rows_dealt_out(
    group: Group, team: Team, deal: Deal, rank: str, slots: int, *, idle: bool, summing: bool
) -> Iterator[str]:
    """Yield the same where columns are dealt out evenly."""
    each, across, groups = deal
    clamped = summing and team.parts > 1
    rows = prod(group.space[:-1])
    ragged = rows % groups != 0
    divided = not summing and team.divides(group.space)
    each //= team.parts if divided else 1
    row, column = ("k", "0") if each == 1 else (f"k / {each}", f"k % {each}")
    column = times(plus(times(column, team.parts), "team.part") if divided else column, across)
    if groups == 1:
        column = plus(column, rank)
    else:
        row, column = f"{times(row, groups)} + {rank} / {across}", plus(column, f"{rank} % {across}")
        row = _at_most(row, rows - 1, slots, each) if clamped and ragged else row
    leading = unravel("i_row", group.space[:-1]) if len(group.space) > 2 else (row,)
    if len(group.space) > 2:
        yield f"int const i_row = {row};"
    yield _named(group.names, (*leading, column))
    if not clamped:
        over = f"{group.names[0] if len(group.space) == 2 else 'i_row'} >= {rows}"
        yield from _without_element(team, over, slots, each, idle=idle, ragged=ragged)


def _at_most(number: str, most: int, slots: int, last: int = 1) -> str:
    """Return the text of a number that is larger than `most` in the last slots alone."""
    within = f"min({number}, {most})"
    return within if slots == last else f"k < {slots - last} ? {number} : {within}"


def _without_element(team: Team, over: str, slots: int, last: int = 1, *, idle: bool, ragged: bool) -> Iterator[str]:
    """Yield the statement that passes over a slot without an element: of a thread without a rank, or the last ones."""
    conditions = [f"team.rank >= {team.ranks}"] if idle else []
    conditions += [over if slots == last else f"(k >= {slots - last} && {over})"] if ragged else []
    if conditions:
        yield f"if ({' || '.join(conditions)}) continue;"
