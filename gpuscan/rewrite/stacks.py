"""How much a pass may have a loop stack for all its steps, and notes of what was left in loops for want of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from gpuscan.errors import counted
from gpuscan.graph import TensorType, Variable
from gpuscan.loop import Loop
from gpuscan.loop.names import value_name

MOST_BYTES = 2**30
"""What a pass may have a program store besides what it stores anyway, for each value of all steps. Where sizes are not
known before a call, a stack of values no larger than the rows it is computed from is taken to fit."""


@dataclass(frozen=True)
class Refusal:
    """A value that a pass would have stacked for all steps of a loop.

    Attributes
    ----------
    loop : str
        The loop's title.
    value : str
        The value, by its name or by what computes it.
    steps : int
        How many values the stack would have.
    size : int
        The bytes that it would take.
    bound : int
        The most bytes that one may take.
    """

    loop: str
    value: str
    steps: int
    size: int
    bound: int

    def __str__(self) -> str:
        return (
            f"left {self.value} in the step of {self.loop}: of {counted(self.steps, 'step')} it takes "
            f"{counted(self.size, 'byte')}, and gpuscan.rewrite.stacks.MOST_BYTES allows {self.bound}"
        )


_noted: ContextVar[list[Refusal] | None] = ContextVar("_noted", default=None)


@contextmanager
def noting() -> Iterator[list[Refusal]]:
    """Collect what passes refuse inside the ``with``: the list that is given grows meanwhile."""
    refusals: list[Refusal] = []
    token = _noted.set(refusals)
    try:
        yield refusals
    finally:
        _noted.reset(token)


def may_stack(loop: Loop, v: Variable) -> bool:
    """Whether the values of all steps of what a step computes fit; if they do not, that is noted for ``explain``."""
    size = _stack_bytes(v.type, loop.length.known)
    if size is None or size <= MOST_BYTES:
        return True
    _note(Refusal(loop.title, value_name(v, "a value"), loop.length.known or 0, size, MOST_BYTES))
    return False


def _stack_bytes(type_: TensorType, steps: int | None) -> int | None:
    """Return the bytes of values of a type at so many steps; None where a size is not known."""
    if type_.size is None or steps is None:
        return None
    return type_.size * np.dtype(type_.dtype).itemsize * steps


def _note(refusal: Refusal) -> None:
    """Add a refusal to the list of whoever runs the pass, once."""
    refusals = _noted.get()
    if refusals is not None and refusal not in refusals:
        refusals.append(refusal)
