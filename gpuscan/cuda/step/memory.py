"""Dynamic shared memory of a block, and scratch in device memory, handed out from their beginning."""

from __future__ import annotations

from dataclasses import dataclass, field

ALIGNMENT = 16
"""Bytes: what the widest load of a thread needs."""

REDUCTION_BYTES = 512
"""The first bytes of shared memory, where warps meet; as in ``kernels/team.cuh``."""

DECLARED_BYTES = 128
"""What a word that the text of a kernel declares for its block takes: the rest begins at such a multiple, as it is
declared in ``kernels/base.cuh``."""

BANK_BYTES = 128
"""Bytes of shared memory that threads can have at once: so many apart, elements are in the same bank, one at a time."""


def padded(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Return the shape in which an array of matrices lies in shared memory, its rows lengthened where they need it.

    Of rows of a multiple of `BANK_BYTES` threads would read a column from one bank. One load more to each row keeps
    rows aligned, and puts what eight threads load of neighbouring rows, all that can be had at once, in other banks.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    size : int
        Bytes of an element.
    """
    long = [axis for axis, n in enumerate(shape) if n != 1]
    if len(long) < 2 or shape[long[-1]] * size % BANK_BYTES:
        return shape
    return (*shape[: long[-1]], shape[long[-1]] + ALIGNMENT // size, *shape[long[-1] + 1 :])


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

    def take(self, name: str, size: int, most: int | None = None) -> int | None:
        """Return where `size` bytes begin, None if there is no room: if with them more than `most` were handed out."""
        start = self.rounded
        if start + size > (self.limit if most is None else most):
            return None
        self.used = start + size
        self.pieces.append((name, size))
        return start
