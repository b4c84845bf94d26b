"""Triangular systems by LAPACK, without the checks that take SciPy several times as long as small systems do."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError


def solve_triangular(a: Any, b: Any, lower: bool, trans: int, unit_diagonal: bool) -> Any:
    """Return the columns x with ``a @ x = b`` of a triangle of `a`; leading axes broadcast.

    Parameters
    ----------
    a : ndarray
        Square matrices.
    b : ndarray
        Matrices of the same dtype.
    lower : bool
        Which triangle is read.
    trans : int
        1 to transpose it, 2 to conjugate it as well.
    unit_diagonal : bool
        Whether its diagonal is taken to be 1.

    Raises
    ------
    LinAlgError
        If there is a 0 on the diagonal.
    ValueError
        If the sizes do not fit.
    """
    if not a.shape[-2] == a.shape[-1] == b.shape[-2]:
        raise ValueError(f"solve_triangular: {list(a.shape)} is not square or does not meet {list(b.shape)}")
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if not stack and b.size:
        return _solved(a, b, lower, trans, unit_diagonal)
    a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
    x = np.empty_like(b, order="C", subok=False)
    if x.size:
        for i in np.ndindex(stack):
            x[i] = _solved(a[i], b[i], lower, trans, unit_diagonal)
    return x


def _solved(a: Any, b: Any, lower: bool, trans: int, unit_diagonal: bool) -> Any:
    if trans == 2 and a.dtype.kind == "c":
        a, trans = a.conj(), 1
    # LAPACK counts columns first: what it sees of rows stored one after the other is the transposed matrix.
    x, info = _trtrs(a.dtype.char)(a.T, b, lower=not lower, trans=int(not trans), unitdiag=unit_diagonal)
    if info > 0:
        raise LinAlgError(f"Singular matrix: the diagonal of the triangle is 0 at position {info - 1}")
    return x


@cache
def _trtrs(letter: str) -> Any:
    from scipy.linalg import lapack  # slow to import

    # LAPACK has other letters for float32 and for complex numbers than NumPy.
    return getattr(lapack, f"{'sdcz'['fdFD'.index(letter)]}trtrs")
