"""Drop what only speaks of derivatives: they have been taken when a function is compiled."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.barrier import Barrier


def drop_barriers(graph: Graph) -> Graph | None:
    """Read through `zero_grad`, `disconnected_grad`, `grad_clip` and `grad_scale`."""

    def drop(node: Apply, _: Apply) -> Sequence[Variable]:
        return node.inputs

    smaller = rebuild(graph, drop, only=[Barrier])
    return None if smaller is graph else smaller
