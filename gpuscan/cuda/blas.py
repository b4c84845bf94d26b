"""Matrix products by cuBLAS while work is recorded, when CuPy refuses to call it.

CuPy 14 raises NotImplementedError for any call of cuBLAS on a stream that is being captured (its issue 6290), although
cuBLAS allows them where scalars are on the host. So the library that CuPy has loaded is called here, by ctypes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

from gpuscan.errors import KernelError

WORKSPACE_BYTES = 32 * 2**20
"""What cuBLAS asks for on Hopper (its documentation of ``cublasSetWorkspace``)."""

# cublas_api.h and library_types.h: cudaDataType, cublasComputeType_t, and the type of the scalars.
_KINDS: dict[str, tuple[int, int, Any]] = {
    "float16": (2, 68, ctypes.c_float * 1),
    "float32": (0, 68, ctypes.c_float * 1),
    "float64": (1, 70, ctypes.c_double * 1),
    "complex64": (4, 68, ctypes.c_float * 2),
    "complex128": (5, 70, ctypes.c_double * 2),
}
_DEFAULT_ALGORITHM = -1

DTYPES = frozenset(_KINDS)
"""Dtypes whose products cuBLAS computes: of integers CuPy multiplies by kernels of its own."""


@dataclass(frozen=True)
class Stack:
    """How a stack of matrices lies in memory, in elements.

    Attributes
    ----------
    transposed : bool
        Whether the elements of a column are neighbours, in place of those of a row.
    leading : int
        From one row (of a transposed one: column) to the next.
    step : int
        From one matrix to the next; 0 where all are one.
    """

    transposed: bool
    leading: int
    step: int


def stack_of(shape: Sequence[int], strides: Sequence[int]) -> Stack | None:
    """Return how cuBLAS can read an array of `shape`, its last two axes those of matrices, or None if it cannot.

    Parameters
    ----------
    shape : sequence of int
        All sizes at least 1.
    strides : sequence of int
        In elements.
    """
    step = _step(shape[:-2], strides[:-2])
    (rows, columns), (down, along) = shape[-2:], strides[-2:]
    if step is None or down < 0 or along < 0:
        return None
    if (along == 1 or columns == 1) and (down >= columns or rows == 1):
        return Stack(False, max(down, columns) if rows > 1 else columns, step)
    if (down == 1 or rows == 1) and (along >= rows or columns == 1):
        return Stack(True, max(along, rows) if columns > 1 else rows, step)
    return None


def _step(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """Return the one stride that leads through axes as if they were one axis, None if there is no such."""
    axes = [(n, stride) for n, stride in zip(shape, strides, strict=True) if n > 1]
    if not axes:
        return 0
    for (_, outer), (n, inner) in pairwise(axes):
        if outer != n * inner:
            return None
    return axes[-1][1] if axes[-1][1] >= 0 else None


@dataclass(frozen=True)
class Product:
    """The numbers of ``cublasGemmStridedBatchedEx``.

    cuBLAS goes down columns, so it is asked for the transposed product of the transposed matrices: `first` is the right
    operand, `m` the columns of the result.
    """

    m: int
    n: int
    k: int
    first: Stack
    second: Stack
    count: int


def product_of(a_shape: Sequence[int], a: Stack, b_shape: Sequence[int], b: Stack, count: int) -> Product:
    """Return the numbers for `count` products of two stacks, whose results lie one after the other."""
    return Product(m=b_shape[-1], n=a_shape[-2], k=a_shape[-1], first=b, second=a, count=count)


@final
class Blas:
    """cuBLAS with a handle of its own, for one thread and one GPU, the current one.

    Parameters
    ----------
    library : ctypes.CDLL
        ``libcublas``.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        library.cublasGemmStridedBatchedEx.argtypes = (
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p),
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_longlong) * 2,
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_longlong),
            *(ctypes.c_int, ctypes.c_int, ctypes.c_int),
        )
        _check(library.cublasCreate_v2(ctypes.byref(self._handle)), "cublasCreate")

    def multiply(
        self, product: Product, dtype: str, first: int, second: int, result: int, stream: int, workspace: int
    ) -> None:
        """Start a product.

        Parameters
        ----------
        product : Product
        dtype : str
            One of `DTYPES`, of all three arrays.
        first, second, result : int
            Addresses.
        stream : int
            CUDA's pointer.
        workspace : int
            Address of `WORKSPACE_BYTES` bytes. Without, cuBLAS allocates while work is recorded.
        """
        library, handle = self._library, self._handle
        _check(library.cublasSetStream_v2(handle, ctypes.c_void_p(stream)), "cublasSetStream")
        # Setting the stream takes the workspace away.
        size = ctypes.c_size_t(WORKSPACE_BYTES)
        _check(library.cublasSetWorkspace_v2(handle, ctypes.c_void_p(workspace), size), "cublasSetWorkspace")
        kind, compute, scalar = _KINDS[dtype]
        one, zero = scalar(1), scalar(0)
        p = product
        status = library.cublasGemmStridedBatchedEx(
            *(handle, int(p.first.transposed), int(p.second.transposed), p.m, p.n, p.k, ctypes.byref(one)),
            *(first, kind, p.first.leading, p.first.step),
            *(second, kind, p.second.leading, p.second.step),
            *(ctypes.byref(zero), result, kind, p.m, p.m * p.n),
            *(p.count, compute, _DEFAULT_ALGORITHM),
        )
        _check(status, "cublasGemmStridedBatchedEx")


def _check(status: int, function: str) -> None:
    if status:
        raise KernelError(f"{function} of cuBLAS failed with status {status}")
