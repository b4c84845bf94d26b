"""What each pass of the pipeline did, and how long it took: what ``f.explain(rewrites=True)`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuscan.errors import counted
from gpuscan.graph import Apply, Graph, Nested, holds_graphs
from gpuscan.loop import Scan
from gpuscan.rewrite.stacks import Refusal
from gpuscan.tensor.products import MatMul


@dataclass(frozen=True)
class Cost:
    """What the loops of one title cost.

    Attributes
    ----------
    loops : int
        How many there are.
    ops : int
        Nodes of their steps, those of graphs inside included, but not those of loops inside.
    products : int
        How many of them are matrix products.
    histories : int
        Results of which all steps' values are kept.
    step_bytes : int or None
        Bytes of these a step; None where a size is not known.
    """

    loops: int = 0
    ops: int = 0
    products: int = 0
    histories: int = 0
    step_bytes: int | None = 0

    def __add__(self, other: Cost) -> Cost:
        both = None if self.step_bytes is None or other.step_bytes is None else self.step_bytes + other.step_bytes
        return Cost(
            self.loops + other.loops,
            self.ops + other.ops,
            self.products + other.products,
            self.histories + other.histories,
            both,
        )

    def __str__(self) -> str:
        copies = f"{self.loops} loops, " if self.loops > 1 else ""
        kept = "" if self.step_bytes is None or not self.histories else f" of {counted(self.step_bytes, 'byte')} a step"
        histories = f"{self.histories} histories" if self.histories != 1 else "1 history"
        return f"{copies}{counted(self.ops, 'op')}, {counted(self.products, 'product')}, {histories}{kept}"


@dataclass(frozen=True)
class PassRun:
    """One pass over a whole graph.

    Attributes
    ----------
    name : str
        The pass.
    seconds : float
        How long it took.
    costs : mapping of str to Cost, or None
        What each loop costs after it, by the titles that lead to it; None if it changed nothing.
    refusals : tuple of Refusal
        What it left in loops because it would take too much memory outside.
    """

    name: str
    seconds: float
    costs: Mapping[str, Cost] | None
    refusals: tuple[Refusal, ...] = ()


def loop_costs(graph: Graph) -> dict[str, Cost]:
    """Return what each loop of a graph costs, by the titles that lead to it."""
    costs: dict[str, Cost] = {}
    stack: list[tuple[Graph, str]] = [(graph, "")]
    while stack:
        graph, path = stack.pop()
        if path:
            products = sum(type(node.op) is MatMul for node in graph.nodes)
            costs[path.removesuffix(" / ")] += Cost(ops=len(graph.nodes), products=products)
        for node in graph.nodes:
            if not holds_graphs(type(node.op)):
                continue
            if isinstance(node.op, Scan):
                title = f"{path}{node.op.name}"
                costs[title] = costs.get(title, Cost()) + _cost_outside(node)
                stack.append((node.op.body, f"{title} / "))
            elif isinstance(node.op, Nested):
                stack.extend((inner, path) for inner in node.op.graphs)
    return costs


def _cost_outside(node: Apply) -> Cost:
    assert isinstance(node.op, Scan)
    kept = [v.type for v, result in zip(node.outputs, node.op.results, strict=True) if result.kind == "history"]
    rows = [type_.with_shape(type_.shape[1:]).size for type_ in kept]
    sizes = [n * np.dtype(t.dtype).itemsize for n, t in zip(rows, kept, strict=True) if n is not None]
    return Cost(loops=1, histories=len(kept), step_bytes=sum(sizes) if len(sizes) == len(kept) else None)


def describe(before: Mapping[str, Cost], runs: Sequence[PassRun], seconds: float | None) -> Iterator[str]:
    """Yield lines that say how long each pass took, what it had no memory for, and which changed what a loop costs.

    Parameters
    ----------
    before : mapping of str to Cost
        What each loop cost as it was written.
    runs : sequence of PassRun
        What was run, in order.
    seconds : float or None
        How long the function took to compile, all in all, where that was measured.
    """
    whole = f" of {1e3 * seconds:.1f} ms in which the function was compiled" if seconds is not None else ""
    yield f"rewrites: {1e3 * sum(run.seconds for run in runs):.1f} ms{whole}"
    for run in runs:
        yield f"  {run.name:20}{1e3 * run.seconds:6.1f} ms{'' if run.costs is None else ', changed the graph'}"
        yield from (f"    {refusal}" for refusal in run.refusals)
    for title in _titles(before, runs):
        yield from _loop(title, before, runs)


def _titles(before: Mapping[str, Cost], runs: Sequence[PassRun]) -> list[str]:
    return list(dict.fromkeys([*before, *(title for run in runs for title in run.costs or ())]))


def _loop(title: str, before: Mapping[str, Cost], runs: Sequence[PassRun]) -> Iterator[str]:
    cost = before.get(title)
    yield f"{title}: {cost if cost is not None else 'not there'}"
    for run in runs:
        if run.costs is not None and (after := run.costs.get(title)) != cost:
            yield f"  after {run.name}: {after if after is not None else 'gone'}"
            cost = after
