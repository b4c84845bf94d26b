"""`OpFromGraph`: a graph that is used like one op."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

from gpuscan.errors import DtypeError, MissingInputError, ShapeError
from gpuscan.graph import (
    Apply,
    Constant,
    Graph,
    Nested,
    SharedVariable,
    TensorType,
    Variable,
    free_values,
    leaves,
    merge_shapes,
)
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.pointwise import promote


@final
@dataclass(frozen=True)
class GraphCall(Nested):
    """The outputs of `graph` for the inputs; `inline` says whether `function` puts the graph in the node's place."""

    graph: Graph
    inline: bool
    title: str | None = None

    @property
    def name(self) -> str:
        return self.title or "graph_call"

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return (self.graph,)

    def with_graphs(self, graphs: Sequence[Graph]) -> GraphCall:
        (graph,) = graphs
        return GraphCall(graph, self.inline, self.title)

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return self.graph.result_types(inputs)

    def sections(self) -> Iterator[tuple[str, list[Variable]]]:
        yield "takes", list(self.graph.parameters)
        yield "returns", list(self.graph.outputs)


@final
class OpFromGraph:
    """A graph made callable: each call is one node, which prints under one name and can be used in steps of loops.

    Parameters
    ----------
    inputs : sequence of Variable
        What a call passes.
    outputs : Variable or sequence of Variable
        What a call returns: one variable or a list. Shared variables that they use are found.
    inline : bool
        Whether compiled functions have the graph in the place of the call, as if it had been written there; else the
        call stays one node, which no rewrite and no kernel looks into.
    name : str, optional
        What printed graphs call it.

    Raises
    ------
    MissingInputError
        If the outputs need a variable that is no input.

    Examples
    --------
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> a, b = gt.scalar("a"), gt.scalar("b")
    >>> hypotenuse = gs.OpFromGraph([a, b], gt.sqrt(a**2 + b**2), name="hypotenuse")
    >>> hypotenuse(3.0, 4.0).eval()
    array(5.)
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Variable | Sequence[Variable],
        inline: bool = True,
        name: str | None = None,
    ) -> None:
        self.inputs = list(inputs)
        self.single = isinstance(outputs, Variable)
        wanted = [as_tensor_variable(v) for v in ([outputs] if isinstance(outputs, Variable) else outputs)]
        # Arrays that are part of it too: a loop that a call is in hands them to its kernel.
        arrays = [v for v in leaves(wanted, self.inputs) if isinstance(v, Constant) and v.ndim]
        self.captured = [*self._shared(wanted), *arrays]
        self.op = GraphCall(Graph.close([*self.inputs, *self.captured], wanted), inline, name)

    def _shared(self, wanted: Sequence[Variable]) -> list[SharedVariable]:
        if not_variables := [v for v in self.inputs if not isinstance(v, Variable)]:
            raise TypeError(f"OpFromGraph: inputs must be variables; found {not_variables[0]!r}")
        free = free_values(wanted, self.inputs)
        if missing := [v for v in free if not isinstance(v, SharedVariable)]:
            raise MissingInputError(
                f"OpFromGraph: the outputs need {missing[0].name or 'an unnamed variable'!r} ({missing[0].type}), "
                "which is not among the inputs"
            )
        return [v for v in free if isinstance(v, SharedVariable)]

    def __call__(self, *arguments: Any) -> Any:
        """Return the outputs for `arguments` in place of the inputs: a variable, or a list as `outputs` was one."""
        if len(arguments) != len(self.inputs):
            listed = ", ".join(v.name or "?" for v in self.inputs)
            raise TypeError(f"{self.op.name} takes {len(self.inputs)} arguments ({listed}); found {len(arguments)}")
        fitted = [self._fit(value, v, i) for i, (value, v) in enumerate(zip(arguments, self.inputs, strict=True))]
        outputs = Apply(self.op, [*fitted, *self.captured]).outputs
        return outputs[0] if self.single else list(outputs)

    def _fit(self, value: Any, expected: Variable, position: int) -> Variable:
        variable = operands(expected, value)[1]
        what = f"{self.op.name}: argument {position} ({expected.name or 'unnamed'}: {expected.type}) is {variable.type}"
        if promote(expected.dtype, variable.dtype) != expected.dtype:
            raise DtypeError(f"{what}, which does not fit without loss; cast it to {expected.dtype}")
        try:
            merge_shapes([expected.type.shape, variable.type.shape])
        except ShapeError as error:
            raise ShapeError(f"{what}: {error}") from None
        return cast(variable, expected.dtype)

    def __repr__(self) -> str:
        return f"<OpFromGraph {self.op.name}: {self.op.graph}>"
