"""Convolutions, as the sums of shifted arrays that they are."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import constant, operands
from gpuscan.tensor.indexing import index
from gpuscan.tensor.padding import pad
from gpuscan.tensor.shaping import dim
from gpuscan.tensor.sizes import plain

MODES = ("full", "same", "valid")


def convolve(a: Any, v: Any, mode: str = "full") -> Variable:
    """Return the convolution of two vectors, as ``numpy.convolve``.

    It is computed as a sum with a term for each element of the shorter one of known length.

    Parameters
    ----------
    a, v : array_like
        Vectors of M and N elements; M or N must be known while the graph is built.
    mode : {"full", "same", "valid"}
        Which elements: all ``M + N - 1`` where the two overlap; the middle ``max(M, N)`` of them; or the
        ``max(M, N) - min(M, N) + 1`` for which they overlap completely.

    Returns
    -------
    Variable
        A vector.

    Raises
    ------
    ShapeError
        If an argument is no vector, is known to be empty, or neither has a known length.
    ValueError
        If there is no such mode.
    """
    if mode not in MODES:
        raise ValueError(f"convolve: mode must be one of {', '.join(map(repr, MODES))}; found {mode!r}")
    a, v = operands(a, v)
    for side in (a, v):
        if side.ndim != 1 or side.type.shape == (0,):
            raise ShapeError(
                f"convolve: {side.name or 'an argument'} is {side.type}; it must be a vector that is not empty"
            )
    known = [(size, vector) for vector in (a, v) if (size := vector.type.shape[0]) is not None]
    if not known:
        raise ShapeError(
            f"convolve: {a.name or 'a'} is {a.type} and {v.name or 'v'} is {v.type}; the length of one must be known "
            "while the graph is built. Say it with specify_shape, or in the type: tensor(shape=(n,))."
        )
    size, taps = min(known, key=lambda pair: pair[0])
    padded = pad(v if taps is a else a, size - 1)
    start, length = _part(dim(a, 0), dim(v, 0), mode)
    firsts = [plain(start + (size - 1 - k)) for k in range(size)]
    parts = (index(padded, slice(first, plain(length + first))) for first in firsts)
    return reduce(elementwise.add, (index(taps, k) * part for k, part in enumerate(parts)))


def _part(first: Variable, second: Variable, mode: str) -> tuple[Variable, Variable]:
    """Return where in the full convolution that of `mode` starts, and its length."""
    longer, shorter = elementwise.maximum(first, second), elementwise.minimum(first, second)
    if mode == "full":
        return constant(np.int64(0)), longer + shorter - 1
    if mode == "same":
        return elementwise.floor_div(shorter - 1, 2), longer
    return shorter - 1, longer - shorter + 1
