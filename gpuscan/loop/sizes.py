"""Which sizes depend on values, and so may differ from step to step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gpuscan.control import GraphCall, IfElse
from gpuscan.graph import Apply, Constant, Nested, Variable, sorted_nodes
from gpuscan.loop.op import Scan, read_loop
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.indexing import Index, Mask, Range, WriteIndex, with_slots
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
        if _is_sized_inside(node):
            return True
    return False


def _is_sized_inside(node: Apply) -> bool:
    """Whether a graph that a node holds computes a size, or how many rows there are."""
    if isinstance(node.op, Scan) and node.op.stops and any(result.is_kept for result in node.op.results):
        return True
    return isinstance(node.op, Nested) and any(has_computed_size(inner.outputs) for inner in node.op.graphs)


def of_varying_shape(nodes: Iterable[Apply], rows: Collection[Variable]) -> set[Variable]:
    """Return the values of a step that may have another shape at the next one.

    Parameters
    ----------
    nodes : iterable of Apply
        Those of the step, in order.
    rows : collection of Variable
        What the step reads that may have other elements then, and has the same shape.
    """
    elements, shapes = set(rows), set[Variable]()
    for node in nodes:
        has_new_inputs = any(v in shapes for v in node.inputs)
        if has_new_inputs or (not isinstance(node.op, Dim) and any(v in elements for v in node.inputs)):
            elements.update(node.outputs)
        if has_new_inputs or _is_sized_inside(node) or any(v in elements and v.known is None for v in _sizes(node)):
            shapes.update(v for v in node.outputs if None in v.type.shape)
    return shapes


def sizing_values(outputs: Sequence[Variable]) -> set[Variable]:
    """Return the given values that decide a size or a length somewhere between them and `outputs`.

    Sizes of what is given count as known.
    """
    found: set[Variable] = set()
    seen: set[Variable] = set()
    nodes = sorted_nodes(outputs)
    todo = [v for node in nodes for v in (*_sizes(node), *_bounds_written(node), *_sizing_inputs(node))]
    while todo:
        v = todo.pop()
        if v in seen or v.known is not None or isinstance(v, Constant):
            continue
        seen.add(v)
        if v.owner is None:
            found.add(v)
        elif not isinstance(v.owner.op, Dim):
            todo += v.owner.inputs
    return found


def _sizing_inputs(node: Apply) -> Sequence[Variable]:
    """Return the inputs of a node that sizes inside the graphs it holds depend on."""
    if isinstance(node.op, Scan):
        loop = read_loop(node)
        inside = sizing_values(loop.outputs)
        return [n.source for n in loop.non_sequences if n.read in inside]
    if not isinstance(node.op, IfElse | GraphCall):
        return ()
    inputs = node.inputs[1:] if isinstance(node.op, IfElse) else node.inputs
    found: list[Variable] = []
    for graph in node.op.graphs:
        sizing = sizing_values(graph.outputs)
        found += [v for v, inside in zip(inputs, graph.parameters, strict=True) if inside in sizing]
    return found


def _bounds_written(node: Apply) -> Sequence[Variable]:
    """Return the inputs of a node that say between which bounds it writes."""
    if not isinstance(node.op, WriteIndex):
        return ()
    items = with_slots(node.op.pattern, node.inputs[2:])
    return [v for item, slots in items for v in slots if isinstance(item, Range)]


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
