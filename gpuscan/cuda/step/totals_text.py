"""The end of a kernel with totals: each team's share is left in scratch memory, and the last block adds them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from gpuscan.cuda.binding import Output, Scratch
from gpuscan.cuda.step.carried import Carried
from gpuscan.cuda.step.parameters import Parameters
from gpuscan.cuda.step.positions import plus, spread, times
from gpuscan.cuda.step.totals import Total
from gpuscan.cuda.step.writer import Writer
from gpuscan.loop import Loop


def write_totals(
    w: Writer,
    given: Parameters,
    loop: Loop,
    totals: Sequence[Total],
    states: Sequence[Carried],
    initial: dict[str, str],
) -> None:
    """Write what leaves the shares of this team and, in the last block, adds all shares.

    Parameters
    ----------
    w : Writer
        Writes it.
    given : Parameters
        Of the kernel.
    loop : Loop
        The loop.
    totals : sequence of Total
        Those states that are totals.
    states : sequence of Carried
        All states.
    initial : mapping of str to str
        The array of each state's value before the first step, by name.
    """
    by_name = {carried.state.name: carried for carried in states}
    adding: list[str] = []
    for total in totals:
        adding += _share(w, given, loop, by_name[total.state], initial[total.state])
    w.close_group()
    tickets = given.add("tickets", "uint32", Scratch(1, zeroed=True), array=True, writes=True)
    with w.block(f"if (gs::is_last_block({tickets}))"):
        w.lines += adding


def _share(w: Writer, given: Parameters, loop: Loop, carried: Carried, initial: str) -> list[str]:
    """Write what leaves the share of one total, and return what adds the shares."""
    value, name = carried.value, carried.state.name
    labels = {label for label in w.lanes.of(value) if label is not None}
    missing = [i for i, teams in enumerate(w.lanes.teams) if i not in labels and teams != 1]
    count = prod(size or 0 for size in value.type.shape)
    result = next(r for r in loop.results if r.record == name)
    by_block = w.team.kind == "thread" and not labels
    teams = prod(w.lanes.teams[i] for i in missing)
    rows = -(-teams // w.team.block) if by_block else teams
    shares = given.add(f"shares_{name}", value.dtype, Scratch(max(rows, 1) * count), array=True, writes=True)
    out = given.add(f"out_{name}", value.dtype, Output(result), array=True, writes=True)
    row = "blockIdx.x" if by_block else _row(given, missing)

    def place(at: tuple[str, ...]) -> str:
        return f"{shares}[{plus(times(row, count), w.number(value, at))}]"

    past, c_type = carried.past(1), w.c_type(value)
    owner = "if (!idle) " if w.team.kind == "thread" else "if (!idle && team.thread == 0) "
    if not carried.space:
        at = ("0",) * len(carried.shape)
        text = past.read(w, at)
        w.line(_over_block(w, c_type, place(at), text) if by_block else f"{owner}{place(at)} = {text};")
    else:
        group = w.open_group(carried.space)
        at = spread(group.names, carried.shape)
        text = past.read(w, at)
        if by_block:
            group.inside.append(_over_block(w, c_type, place(at), text))
        else:
            group.inside.append(f"if (!idle) {w.writing()}{place(at)} = {text};")
    guard = "if (length > 0) " if result.kind == "last" else ""
    return [f"{guard}gs::add_rows<{c_type}>({initial}, {shares}, {out}, {given.number('share_rows', rows)}, {count});"]


def _row(given: Parameters, missing: Sequence[int]) -> str:
    """Return the number of a team among those that share a total."""
    text = "0"
    for i in missing:
        text = plus(times(text, given.teams(i)), given.coordinate(i))
    return text


def _over_block(w: Writer, c_type: str, place: str, text: str) -> str:
    """Return the statement that adds a value over a block; threads without a lane add nothing."""
    name = w.names.unique("sum")
    added = f"gs::add_over_block<{c_type}>(idle ? {c_type}(0) : {text})"
    return f"{{ {c_type} const {name} = {added}; if (threadIdx.x == 0) {place} = {name}; }}"
