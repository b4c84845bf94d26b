"""What operands of products on tensor cores are rounded to, in NumPy."""

from __future__ import annotations

import numpy as np


def rounded(x: np.ndarray, kind: str) -> np.ndarray:
    """Return numbers rounded as an operand is: to tf32 with ties away from 0, to bf16 with ties to even."""
    bits = np.asarray(x, "float32").view("uint32").astype("uint64")
    if kind == "tf32":
        bits = (bits + 0x1000) & 0xFFFFE000
    else:
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return bits.astype("uint32").view("float32")
