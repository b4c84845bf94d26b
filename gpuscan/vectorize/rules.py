"""How each op is done for a batch: one rule per op."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.control import GraphCall, IfElse, close_branches
from gpuscan.graph import Apply, Constant, Graph, Variable
from gpuscan.loop import Scan
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.elementwise import floor_div, switch
from gpuscan.tensor.guards import Assert, Print, SpecifyShape
from gpuscan.tensor.indexing import Index, Mask, Pattern, Range, WriteIndex, with_slots
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Repeat, Reshape, Stack, dim, dims
from gpuscan.tensor.sizes import product
from gpuscan.vectorize.batch import Batch, differs, is_batched, refuse_batched, shuffled, vectorize_rule
from gpuscan.vectorize.loops import BatchedLoop
from gpuscan.vectorize.parts import Part

Values = Sequence[Variable]

# ---- pointwise ----


@vectorize_rule(Pointwise)
def _pointwise(batch: Batch, op: Pointwise, node: Apply, inputs: Values) -> Values:
    ndim = max(v.ndim for v in node.inputs)
    return op.apply(*(batch.align(old, new, ndim) for old, new in zip(node.inputs, inputs, strict=True)))


@vectorize_rule(Cast)
def _cast(batch: Batch, op: Cast, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)


# ---- sizes and axes ----


@vectorize_rule(Dim)
def _dim(batch: Batch, op: Dim, node: Apply, inputs: Values) -> Values:
    return [dim(inputs[0], op.axis + batch.ndim)]


@vectorize_rule(Stack)
def _stack(batch: Batch, op: Stack, node: Apply, inputs: Values) -> Values:
    full = [batch.spread(old, new) for old, new in zip(node.inputs, inputs, strict=True)]
    return Join(batch.ndim).apply(*(DimShuffle((*batch.axes, None))(v) for v in full))


@vectorize_rule(Reshape)
def _reshape(batch: Batch, op: Reshape, node: Apply, inputs: Values) -> Values:
    x, *sizes = inputs
    refuse_batched(node, node.inputs[1:], sizes, "a size")
    known = [size.known for size in sizes]
    if -1 in known:  # said outright: beside a batch of size 0 it could be any number
        rest = known.index(-1)
        others = product([size for i, size in enumerate(sizes) if i != rest])
        whole = product(dims(x, batch.ndim))
        sizes[rest] = whole if others.known == 1 else floor_div(whole, others)
    return op.apply(x, *batch.sizes, *sizes)


@vectorize_rule(DimShuffle)
def _dimshuffle(batch: Batch, op: DimShuffle, node: Apply, inputs: Values) -> Values:
    return DimShuffle((*batch.axes, *(None if a is None else a + batch.ndim for a in op.order))).apply(inputs[0])


@vectorize_rule(SumTo)
def _sum_to(batch: Batch, op: SumTo, node: Apply, inputs: Values) -> Values:
    x, *sizes = inputs
    refuse_batched(node, node.inputs[1:], sizes, "a size")
    extra = node.inputs[0].ndim - len(sizes)
    summed = Reduce("sum", tuple(batch.ndim + a for a in range(extra)))(x) if extra else x
    return op.apply(summed, *batch.sizes, *sizes)


@vectorize_rule(Barrier)
def _barrier(batch: Batch, op: Barrier, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)


@vectorize_rule(BroadcastTo)
def _broadcast_to(batch: Batch, op: BroadcastTo, node: Apply, inputs: Values) -> Values:
    x, *sizes = inputs
    refuse_batched(node, node.inputs[1:], sizes, "a size")
    return op.apply(batch.align(node.inputs[0], x, len(sizes)), *batch.sizes, *sizes)


@vectorize_rule(Join)
def _join(batch: Batch, op: Join, node: Apply, inputs: Values) -> Values:
    parts = [batch.spread(old, new) for old, new in zip(node.inputs, inputs, strict=True)]
    return Join(op.axis + batch.ndim).apply(*parts)


@vectorize_rule(Repeat)
def _repeat(batch: Batch, op: Repeat, node: Apply, inputs: Values) -> Values:
    refuse_batched(node, node.inputs[1:], inputs[1:], "the counts")
    return Repeat(op.axis + batch.ndim).apply(*inputs)


# ---- creation, reductions, products ----


@vectorize_rule(Arange)
def _arange(batch: Batch, op: Arange, node: Apply, inputs: Values) -> Values:
    differs(node, "the length")


@vectorize_rule(Eye)
def _eye(batch: Batch, op: Eye, node: Apply, inputs: Values) -> Values:
    differs(node, "the size or the diagonal")


@vectorize_rule(Reduce)
def _reduce(batch: Batch, op: Reduce, node: Apply, inputs: Values) -> Values:
    return Reduce(op.kind, tuple(a + batch.ndim for a in op.axes)).apply(*inputs)


@vectorize_rule(MatMul)
def _matmul(batch: Batch, op: MatMul, node: Apply, inputs: Values) -> Values:
    (old_a, old_b), (a, b) = node.inputs, inputs
    if not is_batched(old_b, b) and b.ndim <= 2:
        return [_rows_times(op, a, b)]
    if not is_batched(old_a, a) and a.ndim == 2 and old_b.ndim == 1:
        return [_rows_times(op, b, shuffled(a, [1, 0]))]
    ndim = max(old_a.ndim, old_b.ndim, 2)
    whole = op(_matrices(batch, old_a, a, ndim, 0), _matrices(batch, old_b, b, ndim, 1))
    dropped = [whole.ndim - 2] * (old_a.ndim == 1) + [whole.ndim - 1] * (old_b.ndim == 1)
    return [shuffled(whole, [axis for axis in range(whole.ndim) if axis not in dropped])]


def _rows_times(op: MatMul, a: Variable, b: Variable) -> Variable:
    """Return all rows of `a` times one matrix or vector: one product of two matrices, however many axes `a` has."""
    if a.ndim <= 2:
        return op(a, b)
    sizes = dims(a)
    flat = op(Reshape()(a, product(sizes[:-1]), sizes[-1]), b)
    return Reshape()(flat, *sizes[:-1], *dims(b, 1))


def _matrices(batch: Batch, old: Variable, new: Variable, ndim: int, place: int) -> Variable:
    """Return an operand of a product as matrices, a vector as one row (`place` 0) or column (1), with its axes aligned.

    `ndim` is the rank that the operands have without the batch.
    """
    front = batch.axes if is_batched(old, new) else ()
    own: list[int | None] = [len(front) + axis for axis in range(old.ndim)]
    if old.ndim == 1:
        own.insert(place, None)
    return shuffled(new, [*front, *[None] * (ndim - len(own) if front else 0), *own])


# ---- indexing ----


def _check_pattern(node: Apply, pattern: Pattern, olds: Values, news: Values) -> None:
    given = iter(news)
    for item, slots in with_slots(pattern, olds):
        fresh = [next(given) for _ in slots]
        if isinstance(item, Range | Mask):
            refuse_batched(node, slots, fresh, "a bound" if isinstance(item, Range) else "the mask")


@vectorize_rule(Index)
def _index(batch: Batch, op: Index, node: Apply, inputs: Values) -> Values:
    (old, *old_slots), (x, *slots) = node.inputs, inputs
    _check_pattern(node, op.pattern, old_slots, slots)
    return [Part(batch, op.pattern, old_slots, slots, is_batched(old, x)).read(x)]


@vectorize_rule(WriteIndex)
def _write_index(batch: Batch, op: WriteIndex, node: Apply, inputs: Values) -> Values:
    (old, old_value, *old_slots), (x, value, *slots) = node.inputs, inputs
    _check_pattern(node, op.pattern, old_slots, slots)
    part = Part(batch, op.pattern, old_slots, slots, True)
    whole = batch.spread(old, x)
    return WriteIndex(part.pattern, op.accumulate).apply(whole, part.arrange(old_value, value), *part.slots)


# ---- guards ----


@vectorize_rule(Assert)
def _assert(batch: Batch, op: Assert, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)  # it must hold for every element of the batch


@vectorize_rule(Print)
def _print(batch: Batch, op: Print, node: Apply, inputs: Values) -> Values:
    return op.apply(*inputs)


@vectorize_rule(SpecifyShape)
def _specify_shape(batch: Batch, op: SpecifyShape, node: Apply, inputs: Values) -> Values:
    refuse_batched(node, node.inputs[1:], inputs[1:], "a size")
    return SpecifyShape(tuple(a + batch.ndim for a in op.axes)).apply(*inputs)


# ---- graphs inside ----


@vectorize_rule(IfElse)
def _ifelse(batch: Batch, op: IfElse, node: Apply, inputs: Values) -> Values:
    condition, *captured = inputs
    then, otherwise = (batch.rebuild(g.outputs, dict(zip(g.parameters, captured, strict=True))) for g in op.graphs)
    for i, old in enumerate(node.outputs):
        if condition.ndim or is_batched(old, then[i]) or is_batched(old, otherwise[i]):
            then[i], otherwise[i] = batch.spread(old, then[i]), batch.spread(old, otherwise[i])
    if condition.ndim:
        # Some elements of the batch want one side, some the other.
        chosen = (batch.align(node.inputs[0], condition, old.ndim) for old in node.outputs)
        return [switch(c, a, b) for c, a, b in zip(chosen, then, otherwise, strict=True)]
    return close_branches(condition, [*captured, *batch.sizes], then, otherwise, op.title, node.where).outputs


@vectorize_rule(GraphCall)
def _call(batch: Batch, op: GraphCall, node: Apply, inputs: Values) -> Values:
    outputs = batch.rebuild(op.graph.outputs, dict(zip(op.graph.parameters, inputs, strict=True)))
    given = list(dict.fromkeys(v for v in (*inputs, *batch.sizes) if not isinstance(v, Constant)))
    return Apply(GraphCall(Graph.close(given, outputs), op.inline, op.title), given, node.where).outputs


@vectorize_rule(Scan)
def _scan(batch: Batch, op: Scan, node: Apply, inputs: Values) -> Values:
    return BatchedLoop(batch, node, inputs).results()
