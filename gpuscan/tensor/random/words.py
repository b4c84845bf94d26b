"""The random bits of one draw, for samplers written over any array module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, final

import numpy as np

from gpuscan.tensor.random.philox import block_bits

MOST_AHEAD = 512
"""Draws of up to this many elements are computed for several counters at once."""

AHEAD_ELEMENTS = 2048
"""How many elements are then computed at once: the 100 array operations of Philox take as long for one."""


class Bits(ABC):
    """64-bit random numbers of the elements of one draw. Number ``which`` comes from block ``which // 2``."""

    @abstractmethod
    def numbers(self, which: int, count: int) -> Any:
        """Return number `which` of each of the elements 0 to `count`, a vector of uint64."""

    @abstractmethod
    def numbers_at(self, which: int, count: int, elements: Any) -> Any:
        """Return number `which` of some of `count` elements, given by their positions."""


@final
class HostBits(Bits):
    """Bits as NumPy arrays. A loop draws a few elements again and again: those of the next draws are kept ready.

    Parameters
    ----------
    key, draw : int
        The random state.
    """

    def __init__(self, key: int, draw: int) -> None:
        self.key, self.draw = key, draw
        self._blocks: dict[int, tuple[Any, Any]] = {}

    def numbers(self, which: int, count: int) -> Any:
        block, half = divmod(which, 2)
        if count > MOST_AHEAD:
            if block not in self._blocks:
                self._blocks[block] = block_bits(self.key, self.draw, np.arange(count, dtype=np.uint64), block)
            return self._blocks[block][half]
        ahead = AHEAD_ELEMENTS // max(count, 1)
        several, position = divmod(self.draw, ahead)
        return _several_draws(self.key, several, ahead, count, block)[half][position]

    def numbers_at(self, which: int, count: int, elements: Any) -> Any:
        block, half = divmod(which, 2)
        if count <= MOST_AHEAD or block in self._blocks:
            return self.numbers(which, count)[elements]
        return block_bits(self.key, self.draw, elements.astype(np.uint64), block)[half]


@lru_cache(maxsize=64)
def _several_draws(key: int, several: int, ahead: int, count: int, block: int) -> tuple[Any, Any]:
    """Return one block of `count` elements of `ahead` draws, a row a draw; a row counted from ``several * ahead``."""
    first = several * ahead
    draws = np.array([(first + i) % 2**64 for i in range(ahead)], dtype=np.uint64)[:, None]
    found = block_bits(key, draws, np.arange(count, dtype=np.uint64), block)
    for array in found:
        array.flags.writeable = False  # every draw gets views of it
    return found


@final
class DeviceBits(Bits):
    """Bits as arrays of another array module; the state is read where it is, without waiting for it.

    Parameters
    ----------
    xp : object
        The array module's functions.
    state : array of uint64
        The random state, in its memory.
    """

    def __init__(self, xp: Any, state: Any) -> None:
        self.xp, self.key, self.draw = xp, state[0:1], state[1:2]
        self._blocks: dict[int, tuple[Any, Any]] = {}

    def numbers(self, which: int, count: int) -> Any:
        block, half = divmod(which, 2)
        if block not in self._blocks:
            elements = self.xp.arange(count, dtype="uint64")
            self._blocks[block] = block_bits(self.key, self.draw, elements, block)
        return self._blocks[block][half]

    def numbers_at(self, which: int, count: int, elements: Any) -> Any:
        block, half = divmod(which, 2)
        return block_bits(self.key, self.draw, elements.astype("uint64"), block)[half]
