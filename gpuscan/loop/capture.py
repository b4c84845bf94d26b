"""Values from outside a loop that its step uses without being passed them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from gpuscan.control import IfElse
from gpuscan.errors import MissingInputError
from gpuscan.graph import Apply, Constant, SharedVariable, Variable, dependents, leaves, sorted_nodes
from gpuscan.loop.records import Loop, NonSequence


def capture(
    loop: Loop,
    carried: Mapping[SharedVariable, Variable],
    unique: Callable[[str], str],
    strict: bool,
    made: Sequence[Apply] = (),
) -> Loop:
    """Return `loop` with everything that its inside uses from outside as non-sequences.

    What depends on nothing inside is captured as it is, so that work on outer variables alone is done once. What the
    step wrote stays inside all the same if it does more than compute (an assertion, a print), or if only one side of
    an `ifelse` of the step reads it: it may be there to be skipped.

    Parameters
    ----------
    loop : Loop
        What to close off.
    carried : mapping
        For each shared variable that the steps update, its value inside the loop.
    unique : callable
        Returns a name like the one it is given that no record has.
    strict : bool
        Whether to refuse shared variables that are not passed.
    made : sequence of Apply
        The nodes that the step function made.

    Raises
    ------
    MissingInputError
        With `strict`, naming the shared variable.
    """
    inner = {n.source: n.read for n in loop.non_sequences}
    inner.update((shared, read) for shared, read in carried.items())
    captured = []
    for value in _outer_values(loop.outputs, {*loop.reads, *inner}, made):
        if strict and (hidden := [v for v in leaves([value]) if isinstance(v, SharedVariable)]):
            raise MissingInputError(
                f"scan: the step function uses the shared variable {hidden[0].name!r} without its being passed; "
                "strict=True requires it in non_sequences"
            )
        inner[value] = Variable(value.type, value.name, known=value.known)
        captured.append(NonSequence(unique(value.name or "captured"), value, inner[value]))
    return replace(loop.replaced(inner), non_sequences=(*loop.non_sequences, *captured))


def _outer_values(outputs: Sequence[Variable], inner: Collection[Variable], made: Sequence[Apply]) -> list[Variable]:
    """Return the values that the inside uses from outside.

    Constants that are numbers stay where they are; arrays are captured, as a kernel must be handed them.
    """
    effects = {v for node in made if node.op.effect for v in node.outputs}
    inside = dependents(outputs, {*inner, *effects})
    inside |= _skippable(outputs, inside, made)
    used = [v for node in sorted_nodes(outputs, inner) if node.outputs[0] in inside for v in node.inputs]
    return list(dict.fromkeys(v for v in (*used, *outputs) if v not in inside and not _is_number(v)))


def _skippable(outputs: Sequence[Variable], inside: Collection[Variable], made: Sequence[Apply]) -> set[Variable]:
    """Return what the step made that `outputs` read through a side of an `ifelse` of the inside, and no other way."""
    always: set[Apply] = set()
    stack = [v.owner for v in outputs if v.owner is not None]
    while stack:
        node = stack.pop()
        if node not in always:
            always.add(node)
            branches = isinstance(node.op, IfElse) and node.outputs[0] in inside
            stack.extend(v.owner for v in (node.inputs[:1] if branches else node.inputs) if v.owner is not None)
    return {v for node in made if node not in always for v in node.outputs}


def _is_number(v: Variable) -> bool:
    return isinstance(v, Constant) and v.ndim == 0
