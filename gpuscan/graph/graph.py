"""A closed function: parameters in, outputs out, nothing captured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

from gpuscan.errors import GraphError
from gpuscan.graph.pickling import NodeList
from gpuscan.graph.traversal import free_values, sorted_nodes, substitute
from gpuscan.graph.types import TensorType
from gpuscan.graph.variable import Apply, Constant, Unchanging, Variable


@final
class Graph(Unchanging):
    """A function of `parameters` that returns `outputs`. Equal structure makes two graphs equal; names do not count.

    Raises
    ------
    GraphError
        If an output reads a value that is neither a parameter nor a constant, or a parameter is listed twice.
    """

    parameters: tuple[Variable, ...]
    outputs: tuple[Variable, ...]

    def __init__(self, parameters: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self._initialise(parameters=tuple(parameters), outputs=tuple(outputs))
        if len(set(self.parameters)) != len(self.parameters):
            raise GraphError("a parameter of a graph is listed twice")
        if free := free_values(self.outputs, self.parameters, self.nodes):
            raise GraphError(f"{free[0]!r} is read inside the function but is not a parameter of it")

    @classmethod
    def close(cls, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> Graph:
        """Return the function from `inputs` to `outputs`, over parameters of its own."""
        parameters = [Variable(v.type, v.name, known=v.known) for v in inputs]
        return cls(parameters, substitute(outputs, dict(zip(inputs, parameters, strict=True))))

    @cached_property
    def nodes(self) -> tuple[Apply, ...]:
        """Its nodes, each after those it depends on."""
        return tuple(sorted_nodes(self.outputs, self.parameters))

    def call(self, arguments: Sequence[Variable]) -> list[Variable]:
        """Return the outputs for `arguments` in place of the parameters, as part of the arguments' graph."""
        return substitute(self.outputs, dict(zip(self.parameters, arguments, strict=True)))

    def specialise(self, types: Sequence[TensorType]) -> Graph:
        """Return the same function for parameters of the given, better known, types."""
        arguments = [
            Variable(type_, old.name, known=old.known) for old, type_ in zip(self.parameters, types, strict=True)
        ]
        return Graph(arguments, self.call(arguments))

    def result_types(self, arguments: Sequence[Variable]) -> list[TensorType]:
        """Return the outputs' types for arguments whose types and values may be better known than the parameters'."""
        same = all(v.type == a.type and v.known == a.known for v, a in zip(self.parameters, arguments, strict=True))
        return [v.type for v in (self.outputs if same else self.call(arguments))]

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Its structure as a hashable value: what equality and hashing go by."""
        number: dict[Variable, Any] = {v: i for i, v in enumerate(self.parameters)}

        def name(v: Variable) -> Any:
            return (v.data.tobytes(), v.type) if isinstance(v, Constant) and v not in number else number[v]

        rows = []
        for node in self.nodes:
            rows.append((node.op, tuple(name(v) for v in node.inputs)))
            number.update({v: (len(rows), i) for i, v in enumerate(node.outputs)})
        parameters = tuple((v.type, v.known) for v in self.parameters)
        return (parameters, tuple(rows), tuple(name(v) for v in self.outputs))

    @cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and hash(self) == hash(other) and self.key == other.key)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what is cached: hashes of strings differ from process to process. Nodes first: see `pickling`.
        return _graph, (NodeList(self.nodes), self.parameters, self.outputs)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.parameters)} parameters, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"


def _graph(_: NodeList, parameters: Sequence[Variable], outputs: Sequence[Variable]) -> Graph:
    return Graph(parameters, outputs)
