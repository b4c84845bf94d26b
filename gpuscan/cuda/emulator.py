"""Run kernels on a machine without a GPU: compiled by the host's C++ compiler against ``kernels/emulator.h``.

Each becomes a library of its own, linked with what ``kernels/emulator.cc`` became once.

Slow, and for tests. What it says that a GPU does not: indices outside of arrays, barriers that not every thread of the
block reaches, shared memory that is read before it is written or without a barrier in between, shuffles from absent
lanes, kernels that wait for ever, and integer division by zero.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache, lru_cache
from math import prod
from pathlib import Path
from typing import Any, final

import numpy as np

from gpuscan.config import config
from gpuscan.cuda.arguments import MisfitError, bind_arguments, check_layout
from gpuscan.cuda.cache import DiskCache, default_cache_folder, digest
from gpuscan.cuda.kernel import C_TYPES, Kernel, Launcher, Parameter
from gpuscan.cuda.source import kernel_folder
from gpuscan.errors import KernelError

Dim3 = tuple[int, int, int]

COMPILERS = ("c++", "g++", "clang++")
"""Names looked for on PATH when CXX names no compiler."""

OPTIONS = (
    "-x", "c++", "-std=c++17", "-DGPUSCAN_EMULATOR", "-fPIC", "-fvisibility=hidden",
    # a * b + c rounds twice, as in NumPy and as NVRTC does it with -fmad=false, so that results can be compared for
    # equality. By default GCC fuses them on machines that can.
    "-ffp-contract=off",
    # sqrt and the like need not set errno, which no kernel reads.
    "-fno-math-errno",
    # On GPUs integers wrap around, and memory is read as another type than it was written as.
    "-fwrapv", "-fno-strict-aliasing",
    # An error leaves a kernel by a jump.
    "-fno-exceptions", "-fno-rtti",
    # The first two would end the process (with -fwrapv the second is about quotients only), the third means something
    # else on each processor, the fourth would spoil the stack. emulator.cc has the functions that are called then, so
    # that no library is needed for them.
    "-fsanitize=integer-divide-by-zero,signed-integer-overflow,shift-exponent,bounds",
)  # fmt: skip
"""The compiler's options, the same for all kernels."""

# Twice the compile time of -O1 is not won back by kernels as short as tests run them, but by what all of them use.
KERNEL_OPTIONS = ("-O1", "-shared", "-nodefaultlibs")
RUNTIME_OPTIONS = ("-O2", "-c")

# A fiber's stack has nothing behind it that stops a function which needs more than is left: the compiler refuses one
# that keeps over half a stack there. GCC and Clang differ in how to ask for that.
GCC_OPTIONS = (
    "-Werror=frame-larger-than=131072",
    # A quarter of the time that a long kernel takes.
    "-fno-tree-pta",
)
CLANG_OPTIONS = ("-Wframe-larger-than=131072", "-Werror=frame-larger-than=")

LIBRARIES = ("-lm", "-lc", "-lgcc")

# CUDA's limits, of every GPU there is.
MAX_BLOCK: Dim3 = (1024, 1024, 64)
MAX_GRID: Dim3 = (2**31 - 1, 65535, 65535)
MAX_THREADS = 1024

MESSAGE_SIZE = 2048


def load(kernel: Kernel, *, cooperative: bool = False, cache: DiskCache | None = None) -> Launcher:
    """Compile a kernel for the emulator, or find it compiled.

    Parameters
    ----------
    kernel : Kernel
    cooperative : bool
        Whether all blocks must run at the same time because they wait for each other. Without it one block runs after
        another.
    cache : DiskCache, optional
        Where compiled kernels are kept; by default in ``config.cache_dir``, else the user's cache folder.

    Returns
    -------
    EmulatedKernel
        A `gpuscan.cuda.kernel.Launcher` whose arrays are NumPy's. It may be called from several threads at once.

    Raises
    ------
    KernelError
        If there is no C++ compiler, or it refuses the text: the message names the text and the compiler's log on disk.
        Or if what it made does not load.
    """
    cache = cache or DiskCache(Path(config.cache_dir) if config.cache_dir else default_cache_folder())
    path = _compiled(kernel, cache)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:  # as in a folder from which nothing may be executed
        raise KernelError(
            f"kernel {kernel.name!r}, compiled for the emulator, does not load: {error}\nThe library: {path}"
        ) from error
    return EmulatedKernel(kernel, library.gpuscan_launch, cache, cooperative=cooperative)


def find_compiler() -> tuple[str, ...]:
    """Find the host's C++ compiler.

    Returns
    -------
    tuple of str
        The command: of ``$CXX``, which may hold options, or the first of `COMPILERS` on ``PATH``.

    Raises
    ------
    KernelError
        If there is none, saying what was looked for and how to get one.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    for name in named[:1] or COMPILERS:
        if path := shutil.which(name):
            return (path, *named[1:])
    looked_for = f"CXX, which is {named[0]!r}" if named else f"{', '.join(COMPILERS)} on PATH, with CXX not set"
    raise KernelError(
        f"the emulator needs a C++ compiler and found none; it looked for {looked_for}. Install one (on Debian and "
        "Ubuntu: apt-get install g++), name one by the environment variable CXX, or use device='cpu', which needs none."
    )


@cache
def _version(compiler: tuple[str, ...]) -> str:
    try:
        return subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise KernelError(f"the C++ compiler {shlex.join(compiler)} does not tell its version: {error}") from error


def _command(compiler: tuple[str, ...]) -> tuple[str, ...]:
    return (*compiler, *OPTIONS, *(CLANG_OPTIONS if "clang" in _version(compiler) else GCC_OPTIONS))


@lru_cache(maxsize=2)
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _build_key(*parts: str) -> str:
    """Return the key of what is compiled from these texts and options; the header and the compiler are in it."""
    compiler = find_compiler()
    return digest("emulator", _text(kernel_folder() / "emulator.h"), *_command(compiler), _version(compiler), *parts)


def _compiled(kernel: Kernel, cache: DiskCache) -> Path:
    """Return the shared library of a kernel."""
    trampoline = _trampoline(kernel)
    key = _build_key(*KERNEL_OPTIONS, _text(kernel_folder() / "emulator.cc"), kernel.source, trampoline)
    return cache.get(key) or cache.put(key, _compile(kernel, trampoline, cache), ".so")


def _compile(kernel: Kernel, trampoline: str, cache: DiskCache) -> bytes:
    runtime = str(_runtime(cache))
    with tempfile.TemporaryDirectory(prefix="gpuscan-") as folder:
        # The kernel stands in a file of its own, whose lines are those of its text.
        Path(folder, f"{kernel.name}.cu").write_text(kernel.source, encoding="utf-8")
        Path(folder, "launch.cc").write_text(trampoline, encoding="utf-8")
        command, log, library = _build(folder, *KERNEL_OPTIONS, "launch.cc", "-x", "none", runtime, *LIBRARIES)
    if library is None:
        first, report = _report(command, log, cache)
        raise KernelError(
            f"the C++ compiler {command[0]} cannot compile kernel {kernel.name!r} for the emulator: {first}\n"
            f"The kernel's text: {_saved_source(kernel, cache)}\nThe compiler's log: {report}"
        )
    return library


def _runtime(cache: DiskCache) -> Path:
    """Return the object file of what all kernels use, most of what there is to compile in a short one."""
    path = kernel_folder() / "emulator.cc"
    key = _build_key(*RUNTIME_OPTIONS, _text(path))
    if (found := cache.get(key)) is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="gpuscan-") as folder:
        command, log, code = _build(folder, *RUNTIME_OPTIONS, str(path))
    if code is None:
        first, report = _report(command, log, cache)
        raise KernelError(
            f"the C++ compiler {command[0]} cannot compile the emulator: {first}\nThe compiler's log: {report}"
        )
    return cache.put(key, code, ".o")


def _build(folder: str, *arguments: str) -> tuple[tuple[str, ...], str, bytes | None]:
    """Run the compiler in a folder; return its command, what it printed, and what it made, None if it refuses."""
    header = ("-include", str(kernel_folder() / "emulator.h"))
    command = (*_command(find_compiler()), *header, "-o", "built", *arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    made = Path(folder, "built").read_bytes() if done.returncode == 0 else None
    return command, done.stdout + done.stderr, made


def _report(command: Sequence[str], log: str, cache: DiskCache) -> tuple[str, Path]:
    """Leave the compiler's log on disk; return its first error, and the file."""
    log = f"{shlex.join(command)}\n{log}"
    first = next((line for line in log.splitlines() if re.search("error: |undefined reference", line)), "see its log")
    return first, cache.put(digest("emulator log", log), log.encode(), ".log")


def _saved_source(kernel: Kernel, cache: DiskCache) -> Path:
    """Return a file of the kernel's text."""
    key = digest("source", kernel.source)
    return cache.get(key) or cache.put(key, kernel.source.encode(), ".cu")


def _trampoline(kernel: Kernel) -> str:
    """Return the translation unit around a kernel: a function that calls it with arguments from plain memory."""
    arguments = ",\n        ".join(_argument(i, parameter) for i, parameter in enumerate(kernel.parameters))
    return f'#include "{kernel.name}.cu"\n\nGPUSCAN_BODY {{\n    {kernel.name}(\n        {arguments});\n}}\n'


def _argument(i: int, parameter: Parameter) -> str:
    c_type = C_TYPES[parameter.dtype]
    if not parameter.is_array:
        return f"*static_cast<const {c_type}*>(arguments[{i}])"
    element = c_type if parameter.writes else f"const {c_type}"
    return f'Global<{element}>(static_cast<{element}*>(arguments[{i}]), counts[{i}], "{parameter.name}")'


@final
class EmulatedKernel:
    """A kernel compiled for the emulator; calling it runs it to its end.

    Parameters
    ----------
    kernel : Kernel
    function : callable
        ``gpuscan_launch`` of the kernel's library.
    cache : DiskCache
        Where the kernel's text is written when a check fails.
    cooperative : bool
        Whether all blocks run at the same time.
    """

    def __init__(self, kernel: Kernel, function: Any, cache: DiskCache, *, cooperative: bool) -> None:
        self.kernel = kernel
        self.cooperative = cooperative
        self._cache = cache
        self._function = function
        sizes = ctypes.c_uint * 3
        function.argtypes = (
            sizes, sizes, ctypes.c_ulonglong, ctypes.c_int,
            ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_longlong), ctypes.c_char_p, ctypes.c_ulonglong,
        )  # fmt: skip
        function.restype = ctypes.c_int

    def __call__(self, grid: Dim3, block: Dim3, shared_bytes: int, arguments: Sequence[Any]) -> None:
        """Run the kernel once.

        Parameters
        ----------
        grid, block : tuple of three int
            Blocks, and threads of a block. A grid without blocks runs nothing.
        shared_bytes : int
            Dynamic shared memory of a block.
        arguments : sequence
            NumPy arrays and numbers, in the order of ``kernel.parameters``. Arrays must be C-contiguous, of exactly the
            parameter's dtype and, where the kernel writes them, writable.

        Raises
        ------
        KernelError
            If an argument or a size does not fit, or a check of the emulator failed: then the message says which, names
            the line, the thread and the block, and the file of the kernel's text. What the kernel wrote until then
            stays written.
        """
        # Numbers are passed by address too, as arrays without axes.
        bound = [np.asarray(value) for value in bind_arguments(self.kernel, arguments, _check_array)]
        _check_sizes(self.kernel, grid, block, shared_bytes)
        if 0 in grid:
            return
        n = len(bound)
        pointers = (ctypes.c_void_p * n)(*(array.ctypes.data for array in bound))
        counts = (ctypes.c_longlong * n)(*(array.size for array in bound))
        message = ctypes.create_string_buffer(MESSAGE_SIZE)
        sizes = ctypes.c_uint * 3
        if not self._function(
            sizes(*grid), sizes(*block), shared_bytes, self.cooperative, pointers, counts, message, MESSAGE_SIZE
        ):
            raise KernelError(
                f"kernel {self.kernel.name!r}: {message.value.decode(errors='replace')}\n"
                f"The kernel's text: {_saved_source(self.kernel, self._cache)}"
            )


def _check_sizes(kernel: Kernel, grid: Dim3, block: Dim3, shared_bytes: int) -> None:
    fits = all(0 < size <= limit for size, limit in zip(block, MAX_BLOCK, strict=True))
    if not fits or prod(block) > MAX_THREADS:
        raise KernelError(
            f"kernel {kernel.name!r} cannot run in blocks of {block} threads: CUDA allows 1 to {MAX_THREADS}, at "
            f"most {MAX_BLOCK} a side"
        )
    if not all(0 <= size <= limit for size, limit in zip(grid, MAX_GRID, strict=True)):
        raise KernelError(f"kernel {kernel.name!r} cannot run in a grid of {grid} blocks: CUDA allows {MAX_GRID}")
    if shared_bytes < 0:
        raise KernelError(f"kernel {kernel.name!r} cannot have {shared_bytes} bytes of shared memory")


def _check_array(parameter: Parameter, value: Any) -> None:
    if not isinstance(value, np.ndarray):
        raise MisfitError(f"needs a NumPy array, not {type(value).__module__}.{type(value).__name__}")
    check_layout(parameter, value, value.ctypes.data, value.dtype.alignment)
    if parameter.writes and not value.flags.writeable:
        raise MisfitError("is written by the kernel, and the array is read-only")
