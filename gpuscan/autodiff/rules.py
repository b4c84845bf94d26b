"""How each op passes derivatives backwards (`pullback`) and forwards (`pushforward`): one pair of rules an op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import Cotangent, Missing
from gpuscan.autodiff.pointwise import GRADIENTS
from gpuscan.errors import NullTypeGradError
from gpuscan.graph import Apply, Op, Variable
from gpuscan.loop import scan
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.indexing import Gather, Index, New, Range, WriteIndex
from gpuscan.tensor.layout import restore_axes
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo, sum_to
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Repeat, Reshape, Stack, dim, dims
from gpuscan.tensor.sizes import product

Outgoing = Sequence["Variable | Cotangent | Missing | None"]
Pullback = Callable[[Apply, Sequence[Cotangent | None]], Outgoing]
Pushforward = Callable[[Apply, Sequence[Variable | None]], Sequence[Variable | None]]


@dataclass(frozen=True)
class Derivative:
    """The two rules of an op.

    Attributes
    ----------
    pullback : callable
        From a node and what came in for its outputs to what goes out for its inputs; None where nothing does.
    pushforward : callable
        From a node and the tangents of its inputs to those of its outputs; None where one is zero.
    """

    pullback: Pullback
    pushforward: Pushforward


DERIVATIVES: dict[type[Op], Derivative | None] = {}
"""The rules of each op; None for one that has no derivative on purpose."""


def has_derivative(variable: Variable) -> bool:
    """Whether values of this dtype can change continuously."""
    return kind(variable.dtype) in "fc"


def no_rule(node: Apply, why: str = "has no derivative") -> NullTypeGradError:
    """Return the error for an op that derivatives cannot pass."""
    return NullTypeGradError(f"{node.op} {why}; it was made at {node.where}")


def check_not_complex(node: Apply, values: Sequence[Variable]) -> None:
    """Raise NullTypeGradError if a derivative would have to pass a node through complex values."""
    for v in values:
        if kind(v.dtype) == "c":
            raise no_rule(node, f"works on complex numbers ({v.type}), through which derivatives are not taken")


def _register(op: type[Op], pullback: Callable[..., Any], pushforward: Callable[..., Any]) -> None:
    DERIVATIVES[op] = Derivative(pullback, pushforward)


def _linear(op: type[Op], pullback: Callable[[Any, Apply, Variable], Variable]) -> None:
    """Register an op of one output that is linear in its first input and depends on no other continuously."""

    def pull(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
        assert incoming[0] is not None
        return [pullback(node.op, node, incoming[0].total()), *[None] * (len(node.inputs) - 1)]

    def push(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        return [None if tangents[0] is None else node.op(tangents[0], *node.inputs[1:])]

    _register(op, pull, push)


# ---- pointwise ----


def unbroadcast(g: Variable, node: Apply, position: int) -> Variable:
    """Return the cotangent `g` of a pointwise result summed to the shape of one operand.

    An axis along which every other operand is absent or of size 1 cannot have been broadcast for this one.
    """
    x = node.inputs[position]
    others = [v.type.shape for i, v in enumerate(node.inputs) if i != position]
    alone = [all(len(shape) < -axis or shape[axis] == 1 for shape in others) for axis in range(-x.ndim, 0)]
    return sum_to(g, [None if alone[axis] else dim(x, axis) for axis in range(x.ndim)])


def _pull_pointwise(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Pointwise)
    assert incoming[0] is not None
    entry = GRADIENTS[node.op.row]
    if entry is None:
        raise no_rule(node)
    outgoing = entry(incoming[0].total(), node.outputs[0], *node.inputs)
    return [
        g if g is None or isinstance(g, Missing) or not has_derivative(x) else gt.cast(unbroadcast(g, node, i), x.dtype)
        for i, (g, x) in enumerate(zip(outgoing, node.inputs, strict=True))
    ]


def _push_pointwise(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    assert isinstance(node.op, Pointwise)
    entry = GRADIENTS[node.op.row]
    if entry is None:
        raise no_rule(node)
    output = node.outputs[0]
    terms = []
    for i, tangent in enumerate(tangents):
        if tangent is not None and (term := entry(tangent, output, *node.inputs)[i]) is not None:
            if isinstance(term, Missing):
                raise no_rule(node, f"has no derivative by its operand {i}")
            terms.append(gt.cast(term, output.dtype))
    return [_like(sum(terms[1:], terms[0]), output)] if terms else [None]


def _like(tangent: Variable, output: Variable) -> Variable:
    """Return a tangent broadcast to the shape of what it belongs to."""
    same = tangent.ndim == output.ndim and all(
        (t == o and t is not None) or o == 1 for t, o in zip(tangent.type.shape, output.type.shape, strict=True)
    )
    return tangent if same or output.ndim == 0 else tangent + gt.zeros_like(output)


_register(Pointwise, _pull_pointwise, _push_pointwise)
_linear(Cast, lambda op, node, g: gt.cast(g, node.inputs[0].dtype))


# ---- shapes ----


def _undo_dimshuffle(op: DimShuffle, node: Apply, g: Variable) -> Variable:
    return gt.dimshuffle(g, *(op.order.index(a) if a in op.order else "x" for a in range(node.inputs[0].ndim)))


_linear(DimShuffle, _undo_dimshuffle)
_linear(Reshape, lambda op, node, g: Reshape()(g, *dims(node.inputs[0])))
_linear(BroadcastTo, lambda op, node, g: sum_to(g, dims(node.inputs[0])))
_linear(SumTo, lambda op, node, g: gt.broadcast_to(g, dims(node.inputs[0])))


def _undo_repeat(op: Repeat, node: Apply, g: Variable) -> Variable:
    x, counts = node.inputs
    positions = Repeat(0)(gt.arange(dim(x, op.axis)), counts)
    return gt.inc_subtensor(gt.zeros_like(x)[(slice(None),) * op.axis + (positions,)], g)


_linear(Repeat, _undo_repeat)


def _pull_join(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Join)
    assert incoming[0] is not None
    parts = gt.split(incoming[0].total(), [dim(v, node.op.axis) for v in node.inputs], axis=node.op.axis)
    return [gt.cast(part, v.dtype) for part, v in zip(parts, node.inputs, strict=True)]


def _filled(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """Apply a node's op, linear in all its inputs, to their tangents."""
    return [node.op(*(gt.zeros_like(v) if t is None else t for v, t in zip(node.inputs, tangents, strict=True)))]


_register(Join, _pull_join, _filled)


def _pull_stack(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert incoming[0] is not None
    g = incoming[0].total()
    return [gt.cast(g[i], v.dtype) for i, v in enumerate(node.inputs)]


_register(Stack, _pull_stack, _filled)


# ---- reductions ----


def _spread(op: Reduce, node: Apply, g: Variable) -> Variable:
    """Return `g` along the axes that were reduced again, of size 1."""
    return restore_axes(g, op.axes, node.inputs[0].ndim)


def _weights(node: Apply) -> Variable:
    """Return the derivative of a reduction's result by each element."""
    op, x = node.op, node.inputs[0]
    assert isinstance(op, Reduce)
    y = _spread(op, node, node.outputs[0])
    if op.kind in ("max", "min"):
        chosen = gt.cast(gt.eq(x, y), x.dtype)  # equal elements share
        return chosen / gt.sum(chosen, op.axes, keepdims=True)
    return _product_of_others(x, op.axes)


def _product_of_others(x: Variable, axes: Sequence[int]) -> Variable:
    """Return for each element the product of the others along `axes`.

    As products of those before and of those after it: the product of all over the element is neither that nor has its
    derivatives where elements are 0.
    """
    order = (*axes, *(a for a in range(x.ndim) if a not in axes))
    moved = x.dimshuffle(*order)
    sizes = dims(moved)
    rows = gt.reshape(moved, [product(sizes[: len(axes)]), *sizes[len(axes) :]])
    others = _products_before(rows) * _products_before(rows[::-1])[::-1]
    return Reshape()(others, *sizes).dimshuffle(*(order.index(a) for a in range(x.ndim)))


def _products_before(rows: Variable) -> Variable:
    ones = gt.ones(dims(rows, 1), rows.dtype)
    found, _ = scan(lambda row, so_far: [so_far, so_far * row], rows, [None, ones], name="products")
    before: Variable = found[0]
    return before


def _pull_reduce(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    op, x = node.op, node.inputs[0]
    assert isinstance(op, Reduce)
    assert incoming[0] is not None
    g = _spread(op, node, gt.cast(incoming[0].total(), x.dtype))
    return [gt.broadcast_to(g, dims(x)) if op.kind == "sum" else g * _weights(node)]


def _push_reduce(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    op, tangent = node.op, tangents[0]
    assert isinstance(op, Reduce)
    if tangent is None:
        return [None]
    return [gt.sum(tangent if op.kind == "sum" else tangent * _weights(node), op.axes)]


_register(Reduce, _pull_reduce, _push_reduce)


# ---- products ----


def _transposed(x: Variable) -> Variable:
    return gt.swapaxes(x, -1, -2)


def _pull_matmul(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    a, b = node.inputs
    assert incoming[0] is not None
    g = incoming[0].total()
    if a.ndim == 1 and b.ndim == 1:
        outgoing = g * b, g * a
    elif a.ndim <= 2 and b.ndim <= 2:
        by_a = gt.outer(g, b) if b.ndim == 1 else g @ b.T
        by_b = gt.outer(a, g) if a.ndim == 1 else a.T @ g
        outgoing = by_a, by_b
    else:
        outgoing = _pull_batched(a, b, g)
    return [gt.cast(d, v.dtype) if has_derivative(v) else None for d, v in zip(outgoing, node.inputs, strict=True)]


def _pull_batched(a: Variable, b: Variable, g: Variable) -> tuple[Variable, Variable]:
    """Return what goes out for stacks of matrices, of which one side may be a vector."""
    rows = a if a.ndim > 1 else a.dimshuffle("x", 0)
    columns = b if b.ndim > 1 else b.dimshuffle(0, "x")
    g = g if a.ndim > 1 else gt.expand_dims(g, -2 if b.ndim > 1 else -1)
    g = g if b.ndim > 1 else gt.expand_dims(g, -1)
    by_a = sum_to(g @ _transposed(columns), dims(rows))
    by_b = sum_to(_transposed(rows) @ g, dims(columns))
    return by_a if a.ndim > 1 else by_a[0], by_b if b.ndim > 1 else by_b[:, 0]


def _push_matmul(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    a, b = node.inputs
    by_a, by_b = tangents
    terms = ([] if by_a is None else [by_a @ b]) + ([] if by_b is None else [a @ by_b])
    return [sum(terms[1:], terms[0])] if terms else [None]


_register(MatMul, _pull_matmul, _push_matmul)


# ---- indexing ----


def _pull_index(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Index)
    assert incoming[0] is not None
    x, *slots = node.inputs
    if all(item == Range() or isinstance(item, New) for item in node.op.pattern):
        added = [axis for axis, item in enumerate(node.op.pattern) if isinstance(item, New)]
        return [gt.squeeze(incoming[0].total(), added)]
    outgoing = Cotangent(x)
    outgoing.add_part(node.op, tuple(slots), incoming[0].total())
    return [outgoing, *[None] * len(slots)]


def _push_index(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    return [None if tangents[0] is None else node.op(tangents[0], *node.inputs[1:])]


_register(Index, _pull_index, _push_index)


def _pull_write(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    op = node.op
    assert isinstance(op, WriteIndex)
    assert incoming[0] is not None
    g = incoming[0].total()
    _, value, *slots = node.inputs
    part = Index(op.pattern)(g, *slots)
    if op.accumulate:
        return [g, sum_to(part, dims(value)), *[None] * len(slots)]
    if any(isinstance(item, Gather) for item in op.pattern):
        part = gt.switch(_stays(op, g, part, slots), part, 0)
    rest = WriteIndex(op.pattern, False)(g, gt.constant(np.zeros((), g.dtype)), *slots)
    return [rest, sum_to(part, dims(value)), *[None] * len(slots)]


def _stays(op: WriteIndex, g: Variable, part: Variable, slots: Sequence[Variable]) -> Variable:
    """Return for each element written whether it stays: where positions repeat, the last one written does."""
    order = gt.arange(1, gt.size(part) + 1).reshape(dims(part) or [1])
    order = order if part.ndim else order[0]
    written = WriteIndex(op.pattern, False)(gt.zeros_like(g, "int64"), order, *slots)
    return gt.eq(Index(op.pattern)(written, *slots), order)


def _push_write(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    x, value, *slots = node.inputs
    if tangents[0] is None and tangents[1] is None:
        return [None]
    by_x = gt.zeros_like(x) if tangents[0] is None else tangents[0]
    by_value = gt.zeros_like(value) if tangents[1] is None else tangents[1]
    return [node.op(by_x, by_value, *slots)]


_register(WriteIndex, _pull_write, _push_write)


# ---- creation ----


def _pull_arange(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert incoming[0] is not None
    g = incoming[0].total()
    start, _, step = node.inputs
    steps = gt.arange(dim(g, 0))
    by_start = gt.cast(gt.sum(g), start.dtype) if has_derivative(start) else None
    return [by_start, None, gt.cast(gt.sum(g * steps), step.dtype) if has_derivative(step) else None]


def _push_arange(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    output = node.outputs[0]
    terms = [] if tangents[0] is None else [tangents[0] + gt.zeros_like(output)]
    terms += [] if tangents[2] is None else [tangents[2] * gt.arange(dim(output, 0))]
    return [gt.cast(sum(terms[1:], terms[0]), output.dtype)] if terms else [None]


_register(Arange, _pull_arange, _push_arange)

# Sizes are integers; an identity matrix depends on nothing but sizes.
DERIVATIVES[Dim] = None
DERIVATIVES[Eye] = None
