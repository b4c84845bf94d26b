"""The public arguments of `function`, checked and turned into plain data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gpuscan.errors import DtypeError, MissingInputError, ShapeError, UnusedInputError
from gpuscan.graph import SharedVariable, TensorType, Variable, free_values, leaves, merge_shapes
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.pointwise import promote


def label(variable: Variable, position: int) -> str:
    """Return what messages call an input."""
    return f"input {variable.name!r}" if variable.name else f"input {position}"


def read_inputs(inputs: Any) -> list[Variable]:
    """Return the inputs.

    Raises
    ------
    TypeError
        If they are no sequence of variables without a value of their own.
    ValueError
        If one is listed twice.
    """
    if isinstance(inputs, Variable) or not isinstance(inputs, Sequence):
        raise TypeError("function: inputs must be a list of variables, as in function([x], y)")
    for position, v in enumerate(inputs):
        if not isinstance(v, Variable):
            raise TypeError(f"function: input {position} is {v!r}; inputs must be variables")
        if isinstance(v, SharedVariable):
            raise TypeError(
                f"function: the shared variable {v.name!r} cannot be an input; functions find it themselves"
            )
    for position, v in enumerate(inputs):
        if v in inputs[:position]:
            raise ValueError(f"function: {label(v, position)} is listed twice")
    return list(inputs)


class Structure:
    """The form in which outputs were asked for: none, one, a list or a dict.

    Raises
    ------
    DtypeError
        If something asked for is no variable, number or array.
    """

    def __init__(self, outputs: Any) -> None:
        self.form = outputs
        if outputs is None:
            values = []
        elif isinstance(outputs, Mapping):
            values = list(outputs.values())
        else:
            values = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        self.variables = [_output(value, position) for position, value in enumerate(values)]

    def build(self, results: Sequence[Any]) -> Any:
        """Return the results in that form."""
        if self.form is None:
            return None
        if isinstance(self.form, Mapping):
            return dict(zip(self.form, results, strict=True))
        return list(results) if isinstance(self.form, list | tuple) else results[0]


def _output(value: Any, position: int) -> Variable:
    try:
        return as_tensor_variable(value)
    except DtypeError as error:
        hint = "; scan returns outputs and updates, write `out, updates = scan(...)`" if isinstance(value, dict) else ""
        raise DtypeError(f"function: output {position} cannot be computed: {error}{hint}") from None


def read_updates(updates: Any) -> list[tuple[SharedVariable, Variable]]:
    """Return the updates as pairs, each value cast to its shared variable's dtype.

    Raises
    ------
    TypeError, ValueError
        If they are not for shared variables, or two are for one.
    DtypeError, ShapeError
        If a value does not fit.
    """
    for shared, _ in (pairs := _pairs(updates, "updates")):
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


def check_used(inputs: Sequence[Variable], wanted: Sequence[Variable], action: str) -> None:
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
    used = {*leaves(wanted, inputs), *wanted}
    for position, v in enumerate(inputs):
        if v not in used:
            message = f"function: {label(v, position)} is not used; drop it, or pass on_unused_input='ignore'"
            if action == "raise":
                raise UnusedInputError(message)
            warnings.warn(message, stacklevel=3)
