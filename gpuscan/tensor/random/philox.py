"""Philox4x32-10: random words as a function of where they are asked for, not of what was asked for before.

J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", Proceedings of
the International Conference for High Performance Computing, Networking, Storage and Analysis (SC11), 2011.
``kernels/philox.cuh`` is the same in CUDA C++.
"""

from __future__ import annotations

from typing import Any

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW = 0xFFFFFFFF

BLOCK_BITS = 20
"""A block is four words. An element has 2**20 of them, and a draw has 2**44 elements."""


def philox4x32(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Return the four 32-bit words that belong to a counter of four words and a key of two.

    Each is a Python integer or an array of uint64, below 2**32; arrays broadcast.
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (product1 >> 32) ^ c1 ^ k0, product1 & LOW
        c2, c3 = (product0 >> 32) ^ c3 ^ k1, product0 & LOW
        k0, k1 = (k0 + KEY_STEPS[0]) & LOW, (k1 + KEY_STEPS[1]) & LOW
    return c0, c1, c2, c3


def block_bits(key: Any, draw: Any, element: Any, block: int) -> tuple[Any, Any]:
    """Return block `block` of an element of a draw, as two 64-bit numbers.

    Parameters
    ----------
    key, draw : int or array of uint64
        The random state: its key, and how many draws were made from it before.
    element : array of uint64
        Which element, below 2**44.
    block : int
        Which four words of the element, below 2**20.
    """
    high = ((element >> 32) << BLOCK_BITS) | block
    words = philox4x32((element & LOW, high, draw & LOW, draw >> 32), (key & LOW, key >> 32))
    return (words[0] << 32) | words[1], (words[2] << 32) | words[3]
