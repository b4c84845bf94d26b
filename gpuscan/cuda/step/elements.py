"""What one element takes: bytes of memory, or 32-bit registers of a thread."""

from __future__ import annotations

import numpy as np

from gpuscan.cuda.expressions import STATE_TYPE
from gpuscan.cuda.kernel import C_TYPES

C_BYTES = {c_type: np.dtype(dtype).itemsize for dtype, c_type in C_TYPES.items()} | {STATE_TYPE: 16}
"""Bytes of an element, by its C type."""


def registers_of(c_type: str) -> int:
    """Return the 32-bit registers of an element; the smallest types have one each."""
    return max(C_BYTES[c_type] // 4, 1)
