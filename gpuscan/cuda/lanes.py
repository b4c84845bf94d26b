"""Lanes: the elements of a step that never meet each other, so that each can have a thread of its own.

The values of a pointwise step broadcast against each other. Their common shape is that of the lanes: element i of every
result depends only on what stands at position i of its operands, broadcast.

Random states are apart from this: a state is one value, not two elements, and every lane has the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.control import GraphCall, IfElse
from gpuscan.cuda.plan import row_of
from gpuscan.graph import Apply, Constant, Variable, broadcast_shapes, sorted_nodes
from gpuscan.loop import Loop, Scan
from gpuscan.tensor.guards import Assert, Print, SpecifyShape
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle

NEEDS_HOST: dict[type, str] = {
    Scan: "is a loop inside the step",
    IfElse: "computes one side only, which the host chooses",
    GraphCall: "is to stay one node",
    Assert: "stops the loop with a message, which is the host's to raise",
    Print: "prints, which is the host's to do",
}
"""What no kernel does, and why."""


def step_nodes(loop: Loop) -> list[Apply]:
    """Return the nodes of a step that must run: those whose result is not a size known beforehand."""
    nodes: list[Apply] = []
    needed = {v for v in loop.outputs if v.known is None}
    for node in reversed(sorted_nodes(loop.outputs, loop.reads)):
        if any(v in needed for v in node.outputs):
            nodes.append(node)
            needed.update(v for v in operands_of(node) if v.known is None)
    return nodes[::-1]


def operands_of(node: Apply) -> Sequence[Variable]:
    """Return the inputs of a node whose elements it reads; of the others it takes only a size, or a shape."""
    if isinstance(node.op, Draw):
        state, _, parameters = node.op.split(node.inputs)
        return [state, *parameters]
    return node.inputs[:1] if isinstance(node.op, BroadcastTo | SpecifyShape | SumTo) else node.inputs


def random_states(loop: Loop) -> set[Variable]:
    """Return the values of a step that are random states: what draws take and give, and what they are carried as."""
    draws = [node for node in step_nodes(loop) if isinstance(node.op, Draw)]
    found = {v for node in draws for v in (node.inputs[0], node.outputs[0])}
    for state in loop.states:
        carried = {state.next, *state.reads.values()}
        if found & carried:
            found |= carried
    return found


def refuse_lanes(loop: Loop) -> str | None:
    """Return why the step of `loop` does not fall into lanes, None if it does.

    The loop's shapes must be known.
    """
    states = random_states(loop)
    for node in step_nodes(loop):
        if (reason := _mixes(node) or _opens(node, states)) is not None:
            return f"{reason} (made at {node.where})"
    for value in loop.outputs:
        if None in value.type.shape:
            return f"the size of {value!r} depends on values"
    try:
        lane_shape(loop)
    except ValueError as error:
        return str(error)
    return None


def _mixes(node: Apply) -> str | None:
    op = node.op
    if isinstance(op, Pointwise | Cast):
        return None
    if isinstance(op, BroadcastTo):
        unknown = any(size.known is None for size in node.inputs[1:])
        return f"{op} to a size that depends on values" if unknown else None
    if isinstance(op, SumTo):
        # Between values that turned out not to broadcast there is nothing to sum.
        return None if node.inputs[0].type.shape == node.outputs[0].type.shape else "a sum over lanes"
    if isinstance(op, DimShuffle):
        return None if _keeps_alignment(op, node.inputs[0]) else f"{op} moves elements to other lanes"
    if isinstance(op, SpecifyShape):
        # Sizes were compared when the types were worked out, if they were known then.
        unknown = any(size.known is None for size in node.inputs[1:])
        return f"{op}: the size promised depends on values" if unknown else None
    if isinstance(op, Dim):
        return f"{op} of a shape that depends on values"
    if isinstance(op, Draw):
        return _refuse_draw(op, node)
    return f"{op} {NEEDS_HOST.get(type(op), 'mixes lanes')}"


def _refuse_draw(op: Draw, node: Apply) -> str | None:
    if op.spec.c is None:
        return f"a thread cannot draw {op} by itself"
    unknown = any(size.known is None for size in op.split(node.inputs)[1])
    return f"{op} of a size that depends on values" if unknown else None


def _opens(node: Apply, states: set[Variable]) -> str | None:
    operands = operands_of(node)[1:] if isinstance(node.op, Draw) else operands_of(node)
    return f"{node.op} computes with a random state" if any(v in states for v in operands) else None


def _keeps_alignment(op: DimShuffle, x: Variable) -> bool:
    """Whether every kept axis of more than one element stays as far from the last axis as it was."""
    ndim = len(op.order)
    return all(
        axis is None or x.type.shape[axis] == 1 or ndim - position == x.ndim - axis
        for position, axis in enumerate(op.order)
    )


def lane_shape(loop: Loop) -> tuple[int, ...]:
    """Return the sizes of the axes of the lanes."""
    values = {v for node in step_nodes(loop) for v in (*operands_of(node), *node.outputs)}
    values.update(loop.outputs, loop.reads)
    shapes = [row_of(v) for v in values - random_states(loop)]
    return tuple(size for size in broadcast_shapes(shapes) if size is not None)


def strides_in(shape: Sequence[int], lanes: Sequence[int]) -> tuple[int, ...]:
    """Return for each axis of the lanes how far apart, in elements, neighbours along it are in an array of `shape`.

    It is 0 along axes that the array lacks or has size 1 along, where all lanes read the same element.
    """
    strides = [0] * len(lanes)
    step = 1
    for axis in range(-1, -len(shape) - 1, -1):
        if shape[axis] != 1:
            strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def is_literal(variable: Variable) -> bool:
    """Whether a value is written into the text as a number."""
    return variable.known is not None or (isinstance(variable, Constant) and variable.data.size == 1)
