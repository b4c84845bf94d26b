"""From the arguments of a call to a value for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from gpuscan.compile.ends import Input
from gpuscan.compile.inputs import InputCheck
from gpuscan.errors import counted


@final
class Arguments:
    """What a compiled function takes.

    Parameters
    ----------
    inputs : sequence of Input
        Its inputs, in order.
    title : str
        What messages call the function.
    on_host : bool
        Whether values must be in host memory.
    """

    def __init__(self, inputs: Sequence[Input], title: str, on_host: bool) -> None:
        self.inputs = inputs
        self.title = title
        self.checks = [
            InputCheck(i.variable, i.label(position), i.allow_downcast, on_host) for position, i in enumerate(inputs)
        ]

    def checked(self, given: Sequence[Any]) -> list[Any]:
        """Return an array, or a NumPy scalar, for each input, from what `bind` returned.

        Raises
        ------
        DtypeError, ShapeError
            If a value does not fit its input.
        """
        return [check(value) for check, value in zip(self.checks, given, strict=True)]

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sequence[Any]:
        """Return what was passed for each input, or its own value.

        Raises
        ------
        TypeError
            If there are too few or too many values.
        """
        return args if not kwargs and len(args) == len(self.inputs) else self._bind(args, kwargs)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        given: dict[int, Any] = dict(enumerate(args))
        positions = {i.name: position for position, i in enumerate(self.inputs) if i.name}
        for key, value in kwargs.items():
            if key not in positions:
                raise TypeError(f"{self.title} has no input named {key!r}; it takes {self}")
            if positions[key] in given:
                raise TypeError(f"{self.title} got input {key!r} twice, by position and by name")
            given[positions[key]] = value
        for position, i in enumerate(self.inputs):
            if i.default is not None:
                given.setdefault(position, i.default.storage)
        if sorted(given) != list(range(len(self.inputs))):
            raise TypeError(f"{self.title} takes {self}; found {len(args) + len(kwargs)}")
        return [given[i] for i in range(len(self.inputs))]

    def __str__(self) -> str:
        names = ", ".join(
            i.label(position) + (" (may be left out)" if i.default is not None else "")
            for position, i in enumerate(self.inputs)
        )
        return counted(len(self.inputs), "value") + (f" ({names})" if names else "")
