"""Make one loop of those whose states are computed alike and that differ in what else they stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Emit, Loop, Result, Scan, close_loop, open_loop
from gpuscan.loop.names import Names
from gpuscan.rewrite.rebuild import rebuild


def merge_emits(graph: Graph) -> Graph | None:
    """Run a loop once where its gradient stacks values of its steps that the program does not ask for."""
    keys = {node: _key(node) for node in graph.nodes if isinstance(node.op, Scan) and not node.op.effect}
    groups: dict[Any, list[Apply]] = {}
    for node, key in keys.items():
        groups.setdefault(key, []).append(node)
    if all(len(nodes) == 1 for nodes in groups.values()):
        return None
    merged: dict[Any, _Merged] = {}

    def merge(node: Apply, original: Apply) -> Sequence[Variable] | None:
        key = keys.get(original)
        if key is None or len(groups[key]) <= 1:
            return None
        if key not in merged:
            merged[key] = _Merged(node, groups[key])
        return merged[key].outputs(original)

    return rebuild(graph, merge, only=[Scan])


def _key(node: Apply) -> Any:
    """Return what loops that can become one have in common: all but what they stack and hand out."""
    op = node.op
    assert isinstance(op, Scan)
    nexts, rest = op.body.outputs[: len(op.states)], op.body.outputs[len(op.states) + len(op.emits) :]
    states = Graph(op.body.parameters, nexts + rest)
    return (replace(op, body=states, emits=(), results=()), node.inputs)


class _Merged:
    """One loop in place of several: the states of any, the emits of all, equal ones once."""

    def __init__(self, node: Apply, group: Sequence[Apply]) -> None:
        first = open_loop(node)
        names = Names(r.name for records in (first.sequences, first.states, first.non_sequences) for r in records)
        self.renamed: dict[tuple[Apply, str], str] = {}
        emits: dict[Any, Emit] = {}  # by what they compute
        results: dict[Result, None] = {}
        for member in group:
            for emit in _over(first, member.with_inputs(node.inputs)).emits:
                key = Graph(first.reads, [emit.value]).key
                if key not in emits:
                    emits[key] = replace(emit, name=names.unique(emit.name))
                self.renamed[member, emit.name] = emits[key].name
            results.update(dict.fromkeys(self._results(member)))
        whole = replace(first, emits=tuple(emits.values()), results=tuple(results))
        self.made = dict(zip(whole.results, close_loop(whole).outputs, strict=True))

    def _results(self, member: Apply) -> list[Result]:
        assert isinstance(member.op, Scan)
        return [replace(r, record=self.renamed.get((member, r.record), r.record)) for r in member.op.results]

    def outputs(self, member: Apply) -> list[Variable]:
        """Return what stands for the outputs of one of the loops."""
        return [self.made[r] for r in self._results(member)]


def _over(first: Loop, node: Apply) -> Loop:
    """Return the loop of `node` over the inner variables of `first`."""
    loop = open_loop(node)
    return loop.replaced(dict(zip(loop.reads, first.reads, strict=True)))
