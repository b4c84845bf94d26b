"""Where a step needs barriers: before a read of what other threads wrote, and before a write over what others read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

Buffer = tuple[str, int]
"""A buffer that threads share, and which of its entries: 0 the one written at this step, then those before it."""


@dataclass(frozen=True)
class Pending:
    """What was written and read since the last barrier."""

    written: frozenset[Buffer] = frozenset()
    read: frozenset[Buffer] = frozenset()

    def needs_barrier(self, reads: Collection[Buffer], writes: Collection[Buffer]) -> bool:
        """Whether what comes next must wait for all threads."""
        return any(b in self.written for b in reads) or any(b in self.written or b in self.read for b in writes)

    def after(self, reads: Collection[Buffer], writes: Collection[Buffer]) -> Pending:
        """Return what is pending once these touches have happened too."""
        return Pending(self.written | set(writes), self.read | set(reads))

    def __or__(self, other: Pending) -> Pending:
        return Pending(self.written | other.written, self.read | other.read)
