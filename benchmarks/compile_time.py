"""How long does `function` take, and how much of that do the rewrites?

    python -m benchmarks.compile_time

Two tables: programs with loops on the CPU, with the pipeline's own part and its dearest pass; and the pipeline on
graphs of more and more nodes without loops. Times are the least of several, which a busy machine changes least.
Targets: under 100 ms for the gradient of an LSTM, and time that grows with the number of nodes and no faster, to
10,000 of them.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from time import perf_counter

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks import gradients, whole_arrays
from benchmarks.timing import print_table
from gpuscan.graph import Graph
from gpuscan.rewrite import optimise

PROGRAMS: dict[str, Callable[[], gs.Function]] = {
    "tanh net": lambda: whole_arrays.rnn(5)[0],
    "tanh net, gradient": lambda: gradients.rnn(5, 32, 64)[0],
    "LSTM": lambda: whole_arrays.lstm(5)[0],
    "LSTM, gradient": lambda: gradients.lstm(5, 32, 64)[0],
}


def chain(nodes: int) -> Graph:
    """A value that is computed from the one before, so many times."""
    x = gt.vector("x")
    value = x
    for _ in range(nodes):
        value = gt.tanh(value)
    return Graph.close([x], [value])


def mixed(nodes: int) -> Graph:
    """The same with three operations in turn, two of which read something else."""
    x, y, s = gt.vector("x"), gt.vector("y"), gt.scalar("s")
    value = x
    for k in range(nodes):
        value = (gt.tanh(value), value * s, value + y)[k % 3]
    return Graph.close([x, y, s], [value])


def gradient(nodes: int) -> Graph:
    """The gradient of a mixed graph."""
    graph = mixed(nodes // 3)
    return Graph.close(graph.parameters, [gs.grad(graph.outputs[0].sum(), graph.parameters[0])])


GRAPHS = {"chain": chain, "mixed": mixed, "gradient": gradient}


def compiled(make: Callable[[], gs.Function], repeats: int) -> tuple[float, dict[str, float]]:
    """Return the seconds of `function` and those of each pass, of the run that took the least."""
    f = min((make() for _ in range(repeats)), key=lambda f: f.compile_seconds or 0.0)
    passes: dict[str, float] = {}
    for run in f._recipe.rewrites:
        passes[run.name] = passes.get(run.name, 0.0) + run.seconds
    return f.compile_seconds or 0.0, passes


def rewritten(graph: Graph, repeats: int) -> float:
    """Return the least seconds that the pipeline takes on a graph."""

    def once() -> float:
        started = perf_counter()
        optimise(graph)
        return perf_counter() - started

    gc.collect()
    gc.disable()  # the collector looks through all objects more often the more there are
    try:
        return min(once() for _ in range(repeats))
    finally:
        gc.enable()


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000, 10_000])
    options = parser.parse_args(arguments)
    for make in PROGRAMS.values():
        make()  # what is imported and made once
    rows = []
    for name, make in PROGRAMS.items():
        whole, passes = compiled(make, options.repeats)
        dearest = max(passes, key=lambda of: passes[of])
        rows.append([name, 1e3 * whole, 1e3 * sum(passes.values()), f"{dearest} {1e3 * passes[dearest]:.1f}"])
    print("milliseconds of `function` on the CPU")
    print_table(["program", "function", "rewrites", "dearest of them"], rows)
    print("\nthe rewrites of graphs without loops")
    rows = []
    for name, of in GRAPHS.items():
        for nodes in options.nodes:
            graph = of(nodes)
            seconds = rewritten(graph, max(options.repeats // 5, 1))
            rows.append([name, len(graph.nodes), 1e3 * seconds, 1e6 * seconds / len(graph.nodes)])
    print_table(["graph", "nodes", "ms", "us a node"], rows)


if __name__ == "__main__":
    main()
