"""Compute what follows from constants alone, once, when a function is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph import Apply, Constant, Graph, Variable
from gpuscan.host import row_function, write_function
from gpuscan.loop import Scan, open_loop
from gpuscan.rewrite.bodies import reopened
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.tensor.indexing import Index, WriteIndex, slots_of, with_known_slots
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import DimShuffle, Join, Reshape, Stack

FOLDED = (Pointwise, Cast, DimShuffle, Reshape, Reduce, Index, Stack, Join, MatMul)
"""Ops that are computed. Those that only make an array larger are not: a number is better handed on as one."""


def fold_constants(graph: Graph) -> Graph | None:
    """Replace integers that follow from types, and values that follow from constants, by constants.

    A number that a loop is handed and that is constant goes into its step, where it is folded with what it meets. What
    would raise an error is left for the call to raise it.
    """

    def fold(node: Apply, _: Apply) -> Sequence[Variable] | None:
        if isinstance(node.op, Scan):
            return _with_numbers_inside(node)
        if node.op.effect:
            return None
        if isinstance(node.op, Index | WriteIndex) and (made := _with_known_slots(node)) is not None:
            return _folded(made) or made.outputs
        return _folded(node)

    after = rebuild(graph, fold)
    return None if after is graph else after


def _folded(node: Apply) -> Sequence[Variable] | None:
    output = node.outputs[0]
    if len(node.outputs) == 1 and output.known is not None and output.ndim == 0:
        return [Constant(np.asarray(output.known, output.dtype))]
    if not isinstance(node.op, FOLDED) or not all(isinstance(v, Constant) for v in node.inputs):
        return None
    value = _value(node)
    return None if value is None else [value]


def _with_numbers_inside(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    numbers = {n.read: n.source for n in loop.non_sequences if isinstance(n.source, Constant) and not n.source.ndim}
    mode = loop.options.mode
    if not numbers or (mode is not None and not mode.allows(fold_constants.__name__)):
        return None
    others = tuple(n for n in loop.non_sequences if n.read not in numbers)
    try:
        return reopened(node, replace(loop.replaced(numbers), non_sequences=others)).outputs
    except ShapeError:  # a position beyond an end, say, which a loop of no step never asks for
        return None


def _with_known_slots(node: Apply) -> Apply | None:
    """Return an index with the positions that are known as parts of it; None if there are none."""
    op = node.op
    assert isinstance(op, Index | WriteIndex)
    fixed = node.inputs[: len(node.inputs) - sum(map(slots_of, op.pattern))]
    pattern, left = with_known_slots(op.pattern, node.inputs[len(fixed) :])
    if pattern == op.pattern:
        return None
    return Apply(replace(op, pattern=pattern), (*fixed, *left), node.where)


def _value(node: Apply) -> Constant | None:
    (output,) = node.outputs
    largest = max(v.type.size or 0 for v in node.inputs)
    if isinstance(node.op, DimShuffle | Reshape) and not node.inputs[0].ndim:
        return None  # a number of no axes broadcasts by itself, and is written into kernels as one
    if output.type.size is None or output.type.size > max(largest, len(node.inputs)):
        return None
    try:
        with np.errstate(all="ignore"):
            if isinstance(node.op, Pointwise):
                dtypes, _ = node.op.dtypes(node.inputs)
                data = [v.data.astype(d) for v, d in zip(node.inputs, dtypes, strict=True) if isinstance(v, Constant)]
                result = row_function(node.op.row)(*data)
            else:
                (result,) = write_function(Graph([], node.outputs)).run()
    except (ValueError, IndexError, ArithmeticError):
        return None
    return Constant(np.asarray(result).astype(output.dtype, copy=False).reshape([n or 0 for n in output.type.shape]))
