"""The passes, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpuscan.config import config
from gpuscan.graph import Apply, Graph, Variable, verify
from gpuscan.loop import Scan
from gpuscan.mode import Mode, get_mode
from gpuscan.rewrite.count_steps import count_steps
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.keep_last import keep_last
from gpuscan.rewrite.merge_equal import merge_equal
from gpuscan.rewrite.rebuild import rebuild

Pass = Callable[[Graph], Graph | None]

PASSES: tuple[Pass, ...] = (
    merge_equal,  # first, so that reads of one loop built twice are seen as reads of one loop
    count_steps,  # a size asked of a history is no read of its rows
    keep_last,  # asks for less of each loop
    drop_unread,  # what is asked for no longer goes, and with it what only that needed
)


def optimise(graph: Graph, mode: Mode | None = None) -> Graph:
    """Return a graph with the same meaning that costs less: every pass, on it and on the bodies of its loops.

    Passes that `mode` or ``config.exclude_rewrites`` leave out are left out; a loop's own mode counts for its body.

    Raises
    ------
    GraphError
        With ``config.check``, naming the pass that broke the graph.
    ValueError
        If ``config.exclude_rewrites`` names no pass.
    """
    mode = get_mode(mode).excluding(*_excluded_everywhere())
    for run_pass in PASSES:
        graph = _everywhere(run_pass, graph, mode)
    return graph


def _excluded_everywhere() -> list[str]:
    names = [name for name in config.exclude_rewrites.split(":") if name]
    if unknown := set(names) - {run_pass.__name__ for run_pass in PASSES}:
        listed = ", ".join(dict.fromkeys(run_pass.__name__ for run_pass in PASSES))
        raise ValueError(f"config.exclude_rewrites: there is no rewrite {sorted(unknown)[0]!r}; there are {listed}")
    return names


def _everywhere(run_pass: Pass, graph: Graph, mode: Mode) -> Graph:
    """Return the graph after a pass on it, and then on the body of each of its loops."""

    def on_body(node: Apply, _: Apply) -> tuple[Variable, ...] | None:
        if not isinstance(node.op, Scan):
            return None
        inner = mode if node.op.options.mode is None else mode.within(node.op.options.mode)
        body = _everywhere(run_pass, node.op.body, inner)
        return None if body is node.op.body else Apply(replace(node.op, body=body), node.inputs, node.where).outputs

    allowed = mode.allows(run_pass.__name__)
    after = rebuild((run_pass(graph) if allowed else None) or graph, on_body)
    if config.check:
        verify(after, after=run_pass.__name__, types=[v.type for v in graph.outputs])
    return after
