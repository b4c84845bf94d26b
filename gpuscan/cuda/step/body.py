"""What a step computes, as a list of nodes with everything inside them opened: calls put in place, loops as records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpuscan.control import GraphCall, IfElse, open_branches
from gpuscan.cuda.step.draws import compose_draws
from gpuscan.cuda.step.push_slices import push_slices
from gpuscan.cuda.step.ragged import with_room
from gpuscan.graph import Apply, Constant, Variable, leaves, sorted_nodes, substitute
from gpuscan.loop import Loop, Scan, open_loop
from gpuscan.tensor.convert import cast
from gpuscan.tensor.guards import SpecifyShape
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import SumTo
from gpuscan.tensor.shaping import BroadcastTo, Join, Reshape


@dataclass(frozen=True, eq=False)
class Body:
    """Nodes in an order in which they can run.

    Attributes
    ----------
    nodes : tuple of Apply
        Those whose results are needed and are not sizes known beforehand.
    outputs : tuple of Variable
        What is computed.
    loops : mapping of Apply to InnerLoop
        For each node that is a loop.
    branches : mapping of Apply to pair of Body
        For each node that computes one of two sides.
    """

    nodes: tuple[Apply, ...]
    outputs: tuple[Variable, ...]
    loops: Mapping[Apply, InnerLoop]
    branches: Mapping[Apply, tuple[Body, Body]]

    def walk(self) -> Iterator[Apply]:
        """Yield all nodes, those inside loops and branches too."""
        for node in self.nodes:
            yield node
            if node in self.loops:
                yield from self.loops[node].body.walk()
            for side in self.branches.get(node, ()):
                yield from side.walk()


@dataclass(frozen=True, eq=False)
class InnerLoop:
    """A loop, open, and what its step computes."""

    loop: Loop
    body: Body


def opened(loop: Loop) -> InnerLoop:
    """Return a loop with everything inside its step opened, loops inside it too."""
    outputs = _with_elements(_sized(_written_out(loop.outputs, loop.reads), loop.reads), loop.reads)
    outputs = push_slices(outputs, loop.reads)
    inside = dict(zip(loop.outputs, outputs, strict=True))
    loop = _read_only(loop.replaced({old: new for old, new in inside.items() if old is not new}))
    return InnerLoop(loop, _body(loop.outputs, loop.reads))


def _sized(outputs: Sequence[Variable], given: Collection[Variable]) -> list[Variable]:
    """Return `outputs` with constants for the sizes that are known, so that no array is there for its size alone."""
    sizes = [v for node in sorted_nodes(outputs, given) for v in node.outputs if v.known is not None]
    return substitute(outputs, {v: Constant(np.asarray(v.known, v.dtype)) for v in sizes})


def _with_elements(outputs: Sequence[Variable], given: Collection[Variable]) -> list[Variable]:
    """Return `outputs` with joins of those parts alone that have elements; shapes tell only now which have none."""
    found: dict[Variable, Variable] = {}
    for node in sorted_nodes(outputs, given):
        if isinstance(node.op, Join):
            parts = [v for v in node.inputs if v.type.shape[node.op.axis] != 0]
            if 0 < len(parts) < len(node.inputs):
                joined = node.op(*parts) if len(parts) > 1 else parts[0]
                found[node.outputs[0]] = cast(joined, node.outputs[0].dtype)
    return substitute(outputs, found)


def _read_only(loop: Loop) -> Loop:
    """Return a loop without the reads of sequences and without the non-sequences that its step has no use for."""
    read = set(leaves(loop.outputs))
    return replace(
        loop,
        sequences=tuple(replace(s, reads={k: v for k, v in s.reads.items() if v in read}) for s in loop.sequences),
        non_sequences=tuple(n for n in loop.non_sequences if n.read in read),
    )


def _body(outputs: Sequence[Variable], given: Collection[Variable]) -> Body:
    nodes = needed_nodes(outputs, given)
    loops = {node: opened(open_loop(node)) for node in nodes if isinstance(node.op, Scan)}
    branches = {node: _branches(node) for node in nodes if isinstance(node.op, IfElse)}
    return Body(tuple(nodes), tuple(outputs), loops, branches)


def _branches(node: Apply) -> tuple[Body, Body]:
    then, otherwise = (_body(_written_out(side, node.inputs), node.inputs) for side in open_branches(node))
    return then, otherwise


def _written_out(outputs: Iterable[Variable], given: Collection[Variable]) -> list[Variable]:
    """Return `outputs` with calls, draws and rows of unknown number as ops that there are rules for."""
    outputs = list(outputs)
    while call := next((n for n in sorted_nodes(outputs, given) if isinstance(n.op, GraphCall)), None):
        assert isinstance(call.op, GraphCall)
        graph = call.op.graph
        inside = substitute(graph.outputs, dict(zip(graph.parameters, call.inputs, strict=True)))
        outputs = substitute(outputs, dict(zip(call.outputs, inside, strict=True)))
    return with_room(compose_draws(outputs, given), given)


def needed_nodes(outputs: Iterable[Variable], given: Collection[Variable]) -> list[Apply]:
    """Return the nodes that must run: those whose result is needed and is not a size known beforehand."""
    outputs = list(outputs)
    nodes: list[Apply] = []
    needed = {v for v in outputs if v.known is None}
    for node in reversed(sorted_nodes(outputs, given)):
        if any(v in needed for v in node.outputs):
            nodes.append(node)
            needed.update(v for v in operands_of(node) if v.known is None)
    return nodes[::-1]


def operands_of(node: Apply) -> Sequence[Variable]:
    """Return the inputs of a node whose elements it reads; of the others it takes only a size, or a shape."""
    if isinstance(node.op, Draw):
        state, _, parameters = node.op.split(node.inputs)
        return [state, *parameters]
    return node.inputs[:1] if isinstance(node.op, BroadcastTo | SpecifyShape | SumTo | Reshape) else node.inputs
