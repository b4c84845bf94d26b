"""How many operations a node takes, roughly: to compare what is computed for each lane with what is computed alike."""

from __future__ import annotations

from math import prod

from gpuscan.graph import Apply, Variable
from gpuscan.tensor import matrices
from gpuscan.tensor.ordering import ArgSort, Sort
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo

DRAW_WORK = 60
"""Operations of one element of a draw: ten rounds of Philox and a transform."""


def elements(variable: Variable) -> int:
    """Return the number of elements of a value whose shape is known."""
    return prod(size or 0 for size in variable.type.shape)


def work_of(node: Apply) -> int:
    """Return the operations of a node; those of ops that only move elements, or hold others, are not counted."""
    op = node.op
    if isinstance(op, Pointwise | Cast):
        return elements(node.outputs[0])
    if isinstance(op, MatMul):
        return 2 * elements(node.outputs[0]) * (node.inputs[0].type.shape[-1] or 0)
    if isinstance(op, Reduce | SumTo):
        return elements(node.inputs[0])
    if isinstance(op, Draw):
        return DRAW_WORK * elements(node.outputs[1])
    if isinstance(op, Sort | ArgSort):
        return elements(node.inputs[0]) * (node.inputs[0].type.shape[op.axis] or 0)
    if type(op).__module__ == matrices.__name__:
        return elements(node.inputs[0]) * (node.inputs[0].type.shape[-1] or 0)
    return 0
