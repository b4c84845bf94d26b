"""The passes, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuscan.config import config
from gpuscan.graph import Apply, Graph, Nested, Variable, verify
from gpuscan.loop import Scan
from gpuscan.mode import Mode, get_mode
from gpuscan.rewrite.count_steps import count_steps
from gpuscan.rewrite.drop_barriers import drop_barriers
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.fold_reductions import fold_reductions
from gpuscan.rewrite.hoist_invariants import hoist_invariants
from gpuscan.rewrite.hoist_products import hoist_products
from gpuscan.rewrite.inline import inline
from gpuscan.rewrite.keep_last import keep_last
from gpuscan.rewrite.lazy_branches import lazy_branches
from gpuscan.rewrite.merge_emits import merge_emits
from gpuscan.rewrite.merge_equal import merge_equal
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.rewrite.share_segments import share_segments
from gpuscan.rewrite.simplify_states import simplify_states
from gpuscan.rewrite.sizes_from_inputs import sizes_from_inputs
from gpuscan.rewrite.sum_after import sum_after
from gpuscan.rewrite.widen_products import widen_products

Pass = Callable[[Graph], Graph | None]

MEANING: tuple[Pass, ...] = (
    keep_last,
    drop_unread,
    lazy_branches,
)
"""The passes that decide what a program means: what ``history[-1]`` is after no step, and what is not computed."""

PASSES: tuple[Pass, ...] = (
    inline,  # before all others, which then see what calls compute
    drop_barriers,  # nothing below is about derivatives
    sizes_from_inputs,  # what was computed for its shape alone is dead after this
    count_steps,  # the same for histories
    merge_equal,  # early, so that reads of one loop built twice are seen as reads of one loop
    merge_emits,  # what a gradient reads of a loop, and what the program does, come from one run of it
    keep_last,  # asks for less of each loop
    drop_unread,  # what is asked for no longer goes, and with it what only that needed
    share_segments,  # one run also for loops that a gradient runs in segments
    sizes_from_inputs,
    merge_equal,
    merge_emits,
    drop_unread,
    simplify_states,  # what never changes is a non-sequence for the passes below
    widen_products,  # before the next two, which take the joined weights and the input projections out
    hoist_invariants,
    hoist_products,  # after it: rows meet what does not change
    sum_after,  # before the next, which would take from it the histories that a product after the loop reads
    fold_reductions,
    drop_unread,
    merge_equal,
    lazy_branches,  # late: what is inside a side is not seen by passes that look at readers of a value
)


def optimise(graph: Graph, mode: Mode | None = None, passes: Sequence[Pass] | None = None) -> Graph:
    """Return a graph with the same meaning that costs less: every pass, on it and on the graphs inside it.

    Passes that `mode` or ``config.exclude_rewrites`` leave out are left out; a loop's own mode counts for its body.

    Raises
    ------
    GraphError
        With ``config.check``, naming the pass that broke the graph.
    ValueError
        If ``config.exclude_rewrites`` names no pass.
    """
    mode = get_mode(mode).excluding(*_excluded_everywhere())
    for run_pass in PASSES if passes is None else passes:
        graph = _everywhere(run_pass, graph, mode)
    return graph


def _excluded_everywhere() -> list[str]:
    names = [name for name in config.exclude_rewrites.split(":") if name]
    if unknown := set(names) - {run_pass.__name__ for run_pass in PASSES}:
        listed = ", ".join(dict.fromkeys(run_pass.__name__ for run_pass in PASSES))
        raise ValueError(f"config.exclude_rewrites: there is no rewrite {sorted(unknown)[0]!r}; there are {listed}")
    return names


def _everywhere(run_pass: Pass, graph: Graph, mode: Mode) -> Graph:
    """Return the graph after a pass on it, and then on the graphs that its nodes hold."""

    def on_inner(node: Apply, _: Apply) -> tuple[Variable, ...] | None:
        if not isinstance(node.op, Nested):
            return None
        own = node.op.options.mode if isinstance(node.op, Scan) else None
        inside = mode if own is None else mode.within(own)
        graphs = [_everywhere(run_pass, inner, inside) for inner in node.op.graphs]
        if all(new is old for new, old in zip(graphs, node.op.graphs, strict=True)):
            return None
        return Apply(node.op.with_graphs(graphs), node.inputs, node.where).outputs

    allowed = mode.allows(run_pass.__name__)
    after = rebuild((run_pass(graph) if allowed else None) or graph, on_inner)
    if config.check:
        verify(after, after=run_pass.__name__, types=[v.type for v in graph.outputs])
    return after
