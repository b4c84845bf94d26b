"""How each op is said in NumPy's words: one rule per op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuscan.control import GraphCall, IfElse
from gpuscan.graph import Apply, Constant, Graph, RuleTable, Variable
from gpuscan.host.arrays import NUMPY
from gpuscan.host.random import write_draw
from gpuscan.host.shared_factors import LEAST_RIGHT_SIDE, stacked_products
from gpuscan.host.writer import Writer
from gpuscan.loop import Scan
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.guards import Assert, Print, SpecifyShape, checked, of_shape, printed
from gpuscan.tensor.indexing import SLOT, At, Gather, Index, New, Pattern, Range, WriteIndex, with_slots
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Repeat, Reshape, Stack

BY_SCIPY = frozenset(
    [
        *("erf", "erfc", "erfcx", "erfinv", "ndtr", "ndtri", "gamma", "gammaln", "gammainc", "gammaincc"),
        *("digamma", "polygamma", "betaln", "i0", "i1"),
    ]
)
"""Rows of the pointwise table that SciPy computes in float64 where operands are of float16, or of two dtypes."""

SMALLEST: dict[str, Callable[..., Any]] = {"minimum": min, "maximum": max}
"""Python's functions for NumPy's; loops ask with them how many steps they run."""

MADE_ONCE = 2**17
"""Bytes of an `arange` of constants up to which one serves all calls."""

Rule = Callable[[Writer, Any, Apply], str]
"""Returns the expression of a node's output; of several, one that unpacks into them."""

RULES: RuleTable[Rule] = RuleTable()
rule = RULES.rule


def write_node(w: Writer, node: Apply, uses: Counter[Variable]) -> None:
    """Write the statements for one node."""
    op = node.op
    if isinstance(op, Scan):
        w.write_scan(w, node)
        return
    if isinstance(op, Draw):
        write_draw(w, op, node)
        return
    if isinstance(op, IfElse):
        _ifelse(w, op, node)
        return
    if isinstance(op, GraphCall):
        _call(w, op, node)
        return
    output = node.outputs[0]
    if isinstance(op, Pointwise | Cast):
        template = _pointwise(w, op, node)
        w.compute(output, template, node.inputs, inline=uses[output] == 1)
    elif type(op) in RULES:
        w.unpack(node.outputs, RULES[type(op)](w, op, node))
    else:
        raise NotImplementedError(f"{op} (made at {node.where}) has no rule for {w.arrays.name}")


def _pointwise(w: Writer, op: Pointwise | Cast, node: Apply) -> str:
    output = node.outputs[0]
    is_scalar = output.ndim == 0 and (w.arrays is NUMPY or w.is_host(output))
    if isinstance(op, Cast):
        return f"{_scalar_type(w, output)}({{0}})" if is_scalar else f"{{0}}.astype({op.dtype!r})"
    if op.row == "switch" and is_scalar:
        # Far quicker than numpy.where on scalars, which also makes arrays of rank 0.
        chosen = "({1} if {0} else {2})"
        same = all(v.dtype == output.dtype for v in node.inputs[1:])
        return chosen if same else f"{_scalar_type(w, output)}{chosen}"
    if op.row in SMALLEST and is_scalar and kind(output.dtype) in "iu" and len({v.dtype for v in node.inputs}) == 1:
        # A third of the time of NumPy's; of integers, which have no NaN, it is the same.
        return f"{w.bind(SMALLEST[op.row], 'M')}({{0}}, {{1}})"
    if op.row in BY_SCIPY and (output.dtype == "float16" or any(v.dtype != output.dtype for v in node.inputs)):
        convert = f"{_scalar_type(w, output)}({{0}})" if is_scalar else f"({{0}}).astype({output.dtype!r})"
        return convert.format(op.spec.numpy)
    if op.row in ("mod", "floor_div") and w.arrays is not NUMPY and not is_scalar and kind(output.dtype) == "f":
        return f"float_{op.row}({{0}}, {{1}})"
    if op.row.startswith("logical_") and w.arrays is not NUMPY:
        # CuPy has none of these for complex numbers.
        operands = [f"({{{i}}} != 0)" if kind(v.dtype) == "c" else f"{{{i}}}" for i, v in enumerate(node.inputs)]
        return op.spec.numpy.format(*operands)
    return op.spec.numpy


def _scalar_type(w: Writer, variable: Variable) -> str:
    # A capital letter, so that it is not taken for a function of the array module.
    return w.bind(np.dtype(variable.dtype).type, "T")


# ---- graphs inside ----


def _ifelse(w: Writer, op: IfElse, node: Apply) -> None:
    _name_all(w, node.inputs[1:])
    results = [w.fresh() for _ in node.outputs]
    for head, graph in ((f"if {w.value(node.inputs[0])}:", op.then), ("else:", op.otherwise)):
        with w.block(head):
            _inner(w, graph, node.inputs[1:])
            w.line(f"{''.join(f'{r}, ' for r in results)}= {''.join(f'{w.array(v)}, ' for v in graph.outputs)}")
    for output, result in zip(node.outputs, results, strict=True):
        w.name(output, result)


def _call(w: Writer, op: GraphCall, node: Apply) -> None:
    _name_all(w, node.inputs)
    _inner(w, op.graph, node.inputs)
    for output, result in zip(node.outputs, op.graph.outputs, strict=True):
        text = w.array(result)
        if text.isidentifier():
            w.name(output, text)
        else:
            w.assign(output, text)


def _name_all(w: Writer, inputs: Sequence[Variable]) -> None:
    """Have inputs of a graph inside as names: it may use them more than once, or not at all."""
    for v in inputs:
        w.named(v)


def _inner(w: Writer, graph: Graph, inputs: Sequence[Variable]) -> None:
    for parameter, v in zip(graph.parameters, inputs, strict=True):
        w.name(parameter, w.array(v))
    w.write_nodes(graph.nodes, graph.outputs)


# ---- sizes ----


def _sizes(w: Writer, sizes: Sequence[Variable]) -> str:
    return "(" + "".join(f"{text}, " for text in _host_numbers(w, sizes)).rstrip(" ") + ")"


def _host_numbers(w: Writer, scalars: Sequence[Variable]) -> list[str]:
    """Return the expressions of scalars that decide sizes: the host waits for those that a GPU computes."""
    return [w.value(v) if w.arrays is NUMPY or w.is_host(v) else f"{w.value(v)}.item()" for v in scalars]


@rule(Dim)
def _dim(w: Writer, op: Dim, node: Apply) -> str:
    return f"{w.function('int64', host=True)}({w.value(node.inputs[0])}.shape[{op.axis}])"


@rule(Stack)
def _stack(w: Writer, op: Stack, node: Apply) -> str:
    host = w.is_host(node.outputs[0])
    items = ", ".join(w.values(node.inputs))
    if host or all(w.is_host(v) for v in node.inputs) or w.arrays is NUMPY:
        return f"{w.function('array', host=host)}([{items}], {node.outputs[0].dtype!r})"
    as_arrays = ", ".join(f"{w.function('asarray')}({text})" for text in w.values(node.inputs))
    return f"{w.function('stack')}([{as_arrays}])"


@rule(Reshape)
def _reshape(w: Writer, op: Reshape, node: Apply) -> str:
    x, *sizes = node.inputs
    return w.element(node, f"{w.array(x)}.reshape({_sizes(w, sizes)})")


@rule(DimShuffle)
def _dimshuffle(w: Writer, op: DimShuffle, node: Apply) -> str:
    x = node.inputs[0]
    text = w.array(x)
    if dropped := op.dropped(x.ndim):
        text = f"{text}.squeeze({tuple(dropped)})"
    kept = [axis for axis in op.order if axis is not None]
    if kept != sorted(kept):
        ranks = sorted(kept)
        text = f"{text}.transpose({tuple(ranks.index(axis) for axis in kept)})"
    if None in op.order:
        text = f"{text}[{', '.join('None' if axis is None else ':' for axis in op.order)}]"
    return w.element(node, text)


@rule(BroadcastTo)
def _broadcast_to(w: Writer, op: BroadcastTo, node: Apply) -> str:
    x, *sizes = node.inputs
    if x.ndim == 0:
        # A real array, quicker to make than a broadcast view and quicker to read.
        if isinstance(x, Constant) and not any(x.data.tobytes()):  # not -0.0
            return f"{w.function('zeros')}({_sizes(w, sizes)}, {x.dtype!r})"
        return f"{w.function('full')}({_sizes(w, sizes)}, {w.value(x)}, {x.dtype!r})"
    return f"{w.function('broadcast_to')}({w.value(x)}, {_sizes(w, sizes)})"


@rule(Join)
def _join(w: Writer, op: Join, node: Apply) -> str:
    return f"{w.function('concatenate')}(({', '.join(w.array(v) for v in node.inputs)},), {op.axis})"


@rule(Repeat)
def _repeat(w: Writer, op: Repeat, node: Apply) -> str:
    x, counts = node.inputs
    # CuPy takes a list only; and so the host waits, as the size of the result needs.
    listed = w.bind(counts.data.tolist(), "c") if isinstance(counts, Constant) else f"{w.value(counts)}.tolist()"
    return f"{w.function('repeat')}({w.value(x)}, {listed}, {op.axis})"


# ---- creation ----


@rule(Arange)
def _arange(w: Writer, op: Arange, node: Apply) -> str:
    (output,) = node.outputs
    size = output.type.size
    bounds = [v.known for v in node.inputs if v.known is not None]
    is_small = size is not None and size * np.dtype(op.dtype).itemsize <= MADE_ONCE
    if w.arrays is NUMPY and is_small and len(bounds) == len(node.inputs):
        return w.made_once(output, np.arange(*bounds, dtype=op.dtype))
    return f"{w.function('arange')}({', '.join(_host_numbers(w, node.inputs))}, dtype={op.dtype!r})"


@rule(Eye)
def _eye(w: Writer, op: Eye, node: Apply) -> str:
    rows, columns, k = (f"int({text})" for text in _host_numbers(w, node.inputs))
    return f"{w.function('eye')}({rows}, {columns}, {k}, {op.dtype!r})"


@rule(Barrier)
def _barrier(w: Writer, op: Barrier, node: Apply) -> str:
    return w.value(node.inputs[0])


# ---- reductions and products ----


@rule(Reduce)
def _reduce(w: Writer, op: Reduce, node: Apply) -> str:
    x = node.inputs[0]
    every = len(op.axes) == x.ndim and x.ndim > 1
    axis = "" if every else str(op.axes[0]) if len(op.axes) == 1 else str(op.axes)
    return f"{w.array(x)}.{op.kind}({axis})"


@rule(SumTo)
def _sum_to(w: Writer, op: SumTo, node: Apply) -> str:
    x, *sizes = node.inputs
    return f"{w.helper(sum_to)}({w.array(x)}, {_sizes(w, sizes)})"


def sum_to(x: Any, sizes: tuple[int, ...]) -> Any:
    """Return the array `x` summed to `sizes`, from which it was broadcast."""
    if x.shape == sizes:
        return x
    extra = x.ndim - len(sizes)
    axes = [axis for axis, size in enumerate(sizes, start=extra) if size == 1 != x.shape[axis]]
    return x.sum((*range(extra), *axes), keepdims=True).reshape(sizes)


@rule(MatMul)
def _matmul(w: Writer, op: MatMul, node: Apply) -> str:
    a, b = w.values(node.inputs)
    return f"{a} @ {b}" if w.arrays is NUMPY else f"{w.function('matmul')}({a}, {b})"


def write_products(w: Writer, nodes: Sequence[Apply]) -> None:
    """Write the statement for products of several matrices with one."""
    lefts = [w.named(node.inputs[0]) for node in nodes]
    right = w.named(nodes[0].inputs[1])
    together = f"{w.helper(stacked_products)}({right}, {', '.join(lefts)})"
    apart = ", ".join(f"{left} @ {right}" for left in lefts)
    w.unpack([n.outputs[0] for n in nodes], f"{together} if {right}.size > {LEAST_RIGHT_SIDE} else ({apart})")


# ---- indexing ----


def _subscript(w: Writer, pattern: Pattern, slots: Sequence[Variable]) -> str:
    parts = []
    for item, inputs in with_slots(pattern, slots):
        if isinstance(item, At):
            parts.append(w.value(inputs[0]) if inputs else str(item.position))
        elif isinstance(item, Range):
            symbolic = iter(_host_numbers(w, inputs))
            bounds = ["" if b is None else next(symbolic) if b is SLOT else str(b) for b in item.bounds]
            parts.append(":".join(bounds) if bounds[2] else ":".join(bounds[:2]))
        elif isinstance(item, New):
            parts.append("None")
        else:
            parts.append(w.value(inputs[0]))
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    return ", ".join(parts) or "()"


@rule(Index)
def _index(w: Writer, op: Index, node: Apply) -> str:
    x, *slots = node.inputs
    return f"{w.array(x)}[{_subscript(w, op.pattern, slots)}]"


@rule(WriteIndex)
def _write_index(w: Writer, op: WriteIndex, node: Apply) -> str:
    x, value, *slots = node.inputs
    copy = w.fresh()
    w.line(f"{copy} = {w.function('array')}({w.value(x)})")
    subscript = _subscript(w, op.pattern, slots)
    if not op.accumulate:
        w.line(f"{copy}[{subscript}] = {w.value(value)}")
    elif any(isinstance(item, Gather) for item in op.pattern):
        helper = f"{w.function('s_')}[{subscript}]"
        w.line(f"{w.function('add_at')}({copy}, {helper}, {w.value(value)})")
    else:
        w.line(f"{copy}[{subscript}] += {w.value(value)}")
    return w.element(node, copy)


# ---- guards ----


@rule(Assert)
def _assert(w: Writer, op: Assert, node: Apply) -> str:
    value, *conditions = node.inputs
    listed = ", ".join(w.values(conditions))
    return f"{w.helper(checked)}({w.array(value)}, {op.message!r}, {str(node.where)!r}, {listed})"


@rule(Print)
def _print(w: Writer, op: Print, node: Apply) -> str:
    return f"{w.helper(printed)}({w.array(node.inputs[0])}, {op.message!r}, {op.attrs!r})"


@rule(SpecifyShape)
def _specify_shape(w: Writer, op: SpecifyShape, node: Apply) -> str:
    x, *sizes = node.inputs
    return f"{w.helper(of_shape)}({w.array(x)}, {op.axes}, {_sizes(w, sizes)}, {str(node.where)!r})"
