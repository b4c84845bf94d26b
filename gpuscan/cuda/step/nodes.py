"""Writes a node by the rule of its op; the rules of all ops are imported here."""

from __future__ import annotations

from gpuscan.cuda.step import indexing, matrices, products
from gpuscan.cuda.step.random_states import HANDED_ON
from gpuscan.cuda.step.rules import RULES
from gpuscan.cuda.step.values import View
from gpuscan.cuda.step.writer import RefusalError, Writer
from gpuscan.graph import Apply

__all__ = ["has_rule", "indexing", "matrices", "products", "write_node"]


def has_rule(node: Apply) -> bool:
    """Whether a node's op has a rule."""
    return type(node.op) in RULES


def write_node(w: Writer, node: Apply) -> None:
    """Write one node."""
    if isinstance(node.op, HANDED_ON) and node.inputs[0] in w.random:
        w.values[node.outputs[0]] = View(lambda at: w.read_one(node.inputs[0]))
        return
    found = RULES.get(type(node.op))
    if found is None:
        raise RefusalError(f"{node.op} has no kernel text (made at {node.where})")
    found(w, node.op, node)
