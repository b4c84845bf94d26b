"""Read sizes of a history from what decides them, so that no row is kept only to be counted."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Scan, open_loop
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.shaping import Dim


def count_steps(graph: Graph) -> Graph | None:
    """Take the number of rows of a history from the loop's length, and a state's other sizes from its initial value.

    A loop with a stop condition is left as it is: how many steps it ran is not known before it has run.
    """

    def read_size(node: Apply, _: Apply) -> Sequence[Variable] | None:
        if not isinstance(node.op, Dim):
            return None
        (history,) = node.inputs
        if history.owner is None or not isinstance(history.owner.op, Scan):
            return None
        loop, result = open_loop(history.owner), history.owner.op.results[history.index]
        if result.kind != "history" or loop.stop is not None:
            return None
        if node.op.axis == 0:
            return [loop.length]
        state = loop.state(result.record)
        return None if state is None else [node.op(state.init)]

    counted = rebuild(graph, read_size)
    return None if counted is graph else counted
