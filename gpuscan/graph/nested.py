"""Ops that hold graphs of their own: loops, branches, calls."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Self

from gpuscan.graph.graph import Graph
from gpuscan.graph.variable import Op, Variable


@cache
def holds_graphs(op: type[Op]) -> bool:
    """Whether ops of a class hold graphs. Asked of every node, and quicker than ``isinstance`` of an abstract class."""
    return issubclass(op, Nested)


class Nested(Op):
    """An op that runs closed graphs. Passes look into `graphs`; printing shows `sections`."""

    @property
    @abstractmethod
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs inside."""

    @abstractmethod
    def with_graphs(self, graphs: Sequence[Graph]) -> Self:
        """Return the same op over other graphs, which take and return what these do."""

    @abstractmethod
    def sections(self) -> Iterator[tuple[str, list[Variable]]]:
        """Yield headings and inner variables, for printing."""

    @cached_property
    def effect(self) -> bool:
        """Whether something inside does more than compute."""
        return any(node.op.effect for graph in self.graphs for node in graph.nodes)
