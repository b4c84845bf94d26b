"""A graph compiled for the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

import numpy as np

from gpuscan.cpu.at_once import AtOnce, write_scan
from gpuscan.cpu.memory import keep_freed_memory
from gpuscan.errors import counted
from gpuscan.graph import Apply, Graph, Nested, sorted_nodes
from gpuscan.host import LoopProfile, write_function
from gpuscan.loop import Loop, Scan, open_loop
from gpuscan.loop.segments import explain_segments


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
        keep_freed_memory()
        self.graph = graph
        self.function = write_function(graph, write_scan=write_scan)

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
        yield from _explain(self.graph.nodes)

    def plans(self) -> tuple[Any, ...]:
        """Return the plans of kernels: there are none."""
        return ()

    def profiles(self) -> Iterator[LoopProfile]:
        """Yield what was measured of each loop that is profiled."""
        yield from self.function.profiles

    def source(self) -> str:
        """Return the generated Python text."""
        return self.function.source


def _explain(nodes: Iterable[Apply], indent: str = "") -> Iterator[str]:
    """Yield lines about the loops among `nodes`, and about the loops inside them."""
    for node in nodes:
        if isinstance(node.op, Scan):
            loop = open_loop(node)
            yield from (indent + line for line in _explain_loop(loop))
            if (at_once := AtOnce.of(node)) is not None:
                yield f"{indent}  many steps at a time, where values of a step have up to {at_once.widest} elements"
            if loop.options.keep_buffers and not indent:
                yield "  keeps its buffers for the next call"
            yield from _explain(sorted_nodes(loop.outputs, loop.reads), indent + "  ")
        elif isinstance(node.op, Nested):
            for graph in node.op.graphs:
                yield from _explain(graph.nodes, indent)


def _explain_loop(loop: Loop) -> Iterator[str]:
    steps = loop.length.known
    length = f"of {counted(steps, 'step')}" if steps is not None else "its length given by each call"
    yield f"{loop.title}: a Python for, {length}"
    yield from explain_segments(loop)
    for state in loop.states:
        yield f"  state {state.name!r} ({state.next.type}): {counted(state.depth, 'past value')} in local variables"
    for result in loop.results:
        yield f"  keeps the {result}" if result.record else "  counts its steps"
