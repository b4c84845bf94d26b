"""Work on a GPU recorded as a CUDA graph, and calls on different streams kept in order. CuPy is imported late."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

import numpy as np

from gpuscan.cuda import blas
from gpuscan.cuda.launch import require_cupy


class _ThreadState(threading.local):
    """What a thread records, and its cuBLAS for each GPU."""

    recording = False

    def __init__(self) -> None:
        # Kept as long as the process: destroying a handle waits for the device.
        self.blas: dict[int, blas.Blas] = {}


_thread = _ThreadState()


def is_recording() -> bool:
    """Whether work that this thread starts now is recorded: by `record`, or by a capture of CuPy's current stream."""
    return _thread.recording or require_cupy().cuda.get_current_stream().is_capturing()


def record(work: Callable[[], None]) -> Callable[[], None]:
    """Call `work` twice, once to run it and once to record it, and return what replays it on CuPy's current stream.

    Parameters
    ----------
    work : callable
        Starts kernels on CuPy's current stream, of the current GPU. It may allocate; what it leaves behind must be in
        arrays that were there before.

    Raises
    ------
    Exception
        Whatever `work` or CUDA raises, such as where `work` waits for the device. What `work` did the first time stays
        done.

    Notes
    -----
    The first call compiles what has to be compiled, and leaves in a pool of memory the blocks that the second takes,
    so that nothing is allocated while the stream is captured. No other work gets memory of that pool: a replay writes
    to it.
    """
    cuda = require_cupy().cuda
    current = cuda.get_current_stream()
    stream = cuda.Stream(non_blocking=True)  # the default stream cannot be captured
    pool = cuda.MemoryPool()
    stream.wait_event(current.record())
    _thread.recording = True
    try:
        with cuda.using_allocator(pool.malloc), stream:
            work()
            graph = _capture(stream, work)
    finally:
        _thread.recording = False
        current.wait_event(stream.record())
    return _Recorded(graph, pool)


def _capture(stream: Any, work: Callable[[], None]) -> Any:
    """Return the CUDA graph of what `work` starts on the current stream."""
    stream.begin_capture()
    try:
        work()
    except BaseException:
        with suppress(Exception):  # what made `work` fail may have ended the capture; that is the error to raise
            stream.end_capture()
        raise
    return stream.end_capture()


@final
class _Recorded:
    """A CUDA graph, and the memory that it needs while it is there."""

    def __init__(self, graph: Any, pool: Any) -> None:
        self._graph = graph
        self._pool = pool

    def __call__(self) -> None:
        self._graph.launch()


@final
class StreamFence:
    """Has CuPy's current stream wait for the work before the last mark, on whatever stream that was."""

    def __init__(self) -> None:
        self._event: Any = None

    def wait(self) -> None:
        if self._event is not None:
            require_cupy().cuda.get_current_stream().wait_event(self._event)

    def mark(self) -> None:
        self._event = require_cupy().cuda.get_current_stream().record()


# ---- what CuPy does by copies from the host, or not at all, while a stream is captured


def matmul(a: Any, b: Any) -> Any:
    """Return ``a @ b``."""
    if str(a.dtype) not in blas.DTYPES or not (a.size and b.size):
        return a @ b
    if not is_recording():
        _blas(require_cupy())  # cuBLAS may refuse to make a handle while a stream is captured
        return a @ b
    rows = a[None] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    result = _product(rows, columns)
    result = result[..., 0, :] if a.ndim == 1 else result
    return result[..., 0] if b.ndim == 1 else result


def _product(a: Any, b: Any) -> Any:
    cupy = require_cupy()
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, first = _readable(cupy, cupy.broadcast_to(a, (*batch, *a.shape[-2:])))
    b, second = _readable(cupy, cupy.broadcast_to(b, (*batch, *b.shape[-2:])))
    result = cupy.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    product = blas.product_of(a.shape, first, b.shape, second, int(np.prod(batch, dtype=np.int64)))
    workspace = cupy.empty(blas.WORKSPACE_BYTES, "uint8")
    stream = cupy.cuda.get_current_stream().ptr
    addresses = b.data.ptr, a.data.ptr, result.data.ptr
    _blas(cupy).multiply(product, str(a.dtype), *addresses, stream, workspace.data.ptr)
    return result


def _readable(cupy: Any, array: Any) -> tuple[Any, blas.Stack]:
    """Return the matrices of an array as cuBLAS can read them, copied if need be."""
    found = blas.stack_of(array.shape, [stride // array.itemsize for stride in array.strides])
    if found is not None:
        return array, found
    array = cupy.ascontiguousarray(array)
    found = blas.stack_of(array.shape, [stride // array.itemsize for stride in array.strides])
    assert found is not None
    return array, found


def _blas(cupy: Any) -> blas.Blas:
    device = cupy.cuda.runtime.getDevice()
    if device not in _thread.blas:
        cupy.cuda.device.get_cublas_handle()  # loads the library, from wherever CuPy finds it
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
        name = f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}"
        _thread.blas[device] = blas.Blas(ctypes.CDLL(name))
    return _thread.blas[device]


def asarray(x: Any, dtype: Any = None) -> Any:
    """Return `x` as an array of CuPy's."""
    cupy = require_cupy()
    return _from_host(x, dtype) if is_recording() and not isinstance(x, cupy.ndarray) else cupy.asarray(x, dtype)


def array(x: Any, dtype: Any = None) -> Any:
    """Return a new array of what is in `x`."""
    cupy = require_cupy()
    return _from_host(x, dtype) if is_recording() and not isinstance(x, cupy.ndarray) else cupy.array(x, dtype)


def _from_host(x: Any, dtype: Any) -> Any:
    """Return a number from the host as an array, by a kernel whose argument it is.

    A copy would be recorded as a copy from memory that holds something else by the time of a replay.
    """
    cupy = require_cupy()
    value = np.asarray(x, dtype)
    if not value.ndim:
        return cupy.full((), value[()], value.dtype)
    if cupy.cuda.get_current_stream().is_capturing():
        raise RuntimeError(f"a host array of shape {value.shape} would be copied while work is recorded")
    return cupy.array(value)


def concatenate(arrays: Any, axis: int = 0) -> Any:
    """Return arrays joined along an axis."""
    cupy = require_cupy()
    if not is_recording():
        return cupy.concatenate(arrays, axis)
    # Of more than eight arrays CuPy copies the addresses from the host.
    axis %= arrays[0].ndim
    sizes = [a.shape[axis] for a in arrays]
    shape = list(arrays[0].shape)
    shape[axis] = sum(sizes)
    result = cupy.empty(shape, cupy.result_type(*arrays))
    start = 0
    for part, size in zip(arrays, sizes, strict=True):
        result[(slice(None),) * axis + (slice(start, start + size),)] = part
        start += size
    return result


def stack(arrays: Any) -> Any:
    """Return arrays of one shape stacked along a new first axis."""
    if not is_recording():
        return require_cupy().stack(arrays)
    return concatenate([a[None] for a in arrays], 0)
