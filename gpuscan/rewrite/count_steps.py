"""Read sizes of a history from what decides them, so that no row is kept only to be counted."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Loop, Result, Scan, read_loop
from gpuscan.rewrite.bodies import sizes_outside
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.shaping import Dim


def count_steps(graph: Graph) -> Graph | None:
    """Take the number of rows of a history from the loop's length, and its other sizes from what it starts from.

    Those of an emit are taken from the arrays that a step computes it from, where their sizes decide them.
    The number of steps that a loop with a stop condition ran is a result of the loop itself.
    """

    def read_size(node: Apply, _: Apply) -> Sequence[Variable] | None:
        assert isinstance(node.op, Dim)
        (history,) = node.inputs
        if history.owner is None or not isinstance(history.owner.op, Scan):
            return None
        loop, result = read_loop(history.owner), history.owner.op.results[history.index]
        if result.kind != "history":
            return None
        if node.op.axis == 0:
            return _steps(history.owner, loop)
        if (state := loop.state(result.record)) is not None:
            return [node.op(state.init)]
        sizes = sizes_outside(loop, loop.value_of(result.record))
        return None if sizes is None else [sizes[node.op.axis - 1]]

    counted = rebuild(graph, read_size, only=[Dim])
    return None if counted is graph else counted


def _steps(node: Apply, loop: Loop) -> Sequence[Variable] | None:
    """Return the number of steps that the loop of a node runs, if it can be told without the rows."""
    if loop.stop is None:
        return [loop.length]
    if Result("steps") not in loop.results:
        return None
    return [node.outputs[loop.results.index(Result("steps"))]]
