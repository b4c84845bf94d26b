"""Graphs as text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from gpuscan.graph.graph import Graph
from gpuscan.graph.variable import Apply, Constant, SharedVariable, Variable


def debugprint(obj: Any, *, file: TextIO | str | None = None, print_type: bool = True) -> str | None:
    """Print what computes a variable, inputs indented below their consumer, a loop's body after the graph.

    Parameters
    ----------
    obj : Variable, Graph, compiled function, or a sequence of variables
        What to print.
    file : text file or "str", optional
        Where to print to, standard output by default; "str" returns the text.
    print_type : bool
        Whether each line ends with the type.

    Returns
    -------
    str or None
        The text, when `file` is "str".
    """
    graph = getattr(obj, "graph", obj)
    if isinstance(graph, Graph):
        outputs: Iterable[Variable] = graph.outputs
    else:
        outputs = [graph] if isinstance(graph, Variable) else list(graph)
    text = "\n".join(_Printer(print_type).lines(outputs)) + "\n"
    if file == "str":
        return text
    print(text, end="", file=sys.stdout if file is None or isinstance(file, str) else file)
    return None


class _Printer:
    """Gives each node one label, prints its inputs where it is met first, and inner graphs at the end."""

    def __init__(self, print_type: bool) -> None:
        self.print_type = print_type
        self.labels: dict[Apply, str] = {}
        self.names: dict[Variable, str] = {}

    def lines(self, outputs: Iterable[Variable]) -> Iterator[str]:
        inner: list[tuple[str, Any]] = []
        yield from self._tree(outputs, inner)
        for title, function in inner:
            yield ""
            yield f"Inner graph of {title}"
            nested: list[tuple[str, Any]] = []
            for heading, variables in function.op.sections():
                yield f" {heading}"
                for line in self._tree(variables, nested):
                    yield f"  {line}"
            inner.extend(nested)

    def _tree(self, outputs: Iterable[Variable], inner: list[tuple[str, Any]]) -> Iterator[str]:
        stack = [(v, 0) for v in reversed(list(outputs))]
        while stack:
            variable, depth = stack.pop()
            node = variable.owner
            new = node is not None and node not in self.labels
            if node is not None and new:
                self.labels[node] = f"%{len(self.labels)}"
            yield "| " * depth + self._describe(variable, new)
            if node is not None and new:
                if hasattr(node.op, "sections"):
                    inner.append((f"{node.op} {self.labels[node]}", node))
                stack.extend((v, depth + 1) for v in reversed(node.inputs))

    def _describe(self, variable: Variable, new: bool) -> str:
        type_ = f" : {variable.type}" if self.print_type else ""
        name = f" '{variable.name}'" if variable.name else ""
        node = variable.owner
        if isinstance(variable, Constant):
            return f"{_short(variable)}{type_}"
        if node is None:
            kind = " (shared)" if isinstance(variable, SharedVariable) else ""
            return f"{variable.name or '<unnamed>'}{kind}{type_}"
        which = f".{variable.index}" if len(node.outputs) > 1 else ""
        rest = "" if new or not node.inputs else " ..."
        return f"{node.op}{which} {self.labels[node]}{name}{type_}{rest}"


def _short(constant: Constant) -> str:
    text = " ".join(str(constant.data).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
