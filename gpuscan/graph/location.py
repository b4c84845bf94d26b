"""Where in the user's program something was made, so that errors can point there."""

from __future__ import annotations

import os
import sys
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


def user_location() -> Location:
    """Return the innermost line on the call stack that is not gpuscan's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return UNKNOWN
