"""The passes, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from gpuscan.config import config
from gpuscan.graph import Apply, Graph, Nested, Variable, holds_graphs, verify
from gpuscan.loop import Scan
from gpuscan.mode import REWRITES, Mode, check_rewrites, get_mode
from gpuscan.rewrite.cancel_factors import cancel_factors
from gpuscan.rewrite.complement_sigmoids import complement_sigmoids
from gpuscan.rewrite.compose_moves import compose_moves
from gpuscan.rewrite.count_steps import count_steps
from gpuscan.rewrite.drop_barriers import drop_barriers
from gpuscan.rewrite.drop_broadcasts import drop_broadcasts
from gpuscan.rewrite.drop_casts import drop_casts
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.fold_constants import fold_constants
from gpuscan.rewrite.fold_reductions import fold_reductions
from gpuscan.rewrite.gather_one_hot import gather_one_hot
from gpuscan.rewrite.hoist_invariants import hoist_invariants
from gpuscan.rewrite.hoist_products import hoist_products
from gpuscan.rewrite.identities import identities
from gpuscan.rewrite.inline import inline
from gpuscan.rewrite.join_loops import join_loops
from gpuscan.rewrite.keep_last import keep_last
from gpuscan.rewrite.lazy_branches import lazy_branches
from gpuscan.rewrite.merge_emits import merge_emits
from gpuscan.rewrite.merge_equal import merge_equal
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.rewrite.report import PassRun, loop_costs
from gpuscan.rewrite.results_from_length import results_from_length
from gpuscan.rewrite.share_segments import share_segments
from gpuscan.rewrite.simplify_states import simplify_states
from gpuscan.rewrite.sizes_from_inputs import sizes_from_inputs
from gpuscan.rewrite.small_powers import small_powers
from gpuscan.rewrite.smaller_reductions import smaller_reductions
from gpuscan.rewrite.stable_logs import stable_logs
from gpuscan.rewrite.stable_quotients import stable_quotients
from gpuscan.rewrite.stack_past import stack_past
from gpuscan.rewrite.stacks import noting
from gpuscan.rewrite.states_from_rows import states_from_rows
from gpuscan.rewrite.sum_after import sum_after
from gpuscan.rewrite.unroll_loops import unroll_loops
from gpuscan.rewrite.widen_products import widen_products
from gpuscan.rewrite.write_after import write_after

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
    merge_equal,  # early, so that one value is one variable wherever it is looked for below
    merge_emits,  # one run of a loop serves the program and its gradient, though they read different values
    keep_last,  # asks for less of each loop
    drop_unread,  # what nothing asks for any more, and what only that needed
    share_segments,  # one run also for loops that a gradient runs in segments
    unroll_loops,  # before the algebra, which then sees the steps
    # ---- algebra, on graphs and on the steps of loops ----
    fold_constants,
    compose_moves,
    smaller_reductions,  # derivatives sum to the shape of an operand, also where it is that of the result
    drop_broadcasts,
    cancel_factors,  # before quotients of exponentials are read as something else
    stable_quotients,  # before `stable_logs`, which takes the logarithm of what it finds here
    stable_logs,
    complement_sigmoids,  # after derivatives of logarithms have cancelled the sigmoids beside them
    gather_one_hot,
    small_powers,
    drop_casts,
    identities,
    # ---- what that leaves behind ----
    compose_moves,
    smaller_reductions,
    sizes_from_inputs,
    merge_equal,
    merge_emits,
    drop_unread,
    simplify_states,  # what never changes is a non-sequence for the passes below
    write_after,  # before the passes that look for sums: there are more then
    states_from_rows,  # before the input projections go, of which there may be more then
    results_from_length,
    stack_past,  # after unread histories have gone
    widen_products,  # before the next two, which take the joined weights and the input projections out
    hoist_invariants,
    hoist_products,  # after it: rows meet what does not change
    sum_after,  # before the next, which would take from it the histories that a product after the loop reads
    fold_reductions,
    drop_unread,
    join_loops,  # after every pass that changes one loop by itself
    merge_equal,
    lazy_branches,  # late: passes that look at the readers of a value do not see those inside a side
)


REWRITES.update(dict.fromkeys(run_pass.__name__ for run_pass in PASSES))


def optimise(
    graph: Graph,
    mode: Mode | None = None,
    passes: Sequence[Pass] | None = None,
    runs: list[PassRun] | None = None,
) -> Graph:
    """Return a graph with the same meaning that costs less: every pass, on it and on the graphs inside it.

    Passes that `mode` or ``config.exclude_rewrites`` leave out are left out; a loop's own mode counts for its body.

    Parameters
    ----------
    graph : Graph
        What to rewrite.
    mode : Mode, optional
        Which passes to leave out; ``config.mode`` by default.
    passes : sequence of pass, optional
        What to run; `PASSES` by default.
    runs : list of PassRun, optional
        Where to note what each pass did.

    Raises
    ------
    GraphError
        With ``config.check``, naming the pass that broke the graph.
    ValueError
        If ``config.exclude_rewrites`` names no pass.
    """
    mode = get_mode(mode).excluding(*_excluded_everywhere())
    for run_pass in PASSES if passes is None else passes:
        started = perf_counter()
        with noting() as refusals:
            after = _everywhere(run_pass, graph, mode)
        if runs is not None:
            seconds, costs = perf_counter() - started, None if after is graph else loop_costs(after)
            runs.append(PassRun(run_pass.__name__, seconds, costs, tuple(refusals)))
        graph = after
    return graph


def _excluded_everywhere() -> list[str]:
    names = [name for name in config.exclude_rewrites.split(":") if name]
    check_rewrites(names, "config.exclude_rewrites")
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

    after = (run_pass(graph) if mode.allows(run_pass.__name__) else None) or graph
    if any(holds_graphs(type(node.op)) for node in after.nodes):
        after = rebuild(after, on_inner)
    if config.check:
        verify(after, after=run_pass.__name__, types=[v.type for v in graph.outputs])
    return after
