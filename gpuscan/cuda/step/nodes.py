"""Writes a node by the rule of its op; the rules of all ops are imported here."""

from __future__ import annotations

from gpuscan.cuda.step import indexing, matrices, products
from gpuscan.cuda.step.random_states import HANDED_ON
from gpuscan.cuda.step.rules import RULES
from gpuscan.cuda.step.values import View
from gpuscan.cuda.step.writer import RefusalError, Writer
from gpuscan.graph import Apply
from gpuscan.tensor.indexing import At, Index

__all__ = ["has_rule", "indexing", "matrices", "products", "write_node"]


def has_rule(node: Apply) -> bool:
    """Whether a node's op has a rule."""
    return type(node.op) in RULES


def write_node(w: Writer, node: Apply) -> None:
    """Write one node."""
    if isinstance(node.op, HANDED_ON) and node.inputs[0] in w.random:
        state, row = node.inputs[0], _row_of_states(node)
        w.values[node.outputs[0]] = View(lambda at: w.read(state, (row, *["0"] * (state.ndim - 1))))
        return
    found = RULES.get(type(node.op))
    if found is None:
        raise RefusalError(f"{node.op} has no kernel text (made at {node.where})")
    found(w, node.op, node)


def _row_of_states(node: Apply) -> str:
    """Return which of several random states, as a loop inside keeps them, a node hands on."""
    rows, at = node.inputs[0].type.shape[0], next(iter(node.op.pattern), None) if isinstance(node.op, Index) else None
    if rows == 1 or not isinstance(node.op, Index) or node.inputs[0].ndim == 1:
        return "0"
    if not isinstance(at, At) or not isinstance(at.position, int) or rows is None:
        raise RefusalError(f"{node.op} takes a random state from where values say (made at {node.where})")
    return str(at.position % rows)
