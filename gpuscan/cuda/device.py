"""What runs kernels and holds arrays: a GPU through CuPy, or the emulator with NumPy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, final

import numpy as np

from gpuscan.cuda import arrays, emulator, launch, recording
from gpuscan.cuda.gpu import EMULATED_GPU, GPU
from gpuscan.cuda.kernel import Kernel, Launcher
from gpuscan.cuda.random import RandomBlocks
from gpuscan.host import NUMPY, ArrayModule


class Fence(Protocol):
    """Keeps calls that use the same memory in order, on whatever streams they are."""

    def wait(self) -> None:
        """Have what is started from here on wait for all before the last mark."""

    def mark(self) -> None:
        """Say that what was started until here is what the next `wait` is for."""


class Device(Protocol):
    """What runs kernels and holds arrays.

    Attributes
    ----------
    name : str
        As in ``function(device=)``.
    gpu : GPU
        What plans are made for.
    arrays : ArrayModule
        What array operations run on.
    records : bool
        Whether work started from Python becomes quicker by being recorded.
    """

    name: str
    gpu: GPU
    arrays: ArrayModule
    records: bool

    def active(self) -> AbstractContextManager[Any]:
        """Return a context in which new arrays are on this device."""

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        """Return an array whose values carry no meaning."""

    def as_array(self, value: Any, dtype: str) -> Any:
        """Return `value` as a C-contiguous array on the device."""

    def address(self, array: Any) -> int:
        """Return where in memory an array of this kind of device begins."""

    def to_host(self, value: Any) -> Any:
        """Return `value` as a NumPy array."""

    def is_device_array(self, value: Any) -> bool:
        """Whether `value` is in this kind of device's memory."""

    def wait(self) -> None:
        """Return when all that was started is done."""

    def free_memory(self) -> int | None:
        """Return how many bytes new arrays can have in all, None where nobody can tell."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Call `work` twice, once to run it and once to record it, and return what replays the recording.

        A replay does to the same memory what `work` did: it starts from what the arrays hold then that `work` read.
        """

    def is_recording(self) -> bool:
        """Whether what is started now is being recorded, by whomever."""

    def fence(self) -> Fence:
        """Return a fence."""

    def spilled_bytes(self, kernel: Kernel) -> int:
        """Return how much a kernel moves in and out of registers that it has not enough of, in bytes of its text."""

    def load(self, kernel: Kernel, *, cooperative: bool = False) -> Launcher:
        """Return a launcher of a kernel; of a `cooperative` one all blocks run at the same time."""


@final
class NoFence:
    """The fence of a device that has done what it was told before it returns."""

    def wait(self) -> None:
        """There is nothing to wait for."""

    def mark(self) -> None:
        """There is nothing to wait for."""


@final
class Emulator:
    """The emulator: generated kernels compiled for the host's processor."""

    name = "emulator"
    gpu = EMULATED_GPU
    arrays = NUMPY
    records = False

    def active(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        return np.empty(shape, dtype)

    def as_array(self, value: Any, dtype: str) -> Any:
        return np.ascontiguousarray(value, dtype)

    def address(self, array: Any) -> int:
        return int(array.ctypes.data)

    def to_host(self, value: Any) -> Any:
        return np.asarray(value)

    def is_device_array(self, value: Any) -> bool:
        return False

    def wait(self) -> None:
        """There is nothing to wait for: kernels run where they are launched."""

    def free_memory(self) -> int | None:
        return None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        work()
        return work

    def is_recording(self) -> bool:
        return False

    def fence(self) -> Fence:
        return NoFence()

    def spilled_bytes(self, kernel: Kernel) -> int:
        return 0

    def load(self, kernel: Kernel, *, cooperative: bool = False) -> Launcher:
        return emulator.load(kernel, cooperative=cooperative)


@final
class CudaDevice:
    """A GPU.

    Parameters
    ----------
    index : int
        Which one, as CUDA counts them.
    """

    records = True

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = f"cuda:{index}"
        self.gpu: GPU = launch.describe_gpu(index)
        self.arrays = replace(arrays.CUPY, extra={**arrays.CUPY.extra, "random_blocks": RandomBlocks(self)})

    def active(self) -> AbstractContextManager[Any]:
        return arrays.device_scope(self.index)

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        return arrays.empty(shape, dtype, self.index)

    def as_array(self, value: Any, dtype: str) -> Any:
        return arrays.to_device(value, dtype, self.index)

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def to_host(self, value: Any) -> Any:
        return arrays.to_host(value)

    def is_device_array(self, value: Any) -> bool:
        return arrays.is_device_array(value)

    def wait(self) -> None:
        arrays.wait(self.index)

    def free_memory(self) -> int | None:
        return arrays.free_memory(self.index)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        with self.active():
            return recording.record(work)

    def is_recording(self) -> bool:
        return recording.is_recording()

    def fence(self) -> Fence:
        return recording.StreamFence()

    def spilled_bytes(self, kernel: Kernel) -> int:
        return launch.resources(kernel, launch.arch_of(self.gpu)).spill_bytes

    def load(self, kernel: Kernel, *, cooperative: bool = False) -> Launcher:
        return launch.load(kernel, cooperative=cooperative, device=self.index)


def open_device(name: str) -> Device:
    """Return the device of that name: ``emulator`` or ``cuda:N``.

    Raises
    ------
    KernelError
        If there is no such GPU.
    """
    return Emulator() if name == "emulator" else CudaDevice(int(name.partition(":")[2]))
