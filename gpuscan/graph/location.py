"""Where in the user's program something was made, so that errors can point there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import NamedTuple

# With the separator at its end: a user's own folder may be called gpuscan_models.
PACKAGE = str(Path(__file__).parent.parent) + os.sep


class Location(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


UNKNOWN = Location("<unknown>", 0)


PLACE: ContextVar[Location | None] = ContextVar("PLACE", default=None)
"""What `user_location` answers instead, in this thread."""


@contextmanager
def made_at(where: Location) -> Iterator[None]:
    """Have nodes made inside the ``with`` block point at `where`: they stand for one that the user wrote there."""
    token = PLACE.set(where)
    try:
        yield
    finally:
        PLACE.reset(token)


def user_location() -> Location:
    """Return the innermost line on the call stack that is not gpuscan's own, or what `made_at` says."""
    if (place := PLACE.get()) is not None:
        return place
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return UNKNOWN
