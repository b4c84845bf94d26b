"""What a pass left in a loop because all steps' values of it would take too much memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gpuscan.errors import counted


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
            f"{counted(self.size, 'byte')}, and gpuscan.rewrite.bodies.MOST_BYTES allows {self.bound}"
        )


_noted: ContextVar[list[Refusal] | None] = ContextVar("_noted", default=None)


@contextmanager
def noting() -> Iterator[list[Refusal]]:
    """Give the list to which what passes refuse is added meanwhile."""
    refusals: list[Refusal] = []
    token = _noted.set(refusals)
    try:
        yield refusals
    finally:
        _noted.reset(token)


def note(refusal: Refusal) -> None:
    """Add a refusal to the list of whoever runs the pass, once."""
    refusals = _noted.get()
    if refusals is not None and refusal not in refusals:
        refusals.append(refusal)
