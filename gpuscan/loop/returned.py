"""What a step function returns: outputs, updates, a stop condition, in this order, any of them missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpuscan.errors import LoopError
from gpuscan.graph import SharedVariable, Variable
from gpuscan.tensor import as_tensor_variable, cast


class until:
    """Wraps the condition that a step function returns last: the step where it holds is the last one.

    Parameters
    ----------
    condition : Variable
        A scalar; anything but zero stops the loop after this step.
    """

    def __init__(self, condition: Any) -> None:
        variable = as_tensor_variable(condition)
        if variable.ndim:
            raise LoopError(f"until: the condition must be a scalar, not {variable.type}; reduce it with all() or any()")
        self.condition = cast(variable, "bool")


@dataclass(frozen=True)
class Returned:
    """The parts of what a step function returned."""

    outputs: list[Any]
    updates: dict[SharedVariable, Any] = field(default_factory=dict)
    stop: Variable | None = None


def read_returned(value: Any) -> Returned:
    """Return the parts of what a step function returned.

    Raises
    ------
    LoopError
        If a stop condition is not last, updates are not of shared variables, or an output is not symbolic.
    """
    items = [] if value is None else list(value) if isinstance(value, tuple | list) else [value]
    stop = None
    if items and isinstance(items[-1], until):
        stop = items.pop().condition
    if _is_updates(items):
        items, updates = [], dict(items)
    else:
        updates = dict(items.pop()) if items and _is_updates(items[-1]) else {}
    if len(items) == 1 and isinstance(items[0], list | tuple):
        items = list(items[0])
    if any(isinstance(item, until) for item in _flat(items)):
        raise LoopError("scan: until(...) must be the last thing that the step function returns")
    return Returned(items, _check_updates(updates), stop)


def _flat(items: list[Any]) -> list[Any]:
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


def _check_updates(updates: dict[Any, Any]) -> dict[SharedVariable, Any]:
    for variable in updates:
        if not isinstance(variable, SharedVariable):
            raise LoopError(f"scan: the step function returned an update of {variable!r}, which is no shared variable")
    return updates
