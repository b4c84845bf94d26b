"""Lanes: the axes along which nothing is mixed, so that each position along them can have a team of its own.

Axes that run side by side, through a step and from step to step, are one: a *class*. A class that no op mixes is a
lane axis, unless too much that does not run along it would be computed by every lane anew. All other axes are inner:
a team has all of their elements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

from gpuscan.cuda.step.alignment import Axis, aligned_axes
from gpuscan.cuda.step.body import Body, InnerLoop, operands_of
from gpuscan.cuda.step.totals import Total
from gpuscan.cuda.step.work import work_of
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.matrices import (
    QR,
    SVD,
    Cholesky,
    Det,
    Eigh,
    Inverse,
    SingularValues,
    SlogDet,
    Solve,
    SolveTriangular,
)
from gpuscan.tensor.ordering import ArgSort, Sort
from gpuscan.tensor.products import MatMul

MOST_REPEATED = 4
"""How many times the work that differs from lane to lane may be what all lanes compute alike."""

ALWAYS_REPEATED = 64
"""Operations of a step that are never worth an axis of lanes."""


WHOLE = frozenset(
    {Inverse, Solve, SolveTriangular, Cholesky, Det, SlogDet, Eigh, SVD, SingularValues, QR, Sort, ArgSort, Cumulate}
)
"""Ops whose result along an axis that is mixed comes all at once."""


@dataclass(frozen=True, eq=False)
class Lanes:
    """The axes of lanes of a loop.

    Attributes
    ----------
    sizes : tuple of int
        Their sizes; neighbours along the last are neighbours in memory, where there is a choice.
    labels : mapping of Variable to tuple
        For each value inside the loop and each of its axes, which axis of the lanes it is, None for an inner one.
    mixed : mapping of str to str
        For axes that are inner, by what they were called, why.
    tile : tuple of int
        How many neighbouring lanes along each axis one team carries; empty where it carries one lane.
    """

    sizes: tuple[int, ...]
    labels: dict[Variable, tuple[int | None, ...]]
    mixed: dict[str, str]
    tile: tuple[int, ...] = ()

    @property
    def teams(self) -> tuple[int, ...]:
        """Number of teams along each axis."""
        return tuple(size // self.each(axis) for axis, size in enumerate(self.sizes))

    @property
    def count(self) -> int:
        """Number of teams: of lanes, or of tiles of them."""
        return prod(self.teams)

    def each(self, axis: int) -> int:
        """Return how many lanes along an axis one team carries."""
        return self.tile[axis] if self.tile else 1

    def in_tiles(self, axis: int, lanes: int) -> Lanes:
        """Return the same with teams that carry so many lanes along an axis, a divisor of its size."""
        assert self.sizes[axis] % lanes == 0
        return replace(self, tile=tuple(lanes if i == axis else self.each(i) for i in range(len(self.sizes))))

    def of(self, variable: Variable) -> tuple[int | None, ...]:
        """Return for each axis of a value which axis of the lanes it is, None for an inner one."""
        return self.labels.get(variable) or (None,) * variable.ndim

    def inner(self, variable: Variable) -> tuple[int, ...]:
        """Return the shape of what one team has of a value: along axes of lanes 1, or as many lanes as it carries."""
        return tuple(
            size or 0 if label is None else 1 if size == 1 else self.each(label)
            for label, size in zip(self.of(variable), variable.type.shape, strict=True)
        )

    def followed(self, nodes: Iterable[Apply]) -> Lanes:
        """Return the same with the axes of what more nodes make, each node after those that it reads."""
        labels = {v: list(axes) for v, axes in self.labels.items()}
        for node in nodes:
            for (x, before), (y, after) in aligned_axes(node) or ():
                if x in labels:
                    labels.setdefault(y, [None] * y.ndim)[after] = labels[x][before]
        return replace(self, labels={v: tuple(axes) for v, axes in labels.items()})


def find_lanes(opened: InnerLoop, totals: tuple[Total, ...] = (), random: frozenset[Variable] = frozenset()) -> Lanes:
    """Return the axes of lanes of a loop whose shapes are known.

    Parameters
    ----------
    opened : InnerLoop
        The loop.
    totals : tuple of Total
        Its states that are sums, whose terms each team adds up for its own lanes.
    random : frozenset of Variable
        Its random states, which have no axes.
    """
    finder = _Finder(totals, random)
    finder.loop(opened, outermost=True)
    return finder.lanes(opened)


class _Finder:
    def __init__(self, totals: tuple[Total, ...], random: frozenset[Variable]) -> None:
        self.random = random
        self.parent: dict[Axis, Axis] = {}
        self.why: dict[Axis, str] = {}  # for classes that are mixed
        self.deferred = {node for total in totals for node in total.sums}
        self.total_names = {total.state for total in totals}

    # ---- classes ----

    def find(self, axis: Axis) -> Axis:
        while (up := self.parent.setdefault(axis, axis)) != axis:
            self.parent[axis] = self.parent[up]
            axis = up
        return axis

    def join(self, a: Axis, b: Axis) -> None:
        a, b = self.find(a), self.find(b)
        if a == b:
            return
        self.parent[a] = b
        if a in self.why:
            self.why.setdefault(b, self.why.pop(a))

    def join_all(self, x: Variable, y: Variable) -> None:
        """Have the axes of two values of one rank run side by side."""
        for axis, (m, n) in enumerate(zip(x.type.shape, y.type.shape, strict=True)):
            if m != 1 and n != 1:
                self.join((x, axis), (y, axis))

    def mix(self, axis: Axis, why: str) -> None:
        if axis[0].type.shape[axis[1]] != 1:
            self.why.setdefault(self.find(axis), why)

    # ---- what the ops of a step do ----

    def loop(self, opened: InnerLoop, *, outermost: bool) -> None:
        loop = opened.loop
        for s in loop.sequences:
            for v in s.reads.values():
                self._rows(s.source, v)
            if not outermost:
                self.mix((s.source, 0), "time of a loop inside the step")
        for state in loop.states:
            for v in (*state.reads.values(), state.next):
                self._rows(state.init, v)
                self.join_all(v, state.next)
            if not outermost:
                self.mix((state.init, 0), "time of a loop inside the step")
        for n in loop.non_sequences:
            self.join_all(n.source, n.read)
        self.body(opened.body)

    def _rows(self, source: Variable, row: Variable) -> None:
        for axis in range(row.ndim):
            if 1 not in (row.type.shape[axis], source.type.shape[axis + 1]):
                self.join((source, axis + 1), (row, axis))

    def body(self, body: Body) -> None:
        for node in body.nodes:
            if node in body.loops:
                self._inner_loop(node, body.loops[node])
            elif node in body.branches:
                self._branches(node, body.branches[node])
            else:
                self._node(node)

    def _inner_loop(self, node: Apply, opened: InnerLoop) -> None:
        self.loop(opened, outermost=False)
        loop = opened.loop
        for result, output in zip(loop.results, node.outputs, strict=True):
            if result.kind != "steps":
                self._rows(output, loop.value_of(result.record))
                self.mix((output, 0), "time of a loop inside the step")

    def _branches(self, node: Apply, sides: tuple[Body, Body]) -> None:
        for side in sides:
            self.body(side)
            for inside, output in zip(side.outputs, node.outputs, strict=True):
                self.join_all(inside, output)

    def _node(self, node: Apply) -> None:
        for v in node.outputs:  # what is drawn runs beside nothing, maybe
            for axis, size in enumerate(v.type.shape):
                if size != 1 and v not in self.random:
                    self.find((v, axis))
        pairs = aligned_axes(node) or []
        for a, b in pairs:
            self.join(a, b)
        if type(node.op) in WHOLE:
            self._mix_results(node, {b for _, b in pairs})
        if node in self.deferred:
            if isinstance(node.op, MatMul):  # its terms are products of elements of the same lane
                left, right = node.inputs
                self.join((left, left.ndim - 1), (right, max(right.ndim - 2, 0)))
            return
        beside = {a for a, _ in pairs}
        for v in operands_of(node):
            for axis in range(v.ndim):
                if (v, axis) not in beside:
                    self.mix((v, axis), f"{node.op} (made at {node.where})")

    def _mix_results(self, node: Apply, beside: set[Axis]) -> None:
        for v in node.outputs:
            for axis in range(v.ndim):
                if (v, axis) not in beside:
                    self.mix((v, axis), f"{node.op} (made at {node.where})")

    # ---- which classes are lanes ----

    def lanes(self, opened: InnerLoop) -> Lanes:
        self._mix_diagonals()
        members: dict[Axis, list[Axis]] = defaultdict(list)
        for axis in list(self.parent):
            members[self.find(axis)].append(axis)
        free = sorted((root for root in members if root not in self.why), key=lambda root: -_from_end(members[root]))
        free = self._joined_unrelated(free, members)
        for root in free:
            self._mix_repeated(root, opened)
        free = [root for root in free if root not in self.why]
        labels: dict[Variable, list[int | None]] = {}
        for i, root in enumerate(free):
            for v, along in members[root]:
                labels.setdefault(v, [None] * v.ndim)[along] = i
        sizes = tuple(_size(members[root]) for root in free)
        return Lanes(sizes, {v: tuple(axes) for v, axes in labels.items()}, dict(self._reasons(members)))

    def _mix_diagonals(self) -> None:
        """Two axes of one value that run side by side have no lanes: each element of one meets all of the other."""
        seen: dict[tuple[Variable, Axis], int] = {}
        for v, axis in list(self.parent):
            root = self.find((v, axis))
            if seen.setdefault((v, root), axis) != axis:
                self.mix((v, axis), f"two axes of {v!r} run side by side")

    def _joined_unrelated(self, free: list[Axis], members: dict[Axis, list[Axis]]) -> list[Axis]:
        """Make one class of those that have one size and never meet, as of two nets; return the classes that are left.

        A lane then carries its part of both. Apart, each position along one would compute all of the other anew.
        """
        kept: list[Axis] = []
        for root in free:
            own = {v for v, _ in members[root]}
            size, place = _size(members[root]), _from_end(members[root])
            unrelated = [
                other
                for other in kept
                if size == _size(members[other]) and own.isdisjoint(v for v, _ in members[other])
            ]
            if not unrelated:
                kept.append(root)
                continue
            # Rather one that is as near to the last axis: neighbours along that are neighbours in memory.
            other = min(unrelated, key=lambda other: abs(_from_end(members[other]) - place))
            self.join(root, other)
            members[other] += members.pop(root)
        return kept

    def _mix_repeated(self, root: Axis, opened: InnerLoop) -> None:
        size = root[0].type.shape[root[1]] or 0
        along = repeated = 0
        for node in opened.body.walk():
            values = [*node.outputs, *(node.inputs if node in self.deferred else ())]
            if any(self._runs_along(v, root) for v in values):
                along += work_of(node) // max(size, 1)
            else:
                repeated += work_of(node)
        if repeated > MOST_REPEATED * along + ALWAYS_REPEATED:
            self.why[root] = f"each of its {size} lanes would compute {repeated} operations that all have alike"

    def _runs_along(self, v: Variable, root: Axis) -> bool:
        return any((v, axis) in self.parent and self.find((v, axis)) == root for axis in range(v.ndim))

    def _reasons(self, members: dict[Axis, list[Axis]]) -> Iterator[tuple[str, str]]:
        for root, why in self.why.items():
            named = [(v, axis) for v, axis in members[root] if v.name]
            if named:
                v, axis = named[0]
                yield f"axis {axis} of {v.name}, size {v.type.shape[axis]}", why


def _from_end(axes: list[Axis]) -> int:
    """Return how far from the last axis the first of these is."""
    return max(v.ndim - axis for v, axis in axes)


def _size(axes: list[Axis]) -> int:
    return next(iter({v.type.shape[axis] for v, axis in axes} - {None, 1}), 1) or 0
