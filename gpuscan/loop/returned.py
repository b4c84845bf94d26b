"""What a step function returns: outputs, updates, a stop condition, in this order, any of them missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, LoopError
from gpuscan.graph import SharedVariable, Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, operands


class until:
    """Wraps the condition that a step function returns last: the step where it holds is the last one.

    Parameters
    ----------
    condition : Variable
        A scalar; anything but zero stops the loop after this step.
    """

    def __init__(self, condition: Any) -> None:
        try:
            variable = as_tensor_variable(condition)
        except DtypeError as error:
            raise LoopError(f"until: the condition must be a variable: {error}") from None
        if variable.ndim:
            raise LoopError(
                f"until: the condition must be a scalar, not {variable.type}; reduce it with all() or any()"
            )
        self.condition = cast(variable, "bool")


@dataclass(frozen=True)
class Returned:
    """The parts of what a step function returned."""

    outputs: list[Variable]
    updates: dict[SharedVariable, Variable]
    stop: Variable | None


def read_returned(value: Any) -> Returned:
    """Return the parts of what a step function returned.

    Raises
    ------
    LoopError
        If it is nothing, a stop condition is not last, updates are not of shared variables, or an output is not
        symbolic.
    """
    items = [] if value is None else list(value) if isinstance(value, tuple | list) else [value]
    stop = items.pop().condition if items and isinstance(items[-1], until) else None
    updates: dict[Any, Any] = {}
    if _is_updates(items):
        items, updates = [], _distinct(items)
    elif items and _is_updates(items[-1]):
        updates = _distinct(items.pop())
    if len(items) == 1 and isinstance(items[0], list | tuple):
        items = list(items[0])
    if any(isinstance(item, until) for item in _flat(items)):
        raise LoopError("scan: until(...) must be the last thing that the step function returns")
    if not items and not updates:
        raise LoopError("scan: the step function returns no outputs and no updates; is its `return` missing?")
    outputs = [_output(item, position) for position, item in enumerate(items)]
    return Returned(outputs, {key: _update(key, new) for key, new in updates.items()}, stop)


def _flat(items: Iterable[Any]) -> list[Any]:
    return [leaf for item in items for leaf in (item if isinstance(item, list | tuple) else [item])]


def _is_updates(value: Any) -> bool:
    """Whether `value` is a dict, or a list of pairs that start with a shared variable."""
    if isinstance(value, dict):
        return True
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], SharedVariable) for p in value)
    )


def _distinct(updates: Any) -> dict[Any, Any]:
    pairs = list(updates.items() if isinstance(updates, dict) else updates)
    for position, (shared, _) in enumerate(pairs):
        if any(shared is earlier for earlier, _ in pairs[:position]):
            raise LoopError(f"scan: the step function returned two updates of shared variable {shared.name!r}")
    return dict(pairs)


def _output(value: Any, position: int) -> Variable:
    if isinstance(value, Variable):
        return value
    hint = ""
    if isinstance(value, list | tuple) and any(isinstance(v, Variable) for v in _flat(value)):
        hint = ". Return outputs side by side, or stack them into one variable with gpuscan.tensor.stack"
    elif isinstance(value, int | float | complex | np.ndarray | np.generic):
        hint = ". What is the same at every step can be returned as gpuscan.tensor.constant(value)"
    found = f"{type(value).__name__} {value!r:.60}"
    raise LoopError(f"scan: the step function must return variables; output {position} is {found}{hint}")


def _update(shared: Any, value: Any) -> Variable:
    if not isinstance(shared, SharedVariable):
        hint = "; a dict is taken for updates, outputs are returned side by side" if isinstance(shared, str) else ""
        raise LoopError(f"scan: the step function returned an update of {shared!r}, which is no shared variable{hint}")
    label = f"scan: the update of shared variable {shared.name!r}, {shared.type},"
    try:
        new = operands(shared, value)[1]
    except DtypeError as error:
        raise LoopError(f"{label} cannot be used: {error}") from None
    if (new.dtype, new.ndim) != (shared.dtype, shared.ndim):
        advice = f"cast it to {shared.dtype}" if new.dtype != shared.dtype else "a shared variable keeps its rank"
        raise LoopError(f"{label} is {new.type}; {advice}")
    return new
