"""The random numbers of one draw's elements, for samplers written over any array module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np

from gpuscan.tensor.random.philox import block_bits

MOST_AHEAD = 512
"""Draws of up to this many elements are computed for several counters at once."""

AHEAD_ELEMENTS = 2048
"""How many elements are then computed at once: the 100 array operations of Philox take as long for one."""


@final
@dataclass(frozen=True, eq=False)
class Transform:
    """What each element makes of the two 64-bit numbers of one of its blocks: ``of(xp, first, second)``.

    Transforms are compared by identity, and made once.
    """

    of: Callable[[Any, Any, Any], Any]


class Bits(ABC):
    """The blocks of the elements of one draw."""

    @abstractmethod
    def values(self, transform: Transform, block: int, count: int) -> Any:
        """Return what the elements 0 to `count` make of block `block`, a vector."""

    @abstractmethod
    def values_at(self, transform: Transform, block: int, count: int, elements: Any) -> Any:
        """Return what some of `count` elements, given by their positions, make of it."""


@final
class HostBits(Bits):
    """Blocks in NumPy. A loop draws a few elements again and again: those of the next draws are kept ready.

    Parameters
    ----------
    key, draw : int
        The random state.
    """

    def __init__(self, key: int, draw: int) -> None:
        self.key, self.draw = key, draw
        self._blocks: dict[int, tuple[Any, Any]] = {}

    def values(self, transform: Transform, block: int, count: int) -> Any:
        if count <= MOST_AHEAD:
            ahead = AHEAD_ELEMENTS // (count or 1)
            several, position = divmod(self.draw, ahead)
            return _of_several_draws(transform, self.key, several, ahead, count, block)[position]
        if block not in self._blocks:
            self._blocks[block] = block_bits(self.key, self.draw, np.arange(count, dtype=np.uint64), block)
        return transform.of(np, *self._blocks[block])

    def values_at(self, transform: Transform, block: int, count: int, elements: Any) -> Any:
        if count <= MOST_AHEAD:
            return self.values(transform, block, count)[elements]
        if block in self._blocks:
            return transform.of(np, *(numbers[elements] for numbers in self._blocks[block]))
        return transform.of(np, *block_bits(self.key, self.draw, elements.astype(np.uint64), block))


@lru_cache(maxsize=128)
def _of_several_draws(transform: Transform, key: int, several: int, ahead: int, count: int, block: int) -> Any:
    """Return what `count` elements of `ahead` draws make of a block, a row a draw, from ``several * ahead`` on."""
    first = several * ahead
    draws = np.array([(first + i) % 2**64 for i in range(ahead)], dtype=np.uint64)[:, None]
    with np.errstate(all="ignore"):
        found = transform.of(np, *block_bits(key, draws, np.arange(count, dtype=np.uint64), block))
    found.flags.writeable = False  # every draw gets a view of it
    return found


@final
class DeviceBits(Bits):
    """Blocks in the memory of a device; the state is read where it is, without waiting for it.

    Parameters
    ----------
    xp : object
        The functions of the device's array module, with one more: ``random_blocks(state, elements, block)`` returns
        the two numbers of a block of each of these elements.
    state : array of uint64
        The random state.
    """

    def __init__(self, xp: Any, state: Any) -> None:
        self.xp, self.state = xp, state
        self._blocks: dict[int, tuple[Any, Any]] = {}

    def values(self, transform: Transform, block: int, count: int) -> Any:
        if block not in self._blocks:
            self._blocks[block] = self.xp.random_blocks(self.state, self.xp.arange(count, dtype="int64"), block)
        return transform.of(self.xp, *self._blocks[block])

    def values_at(self, transform: Transform, block: int, count: int, elements: Any) -> Any:
        return transform.of(self.xp, *self.xp.random_blocks(self.state, elements, block))
