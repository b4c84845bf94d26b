"""The public arguments of `function`, checked and turned into plain data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gpuscan.compile.ends import In, Input, Out, read_input
from gpuscan.errors import DtypeError, MissingInputError, ShapeError, UnusedInputError
from gpuscan.graph import SharedVariable, TensorType, Variable, free_values, leaves, merge_shapes
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.pointwise import promote


def read_inputs(inputs: Any, allow_downcast: bool | None) -> tuple[Input, ...]:
    """Return the inputs.

    Raises
    ------
    TypeError
        If they are no sequence of variables without a value of their own.
    ValueError
        If one is listed twice.
    DtypeError, ShapeError
        If a default value does not fit.
    """
    if isinstance(inputs, Variable | In) or not isinstance(inputs, Sequence):
        raise TypeError("function: inputs must be a list of variables, as in function([x], y)")
    found = tuple(read_input(given, position, allow_downcast) for position, given in enumerate(inputs))
    for position, i in enumerate(found):
        if i.variable in [other.variable for other in found[:position]]:
            raise ValueError(f"function: {i.label(position)} is listed twice")
    return found


class Structure:
    """The form in which outputs were asked for: none, one, a list or a dict.

    Raises
    ------
    DtypeError
        If something asked for is no variable, number or array.
    """

    def __init__(self, outputs: Any) -> None:
        self.keys: tuple[Any, ...] | None = None
        self.form = "list"
        if outputs is None:
            self.form, values = "none", []
        elif isinstance(outputs, Mapping):
            self.form, self.keys, values = "dict", tuple(outputs), list(outputs.values())
        elif isinstance(outputs, list | tuple):
            values = list(outputs)
        else:
            self.form, values = "one", [outputs]
        self.variables = [_output(value, position) for position, value in enumerate(values)]

    def __getstate__(self) -> dict[str, Any]:
        # Without the variables as they were asked for: what computes them is in the compiled graph.
        return {"form": self.form, "keys": self.keys, "variables": []}

    def build(self, results: Sequence[Any]) -> Any:
        """Return the results in that form."""
        if self.form == "none":
            return None
        if self.keys is not None:
            return dict(zip(self.keys, results, strict=True))
        return list(results) if self.form == "list" else results[0]


def _output(value: Any, position: int) -> Variable:
    value = value.variable if isinstance(value, Out) else value
    try:
        return as_tensor_variable(value)
    except DtypeError as error:
        hint = "; scan returns outputs and updates, write `out, updates = scan(...)`" if isinstance(value, dict) else ""
        raise DtypeError(f"function: output {position} cannot be computed: {error}{hint}") from None


def read_updates(updates: Any, inputs: Sequence[Input] = ()) -> list[tuple[SharedVariable, Variable]]:
    """Return the updates as pairs, those of inputs among them, each value cast to its shared variable's dtype.

    Parameters
    ----------
    updates : mapping or pairs
        As the caller gave them.
    inputs : sequence of Input
        Some may have updates of their own.

    Raises
    ------
    TypeError, ValueError
        If they are not for shared variables, or two are for one.
    DtypeError, ShapeError
        If a value does not fit.
    """
    pairs = _pairs(updates, "updates")
    pairs = _pairs([*pairs, *((i.default, i.update) for i in inputs if i.update is not None)], "updates")
    for shared, _ in pairs:
        if not isinstance(shared, SharedVariable):
            raise TypeError(f"function: updates must be for shared variables; found {shared!r}")
    return [(shared, _fit_update(shared, value)) for shared, value in pairs]


def default_updates(
    wanted: Sequence[Variable], updates: Sequence[tuple[SharedVariable, Variable]], without: Any
) -> list[tuple[SharedVariable, Variable]]:
    """Return the default updates of the shared variables that `wanted`, `updates` and they themselves depend on.

    Parameters
    ----------
    wanted : sequence of Variable
        What a call returns.
    updates : sequence of pairs
        The updates asked for, which take the place of defaults.
    without : bool or collection of SharedVariable
        Whether to leave out all defaults, or which.

    Raises
    ------
    DtypeError, ShapeError
        If a value does not fit its shared variable.
    """
    if without is True:
        return []
    kept = {shared for shared, _ in updates} | set(without or ())
    found: list[tuple[SharedVariable, Variable]] = []
    look = [*wanted, *(value for _, value in updates)]
    while look:
        shared = [v for v in leaves(look) if isinstance(v, SharedVariable) and v not in kept]
        fresh = [(s, _fit_update(s, s.default_update)) for s in shared if s.default_update is not None]
        kept.update(shared)
        found += fresh
        look = [value for _, value in fresh]
    return found


def read_givens(givens: Any) -> dict[Variable, Variable]:
    """Return what to compute with in place of which variables.

    Raises
    ------
    TypeError, ValueError
        If they are not for variables, or two are for one.
    DtypeError, ShapeError
        If a value does not fit.
    """
    for old, _ in (pairs := _pairs(givens, "givens")):
        if not isinstance(old, Variable):
            raise TypeError(f"function: givens must be for variables; found {old!r}")
    return {old: _fit_given(old, value) for old, value in pairs}


def _pairs(pairs: Any, what: str) -> list[tuple[Any, Any]]:
    listed = [] if pairs is None else pairs.items() if isinstance(pairs, Mapping) else pairs
    try:
        listed = [(key, value) for key, value in listed]
    except (TypeError, ValueError):
        raise TypeError(
            f"function: {what} must be a dict, or a list of pairs (variable, value); found {pairs!r:.60}"
        ) from None
    keys = [key for key, _ in listed]
    if repeated := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"function: {what} has two entries for {repeated[0]!r}")
    return listed


def _fit_update(shared: SharedVariable, value: Any) -> Variable:
    return _fit(value, shared, shared.type, f"function: the update of shared variable {shared.name!r}, {shared.type},")


def _fit_given(old: Variable, value: Any) -> Variable:
    return _fit(
        value,
        old,
        old.type,
        f"function: givens in place of {repr(old.name) if old.name else 'a variable'}, {old.type},",
    )


def _fit(value: Any, beside: Variable, type_: TensorType, what: str) -> Variable:
    """Return `value` as a variable that can stand where something of type `type_` stood."""
    new = operands(beside, value)[1]
    if promote(type_.dtype, new.dtype) != type_.dtype:
        raise DtypeError(f"{what} is {new.type}, which does not fit without loss; cast it to {type_.dtype}")
    try:
        merge_shapes([type_.shape, new.type.shape])
    except ShapeError as error:
        raise ShapeError(f"{what} is {new.type}: {error}") from None
    return cast(new, type_.dtype)


def find_shared(wanted: Sequence[Variable], inputs: Sequence[Variable]) -> list[SharedVariable]:
    """Return the shared variables that `wanted` needs.

    Raises
    ------
    MissingInputError
        If it needs another variable that is no input.
    """
    shared = []
    for v in free_values(wanted, inputs):
        if not isinstance(v, SharedVariable):
            raise MissingInputError(
                f"function: the outputs need {repr(v.name) if v.name else 'an unnamed variable'} ({v.type}), which is "
                "not among the inputs; add it to them, or give it a value with givens. (A variable from inside a step "
                "function of scan has a value outside only if the function returns it.)"
            )
        shared.append(v)
    return shared


def check_used(inputs: Sequence[Input], wanted: Sequence[Variable], action: str) -> None:
    """Raise, warn or do nothing about inputs that `wanted` does not depend on.

    Raises
    ------
    UnusedInputError
        If `action` is ``raise`` and there is one.
    """
    if action not in ("raise", "warn", "ignore"):
        raise ValueError(f"function: on_unused_input must be 'raise', 'warn' or 'ignore'; found {action!r}")
    if action == "ignore":
        return
    used = {*leaves(wanted, [i.variable for i in inputs]), *wanted}
    for position, given in enumerate(inputs):
        if given.variable not in used:
            message = f"function: {given.label(position)} is not used; drop it, or pass on_unused_input='ignore'"
            if action == "raise":
                raise UnusedInputError(message)
            warnings.warn(message, stacklevel=3)
