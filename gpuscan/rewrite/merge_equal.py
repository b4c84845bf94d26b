"""Merge equal work: nodes of one op over the same inputs become one node, equal constants one constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuscan.graph import Apply, Constant, Graph, Variable
from gpuscan.rewrite.rebuild import rebuild


def merge_equal(graph: Graph) -> Graph | None:
    """Compute equal things once.

    The user who built two equal variables may ask for the gradient of one, so this is done here, when a function is
    compiled, and not when nodes are made.
    """
    made: dict[Any, Sequence[Variable]] = {}
    constants: dict[Any, Constant] = {}

    def identity(variable: Variable) -> Variable:
        if isinstance(variable, Constant) and variable.data.size <= 64:
            return constants.setdefault((variable.type, variable.data.tobytes()), variable)
        return variable

    def merge(node: Apply, _: Apply) -> Sequence[Variable] | None:
        if node.op.effect:
            return None  # who prints twice wants to read it twice
        inputs = tuple(identity(v) for v in node.inputs)
        if (found := made.get((node.op, inputs))) is not None:
            return found
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        outputs = node.outputs if same else node.with_inputs(inputs).outputs
        made[node.op, inputs] = outputs
        return None if same else outputs

    merged = rebuild(graph, merge)
    return None if merged is graph else merged
