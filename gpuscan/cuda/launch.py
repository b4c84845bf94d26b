"""Compile kernels with NVRTC, keep the binaries on disk, and launch them. CuPy is imported here, late."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, final

from gpuscan.config import config
from gpuscan.cuda.arguments import MisfitError, bind_arguments, check_layout
from gpuscan.cuda.cache import DiskCache, default_cache_folder, digest
from gpuscan.cuda.gpu import GPU, Resources, choose_arch, gpu_from_properties, read_resources
from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.errors import KernelError

Dim3 = tuple[int, int, int]

HOW_TO_INSTALL = "pip install 'gpuscan[cuda13]' for a driver of CUDA 13 or newer, 'gpuscan[cuda12]' for one of CUDA 12"


def require_cupy() -> Any:
    """Import CuPy.

    Returns
    -------
    module
        ``cupy``, the whole of it.

    Raises
    ------
    KernelError
        If it cannot be imported, saying which extra of gpuscan brings it.
    """
    try:
        import cupy
    except ImportError as error:
        raise KernelError(f"CUDA kernels need CuPy, which cannot be imported ({error}): {HOW_TO_INSTALL}.") from error
    return cupy


# ---- Compiling: no driver and no GPU is needed from here to the next such line.


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel.

    Attributes
    ----------
    cubin : Path
        The binary, in the cache on disk.
    log : str
        What the compiler printed: ptxas's account of registers and memory.
    """

    cubin: Path
    log: str


def compile_options(arch: str, *, contract: bool = True) -> tuple[str, ...]:
    """Return NVRTC's options for a kernel.

    Parameters
    ----------
    arch : str
        ``"sm_90"``.
    contract : bool
        Whether ``a * b + c`` may become one instruction that rounds once. NumPy and the emulator round twice, so
        results then differ by a rounding; without it a float loop loses up to half its speed.

    Notes
    -----
    Everything else is as precise as IEEE 754 asks, which is NVRTC's default: denormal numbers are kept (CuPy would
    add ``-ftz=true``), division and square root round correctly, and no function is replaced by a fast one.
    """
    return (f"-arch={arch}", "-std=c++17", f"-fmad={str(contract).lower()}", "--ptxas-options=-v")


def compile_kernel(kernel: Kernel, arch: str, *, contract: bool = True, extra: tuple[str, ...] = ()) -> Compiled:
    """Compile a kernel with NVRTC, or find it in the cache on disk.

    The cache's key is the text, the options with the architecture, and NVRTC's version.

    Parameters
    ----------
    kernel : Kernel
    arch : str
        ``"sm_90"``.
    contract : bool
        See `compile_options`.
    extra : tuple of str
        Options of NVRTC's besides those.

    Raises
    ------
    KernelError
        If there is no NVRTC, or it refuses the text: the message names the text and the compiler's log on disk.
    """
    nvrtc = _nvrtc()
    options = (*compile_options(arch, contract=contract), *extra)
    disk = _disk_cache()
    key = digest(kernel.source, *options, _version(nvrtc), FORMAT)
    cubin, log = disk.get(key), disk.get(digest(key, "log"))
    if cubin is None or log is None:
        binary, text = _run_nvrtc(nvrtc, kernel, options)
        log = disk.put(digest(key, "log"), text.encode(), ".log")
        cubin = disk.put(key, binary, ".cubin")
    return Compiled(cubin, log.read_text(encoding="utf-8"))


def compile_cubin(kernel: Kernel, arch: str, *, contract: bool = True) -> bytes:
    """Compile a kernel as `compile_kernel` does, and return the binary's bytes."""
    return compile_kernel(kernel, arch, contract=contract).cubin.read_bytes()


def resources(kernel: Kernel, arch: str, *, contract: bool = True) -> Resources:
    """Compile a kernel, or find it compiled, and return the registers and memory that it takes."""
    return read_resources(compile_kernel(kernel, arch, contract=contract).log, kernel.name)


def arch_of(gpu: GPU) -> str:
    """Return the architecture to compile for on a GPU: the newest that it runs and NVRTC knows."""
    return choose_arch(gpu.capability, _nvrtc().getSupportedArchs())


def _nvrtc() -> Any:
    """CuPy's module for NVRTC, with the library loaded."""
    nvrtc = require_cupy().cuda.nvrtc
    try:
        nvrtc.getVersion()
    except Exception as error:  # what a missing library raises differs between CuPy's versions
        raise KernelError(f"CuPy finds no NVRTC, CUDA's run-time compiler ({error}): {HOW_TO_INSTALL}.") from error
    return nvrtc


def _version(nvrtc: Any) -> str:
    return ".".join(map(str, nvrtc.getVersion()))


def _disk_cache() -> DiskCache:
    return DiskCache(Path(config.cache_dir) if config.cache_dir else default_cache_folder())


FORMAT = "whole"
"""What binaries in the cache are, as part of their keys: those written before this was there lack a byte."""


def _whole(cubin: bytes) -> bytes:
    """Return a binary with the byte that CuPy takes off its end.

    CuPy strips what would be the zero at the end of a text. It loads binaries from Python's bytes, and in memory a zero
    follows those; a driver that reads a file would find the last program header one byte short.
    """
    return bytes(cubin) + b"\0"


def _run_nvrtc(nvrtc: Any, kernel: Kernel, options: tuple[str, ...]) -> tuple[bytes, str]:
    program = nvrtc.createProgram(kernel.source, f"{kernel.name}.cu", (), ())
    try:
        nvrtc.compileProgram(program, options)
        return _whole(nvrtc.getCUBIN(program)), _program_log(nvrtc, program)
    except nvrtc.NVRTCError as error:
        log = _program_log(nvrtc, program) or str(error)
        raise _refused(kernel, options, log, _version(nvrtc)) from None
    finally:
        nvrtc.destroyProgram(program)


def _program_log(nvrtc: Any, program: Any) -> str:
    # NVRTC's count of characters includes the closing zero.
    return str(nvrtc.getProgramLog(program)).rstrip("\0")


def _refused(kernel: Kernel, options: tuple[str, ...], log: str, version: str) -> KernelError:
    """Leave the text and the log on disk and make the error that names them."""
    # A new folder of the user's own: a cache that nobody can write to must not hide what is wrong with the kernel.
    folder = Path(tempfile.mkdtemp(prefix="gpuscan-"))
    source, report = folder / f"{kernel.name}.cu", folder / f"{kernel.name}.log"
    source.write_text(kernel.source, encoding="utf-8")
    report.write_text(f"NVRTC {version} {' '.join(options)}\n{log}\n", encoding="utf-8")
    first = next((line for line in log.splitlines() if "error" in line), log.strip())
    return KernelError(
        f"NVRTC {version} cannot compile kernel {kernel.name!r} with {' '.join(options)}: {first}\n"
        f"The kernel's text: {source}\nThe compiler's log: {report}"
    )


# ---- GPUs.


def gpu_count() -> int:
    """Count the GPUs that CuPy can use; 0 where there is no CuPy, no driver or no GPU. It never raises."""
    if not _has_driver():
        return 0
    try:
        return int(require_cupy().cuda.runtime.getDeviceCount())
    except Exception:  # every way in which a GPU can be out of reach means that there is none
        return 0


@cache
def _has_driver() -> bool:
    """Whether the CUDA driver's library can be opened: known in microseconds, where importing CuPy takes 0.3 s."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def why_no_gpu() -> str:
    """Say what was looked for and what was found, for the message of an error about a missing GPU."""
    try:
        cupy = require_cupy()
    except Exception as error:
        return str(error)
    runtime = cupy.cuda.runtime
    found = [f"CuPy {cupy.__version__} is installed"]
    try:
        found.append(f"the driver is {_driver_name(runtime.driverGetVersion())}")
        found.append(f"it lists {runtime.getDeviceCount()} GPUs")
    except Exception as error:
        found.append(f"CUDA says {error}")
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        found.append(f"CUDA_VISIBLE_DEVICES is {visible!r}")
    return "; ".join(found) + "."


def _driver_name(version: int) -> str:
    return f"for CUDA {version // 1000}.{version % 1000 // 10}" if version else "not there"


def describe_gpu(device: int | None = None) -> GPU:
    """Return the numbers of a GPU.

    Parameters
    ----------
    device : int, optional
        Its index; the current device by default.

    Raises
    ------
    KernelError
        If there is no such GPU.
    """
    return _describe(_device_index(device))


@cache  # CUDA's query takes milliseconds on some machines
def _describe(index: int) -> GPU:
    runtime = require_cupy().cuda.runtime
    clock = runtime.deviceGetAttribute(runtime.cudaDevAttrClockRate, index)
    memory_clock = runtime.deviceGetAttribute(runtime.cudaDevAttrMemoryClockRate, index)
    return gpu_from_properties(
        runtime.getDeviceProperties(index), clock=clock, memory_clock=memory_clock, driver=runtime.driverGetVersion()
    )


def _device_index(device: int | None) -> int:
    """Check an index, or return the current device's."""
    count = gpu_count()
    if count == 0:
        raise KernelError(f"there is no GPU: {why_no_gpu()}")
    if device is None:
        return int(require_cupy().cuda.runtime.getDevice())
    if not 0 <= device < count:
        raise KernelError(f"there is no device cuda:{device}; there are {', '.join(f'cuda:{i}' for i in range(count))}")
    return device


# ---- Arguments.


def check_array(parameter: Parameter, value: Any, device: int) -> None:
    """Check that CuPy can pass `value` on to a kernel that runs on GPU `device`.

    Raises
    ------
    MisfitError
        If it is no array in device memory, is on another GPU, or has another dtype or layout than the kernel reads.
    """
    pointer = getattr(getattr(value, "data", None), "ptr", None)
    if pointer is None:
        raise MisfitError(f"needs an array in device memory, not {type(value).__module__}.{type(value).__name__}")
    check_layout(parameter, value, pointer, value.itemsize)
    # An empty array has no memory, and CuPy takes it to be on the current device.
    if value.data.device_id != device and value.size:
        raise MisfitError(f"is on cuda:{value.data.device_id}, and the kernel runs on cuda:{device}")


# ---- Loading and launching.

GIVEN_SHARED_BYTES = 48 * 1024
"""Shared memory that a block of any kernel may have, in all."""


def load(
    kernel: Kernel, *, cooperative: bool = False, device: int | None = None, contract: bool = True
) -> LoadedKernel:
    """Compile a kernel for a GPU and load it there.

    Parameters
    ----------
    kernel : Kernel
    cooperative : bool
        Whether all blocks must run at the same time because they wait for each other.
    device : int, optional
        Index of the GPU; the current device by default.
    contract : bool
        See `compile_options`.

    Returns
    -------
    LoadedKernel
        A `gpuscan.cuda.kernel.Launcher`.

    Raises
    ------
    KernelError
        If there is no such GPU, or the kernel cannot be compiled or loaded.
    """
    index = _device_index(device)
    cupy = require_cupy()
    gpu = describe_gpu(index)
    nvrtc = _nvrtc()
    arch = arch_of(gpu)
    compiled = compile_kernel(kernel, arch, contract=contract)
    with cupy.cuda.Device(index):
        try:
            module = cupy.RawModule(path=str(compiled.cubin), enable_cooperative_groups=cooperative)
            function = module.get_function(kernel.name)
        except RuntimeError as error:  # CUDADriverError is one
            raise KernelError(
                f"kernel {kernel.name!r} does not load on cuda:{index} ({gpu.name}, driver "
                f"{_driver_name(gpu.driver)}, compiled by NVRTC {_version(nvrtc)}): {error}\n"
                f"The binary: {compiled.cubin}"
            ) from error
        return LoadedKernel(kernel, function, gpu, index, cooperative=cooperative)


@final
class LoadedKernel:
    """A kernel on one GPU; calling it launches it on CuPy's current stream of that GPU, without synchronising.

    Parameters
    ----------
    kernel : Kernel
    function : cupy.RawKernel
        The loaded kernel; the GPU must be the current one.
    gpu : GPU
    device : int
        Index of the GPU.
    cooperative : bool
        Whether all blocks must run at the same time.
    """

    def __init__(self, kernel: Kernel, function: Any, gpu: GPU, device: int, *, cooperative: bool) -> None:
        self.kernel = kernel
        self.gpu = gpu
        self.device = device
        self.cooperative = cooperative
        self._function = function
        # A block has 48 KB with what the text declares, whatever the driver says of the rest; more must be asked for.
        self._dynamic_limit: int = min(
            function.max_dynamic_shared_size_bytes, GIVEN_SHARED_BYTES - function.shared_size_bytes
        )
        self._resident: dict[tuple[int, int], int] = {}

    def __call__(self, grid: Dim3, block: Dim3, shared_bytes: int, arguments: Sequence[Any]) -> None:
        """Launch the kernel once.

        Parameters
        ----------
        grid, block : tuple of three int
            Blocks, and threads of a block. A grid without blocks launches nothing.
        shared_bytes : int
            Dynamic shared memory of a block.
        arguments : sequence
            CuPy arrays and numbers, in the order of ``kernel.parameters``.

        Raises
        ------
        KernelError
            If an argument does not fit, the GPU has not the memory or threads asked for, or the kernel is
            cooperative and its blocks do not all fit on the GPU at once.
        """
        bound = bind_arguments(self.kernel, arguments, self._check_array)
        if 0 in grid:  # CuPy would make it 1
            return
        with self._on_device():
            self._allow_shared(shared_bytes)
            if self.cooperative:
                self._check_resident(grid, block, shared_bytes)
            try:
                self._function(grid, block, bound, shared_mem=shared_bytes)
            except RuntimeError as error:
                raise KernelError(
                    f"kernel {self.kernel.name!r} cannot be launched on {self.gpu.name} with grid {grid}, "
                    f"block {block} and {shared_bytes} bytes of dynamic shared memory: {error}"
                ) from error

    def resident_blocks(self, block: Dim3, shared_bytes: int = 0) -> int:
        """Ask the driver how many blocks the whole GPU holds at once: the largest grid of a cooperative launch.

        Parameters
        ----------
        block : tuple of three int
            Threads of a block.
        shared_bytes : int
            Dynamic shared memory of a block.

        Raises
        ------
        KernelError
            If a block cannot have that much shared memory.
        """
        threads = prod(block)
        if (threads, shared_bytes) not in self._resident:
            driver = require_cupy().cuda.driver
            with self._on_device():
                self._allow_shared(shared_bytes)
                of_one_sm = driver.occupancyMaxActiveBlocksPerMultiprocessor(
                    self._function.kernel.ptr, threads, shared_bytes
                )
            self._resident[threads, shared_bytes] = of_one_sm * self.gpu.sms
        return self._resident[threads, shared_bytes]

    def _check_array(self, parameter: Parameter, value: Any) -> None:
        check_array(parameter, value, self.device)

    def _on_device(self) -> AbstractContextManager[Any]:
        cuda = require_cupy().cuda
        return nullcontext() if cuda.runtime.getDevice() == self.device else cuda.Device(self.device)

    def _allow_shared(self, shared_bytes: int) -> None:
        if shared_bytes <= self._dynamic_limit:
            return
        try:
            self._function.max_dynamic_shared_size_bytes = shared_bytes
        except RuntimeError as error:
            raise KernelError(
                f"kernel {self.kernel.name!r} asks for {shared_bytes} bytes of dynamic shared memory beside the "
                f"{self._function.shared_size_bytes} that its text declares; a block of {self.gpu.name} has "
                f"{self.gpu.shared_per_block} in all ({error})"
            ) from error
        self._dynamic_limit = shared_bytes

    def _check_resident(self, grid: Dim3, block: Dim3, shared_bytes: int) -> None:
        # CuPy launches as many blocks as fit, with a warning only; the others' work would be missing.
        if prod(grid) > (most := self.resident_blocks(block, shared_bytes)):
            raise KernelError(
                f"cooperative kernel {self.kernel.name!r} is to run {prod(grid)} blocks of {prod(block)} threads at "
                f"once, and {self.gpu.name} holds {most} of them"
            )
