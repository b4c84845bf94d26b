"""`ifelse`: of two sides only the one is computed that a condition asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

from gpuscan.errors import DtypeError, LoopError, ShapeError
from gpuscan.graph import Apply, Constant, Graph, Location, Nested, TensorType, Variable, leaves
from gpuscan.tensor.convert import as_tensor_variable, cast, operands


@final
@dataclass(frozen=True)
class IfElse(Nested):
    """The outputs of `then` where the first input is true, else those of `otherwise`, of the other inputs.

    As the user builds one, its sides are parameters handed through. What is computed for one side alone is moved into
    it when a function is compiled (``rewrite/lazy_branches.py``); until then the graph shows it, and can be
    differentiated and replaced, like any other.
    """

    then: Graph
    otherwise: Graph
    title: str | None = None

    @property
    def name(self) -> str:
        return f"ifelse[{self.title}]" if self.title else "ifelse"

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return self.then, self.otherwise

    def with_graphs(self, graphs: Sequence[Graph]) -> IfElse:
        then, otherwise = graphs
        return IfElse(then, otherwise, self.title)

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        sides = (_side_types(graph, inputs[1:]) for graph in self.graphs)
        return [_either(a, b) for a, b in zip(*sides, strict=True)]

    def sections(self) -> Iterator[tuple[str, list[Variable]]]:
        yield "then, given", list(self.then.parameters)
        yield "returns", list(self.then.outputs)
        yield "else, given", list(self.otherwise.parameters)
        yield "returns", list(self.otherwise.outputs)


def _side_types(graph: Graph, arguments: Sequence[Variable]) -> list[TensorType]:
    """Return the types that a side returns, as far as they are known if it cannot run: then it is not to be chosen."""
    try:
        return graph.result_types(arguments)
    except (ShapeError, LoopError):
        return [v.type for v in graph.outputs]


def _either(a: TensorType, b: TensorType) -> TensorType:
    """Return the type of a value that is of one of two types of one dtype and rank."""
    return TensorType(a.dtype, tuple(m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)))


def close_branches(
    condition: Variable,
    captured: Sequence[Variable],
    then: Sequence[Variable],
    otherwise: Sequence[Variable],
    title: str | None,
    where: Location | None = None,
) -> Apply:
    """Return the node that computes `then` or `otherwise` of those of the values `captured` that one of them reads."""
    read = set(leaves([*then, *otherwise], captured))
    captured = [v for v in dict.fromkeys(captured) if v in read and not isinstance(v, Constant)]
    op = IfElse(Graph.close(captured, then), Graph.close(captured, otherwise), title)
    return Apply(op, [condition, *captured], where)


def open_branches(node: Apply) -> tuple[list[Variable], list[Variable]]:
    """Return the outputs of the two sides of a node, as part of the graph that its inputs are of."""
    assert isinstance(node.op, IfElse)
    then, otherwise = (graph.call(node.inputs[1:]) for graph in node.op.graphs)
    return then, otherwise


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """Return one of two values, and compute only that one.

    What neither the other side nor the rest of the graph needs is computed only if `condition` asks for it. On a GPU
    the host reads the condition, so it waits for it; where both sides are cheap, `gpuscan.tensor.switch` is quicker.

    Parameters
    ----------
    condition : scalar
        Anything but zero chooses `then_branch`.
    then_branch, else_branch : array_like, or lists of equal length
        The values. Both sides are of one dtype and rank; their sizes may differ.
    name : str, optional
        For messages and printing.

    Returns
    -------
    Variable or list of Variable
        As the sides are given.

    Raises
    ------
    DtypeError, ShapeError
        If the condition is no scalar, or the sides differ in dtype or rank.
    ValueError
        If the sides are lists of different lengths.

    Examples
    --------
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> x = gt.vector("x")
    >>> f = gs.function([x], gs.ifelse(x.shape[0] > 0, x[0], -1.0))
    >>> f([2.5, 3.0]), f([])
    (array(2.5), array(-1.))
    """
    is_list = isinstance(then_branch, list | tuple)
    if is_list is not isinstance(else_branch, list | tuple):
        raise TypeError("ifelse: one side is a list and the other is not")
    sides = list(then_branch if is_list else [then_branch]), list(else_branch if is_list else [else_branch])
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"ifelse: there are {len(sides[0])} values if the condition holds and {len(sides[1])} if not")
    pairs = [_pair(a, b, position if is_list else None) for position, (a, b) in enumerate(zip(*sides, strict=True))]
    then, otherwise = [a for a, _ in pairs], [b for _, b in pairs]
    node = close_branches(_condition(condition), [*then, *otherwise], then, otherwise, name)
    return list(node.outputs) if is_list else node.outputs[0]


def _condition(condition: Any) -> Variable:
    try:
        variable = as_tensor_variable(condition)
    except DtypeError as error:
        raise DtypeError(f"ifelse: the condition cannot be used: {error}") from None
    if variable.ndim:
        raise ShapeError(
            f"ifelse: the condition must be a scalar, not {variable.type}; reduce it with all() or any(), or use "
            "gpuscan.tensor.switch to choose element by element"
        )
    return cast(variable, "bool")


def _pair(a: Any, b: Any, position: int | None) -> tuple[Variable, Variable]:
    """Return the two values of one result as variables of one dtype and rank."""
    what = "ifelse" if position is None else f"ifelse: result {position}"
    try:
        then, otherwise = operands(a, b)
    except DtypeError as error:
        raise DtypeError(f"{what} cannot be used: {error}") from None
    if then.ndim != otherwise.ndim:
        raise ShapeError(f"{what} is {then.type} if the condition holds and {otherwise.type} if not: ranks must agree")
    if then.dtype != otherwise.dtype:
        raise DtypeError(
            f"{what} is {then.type} if the condition holds and {otherwise.type} if not; cast one to the other's dtype"
        )
    return then, otherwise
