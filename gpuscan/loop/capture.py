"""Values from outside a loop that its step uses without being passed them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from gpuscan.errors import MissingInputError
from gpuscan.graph import Constant, SharedVariable, Variable, dependents, leaves, sorted_nodes, substitute
from gpuscan.loop.records import Loop, NonSequence


def capture(loop: Loop, carried: Mapping[SharedVariable, Variable], unique: Callable[[str], str], strict: bool) -> Loop:
    """Return `loop` with everything that its inside uses from outside as non-sequences.

    What depends on nothing inside is captured as it is, so that work on outer variables alone is done once.

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

    Raises
    ------
    MissingInputError
        With `strict`, naming the shared variable.
    """
    inner = {n.source: n.read for n in loop.non_sequences}
    inner.update((shared, read) for shared, read in carried.items())
    captured = []
    for value in _outer_values(loop.outputs, {*loop.reads, *inner}):
        if strict and (hidden := [v for v in leaves([value]) if isinstance(v, SharedVariable)]):
            raise MissingInputError(
                f"scan: the step function uses the shared variable {hidden[0].name!r} without its being passed; "
                "strict=True requires it in non_sequences"
            )
        inner[value] = Variable(value.type, value.name, known=value.known)
        captured.append(NonSequence(unique(value.name or "captured"), value, inner[value]))
    inside = dict(zip(loop.outputs, substitute(loop.outputs, inner), strict=True))
    return replace(
        loop,
        states=tuple(replace(s, next=inside[s.next]) for s in loop.states),
        emits=tuple(replace(e, value=inside[e.value]) for e in loop.emits),
        non_sequences=(*loop.non_sequences, *captured),
        stop=None if loop.stop is None else inside[loop.stop],
    )


def _outer_values(outputs: Collection[Variable], inner: Collection[Variable]) -> list[Variable]:
    """Return the values that `outputs` use and that depend on none of `inner`.

    Constants that are numbers stay where they are; arrays are captured, as a kernel must be handed them.
    """
    inside = dependents(outputs, inner)
    used = [v for node in sorted_nodes(outputs, inner) if node.outputs[0] in inside for v in node.inputs]
    return list(dict.fromkeys(v for v in (*used, *outputs) if v not in inside and not _is_number(v)))


def _is_number(v: Variable) -> bool:
    return isinstance(v, Constant) and v.ndim == 0
