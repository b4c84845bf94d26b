"""What a function takes and gives, beyond bare variables: `In` and `Out`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from gpuscan.compile.inputs import InputCheck
from gpuscan.errors import DtypeError
from gpuscan.graph import SharedVariable, Variable


@final
@dataclass(frozen=True)
class In:
    """An input of a function, with more to say than which variable it is.

    Attributes
    ----------
    variable : Variable
        What calls give a value to.
    name : str, optional
        Its name as a keyword, in place of the variable's.
    value : array_like or SharedVariable, optional
        Its value in calls that leave it out. A shared variable's is the one it has at the time of the call.
    update : Variable, optional
        What `value` becomes after each call that succeeded.
    allow_downcast : bool, optional
        As `allow_input_downcast` of `function`, for this input.
    borrow, mutable : bool, optional
        Accepted for programs that say them; no function keeps or changes what it is passed.
    """

    variable: Variable
    name: str | None = None
    value: Any = None
    update: Any = None
    allow_downcast: bool | None = None
    borrow: bool | None = None
    mutable: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.variable, Variable):
            raise TypeError(f"In: the first argument must be a variable; found {self.variable!r}")
        if self.update is not None and self.value is None:
            raise ValueError(f"In: {self.variable!r} has an update but no value to start from; pass value=")


@final
@dataclass(frozen=True)
class Out:
    """An output of a function.

    Attributes
    ----------
    variable : Variable
        What to compute.
    borrow : bool
        Accepted for programs that say it; what a function returns is the caller's own in any case.
    """

    variable: Any
    borrow: bool = False


@final
@dataclass(frozen=True)
class Input:
    """An `In` once checked.

    Attributes
    ----------
    default : SharedVariable or None
        Holds its value in calls that leave it out.
    owns_default : bool
        Whether nobody else holds that shared variable.
    """

    variable: Variable
    name: str | None
    allow_downcast: bool | None = None
    default: SharedVariable | None = None
    update: Any = None
    owns_default: bool = False

    def label(self, position: int) -> str:
        """Return what messages call it."""
        return f"input {self.name!r}" if self.name else f"input {position}"


def read_input(given: Any, position: int, allow_downcast: bool | None) -> Input:
    """Return one entry of `inputs`, a variable or an `In`.

    Raises
    ------
    TypeError
        If it is neither, or a shared variable.
    DtypeError, ShapeError
        If a default value does not fit.
    """
    entry = given if isinstance(given, In) else None
    variable = given if entry is None else entry.variable
    if not isinstance(variable, Variable):
        raise TypeError(f"function: input {position} is {given!r}; inputs must be variables")
    if isinstance(variable, SharedVariable):
        raise TypeError(
            f"function: the shared variable {variable.name!r} cannot be an input; functions find it themselves"
        )
    if entry is None:
        return Input(variable, variable.name, allow_downcast)
    allow_downcast = allow_downcast if entry.allow_downcast is None else entry.allow_downcast
    bare = Input(variable, entry.name or variable.name, allow_downcast)
    default = _default(entry.value, bare, position)
    return replace(bare, default=default, update=entry.update, owns_default=default is not entry.value)


def _default(value: Any, given: Input, position: int) -> SharedVariable | None:
    if value is None:
        return None
    type_, label = given.variable.type, f"function: the value of {given.label(position)}"
    if isinstance(value, SharedVariable):
        if value.dtype != type_.dtype or value.ndim != type_.ndim:
            raise DtypeError(f"{label}, {type_}, cannot be that of the shared variable {value.name!r}, {value.type}")
        return value
    array = np.array(InputCheck(given.variable, label, given.allow_downcast, on_host=True)(value))
    return SharedVariable(array, given.name, type_.shape)
