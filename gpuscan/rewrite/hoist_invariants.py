"""Take what is the same at every step out of loops: computed once, before them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Loop, NonSequence, open_loop
from gpuscan.loop.fixed import CHEAP, VIEWS, Outside
from gpuscan.loop.names import value_name
from gpuscan.rewrite.bodies import change_loops, names_of, reopened
from gpuscan.rewrite.drop_unread import drop_records


def hoist_invariants(graph: Graph) -> Graph | None:
    """Compute what depends on non-sequences alone before the loop, and pass it as one more of them.

    What is made of `CHEAP` ops alone stays: a kernel has it in a register, and the NumPy backend takes it out of its
    own ``for``; as a value of its own it would cost a launch. A draw stays, and so does what may fail on values of the
    right shape unless the loop is known to run a step: of a loop that runs none, nothing must fail. What only one side
    of an `ifelse` reads stays too: it may be there to be skipped.
    """
    return change_loops(graph, _hoisted, hoist_invariants.__name__)


def _hoisted(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    leaving = _leaving(loop)
    if not leaving:
        return None
    outside, names = Outside(loop), names_of(loop)
    added = []
    for v in leaving:
        name = names.unique(value_name(v))
        source = outside.say(v)
        added.append(NonSequence(name, source, Variable(source.type, name, known=source.known)))
    moved = loop.replaced({v: n.read for v, n in zip(leaving, added, strict=True)})
    return reopened(node, drop_records(replace(moved, non_sequences=(*loop.non_sequences, *added)))).outputs


def _leaving(loop: Loop) -> list[Variable]:
    """Return the values that are computed outside: the last ones in each chain of invariant work."""
    outside = Outside(loop)
    ahead = set(outside.ahead)
    dear: set[Variable] = set()
    read: list[Variable] = []
    for node in outside.nodes:
        if node not in ahead:
            read += [v for v in node.inputs if v.owner in outside.asked]
        elif not isinstance(node.op, CHEAP) or any(v in dear for v in node.inputs):
            dear.update(node.outputs)
    leaving = (_without_views(v, dear) for v in (*read, *loop.outputs))
    return list(dict.fromkeys(v for v in leaving if v in dear))


def _without_views(v: Variable, dear: Collection[Variable]) -> Variable:
    while v.owner is not None and isinstance(v.owner.op, VIEWS) and v.owner.inputs[0] in dear:
        v = v.owner.inputs[0]
    return v
