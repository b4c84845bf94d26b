"""Which sizes depend on values, and so may differ from step to step."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.control import IfElse
from gpuscan.graph import Apply, Constant, Nested, Variable, sorted_nodes
from gpuscan.loop import Scan
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.indexing import Index, Mask, Range, with_slots
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.shaping import BroadcastTo, Dim, Repeat, Reshape


def has_computed_size(outputs: Sequence[Variable]) -> bool:
    """Whether a size of something that `outputs` are computed from depends on values, not on shapes alone."""
    from_values: set[Variable] = set()
    for node in sorted_nodes(outputs):
        reads_values = any(v in from_values or (v.owner is None and not isinstance(v, Constant)) for v in node.inputs)
        if isinstance(node.op, Dim):
            continue
        if reads_values:
            from_values.update(node.outputs)
        if any(v in from_values or (v.owner is None and v.known is None) for v in _sizes(node) if v.known is None):
            return True
        if isinstance(node.op, Nested) and any(has_computed_size(inner.outputs) for inner in node.op.graphs):
            return True
    return False


def _sizes(node: Apply) -> Sequence[Variable]:
    """Return the inputs of a node that sizes of its output depend on."""
    if isinstance(node.op, Reshape | BroadcastTo | Repeat):
        return node.inputs[1:]
    if isinstance(node.op, Arange | Eye):
        return node.inputs
    if isinstance(node.op, Draw):
        return node.op.split(node.inputs)[1]
    if isinstance(node.op, Scan):
        return node.inputs[:1]
    if isinstance(node.op, IfElse):
        return node.inputs[:1] if any(None in v.type.shape for v in node.outputs) else ()
    if isinstance(node.op, Index):
        items = with_slots(node.op.pattern, node.inputs[1:])
        return [v for item, slots in items for v in slots if isinstance(item, Range | Mask)]
    return ()
