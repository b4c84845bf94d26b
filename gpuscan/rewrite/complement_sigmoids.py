"""Compute ``1 - sigmoid(x)`` as ``sigmoid(-x)`` where the sigmoid is not needed besides.

The difference loses all digits where the sigmoid is next to 1. Where the sigmoid is at hand, as in its own derivative
``y * (1 - y)``, the difference stays: it costs no exponential, and what is lost is small beside the product's scale.
"""

from __future__ import annotations

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import Rules, as_result, is_number, operand, rewrite_nodes
from gpuscan.tensor.pointwise import Pointwise


def complement_sigmoids(graph: Graph) -> Graph | None:
    """Replace differences of 1 and sigmoids that nothing else reads."""
    read_whole = {v for node in graph.nodes if not _is_complement(node) for v in node.inputs} | set(graph.outputs)

    def complement(node: Apply) -> Variable | None:
        if not _is_complement(node) or node.inputs[1] in read_whole:
            return None
        x = operand(node.inputs[1], "sigmoid")
        return None if x is None else as_result(Pointwise("sigmoid")(Pointwise("neg")(x)), node)

    rules: Rules = {"sub": [complement]}
    return rewrite_nodes(graph, rules)


def _is_complement(node: Apply) -> bool:
    return node.op == Pointwise("sub") and is_number(node.inputs[0], 1)
