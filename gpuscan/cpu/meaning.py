"""What each op means, on NumPy arrays: one short function per op, slow and plain.

It is the definition that generated code is tested against. An op without an entry means what its rule for generated
code says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from gpuscan.graph import Apply, Constant, Graph, RuleTable, Variable
from gpuscan.host import row_function, write_function
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.guards import Assert, Print, SpecifyShape, checked, of_shape, printed
from gpuscan.tensor.indexing import SLOT, At, Index, New, Pattern, Range, WriteIndex, with_slots
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Repeat, Reshape, Stack

Array = np.ndarray
Meaning = Callable[..., Any]
"""Takes an op, the node and the values of its inputs, and returns those of its outputs."""

MEANINGS: RuleTable[Meaning] = RuleTable()
meaning = MEANINGS.rule
GENERATED: WeakKeyDictionary[Apply, Callable[..., list[Any]]] = WeakKeyDictionary()


def compute(node: Apply, inputs: Sequence[Array]) -> list[Array]:
    """Return the values of a node's outputs, of the dtypes inferred for them, for the values of its inputs."""
    rule = MEANINGS.get(type(node.op))
    results = _generated(node, inputs) if rule is None else [rule(node.op, node, *inputs)]
    return [np.asarray(r).astype(v.dtype, copy=False) for r, v in zip(results, node.outputs, strict=True)]


def _generated(node: Apply, inputs: Sequence[Array]) -> list[Any]:
    if node not in GENERATED:
        parameters = [v if isinstance(v, Constant) else Variable(v.type, v.name, known=v.known) for v in node.inputs]
        given = [v for v in parameters if not isinstance(v, Constant)]
        GENERATED[node] = write_function(Graph(given, node.with_inputs(parameters).outputs)).run
    values = [x for v, x in zip(node.inputs, inputs, strict=True) if not isinstance(v, Constant)]
    return GENERATED[node](*(value[()] if value.ndim == 0 else value for value in values))


# ---- pointwise ----


@meaning(Pointwise)
def _pointwise(op: Pointwise, node: Apply, *operands: Array) -> Any:
    dtypes, _ = op.dtypes(node.inputs)
    return row_function(op.row)(*(x.astype(dtype) for x, dtype in zip(operands, dtypes, strict=True)))


@meaning(Cast)
def _cast(op: Cast, node: Apply, x: Array) -> Any:
    return x.astype(op.dtype)


# ---- sizes and axes ----


def _ints(sizes: Sequence[Array]) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)


@meaning(Dim)
def _dim(op: Dim, node: Apply, x: Array) -> Any:
    return x.shape[op.axis]


@meaning(Stack)
def _stack(op: Stack, node: Apply, *items: Array) -> Any:
    return np.stack(items)


@meaning(Reshape)
def _reshape(op: Reshape, node: Apply, x: Array, *sizes: Array) -> Any:
    return x.reshape(_ints(sizes))


@meaning(DimShuffle)
def _dimshuffle(op: DimShuffle, node: Apply, x: Array) -> Any:
    kept = [axis for axis in op.order if axis is not None]
    moved = x.transpose(kept + op.dropped(x.ndim))
    if set(moved.shape[len(kept) :]) - {1}:
        raise ValueError(f"axes {op.dropped(x.ndim)} of shape {x.shape} are to be dropped; they must have size 1")
    sizes = iter(moved.shape)
    return moved.reshape([1 if axis is None else next(sizes) for axis in op.order])


@meaning(BroadcastTo)
def _broadcast_to(op: BroadcastTo, node: Apply, x: Array, *sizes: Array) -> Any:
    return np.broadcast_to(x, _ints(sizes))


@meaning(Join)
def _join(op: Join, node: Apply, *parts: Array) -> Any:
    return np.concatenate(parts, op.axis)


@meaning(Repeat)
def _repeat(op: Repeat, node: Apply, x: Array, counts: Array) -> Any:
    return np.repeat(x, counts, op.axis)


# ---- creation, reductions, products ----


@meaning(Arange)
def _arange(op: Arange, node: Apply, *bounds: Any) -> Any:
    return np.arange(*(bound[()] for bound in bounds), dtype=op.dtype)


@meaning(Eye)
def _eye(op: Eye, node: Apply, rows: Array, columns: Array, k: Array) -> Any:
    return np.eye(int(rows), int(columns), int(k), op.dtype)


@meaning(Reduce)
def _reduce(op: Reduce, node: Apply, x: Array) -> Any:
    return getattr(x, op.kind)(axis=op.axes[0] if len(op.axes) == 1 else op.axes)


@meaning(MatMul)
def _matmul(op: MatMul, node: Apply, a: Array, b: Array) -> Any:
    return a @ b


# ---- indexing ----


def _subscript(pattern: Pattern, slots: Sequence[Array]) -> tuple[Any, ...]:
    return tuple(_item(item, values) for item, values in with_slots(pattern, slots))


def _item(item: Any, slots: Sequence[Array]) -> Any:
    if isinstance(item, At):
        return int(slots[0]) if slots else item.position
    if isinstance(item, Range):
        given = iter(slots)
        return slice(*(int(next(given)) if bound is SLOT else bound for bound in item.bounds))
    return None if isinstance(item, New) else slots[0]


@meaning(Index)
def _index(op: Index, node: Apply, x: Array, *slots: Array) -> Any:
    return x[_subscript(op.pattern, slots)]


@meaning(WriteIndex)
def _write_index(op: WriteIndex, node: Apply, x: Array, value: Array, *slots: Array) -> Any:
    result, part = x.copy(), _subscript(op.pattern, slots)
    if op.accumulate:
        np.add.at(result, part, value)
    else:
        result[part] = value
    return result


# ---- guards ----


@meaning(Assert)
def _assert(op: Assert, node: Apply, value: Array, *conditions: Array) -> Any:
    return checked(value, op.message, str(node.where), *conditions)


@meaning(Print)
def _print(op: Print, node: Apply, value: Array) -> Any:
    return printed(value[()], op.message, op.attrs)


@meaning(SpecifyShape)
def _specify_shape(op: SpecifyShape, node: Apply, x: Array, *sizes: Array) -> Any:
    return of_shape(x, op.axes, _ints(sizes), str(node.where))
