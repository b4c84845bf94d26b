"""Where in the user's program something was made, so that errors can point there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

PACKAGE = str(Path(__file__).parent.parent)


class Location(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


UNKNOWN = Location("<unknown>", 0)


def user_location() -> Location:
    """Return the innermost line on the call stack that is not gpuscan's own."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            return Location(file, frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return UNKNOWN
