"""What every team needs to know of a loop: what its step computes, its lanes, its random states and its totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.step.body import Body, InnerLoop, opened, operands_of
from gpuscan.cuda.step.lanes import Lanes, find_lanes
from gpuscan.cuda.step.nodes import has_rule
from gpuscan.cuda.step.random_states import opens_state, random_states
from gpuscan.cuda.step.team import space_of
from gpuscan.cuda.step.totals import Total, find_totals
from gpuscan.cuda.step.work import work_of
from gpuscan.graph import Apply, Variable
from gpuscan.loop import Loop
from gpuscan.tensor.guards import Print
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.random.draw import Draw

NEEDS_HOST: dict[type, str] = {Print: "prints, which is the host's to do"}
"""What no kernel does, and why."""


STEPS_INSIDE = 16
"""Steps that a loop inside a step is taken to have where only a call tells."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """A loop whose shapes are known, looked at once for all teams."""

    opened: InnerLoop
    lanes: Lanes
    totals: tuple[Total, ...]
    random: frozenset[Variable]

    @property
    def loop(self) -> Loop:
        """The loop, open, with everything inside its step opened too."""
        return self.opened.loop

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """Return the shape of what one lane has of a value."""
        return () if variable in self.random else self.lanes.inner(variable)

    def space(self, variable: Variable) -> tuple[int, ...]:
        """Return the sizes along which what one lane has of a value has more than one element."""
        return space_of(self.shape(variable))

    def elements(self, variable: Variable) -> int:
        """Return how many elements one lane has of a value."""
        return prod(self.shape(variable))

    def registers(self, variable: Variable, ranks: int = 1) -> int:
        """Return the 32-bit registers that each of `ranks` threads needs for its part of a value."""
        if variable in self.random:
            return 4
        return -(-self.elements(variable) // ranks) * max(np.dtype(variable.dtype).itemsize // 4, 1)

    def without_lanes(self) -> Analysis:
        """Return the same with every axis an inner one: a single team for all."""
        return Analysis(self.opened, Lanes((), {}, self.lanes.mixed), (), self.random)

    def in_tiles(self, axis: int, lanes: int) -> Analysis:
        """Return the same with teams that carry so many lanes along an axis of them."""
        return replace(self, lanes=self.lanes.in_tiles(axis, lanes))

    def nodes(self) -> Iterator[Apply]:
        """Yield every node of the step, those of loops and branches inside it too."""
        return self.opened.body.walk()

    def work(self) -> int:
        """Return the operations of one lane's step, a loop inside it taken as often as it runs."""
        return _work(self.opened.body) // max(self.lanes.count, 1)

    def written(self) -> int:
        """Return the operations that a lane's step has as text where they are written out, each loop inside it once."""
        return sum(work_of(node) for node in self.nodes()) // max(self.lanes.count, 1)

    def multiplied(self) -> int:
        """Return how many of them are of products, whose multiplications and additions are one instruction."""
        return sum(work_of(node) for node in self.nodes() if isinstance(node.op, MatMul)) // max(self.lanes.count, 1)

    def longest_sum(self) -> int:
        """Return the most terms that an element of a product sums over."""
        return max((self.shape(n.inputs[0])[-1] for n in self.nodes() if isinstance(n.op, MatMul)), default=1)

    def widest(self) -> tuple[int, ...]:
        """Return the sizes of a lane's largest value among those carried and computed, but for sizes of 1."""
        values = [s.next for s in self.loop.states]
        values += [v for node in self.nodes() if work_of(node) for v in node.outputs]
        return max((space_of(self.shape(v)) for v in values), key=prod, default=())


def _work(body: Body) -> int:
    total = sum(work_of(node) for node in body.nodes)
    for inner in body.loops.values():
        total += _work(inner.body) * (inner.loop.length.known or STEPS_INSIDE)
    return total + sum(max(map(_work, sides)) for sides in body.branches.values())


def analyse(loop: Loop) -> Analysis:
    """Return what teams need to know of a loop whose shapes are known."""
    whole = opened(loop)
    random = frozenset(random_states(whole))
    totals = find_totals(whole)
    lanes = find_lanes(whole, totals, random)
    # A state that is no total after all mixes lanes, and that may leave another with too few.
    while (kept := tuple(t for t in totals if _adds_over_lanes(t, whole, lanes))) != totals:
        totals = kept
        lanes = find_lanes(whole, totals, random)
    return Analysis(whole, lanes, totals, random)


def _adds_over_lanes(total: Total, opened: InnerLoop, lanes: Lanes) -> bool:
    """Whether every sum of a total goes over all the lanes that the total has not: over others it would count twice."""
    carried = set(lanes.of(opened.loop.value_of(total.state)))
    missing = {i for i, size in enumerate(lanes.sizes) if size != 1 and i not in carried}
    return bool(missing) and all(_summed_lanes(node, lanes) == missing for node in total.sums)


def _summed_lanes(node: Apply, lanes: Lanes) -> set[int]:
    """Return the axes of lanes that the operands of a sum have and its result has not."""
    before = {label for v in node.inputs for label in lanes.of(v) if label is not None}
    return before - {label for label in lanes.of(node.outputs[0]) if label is not None}


def refuse_any_team(analysis: Analysis) -> str | None:
    """Return why no kernel takes a loop, None if one may."""
    loop = analysis.loop
    outside = [*(s.source for s in loop.sequences), *(s.init for s in loop.states)]
    outside += [n.source for n in loop.non_sequences]
    inside = [v for node in analysis.nodes() for v in (*node.inputs, *node.outputs)]
    for v in (*outside, *inside):
        if v.dtype not in C_TYPES:
            return f"{v.dtype} has no kernel type yet"
    if not analysis.lanes.count and not all(0 in v.type.shape for v in loop.outputs):
        return "there are no lanes, and what has no axis of them would be computed by nobody"
    holders = _holders(analysis)
    for node in analysis.nodes():
        if node not in holders and (reason := _refuse_node(analysis, node)) is not None:
            return f"{reason} (made at {node.where})"
    for v in (*loop.outputs, *(v for node in analysis.nodes() for v in (*operands_of(node), *node.outputs))):
        if v in analysis.random:
            continue
        if None in v.type.shape:
            return f"the size of {v!r} depends on values"
        if 0 in analysis.shape(v):
            return f"{v!r} has no elements"
    return None


def _refuse_node(analysis: Analysis, node: Apply) -> str | None:
    if not has_rule(node):
        return f"{node.op} {NEEDS_HOST.get(type(node.op), 'has no kernel text')}"
    if opens_state(node, analysis.random):
        return f"{node.op} computes with a random state"
    if isinstance(node.op, Draw) and (
        node.op.spec.c is None or any(size.known is None for size in node.op.split(node.inputs)[1])
    ):
        return f"{node.op} of a size that depends on values"
    return None


def _holders(analysis: Analysis) -> set[Apply]:
    """Return the nodes that hold others."""
    found: set[Apply] = set()
    todo = [analysis.opened.body]
    while todo:
        body = todo.pop()
        found.update(body.loops, body.branches)
        todo += [inner.body for inner in body.loops.values()]
        todo += [side for sides in body.branches.values() for side in sides]
    return found
