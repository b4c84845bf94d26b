"""A graph compiled for the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np

from gpuscan.graph import Apply, Graph
from gpuscan.host import write_function
from gpuscan.loop import Loop, Scan, open_loop


@final
class CpuProgram:
    """Runs a graph as one generated Python function over NumPy arrays.

    Parameters
    ----------
    graph : Graph
        What to run.
    """

    device = "cpu"

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.function = write_function(graph)

    def __call__(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the outputs for the parameters' values: NumPy arrays, and NumPy scalars for those of rank 0."""
        # As on a GPU, overflow and division by zero give their IEEE results in silence.
        with np.errstate(all="ignore"):
            return self.function.run(*arguments)

    def keep(self, value: Any) -> Any:
        """Return the value of a shared variable as it is best kept between calls: as it is."""
        return value

    def place(self, result: Any, arguments: Sequence[Any], placement: str) -> Any:
        """Return an output as a NumPy array; there is no other memory to place it in."""
        return np.asarray(result)

    def explain(self) -> Iterator[str]:
        """Yield lines that say how each loop runs and what it keeps."""
        yield "device cpu: one generated Python function over NumPy"
        for node in self.graph.nodes:
            if isinstance(node.op, Scan):
                yield from _explain_loop(node)

    def plans(self) -> tuple[Any, ...]:
        """Return the plans of kernels: there are none."""
        return ()

    def source(self) -> str:
        """Return the generated Python text."""
        return self.function.source


def _explain_loop(node: Apply) -> Iterator[str]:
    loop: Loop = open_loop(node)
    steps = loop.length.known
    yield f"loop {loop.name or 'scan'!r}: a Python for over {'its' if steps is None else steps} steps"
    for state in loop.states:
        yield f"  state {state.name!r} ({state.next.type}): local variables, {state.depth} past"
    for result in loop.results:
        yield f"  keeps the {result}" if result.record else f"  counts its {result}"
