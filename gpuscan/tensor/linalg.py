"""Linear algebra: inverses, solutions, factors and norms of matrices and of stacks of matrices.

Functions work on the last two axes; axes before them are a stack, and those of two arguments broadcast. float32 stays
float32; integers become ``config.floatX``. A matrix that is singular, or not positive definite where it must be, raises
``numpy.linalg.LinAlgError`` when the function runs, on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index as as_index
from typing import Any

from gpuscan.config import config
from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise, reduction
from gpuscan.tensor.convert import as_tensor_variable, cast
from gpuscan.tensor.creation import eye
from gpuscan.tensor.layout import broadcast_to, expand_dims, squeeze, swapaxes
from gpuscan.tensor.matrices import (
    QR,
    SVD,
    Cholesky,
    Det,
    Eigh,
    Inverse,
    SingularValues,
    SlogDet,
    Solve,
    SolveTriangular,
)
from gpuscan.tensor.norms import norm
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.products import kron, matmul
from gpuscan.tensor.shaping import dim, dims

__all__ = [
    "cholesky", "det", "eigh", "inv", "kron", "matrix_inverse", "matrix_power", "norm", "pinv", "qr", "slogdet",
    "solve", "solve_triangular", "svd",
]  # fmt: skip


def _floats(x: Any) -> Variable:
    x = as_tensor_variable(x)
    return cast(x, config.floatX) if kind(x.dtype) in "biu" else x


def _common_floats(a: Any, b: Any) -> tuple[Variable, Variable]:
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    common = promote(x.dtype, y.dtype)
    common = str(config.floatX) if kind(common) in "biu" else common
    return cast(x, common), cast(y, common)


def _adjoint(x: Variable) -> Variable:
    return elementwise.conj(swapaxes(x, -1, -2))


# ---- inverses and solutions ----


def inv(a: Any) -> Variable:
    """Return the inverse of a square matrix.

    Parameters
    ----------
    a : array_like
        A square matrix, or a stack of them.

    Returns
    -------
    Variable
        Of the shape of `a`.

    Raises
    ------
    ShapeError
        If it is not square.
    numpy.linalg.LinAlgError
        If it is singular, when the function runs.
    """
    return Inverse()(_floats(a))


matrix_inverse = inv


def pinv(a: Any, rcond: Any = None) -> Variable:
    """Return the Moore-Penrose inverse of a matrix.

    Parameters
    ----------
    a : array_like
        A matrix of any sizes, or a stack of them.
    rcond : float, optional
        Singular values up to this many times the largest count as 0; 1e-15 by default.

    Returns
    -------
    Variable
        With as many rows as `a` has columns.
    """
    left, values, right = svd(a, full_matrices=False)
    limit = reduction.max(values, -1, keepdims=True) * (1e-15 if rcond is None else rcond)
    large = elementwise.gt(values, limit)
    inverse = elementwise.switch(large, 1 / elementwise.switch(large, values, 1), 0)
    return matmul(_adjoint(right), expand_dims(inverse, -1) * _adjoint(left))


def _columns(solve: Callable[[Variable, Variable], Variable], a: Variable, b: Variable, b_ndim: int | None) -> Variable:
    """Return what `solve` says of `b`, whose last axis (`b_ndim` 1) or last two (2) are one right side."""
    b_ndim = min(b.ndim, 2) if b_ndim is None else b_ndim
    if b_ndim not in (1, 2) or b.ndim < b_ndim:
        raise ShapeError(
            f"solve: {b.name or 'the right side'} is {b.type}; it must have an axis or more, and b_ndim must be 1 for "
            f"vectors or 2 for matrices, not {b_ndim}"
        )
    return solve(a, b) if b_ndim == 2 else squeeze(solve(a, expand_dims(b, -1)), -1)


def solve(a: Any, b: Any, *, assume_a: str = "gen", b_ndim: int | None = None) -> Variable:
    """Return x with ``a @ x = b``.

    Parameters
    ----------
    a : array_like
        A square matrix, or a stack of them.
    b : array_like
        The right side: a vector, or a matrix of several as its columns, or a stack of either.
    assume_a : str
        SciPy's word for what is known of `a` (``"gen"``, ``"sym"``, ``"her"``, ``"pos"``). All of `a` is read whatever
        it is.
    b_ndim : int, optional
        1 if `b` is a vector or a stack of vectors, 2 if it holds matrices. By default a `b` of one axis is a vector,
        any other holds matrices.

    Returns
    -------
    Variable
        Of the shape of `b`, with the leading axes of both broadcast.

    Raises
    ------
    ShapeError
        If `a` is not square, or `b` has another number of rows.
    numpy.linalg.LinAlgError
        If `a` is singular, when the function runs.
    """
    if assume_a not in ("gen", "sym", "her", "pos"):
        raise ValueError(f"solve: assume_a must be 'gen', 'sym', 'her' or 'pos'; found {assume_a!r}")
    return _columns(Solve(), *_common_floats(a, b), b_ndim)


TRANS = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}


def solve_triangular(
    a: Any,
    b: Any,
    *,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    b_ndim: int | None = None,
) -> Variable:
    """Return x with ``a @ x = b``, of a triangular `a`.

    Parameters
    ----------
    a : array_like
        A square matrix, or a stack of them. Only one triangle of it is read.
    b : array_like
        The right side: a vector, or a matrix of several as its columns, or a stack of either.
    trans : {0, 1, 2, "N", "T", "C"}
        Whether the triangle is used as it is, transposed, or transposed and conjugated.
    lower : bool
        Whether it is the lower triangle.
    unit_diagonal : bool
        Whether the diagonal is taken to be 1 and not read.
    b_ndim : int, optional
        1 if `b` is a vector or a stack of vectors, 2 if it holds matrices, as for `solve`.

    Returns
    -------
    Variable
        Of the shape of `b`, with the leading axes of both broadcast.

    Raises
    ------
    ShapeError
        If `a` is not square, or `b` has another number of rows.
    numpy.linalg.LinAlgError
        If there is a 0 on the diagonal, when the function runs.
    """
    if trans not in TRANS:
        raise ValueError(f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C'; found {trans!r}")
    op = SolveTriangular(bool(lower), TRANS[trans], bool(unit_diagonal))
    return _columns(op, *_common_floats(a, b), b_ndim)


def matrix_power(a: Any, n: int) -> Variable:
    """Return a square matrix to a power.

    Parameters
    ----------
    a : array_like
        The matrix, or a stack of them.
    n : int
        The power, known while the graph is built; a negative one is that of the inverse.

    Returns
    -------
    Variable
        Of the shape of `a`: a product of about ``2 log2(n)`` matrices at most.

    Raises
    ------
    ShapeError
        If `a` is not square.
    TypeError
        If `n` is no integer, or symbolic.
    numpy.linalg.LinAlgError
        If `n` is negative and `a` singular, when the function runs.
    """
    try:
        power = as_index(n)
    except TypeError:
        raise TypeError(
            f"matrix_power: n must be an integer known while the graph is built, not {n!r}; use scan for one that is "
            "symbolic"
        ) from None
    a = as_tensor_variable(a)
    if a.ndim < 2 or len({size for size in a.type.shape[-2:] if size is not None}) > 1:
        raise ShapeError(
            f"matrix_power: {a.name or 'the array'} is {a.type}; it must be a square matrix or a stack of them"
        )
    if power == 0:
        return broadcast_to(eye(dim(a, -1), dtype=a.dtype), dims(a))
    base = inv(a) if power < 0 else a
    result = base
    for bit in f"{abs(power):b}"[1:]:
        result = matmul(result, result)
        result = matmul(result, base) if bit == "1" else result
    return result


# ---- factors ----


def cholesky(a: Any, lower: bool = True) -> Variable:
    """Return the Cholesky factor of a positive definite matrix.

    Parameters
    ----------
    a : array_like
        A symmetric or Hermitian matrix, or a stack of them. Only one triangle of it is read.
    lower : bool
        Whether to read the lower triangle and return the L with ``L @ L.conj().T = a``; otherwise the upper one and
        the U with ``U.conj().T @ U = a``.

    Returns
    -------
    Variable
        Of the shape of `a`.

    Raises
    ------
    ShapeError
        If it is not square.
    numpy.linalg.LinAlgError
        If it is not positive definite, when the function runs.
    """
    a = _floats(a)
    if lower or a.ndim < 2:
        return Cholesky()(a)
    return _adjoint(Cholesky()(_adjoint(a)))


def eigh(a: Any, UPLO: str = "L") -> tuple[Variable, Variable]:
    """Return the eigenvalues and eigenvectors of a symmetric or Hermitian matrix.

    Parameters
    ----------
    a : array_like
        The matrix, or a stack of them. Only one triangle of it is read.
    UPLO : {"L", "U"}
        The lower triangle or the upper.

    Returns
    -------
    eigenvalues : Variable
        In ascending order.
    eigenvectors : Variable
        As columns, each of length 1 and of either sign.

    Raises
    ------
    ShapeError
        If it is not square.
    """
    if UPLO not in ("L", "U"):
        raise ValueError(f"eigh: UPLO must be 'L' or 'U'; found {UPLO!r}")
    values, vectors = Eigh(UPLO == "L").apply(_floats(a))
    return values, vectors


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return the singular values of a matrix, and the factors that belong to them.

    Parameters
    ----------
    a : array_like
        A matrix, or a stack of them.
    full_matrices : bool
        Whether u and vh are square, or only as wide and as high as there are singular values.
    compute_uv : bool
        Whether to return u and vh.

    Returns
    -------
    tuple of Variable
        u, s and vh with ``(u * s) @ vh = a`` where they are not square; s is in descending order. s alone unless
        `compute_uv`.
    """
    a = _floats(a)
    return SVD(bool(full_matrices)).apply(a) if compute_uv else SingularValues()(a)


QR_MODES = {"reduced": False, "economic": False, "r": False, "complete": True, "full": True}


def qr(a: Any, mode: str = "reduced") -> Any:
    """Return the factors q, of orthonormal columns, and r, an upper triangle, of a matrix.

    Parameters
    ----------
    a : array_like
        A matrix, or a stack of them.
    mode : str
        ``"reduced"`` (or ``"economic"``): q has as many columns as `a` has rows or columns, whichever are fewer;
        ``"complete"`` (or ``"full"``): q is square; ``"r"``: only the reduced r is returned.

    Returns
    -------
    tuple of Variable
        q and r with ``q @ r = a``; r alone with mode ``"r"``.
    """
    if mode not in QR_MODES:
        raise ValueError(f"qr: mode must be one of {', '.join(map(repr, QR_MODES))}; found {mode!r}")
    q, r = QR(QR_MODES[mode]).apply(_floats(a))
    return r if mode == "r" else (q, r)


# ---- determinants ----


def det(a: Any) -> Variable:
    """Return the determinant of a square matrix, or of each of a stack of them.

    Raises
    ------
    ShapeError
        If it is not square.
    """
    return Det()(_floats(a))


def slogdet(a: Any) -> tuple[Variable, Variable]:
    """Return the sign of the determinant and the logarithm of its absolute value, which does not overflow.

    Parameters
    ----------
    a : array_like
        A square matrix, or a stack of them.

    Returns
    -------
    sign : Variable
        -1, 0 or 1; of complex matrices a number of absolute value 1 or 0.
    logabsdet : Variable
        ``-inf`` where the determinant is 0.

    Raises
    ------
    ShapeError
        If it is not square.
    """
    sign, logabsdet = SlogDet().apply(_floats(a))
    return sign, logabsdet
