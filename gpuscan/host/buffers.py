"""Memory that a loop keeps from call to call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, final


@final
class Buffers(threading.local):
    """The buffers of one loop, for each thread its own: two threads may run the loop at the same time."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def empty(self, empty: Callable[..., Any], name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return the buffer of that name, whose values carry no meaning, made anew only if it does not fit."""
        buffer = self.kept.get(name)
        if buffer is None or buffer.shape[1:] != shape[1:] or buffer.shape[0] < shape[0] or buffer.dtype != dtype:
            buffer = self.kept[name] = empty(shape, dtype)
        return buffer if buffer.shape[0] == shape[0] else buffer[: shape[0]]
