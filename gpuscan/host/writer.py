"""Python text in the making: names for values, a namespace of what the text uses, indented lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gpuscan.graph import Apply, Constant, Variable
from gpuscan.host.arrays import NUMPY, ArrayModule
from gpuscan.host.profile import LoopProfile
from gpuscan.host.shared_factors import write_order

WORD_BEFORE_CALL = re.compile(r"(?<![\w.])([a-z_][a-z_0-9]*)(?=\()")
MOST_NESTED = 16  # expressions nested deeper are given a name; Python's parser refuses about 100 levels

ScanWriter = Callable[["Writer", Apply], None]


class Writer:
    """Writes statements that compute the nodes of a graph.

    Parameters
    ----------
    arrays : ArrayModule
        What arrays are.
    write_scan : callable
        Writes the statements for a loop.
    on_host : collection of Variable
        Values that are NumPy scalars on the host although `arrays` lives elsewhere: sizes, lengths, counts.
    """

    def __init__(self, arrays: ArrayModule, write_scan: ScanWriter, on_host: Collection[Variable] = ()) -> None:
        self.arrays = arrays
        self.write_scan = write_scan
        self.on_host = on_host
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = {}
        self.profiles: list[LoopProfile] = []  # of loops that are measured
        self.indent = 1
        self.kept: set[Variable] = set()  # values in memory that serves all calls
        self._expressions: dict[Variable, str] = {}
        self._depth: dict[Variable, int] = {}
        self._brought: set[Variable] = set()  # vectors on the host, as arrays where the node needs them
        self._counter = 0

    # ---- names and lines ----

    def line(self, text: str) -> None:
        """Add one line at the current indentation."""
        self.lines.append("    " * self.indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a line that opens a block; what is written inside the ``with`` is the block."""
        self.line(head)
        self.indent += 1
        yield
        self.indent -= 1

    @property
    def is_outside(self) -> bool:
        """Whether the next line is of the function itself, in no loop."""
        return self.indent == 1

    def fresh(self, prefix: str = "v") -> str:
        """Return a name not used yet."""
        self._counter += 1
        return f"{prefix}{self._counter}"

    def bind(self, value: Any, prefix: str) -> str:
        """Return a new name for an object that the text uses."""
        name = self.fresh(prefix)
        self.namespace[name] = value
        return name

    def helper(self, function: Callable[..., Any]) -> str:
        """Return the name in the text of a function of this package, which is its own."""
        self.namespace[function.__name__] = function
        return function.__name__

    def function(self, name: str, *, host: bool = False) -> str:
        """Return the name in the text of a function of the array module (with `host`: of NumPy)."""
        module = NUMPY if host else self.arrays
        label = f"host_{name}" if host and module is not self.arrays else name
        label = label.replace(".", "_")
        if label not in self.namespace:
            self.namespace[label] = module.lookup(name)
        return label

    # ---- values ----

    def name(self, variable: Variable, text: str) -> None:
        """Say that `variable` is called `text` from here on."""
        self._expressions[variable] = text

    def value(self, variable: Variable) -> str:
        """Return the expression for a value computed earlier, for a parameter or for a constant."""
        if variable not in self._expressions:
            assert isinstance(variable, Constant), f"{variable!r} is used before it is computed"
            self._expressions[variable] = self._constant(variable)
        return self._expressions[variable]

    def values(self, variables: Iterable[Variable]) -> list[str]:
        """Return the expression of each."""
        return [self.value(v) for v in variables]

    def is_host(self, variable: Variable) -> bool:
        """Whether a value is a NumPy scalar on the host although the arrays live elsewhere."""
        return variable in self.on_host or (variable.ndim == 0 and isinstance(variable, Constant))

    def array(self, variable: Variable) -> str:
        """Return the expression of a value that must be an array: a scalar from the host is made one."""
        text = self.value(variable)
        if self.is_host(variable) and variable not in self._brought and self.arrays is not NUMPY:
            return f"{self.function('asarray')}({text})"
        return text

    @contextmanager
    def vectors_brought(self, node: Apply) -> Iterator[None]:
        """Have vectors on the host that `node` reads elsewhere as arrays there, inside the ``with``.

        An array module takes NumPy's scalars as operands, but none of its arrays.
        """
        texts: dict[Variable, str] = {}
        if self.arrays is not NUMPY and not all(map(self.is_host, node.outputs)):
            texts = {v: self.value(v) for v in node.inputs if v.ndim and self.is_host(v)}
        for v in texts:
            self._expressions[v] = self.array(v)
            self._brought.add(v)
        yield
        self._expressions.update(texts)
        self._brought.difference_update(texts)

    def element(self, node: Apply, text: str) -> str:
        """Return `text`; for a result of rank 0 the scalar in it, as a view would keep an argument's memory alive."""
        return f"{text}[()]" if node.outputs[0].ndim == 0 and self.arrays is NUMPY else text

    def made_once(self, variable: Variable, data: Any) -> str:
        """Return the expression of a value that is the same in all calls, and is handed out as a copy."""
        self.kept.add(variable)
        return self.bind(data, "c")

    def _constant(self, constant: Constant) -> str:
        data = constant.data
        if self.is_host(constant) or self.arrays is NUMPY:
            return self.bind(data[()] if data.ndim == 0 else data, "c")
        return self.bind(self.arrays.lookup("asarray")(data), "c")

    def named(self, variable: Variable) -> str:
        """Return the expression of a value as a name, for text that uses it more than once."""
        if not self.value(variable).isidentifier():
            self.assign(variable, self.value(variable))
        return self._expressions[variable]

    def assign(self, variable: Variable, expression: str) -> None:
        """Write ``name = expression`` for a value."""
        self.unpack([variable], expression)

    def unpack(self, variables: Sequence[Variable], expression: str) -> None:
        """Write ``name, name = expression`` for several values."""
        names = [self.fresh() for _ in variables]
        self.line(f"{', '.join(names)} = {expression}")
        self._expressions.update(zip(variables, names, strict=True))

    def compute(self, variable: Variable, template: str, operands: Sequence[Variable], inline: bool) -> None:
        """Write a pointwise expression: for a value used once, not as a statement but into its consumer's.

        NumPy reuses the memory of temporaries inside an expression, and nothing keeps them alive afterwards.
        """
        host = self.is_host(variable)
        template = WORD_BEFORE_CALL.sub(lambda m: self.function(m[1], host=host), template)
        expression = template.format(*self.values(operands))
        depth = 1 + max((self._depth.get(v, 0) for v in operands), default=0)
        if inline and depth < MOST_NESTED:
            self._expressions[variable] = f"({expression})"
            self._depth[variable] = depth
        else:
            self.assign(variable, expression)

    # ---- graphs ----

    def write_nodes(self, nodes: Sequence[Apply], outputs: Sequence[Variable]) -> None:
        """Write statements for `nodes`, which are in order; `outputs` are used once more afterwards."""
        from gpuscan.host.rules import write_node, write_products  # the rules use the writer

        uses = Counter(v for node in nodes for v in node.inputs)
        uses.update(outputs)
        if self.is_outside or self.arrays is not NUMPY:  # where each is computed once, or threads share what they read
            ordered: Iterable[Sequence[Apply]] = ([node] for node in nodes)
        else:
            ordered = write_order(nodes)
        for together in ordered:
            if len(together) > 1:
                write_products(self, together)
                continue
            with self.vectors_brought(together[0]):
                write_node(self, together[0], uses)
