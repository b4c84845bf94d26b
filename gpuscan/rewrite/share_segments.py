"""Run a loop in the segments that its gradient runs it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Options, Scan, open_loop
from gpuscan.loop.segments import in_segments
from gpuscan.rewrite.rebuild import rebuild


def share_segments(graph: Graph) -> Graph | None:
    """Replace a loop by its segments where its gradient has them, so that it does not run once more for its results."""
    parts = {node.op.title for node in graph.nodes if isinstance(node.op, Scan) and node.op.options.part}

    def share(node: Apply, _: Apply) -> Sequence[Variable] | None:
        op = node.op
        if not isinstance(op, Scan) or op.options.checkpoint is None or f"segments of {op.name}" not in parts:
            return None
        if op.stops or any(r.kind not in ("final", "history") for r in op.results):
            return None
        loop = open_loop(node)
        return list(in_segments(replace(loop, options=Options(checkpoint=loop.options.checkpoint))).values())

    shared = rebuild(graph, share, only=[Scan])
    return None if shared is graph else shared
