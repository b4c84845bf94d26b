"""Answer sizes from what a value is computed from, so that it need not be computed for its shape alone."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.rewrite.sizes import size_of
from gpuscan.tensor.shaping import Dim


def sizes_from_inputs(graph: Graph) -> Graph | None:
    """Replace the size of a computed value by sizes of what it is computed from."""

    def answer(node: Apply, _: Apply) -> Sequence[Variable] | None:
        assert isinstance(node.op, Dim)
        size = size_of(node.inputs[0], node.op.axis)
        return None if size.owner is node or _same_dim(size, node) else (size,)

    smaller = rebuild(graph, answer, only=[Dim])
    return None if smaller is graph else smaller


def _same_dim(size: Variable, node: Apply) -> bool:
    return size.owner is not None and size.owner.op == node.op and size.owner.inputs == node.inputs
