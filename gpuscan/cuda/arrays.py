"""Arrays at the edge of a call: from whatever the user has into device memory, and back. CuPy is imported late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from gpuscan.cuda import recording
from gpuscan.cuda.launch import require_cupy
from gpuscan.host import ArrayModule
from gpuscan.host.special import float_floor_div, float_mod, log1mexp

# https://dmlc.github.io/dlpack/latest/c_api.html: kDLCUDA and kDLCUDAManaged.
_DLPACK_CUDA = (2, 13)


def is_device_array(x: Any) -> bool:
    """Tell whether `x` is an array in the memory of an NVIDIA GPU.

    It is if it has ``__cuda_array_interface__``, as CuPy's, Numba's and PyTorch's arrays have, or says by
    ``__dlpack_device__`` that it is on a CUDA device. CuPy is not imported for the answer.
    """
    if isinstance(x, np.ndarray | np.generic | int | float | list | tuple):
        return False
    # PyTorch's and JAX's arrays have the attribute only where it holds.
    return hasattr(x, "__cuda_array_interface__") or _on_cuda(x)


def _on_cuda(x: Any) -> bool:
    where = getattr(x, "__dlpack_device__", None)
    return where is not None and where()[0] in _DLPACK_CUDA


def to_device(x: Any, dtype: npt.DTypeLike | None = None, device: int | None = None) -> Any:
    """Return `x` as a C-contiguous CuPy array, without a copy where it already is what is asked for.

    Parameters
    ----------
    x : array_like
        An array of any library that NumPy can read, or one in device memory: CuPy's, or another's through DLPack
        or ``__cuda_array_interface__``.
    dtype : dtype, optional
        Element type of the result; that of `x` by default.
    device : int, optional
        Index of the GPU; the current one by default. An array on another GPU is copied.

    Returns
    -------
    cupy.ndarray
        Of the shape of `x`.

    Notes
    -----
    Copies are queued on CuPy's current stream and are not waited for. Host memory is read before this returns,
    except page-locked memory, which the caller must leave as it is until the stream has passed the copy. DLPack
    orders the streams of the two libraries; arrays that have only ``__cuda_array_interface__`` are waited for if
    they name a stream. An array that is not copied must live until the work that reads it is done.
    """
    cupy = require_cupy()
    with device_scope(device):
        if not is_device_array(x):
            return _upload(cupy, _as_numpy(x, dtype))
        # In two steps: CuPy ignores `order` while it reads another library's array.
        return cupy.asarray(_as_cupy(cupy, x), dtype=dtype, order="C")


def to_host(x: Any) -> npt.NDArray[Any]:
    """Return `x` as a NumPy array; one in device memory is copied, after the work queued on its stream.

    Parameters
    ----------
    x : array_like
        As for `to_device`.
    """
    if not is_device_array(x):
        return _as_numpy(x, None)
    cupy = require_cupy()
    array = _as_cupy(cupy, x)
    with array.device:
        return np.asarray(cupy.asnumpy(array))


def empty(shape: Sequence[int], dtype: npt.DTypeLike, device: int | None = None) -> Any:
    """Return a new CuPy array with anything in it, on the GPU of that index or on the current one."""
    with device_scope(device):
        return require_cupy().empty(tuple(shape), dtype=dtype)


def free_memory(index: int) -> int:
    """Return the bytes that are free on GPU `index`: the driver's, and those that CuPy keeps for new arrays."""
    cupy = require_cupy()
    with device_scope(index):
        return int(cupy.cuda.runtime.memGetInfo()[0]) + int(cupy.get_default_memory_pool().free_bytes())


def wait(index: int) -> None:
    """Return when everything on CuPy's current stream of device `index` is done."""
    with device_scope(index):
        require_cupy().cuda.get_current_stream().synchronize()


def device_scope(index: int | None) -> AbstractContextManager[Any]:
    """Make a GPU the current one inside a ``with`` block.

    Parameters
    ----------
    index : int or None
        None leaves the current one.
    """
    return nullcontext() if index is None else require_cupy().cuda.Device(index)


def _as_numpy(x: Any, dtype: npt.DTypeLike | None) -> npt.NDArray[Any]:
    # NumPy reads an array that has DLPack alone only if it is told to.
    only_dlpack = hasattr(x, "__dlpack__") and not hasattr(x, "__array__")
    return np.asarray(np.from_dlpack(x) if only_dlpack else x, dtype=dtype, order="C")


def _upload(cupy: Any, host: npt.NDArray[Any]) -> Any:
    # CuPy fills an array without axes by a kernel, which it compiles first; one of one element it copies.
    flat = host.reshape(1) if host.ndim == 0 else host
    return cupy.array(flat, copy=True, order="C").reshape(host.shape)


def _as_cupy(cupy: Any, x: Any) -> Any:
    """View an array in device memory as CuPy's, where it is."""
    if isinstance(x, cupy.ndarray):
        return x
    # PyTorch's __cuda_array_interface__ names no stream, so that its own work might still be under way; DLPack asks
    # it to wait for that.
    return cupy.from_dlpack(x) if hasattr(x, "__dlpack__") and _on_cuda(x) else cupy.asarray(x)


ATOMIC = frozenset({"int32", "int64", "uint32", "uint64", "float16", "float32", "float64"})
"""Dtypes of the arrays that CuPy adds to at positions, of which some may be the same."""


def _add_at(array: Any, index: Any, value: Any) -> None:
    """Add `value` to the elements at `index`, once for each time that an element is there."""
    add_at = require_cupy().add.at
    if array.dtype.name in ATOMIC:
        add_at(array, index, value)
    elif array.dtype.kind == "c":
        add_at(array.real, index, value.real)
        add_at(array.imag, index, value.imag)
    else:  # in wider integers, which wrap around to the same
        wide = array.astype("int64")
        add_at(wide, index, value.astype("int64"))
        array[...] = wide.astype(array.dtype)


def _checked(name: str) -> Callable[..., Any]:
    """Return a function of ``cupy.linalg`` that raises LinAlgError where NumPy's does.

    By itself CuPy returns whatever was in memory when a factorisation failed. To know, the host waits for the device.
    """

    def call(*args: Any, **options: Any) -> Any:
        import cupyx

        with cupyx.errstate(linalg="raise"):
            return getattr(require_cupy().linalg, name)(*args, **options)

    return call


def _one_stack(a: Any, b: Any) -> tuple[Any, Any]:
    """Return matrices with their leading axes broadcast, which CuPy's solvers do not do themselves."""
    if a.shape[:-2] == b.shape[:-2]:
        return a, b
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    broadcast = require_cupy().broadcast_to
    return broadcast(a, stack + a.shape[-2:]), broadcast(b, stack + b.shape[-2:])


def _solve(a: Any, b: Any) -> Any:
    return _checked("solve")(*_one_stack(a, b))


def _solve_triangular(a: Any, b: Any, lower: bool, trans: int, unit_diagonal: bool) -> Any:
    # cuBLAS divides by a 0 on the diagonal without a word.
    if not unit_diagonal and not bool(require_cupy().diagonal(a, 0, -2, -1).all()):
        raise np.linalg.LinAlgError("Singular matrix: there is a 0 on the diagonal of the triangle")
    a, b = _one_stack(a, b)
    if not b.size:  # it takes a stack of no matrices for a single one
        return b.astype(b.dtype)
    import cupyx.scipy.linalg

    return cupyx.scipy.linalg.solve_triangular(a, b, trans, lower, unit_diagonal)


CUPY = ArrayModule(
    "CuPy",
    ("cupy", "cupyx.scipy.special", "cupy.linalg"),
    {
        "add_at": _add_at,
        "matmul": recording.matmul,
        "asarray": recording.asarray,
        "array": recording.array,
        "concatenate": recording.concatenate,
        "stack": recording.stack,
        "s_": np.s_,
        "abs": abs,
        "log1mexp": log1mexp,
        "float_mod": float_mod,
        "float_floor_div": float_floor_div,
        "solve_triangular": _solve_triangular,
        "linalg.solve": _solve,
        **{f"linalg.{name}": _checked(name) for name in ("inv", "cholesky", "eigh", "svd", "qr")},
    },
)
"""CuPy's counterparts of what generated Python code calls."""
