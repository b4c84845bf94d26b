"""What a well formed graph is, said once, and checked between rewrites when ``config.check`` is on."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.errors import GraphError
from gpuscan.graph.graph import Graph
from gpuscan.graph.types import TensorType


def verify(graph: Graph, *, after: str, types: Sequence[TensorType] | None = None) -> None:
    """Check that every node's outputs have the types that its op infers, and the outputs still fit what they were.

    Parameters
    ----------
    graph : Graph
        What to check.
    after : str
        Name of the pass that made it, for the message.
    types : sequence of TensorType, optional
        What the outputs must be usable as.

    Raises
    ------
    GraphError
        Naming `after` and the node or output that is wrong.
    """
    for node in graph.nodes:
        inferred = tuple(node.op.infer(node.inputs))
        if inferred != tuple(v.type for v in node.outputs):
            raise GraphError(f"after {after}: {node.op} infers {inferred} but its outputs are {node.outputs}")
    for position, (output, expected) in enumerate(zip(graph.outputs, types or (), strict=types is not None)):
        if output.dtype != expected.dtype or output.ndim != expected.ndim:
            raise GraphError(f"after {after}: output {position} became {output.type}; it was {expected}")
