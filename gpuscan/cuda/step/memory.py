"""Dynamic shared memory of a block, and scratch in device memory, handed out from their beginning."""

from __future__ import annotations

from dataclasses import dataclass, field

ALIGNMENT = 16
"""Bytes: what the widest load of a thread needs."""

REDUCTION_BYTES = 512
"""The first bytes of shared memory, where warps meet; as in ``kernels/team.cuh``."""


@dataclass
class Region:
    """Memory handed out from its beginning, and what it was handed out for."""

    limit: int
    used: int = 0
    pieces: list[tuple[str, int]] = field(default_factory=list)

    @property
    def rounded(self) -> int:
        """What was handed out, up to where the next such region may begin."""
        return -(-self.used // ALIGNMENT) * ALIGNMENT

    def take(self, name: str, size: int) -> int | None:
        """Return where `size` bytes begin, None if there is no room."""
        start = self.rounded
        if start + size > self.limit:
            return None
        self.used = start + size
        self.pieces.append((name, size))
        return start
