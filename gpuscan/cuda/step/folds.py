"""Values whose elements combine terms: each thread adds up its own, and those that share a sum combine theirs."""

from __future__ import annotations

from collections.abc import Callable

from gpuscan.cuda.step.elements import C_BYTES
from gpuscan.cuda.step.groups import UNROLLED, Group, terms_at_once
from gpuscan.cuda.step.positions import Position, spread
from gpuscan.cuda.step.registers import registers_for_weights
from gpuscan.cuda.step.team import space_of
from gpuscan.cuda.step.values import Combined, Kept, Text
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Variable

FEWEST_TOGETHER = 8
"""Sums from which on the threads that share them combine them together, and registers that this takes: of fewer sums
more shuffles, which do not wait for each other, are done sooner than more turns."""


def fold(
    w: Writer, variable: Variable, extent: int, operation: str, start: str, term: Callable[[Position, str], str]
) -> None:
    """Compute a value each of whose elements combines `extent` terms.

    Parameters
    ----------
    variable : Variable
        The value.
    extent : int
        Number of terms.
    operation, start : str
        How two terms are combined, as in ``kernels/team.cuh``, and what no terms give.
    term : callable
        From the position of an element and the number of a term to the term's text.
    """
    shape, space, c_type = w.shape(variable), w.space(variable), w.c_type(variable)
    if extent == 1:
        w.compute(variable, lambda at: term(at, "0"))
        return
    if not space:
        fold_over(w, variable, (extent,), operation, start, lambda at: term(("0",) * len(shape), at[0]))
        return

    if not w.has_room(space, c_type, summing=True):
        _fold_in_turn(w, variable, extent, operation, start, term)
        return
    name = w.name(variable)

    def write(group: Group) -> None:
        sums = w.names.unique(f"{name}_own")
        place = f"{sums}[{group.slot}]"
        group.inside.append(f"{place} = gs::{operation}::of({place}, {term(spread(group.names, shape), 'r')});")
        slots = max(w.team.sums(space), 1)
        group.before.append(f"{c_type} {sums}[{slots}];")
        unroll = ["#pragma unroll"] if slots <= UNROLLED else []
        group.before += [*unroll, f"for (int k = 0; k < {slots}; ++k) {sums}[k] = {start};"]
        kept = Kept(variable, shape, own=_combined(w, sums, c_type, space, operation, group), group=group)
        if w.is_shared(variable):
            w.share(kept, name, c_type)
            group.publish.append(w.publish(kept, group, f"{kept.own}[{group.slot}]"))
        w.values[variable] = kept

    w.within(space, write, extent, terms_at_once(w.team, space, extent, C_BYTES[c_type]))


def _combines_together(w: Writer, slots: int) -> bool:
    """Whether threads that share sums combine them together: there are enough of them, and registers for it."""
    free = registers_for_weights(w.team, w.busy_registers) - w.resident_registers
    return w.team.parts > 2 and FEWEST_TOGETHER <= slots <= UNROLLED and free >= FEWEST_TOGETHER


def _combined(w: Writer, sums: str, c_type: str, space: tuple[int, ...], operation: str, group: Group) -> str:
    """Have the threads of a rank combine their shares of its sums; return where each has its own elements."""
    team, slots = w.team, max(w.team.slots(space), 1)
    if team.parts == 1:
        return sums
    if not team.divides(space) and _combines_together(w, slots):
        group.after.append(f"gs::across_each<gs::{operation}, {team.parts}, {slots}>({sums});")
        return sums
    unroll = ["#pragma unroll"] if slots <= UNROLLED else []
    own, combine = sums, f"team.template parts_all<gs::{operation}>({sums}[k])"
    if team.divides(space):
        own = w.names.unique(f"{sums}_part")
        group.after.append(f"{c_type} {own}[{slots}];")
        combine = f"team.template parts_each<gs::{operation}>(&{sums}[k * {team.parts}])"
    group.after += [*unroll, f"for (int k = 0; k < {slots}; ++k) {own}[k] = {combine};"]
    return own


def _fold_in_turn(
    w: Writer, variable: Variable, extent: int, operation: str, start: str, term: Callable[[Position, str], str]
) -> None:
    """Compute sums one after the other, where there are too many for registers."""
    shape, space, c_type = w.shape(variable), w.space(variable), w.c_type(variable)
    name = w.name(variable)

    def write(group: Group) -> None:
        text = term(spread(group.names, shape), "r")
        group.inside += [
            f"{c_type} {name} = {start};",
            f"for (int r = 0; r < {extent}; ++r) {name} = gs::{operation}::of({name}, {text});",
        ]
        w.values[variable] = w.keep(variable, name, shape, c_type, group)

    w.within(space, write)


def fold_over(
    w: Writer,
    variable: Variable,
    shape: tuple[int, ...],
    operation: str,
    start: str,
    term: Callable[[Position], str],
) -> None:
    """Compute a value of one element that combines a term for each element of an array of `shape`."""
    name, c_type, space = w.name(variable), w.c_type(variable), space_of(shape)
    if not space:
        text = w.alone(lambda: term(("0",) * len(shape)))
        w.line(f"{c_type} const {name} = {text};")
        w.values[variable] = Text(name)
        return

    def write(group: Group) -> None:
        text = term(spread(group.names, shape))
        total = w.names.unique(f"{name}_part")
        group.before.append(f"{c_type} {total} = {start};")
        group.inside.append(f"{w.writing()}{total} = gs::{operation}::of({total}, {text});")
        group.after.append(f"{c_type} const {name} = team.template all<gs::{operation}>({total});")
        w.values[variable] = Combined(name, group)

    w.within(space, write)
