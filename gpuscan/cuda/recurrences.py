"""States whose steps can be composed before the state is known: linear in the state, or an associative operation.

``s <- a * s + b`` followed by ``s <- c * s + d`` is ``s <- (c * a) * s + (c * b + d)``: a step of the same form, which
needs no `s` to be found. So does ``s <- max(s, b)``, and every operation that is associative. Whatever is composed of
steps of this form can be worked out for many steps at once, in any grouping (Blelloch, "Prefix sums and their
applications", 1990).

What a and b are made of is found by following the state through the step: each value on the way is such a form of it.
They may depend on sequences, non-sequences and other states, but not on the state itself. A state on which another's a
or b depends comes in an earlier stage: its values are known when those of the next stage are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpuscan.cuda.step.body import needed_nodes, operands_of
from gpuscan.graph import Apply, Constant, Variable, leaves
from gpuscan.loop import Loop, State
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.guards import SpecifyShape
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.reduction import SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle

ASSOCIATIVE = (
    *("maximum", "minimum", "logaddexp"),
    *("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"),
)
"""Rows of the pointwise table that are associative. Sums and products are too, and are found as linear forms."""

HANDED_ON = (BroadcastTo, SpecifyShape, SumTo, Barrier)
"""Ops that hand a lane's only element on."""


@dataclass(frozen=True)
class Affine:
    """``scale * state + offset``; a state that the step replaces has the scale 0.

    Of a float state both are float64, so that forming them adds no error that float32 would show; of any other they are
    of the state's dtype.
    """

    scale: Variable
    offset: Variable


@dataclass(frozen=True)
class Folded:
    """``row(state, operand)``, or ``row(operand, state)``: equal but for which of two equal values is returned."""

    row: str
    operand: Variable
    state_first: bool


Form = Affine | Folded


@dataclass(frozen=True)
class Recurrence:
    """A state, and its next value as a form of itself."""

    state: State
    form: Form

    @property
    def coefficients(self) -> tuple[Variable, ...]:
        """What the form is made of."""
        return (self.form.operand,) if isinstance(self.form, Folded) else (self.form.scale, self.form.offset)


Stage = tuple[Recurrence, ...]


def find_stages(loop: Loop) -> tuple[Stage, ...] | str:
    """Return the recurrences of a loop in the order in which they can be solved, or why it is not made of them.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known, one element of every value to a lane.

    Returns
    -------
    tuple of Stage, or str
        The coefficients of a stage depend on states of earlier stages only. A loop without states has no stages.
    """
    found: list[Recurrence] = []
    for state in loop.states:
        form = _form_of(loop, state)
        if isinstance(form, str):
            return form
        found.append(Recurrence(state, form))
    return _in_stages(loop, found)


def _in_stages(loop: Loop, found: Sequence[Recurrence]) -> tuple[Stage, ...] | str:
    readers = {v: s.name for s in loop.states for v in s.reads.values()}
    needs = {r.state.name: {readers[v] for v in leaves(r.coefficients, loop.reads) if v in readers} for r in found}
    stages: list[Stage] = []
    known: set[str] = set()
    while len(known) < len(found):
        stage = tuple(r for r in found if r.state.name not in known and needs[r.state.name] <= known)
        if not stage:
            circle = ", ".join(repr(r.state.name) for r in found if r.state.name not in known)
            return f"states depend on each other, or on one that depends on itself through another: {circle}"
        stages.append(stage)
        known |= {r.state.name for r in stage}
    return tuple(stages)


# ---- one state ----


@dataclass(frozen=True)
class _Opaque:
    """A value that depends on the state in another way, first so at a node."""

    node: Apply


_Found = Affine | Folded | _Opaque


def _form_of(loop: Loop, state: State) -> Form | str:
    if state.depth > 1:
        return f"state {state.name!r} is read {state.depth} steps back"
    dtype = wide(state.next.dtype)
    forms: dict[Variable, _Found] = {v: Affine(_number(1, dtype), _number(0, dtype)) for v in state.reads.values()}
    for node in needed_nodes(loop.outputs, loop.reads):
        if any(v in forms for v in operands_of(node)):
            form = _through(node, forms, dtype)
            forms.update(dict.fromkeys(node.outputs, _Opaque(node) if form is None else form))
    form = forms.get(state.next) or _free(state.next, dtype)
    if isinstance(form, _Opaque):
        where = f"{form.node.op}, made at {form.node.where}"
        return f"state {state.name!r} is neither linear in itself nor folded by an associative operation: {where}"
    return form


def _through(node: Apply, forms: Mapping[Variable, _Found], dtype: str) -> _Found | None:
    """Return the form of a node of which some operand depends on the state, None if it has none."""
    op, operands = node.op, operands_of(node)
    given: list[Form | None] = []
    for v in operands:
        found = forms.get(v)
        if isinstance(found, _Opaque):
            return found
        given.append(found)
    if isinstance(op, HANDED_ON) or (isinstance(op, DimShuffle) and _keeps_alignment(op, node.inputs[0])):
        return given[0]  # coefficients still broadcast to where their lanes are
    # Floats differ by rounding only; integers of another width would wrap around elsewhere.
    if any(wide(v.dtype) != dtype for v, form in zip(operands, given, strict=True) if form is not None):
        return None
    if wide(node.outputs[0].dtype) != dtype:
        return None
    if isinstance(op, Cast):
        return given[0] if isinstance(given[0], Affine) else None
    if not isinstance(op, Pointwise):
        return None
    if op.row in ASSOCIATIVE:
        return _fold(node, given)
    if op.row == "switch":
        return None if given[0] is not None else _switch(operands, given, dtype)
    computed_in, _ = op.dtypes(operands)
    values = [
        _free(_cast(v, d), dtype) if f is None else f for v, f, d in zip(operands, given, computed_in, strict=True)
    ]
    if op.row not in LINEAR or not all(isinstance(v, Affine) for v in values):
        return None
    return LINEAR[op.row](*values)


def _keeps_alignment(op: DimShuffle, x: Variable) -> bool:
    """Whether every kept axis of more than one element stays as far from the last axis as it was."""
    ndim = len(op.order)
    return all(
        axis is None or x.type.shape[axis] == 1 or ndim - position == x.ndim - axis
        for position, axis in enumerate(op.order)
    )


def wide(dtype: str) -> str:
    """Return the dtype that the steps of a state of type `dtype` are composed in."""
    return "float64" if dtype == "float32" else dtype


def _free(value: Variable, dtype: str) -> Affine:
    """Return the form of a value that does not depend on the state."""
    return Affine(_number(0, dtype), _cast(value, dtype))


def _cast(value: Variable, dtype: str) -> Variable:
    return value if value.dtype == dtype else Cast(dtype)(value)


# ---- forms of what operations return ----


def _fold(node: Apply, given: Sequence[Form | None]) -> Folded | None:
    assert isinstance(node.op, Pointwise)
    row, dtypes = node.op.row, node.op.dtypes(node.inputs)[0]
    place = 0 if given[1] is None else 1
    form, other = given[place], _cast(node.inputs[1 - place], dtypes[1 - place])
    if given[1 - place] is not None or node.inputs[place].dtype != dtypes[place]:
        return None
    if isinstance(form, Affine) and is_number(form.scale, 1) and is_number(form.offset, 0):
        return Folded(row, other, place == 0)
    if isinstance(form, Folded) and (form.row, form.state_first) == (row, place == 0):
        # max(max(s, x), y) = max(s, max(x, y)), and from the other side max(y, max(x, s)) = max(max(y, x), s).
        operands = (form.operand, other) if form.state_first else (other, form.operand)
        return Folded(row, Pointwise(row)(*operands), form.state_first)
    return None


def _switch(operands: Sequence[Variable], given: Sequence[Form | None], dtype: str) -> Affine | None:
    condition, *sides = operands
    u, v = (_free(side, dtype) if form is None else form for side, form in zip(sides, given[1:], strict=True))
    if not isinstance(u, Affine) or not isinstance(v, Affine):
        return None
    choose = Pointwise("switch")
    return Affine(choose(condition, u.scale, v.scale), choose(condition, u.offset, v.offset))


def _add(u: Affine, v: Affine) -> Affine:
    return Affine(_sum(u.scale, v.scale), _sum(u.offset, v.offset))


def _neg(u: Affine) -> Affine:
    return Affine(_negative(u.scale), _negative(u.offset))


def _mul(u: Affine, v: Affine) -> Affine | None:
    form, factor = (u, v) if is_number(v.scale, 0) else (v, u)
    if not is_number(factor.scale, 0):
        return None
    return Affine(_product(form.scale, factor.offset), _product(form.offset, factor.offset))


def _div(u: Affine, v: Affine) -> Affine | None:
    if not is_number(v.scale, 0):
        return None
    return Affine(_quotient(u.scale, v.offset), _quotient(u.offset, v.offset))


LINEAR: dict[str, Callable[..., Affine | None]] = {
    "add": _add,
    "sub": lambda u, v: _add(u, _neg(v)),
    "neg": _neg,
    "mul": _mul,
    "true_div": _div,
}
"""Rows of the pointwise table through which a linear form may go: from the operands' forms to the result's."""


# ---- coefficients: arithmetic that leaves out what is 0 or 1 ----


def _number(value: int, dtype: str) -> Constant:
    return Constant(np.array(value).astype(dtype))


def is_number(v: Variable, value: int) -> bool:
    """Whether a coefficient is a constant of that value."""
    return isinstance(v, Constant) and v.data.size == 1 and bool((v.data == value).all())


def _sum(a: Variable, b: Variable) -> Variable:
    if is_number(a, 0) or is_number(b, 0):
        return b if is_number(a, 0) else a
    return Pointwise("add")(a, b)


def _product(part: Variable, factor: Variable) -> Variable:
    if is_number(part, 0) or is_number(factor, 1):
        return part
    # A factor that is 0 does not replace the state: infinity times it is not 0.
    return factor if is_number(part, 1) and not is_number(factor, 0) else Pointwise("mul")(part, factor)


def _quotient(a: Variable, b: Variable) -> Variable:
    return a if is_number(a, 0) or is_number(b, 1) else Pointwise("true_div")(a, b)


def _negative(a: Variable) -> Variable:
    return Constant(np.negative(a.data)) if isinstance(a, Constant) else Pointwise("neg")(a)
