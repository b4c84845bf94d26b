"""The exceptions that gpuscan raises. Each message says what was found, what was needed and what to do."""

from __future__ import annotations


class GraphError(ValueError):
    """A graph is not well formed: a value is read that nothing supplies, or a rewrite broke it."""


class MissingInputError(ValueError):
    """A graph needs the value of a variable that the call does not supply."""


class UnusedInputError(ValueError):
    """An input of a function has no influence on its outputs."""


class LoopError(ValueError):
    """A loop cannot be built or run as it is written."""


class DtypeError(TypeError):
    """A value has a dtype that does not fit."""


class ShapeError(ValueError):
    """A value has a rank or size that does not fit."""


class KernelError(RuntimeError):
    """A kernel cannot be compiled or run; where there is one, the message names its source and log on disk."""


class DeviceMemoryError(KernelError, MemoryError):
    """A device has no memory left for what a loop keeps."""


class DisconnectedInputError(ValueError):
    """What is differentiated does not depend on what it is differentiated by."""


class NullTypeGradError(TypeError):
    """An op through which a derivative would have to pass has none."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return ``1 row`` or ``2 rows``, for messages."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
