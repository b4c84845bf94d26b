"""Drop results of loops and branches that nobody reads, and what only they needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from gpuscan.control import IfElse, close_branches, open_branches
from gpuscan.graph import Apply, Graph, Variable, leaves
from gpuscan.loop import Loop, Scan, close_loop, open_loop, read_loop
from gpuscan.rewrite.rebuild import rebuild


def drop_unread(graph: Graph) -> Graph | None:
    """Stop loops and branches from handing out what nothing reads, and from carrying what no result depends on."""
    read = {v for node in graph.nodes for v in node.inputs} | set(graph.outputs)

    def drop(node: Apply, original: Apply) -> Sequence[Variable] | None:
        positions = [i for i, v in enumerate(original.outputs) if v in read]
        smaller = _smaller_loop(node, positions) if isinstance(node.op, Scan) else _smaller_branches(node, positions)
        if smaller is None:
            return None
        fresh = dict(zip(positions, smaller.outputs, strict=True))
        # Whatever stands for an output that nothing reads is never looked at.
        return [fresh.get(i, v) for i, v in enumerate(node.outputs)]

    dropped = rebuild(graph, drop, only=[Scan, IfElse])
    return None if dropped is graph else dropped


def _smaller_loop(node: Apply, positions: Sequence[int]) -> Apply | None:
    """Return a node with only the results at `positions`; None if that is no less."""
    loop = read_loop(node)
    if _with_results(loop, positions) == loop:
        return None
    return close_loop(_with_results(open_loop(node), positions))


def _with_results(loop: Loop, positions: Sequence[int]) -> Loop:
    return drop_records(replace(loop, results=tuple(loop.results[i] for i in positions)))


def _smaller_branches(node: Apply, positions: Sequence[int]) -> Apply | None:
    assert isinstance(node.op, IfElse)
    if len(positions) == len(node.outputs):
        return None
    then, otherwise = ([side[i] for i in positions] for side in open_branches(node))
    return close_branches(node.inputs[0], node.inputs[1:], then, otherwise, node.op.title, node.where)


def drop_records(loop: Loop) -> Loop:
    """Return `loop` without the states, emits, reads and non-sequences that none of its results depends on.

    Sequences stay even if no row of them is read: that they are long enough is checked when the loop runs.
    """
    needed = _needed(loop)
    return replace(
        loop,
        sequences=tuple(replace(s, reads={o: v for o, v in s.reads.items() if v in needed}) for s in loop.sequences),
        states=tuple(s for s in loop.states if s.next in needed),
        emits=tuple(e for e in loop.emits if e.value in needed),
        non_sequences=tuple(n for n in loop.non_sequences if n.read in needed),
    )


def _needed(loop: Loop) -> Collection[Variable]:
    """Return the inner variables that results or the stop condition depend on, step after step."""
    needed = {loop.value_of(r.record) for r in loop.results if r.record}
    needed |= {loop.stop} if loop.stop is not None else set()
    while True:
        found = needed | set(leaves(needed))
        found |= {s.next for s in loop.states if not found.isdisjoint(s.reads.values())}
        if found == needed:
            return needed
        needed = found
