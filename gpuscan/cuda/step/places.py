"""Where a loop's records live while it runs, as its text has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpuscan.cuda.binding import Place
from gpuscan.cuda.step.carried import Carried
from gpuscan.cuda.step.team import Team
from gpuscan.loop import Loop


def describe(
    loop: Loop,
    team: Team,
    given: Mapping[str, str],
    states: Sequence[Carried],
    totals: set[str],
    held: set[str],
) -> Iterator[Place]:
    """Yield the place of each record of a loop.

    Parameters
    ----------
    loop : Loop
        The loop.
    team : Team
        Who carries it.
    given : mapping of str to str
        Where sequences and non-sequences are, by name.
    states : sequence of Carried
        Its states as they are kept.
    totals : set of str
        Names of the states of which each team has a share.
    held : set of str
        Names of the non-sequences of which each thread holds columns in registers.
    """
    for s in loop.sequences:
        if s.reads:
            yield Place(s.name, given.get(s.name, "read where it is used"))
    for carried in states:
        state = carried.state
        values = f", {state.depth} past value{'s' * (state.depth > 1)}"
        share = "; each team adds up its share, which are added after the last step" if state.name in totals else ""
        yield Place(state.name, _of_state(carried, team) + values + share)
    for n in loop.non_sequences:
        columns = "registers, each thread its columns" if n.name in held else ""
        if place := columns or given.get(n.name, ""):
            yield Place(n.name, place)
    for result in loop.results:
        if result.kind != "steps":
            how = "written at each step" if result.is_kept else "written after the last step"
            yield Place(f"{result}", how)


def _of_state(carried: Carried, team: Team) -> str:
    ring = "the L2 cache" if team.kind == "grid" else "shared memory"
    places = (["registers"] if carried.own else []) + ([ring] if carried.ring else [])
    return " and ".join(places) or "registers"
