"""What a well formed graph is, said once, and checked between rewrites when ``config.check`` is on."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.errors import DtypeError, GraphError, ShapeError
from gpuscan.graph.graph import Graph
from gpuscan.graph.types import TensorType
from gpuscan.graph.variable import Apply


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
        _verify_node(node, after)
    if types is None:
        return
    if len(types) != len(graph.outputs):
        raise GraphError(f"after {after}: there are {len(graph.outputs)} outputs; there were {len(types)}")
    for position, (output, expected) in enumerate(zip(graph.outputs, types, strict=True)):
        if output.dtype != expected.dtype or output.ndim != expected.ndim:
            raise GraphError(f"after {after}: output {position} became {output.type}; it was {expected}")


def _verify_node(node: Apply, after: str) -> None:
    try:
        inferred = tuple(node.op.infer(node.inputs))
    except (DtypeError, ShapeError) as error:
        raise GraphError(f"after {after}: {node.op} (made at {node.where}) refuses its inputs: {error}") from error
    found = tuple(v.type for v in node.outputs)
    if inferred != found:
        raise GraphError(
            f"after {after}: {node.op} (made at {node.where}) infers {_listed(inferred)} but its outputs are "
            f"{_listed(found)}"
        )


def _listed(types: Sequence[TensorType]) -> str:
    return ", ".join(map(str, types)) or "nothing"
