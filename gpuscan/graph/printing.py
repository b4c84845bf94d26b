"""Graphs as text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from gpuscan.graph.graph import Graph
from gpuscan.graph.nested import Nested
from gpuscan.graph.variable import Apply, Constant, SharedVariable, Variable

# Past this the indentation is a number: the text of a long chain would grow with its square.
DEEPEST_DRAWN = 40


def debugprint(obj: Any, *, file: TextIO | str | None = None, print_type: bool = True) -> str | None:
    """Print what computes a variable, inputs indented below their consumer, inner graphs after the graph.

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
    text = "\n".join(_Printer(print_type).lines(_outputs(obj))) + "\n"
    if file == "str":
        return text
    print(text, end="", file=sys.stdout if file is None or isinstance(file, str) else file)
    return None


def _outputs(obj: Any) -> list[Variable]:
    obj = getattr(obj, "graph", obj)
    if isinstance(obj, Graph):
        return list(obj.outputs)
    outputs = list(obj) if isinstance(obj, list | tuple) else [obj]
    for output in outputs:
        if not isinstance(output, Variable):
            raise TypeError(
                f"debugprint prints variables, graphs, compiled functions and lists of variables, not {output!r}"
            )
    return outputs


class _Printer:
    """Gives each node one label, prints its inputs where it is met first, and inner graphs at the end."""

    def __init__(self, print_type: bool) -> None:
        self.print_type = print_type
        self.labels: dict[Apply, str] = {}
        self.unnamed: dict[Variable, str] = {}

    def lines(self, outputs: Iterable[Variable]) -> Iterator[str]:
        inner: list[Apply] = []
        yield from self._tree(outputs, inner)
        for node in inner:  # it grows: the loops inside a loop follow it
            yield ""
            yield f"Inner graph of {node.op} {self.labels[node]}"
            assert isinstance(node.op, Nested)
            for heading, variables in node.op.sections():
                yield f" {heading}"
                for line in self._tree(variables, inner):
                    yield f"  {line}"

    def _tree(self, outputs: Iterable[Variable], inner: list[Apply]) -> Iterator[str]:
        stack = [(v, 0) for v in reversed(list(outputs))]
        while stack:
            variable, depth = stack.pop()
            node = variable.owner
            new = node is not None and node not in self.labels
            if node is not None and new:
                self.labels[node] = f"%{len(self.labels)}"
                if isinstance(node.op, Nested):
                    inner.append(node)
                stack.extend((v, depth + 1) for v in reversed(node.inputs))
            yield _indentation(depth) + self._describe(variable, new)

    def _describe(self, variable: Variable, new: bool) -> str:
        type_ = f" : {variable.type}" if self.print_type else ""
        node = variable.owner
        if isinstance(variable, Constant):
            return f"{_short(variable)}{type_}"
        if node is None:
            kind = " (shared)" if isinstance(variable, SharedVariable) else ""
            return f"{self._input(variable)}{kind}{type_}"
        name = f" '{variable.name}'" if variable.name else ""
        which = f".{variable.index}" if len(node.outputs) > 1 else ""
        rest = "" if new or not node.inputs else " ..."
        return f"{node.op}{which} {self.labels[node]}{name}{type_}{rest}"

    def _input(self, variable: Variable) -> str:
        return variable.name or self.unnamed.setdefault(variable, f"<unnamed {len(self.unnamed)}>")


def _indentation(depth: int) -> str:
    return "| " * depth if depth <= DEEPEST_DRAWN else f"{'| ' * DEEPEST_DRAWN}(depth {depth}) "


def _short(constant: Constant) -> str:
    text = " ".join(str(constant.data).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
