"""A loop of one step becomes its step; a short one inside a step becomes steps written one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.control import IfElse
from gpuscan.graph import Apply, Graph, Variable, substitute
from gpuscan.loop import Loop, Options, Result, Scan, State, open_loop, read_loop
from gpuscan.loop.fixed import CHEAP, VIEWS, is_sure
from gpuscan.rewrite.bodies import change_loops, has_enough_rows, keeps_its_shape, sizes_outside
from gpuscan.rewrite.sizes import size_of
from gpuscan.tensor.convert import constant
from gpuscan.tensor.creation import zeros
from gpuscan.tensor.guards import specify_shape
from gpuscan.tensor.indexing import index
from gpuscan.tensor.joining import stack
from gpuscan.tensor.layout import expand_dims
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import Dim, DimShuffle

MOST_STEPS = 4
"""Steps up to which a loop inside a step is unrolled."""

MOST_OPS = 32
"""Operations of all steps together, sizes and views not counted, up to which a loop inside a step is unrolled."""

MOST_OPS_OUTSIDE = 8
"""The same for a loop of one step that is in no other loop: there each operation is a launch on a GPU, where the whole
loop was one. NumPy gains some microseconds, however many operations there are."""


def unroll_loops(graph: Graph) -> Graph | None:
    """Replace a loop that is known to run one step, or none, by its step; and inside a step loops of a few small steps.

    The step reads its rows from the whole of the sequences and its past values from the initial ones. Draws follow each
    other as they did. A loop inside a step costs checks and bookkeeping at every step of the outer loop, and hides its
    values from the passes and teams that look at that step. One with a product is unrolled only if it is a single step:
    in a kernel each product has its own share of registers and its own barriers.

    Left as they are: loops that are not certain to have a row for each step; loops whose step has an effect, or may
    fail on values of the right shape, as the loop's message then names the step; loops that are profiled or run in
    segments.
    """
    return change_loops(graph, _outside, unroll_loops.__name__, _inside)


def _outside(node: Apply) -> Sequence[Variable] | None:
    return _unrolled(node) if _is_plain(node, 1) and _count_ops(node) <= MOST_OPS_OUTSIDE else None


def _inside(node: Apply) -> Sequence[Variable] | None:
    steps = node.inputs[0].known
    # Of none the constants that are left are folded when the passes come to the step, and not taken out of it before.
    if not _is_plain(node, MOST_STEPS) or not steps:
        return None
    return _unrolled(node) if steps == 1 or (_is_small(node) and steps * _count_ops(node) <= MOST_OPS) else None


# ---- which loops ----


def _is_plain(node: Apply, most: int) -> bool:
    """Whether the loop of a node is known to run at most so many steps, and nothing is lost if it is no loop."""
    assert isinstance(node.op, Scan)
    steps, options = node.inputs[0].known, node.op.options
    if steps is None or not 0 <= steps <= most or (node.op.stops and steps > 1):
        return False
    if replace(options, truncate_gradient=None, keep_buffers=False) != Options():
        return False
    loop = read_loop(node)
    return all(map(_is_sure, node.op.body.nodes)) and has_enough_rows(loop) and all(map(_has_past, loop.states))


def _is_sure(node: Apply) -> bool:
    """Whether a node of a step has no effect and cannot fail on values of the right shape."""
    if isinstance(node.op, Scan):
        return has_enough_rows(read_loop(node)) and all(map(_is_sure, node.op.body.nodes))
    if isinstance(node.op, IfElse):
        return all(map(_is_sure, (n for side in node.op.graphs for n in side.nodes)))
    return isinstance(node.op, Draw) or is_sure(node)


def _has_past(state: State) -> bool:
    """Whether a state is sure to have as many initial values as its taps need."""
    rows = state.init.type.shape[0]
    return rows is not None and rows >= state.depth


def _count_ops(node: Apply) -> int:
    assert isinstance(node.op, Scan)
    return sum(not isinstance(n.op, (Dim, *VIEWS)) for n in node.op.body.nodes)


def _is_small(node: Apply) -> bool:
    """Whether a step is made of what costs no more when it is written several times."""
    assert isinstance(node.op, Scan)
    return all(isinstance(n.op, (*CHEAP, Reduce, SumTo)) for n in node.op.body.nodes)


# ---- the steps ----


def _unrolled(node: Apply) -> Sequence[Variable] | None:
    """Return the results of a loop of a known number of steps; None if they cannot be said."""
    loop, steps = open_loop(node), node.inputs[0].known
    assert steps is not None
    past = {s.name: [_row(s.init, i) for i in range(s.depth)] for s in loop.states}
    kept: dict[str, list[Variable]] = {name: [] for name in loop.values}
    for step in range(steps):
        made = dict(zip(loop.values, substitute(loop.values.values(), _given(loop, past, step, steps)), strict=True))
        for name, value in made.items():
            kept[name].append(value)
        past = {name: [*rows, made[name]][1:] for name, rows in past.items()}
    results = [_result(loop, result, past, kept, steps) for result in loop.results]
    return None if any(v is None for v in results) else [v for v in results if v is not None]


def _given(loop: Loop, past: dict[str, list[Variable]], step: int, steps: int) -> dict[Variable, Variable]:
    """Return what stands for what a step is given."""
    given = {n.read: n.source for n in loop.non_sequences}
    given |= {read: past[s.name][-lag] for s in loop.states for lag, read in s.reads.items()}
    for s in loop.sequences:
        for offset, read in s.reads.items():
            # Backwards step 0 starts at the last row with `margin` rows after it.
            given[read] = _row(s.source, offset - s.margin - 1 - step if s.reverse else step + offset)
    return given


def _row(rows: Variable, position: int) -> Variable:
    """Return one row; of one that was given an axis in front, the value itself."""
    if rows.owner is not None and isinstance(rows.owner.op, DimShuffle):
        (value,) = rows.owner.inputs
        if rows.owner.op.order == (None, *range(value.ndim)):
            return value
    return index(rows, position)


def _result(
    loop: Loop, result: Result, past: dict[str, list[Variable]], kept: dict[str, list[Variable]], steps: int
) -> Variable | None:
    if result.kind == "steps":
        return constant(steps, dtype="int64")
    state, value = loop.state(result.record), loop.value_of(result.record)
    rows = past[result.record] if result.kind == "final" else kept[result.record][result.part]
    own = None if state is None else [size_of(state.init, axis) for axis in range(1, state.init.ndim)]
    if not rows:
        sizes = sizes_outside(loop, value) if own is None else own
        return None if sizes is None else zeros([0, *sizes], value.dtype)
    if state is not None and steps and not keeps_its_shape(loop, state):
        rows = [*rows[:-1], specify_shape(rows[-1], own)]  # as the loop would have checked
    return expand_dims(rows[0], 0) if len(rows) == 1 else stack(rows)
