"""What a GPU has and what a kernel takes of it, as plain numbers: plans are made and printed without a device."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuscan.errors import KernelError


@dataclass(frozen=True)
class GPU:
    """The numbers of one GPU that plans depend on.

    Attributes
    ----------
    name : str
        As the driver gives it.
    arch : str
        What to compile for: ``"sm_90"``.
    sms : int
        Streaming multiprocessors.
    registers_per_sm : int
        32-bit registers of one SM.
    threads_per_sm, blocks_per_sm : int
        The most that one SM holds at once.
    shared_per_block : int
        The most bytes of shared memory that a block can ask for (over 48 KB it must ask; `launch` does).
    shared_per_sm : int
        Bytes of shared memory of one SM.
    shared_reserved : int
        Bytes of it that the system takes from each block.
    l2_bytes, memory_bytes : int
        Sizes of the L2 cache and of device memory.
    clock_ghz : float
        Highest clock of the SMs.
    bandwidth_gbs : float
        What a copy of device memory reaches, bytes read plus bytes written, in GB/s; 0 where unknown.
    driver : int
        The newest CUDA that the driver runs, 13000 for 13.0; 0 where there is no device.
    warp_size : int
        Threads of a warp.
    """

    name: str
    arch: str
    sms: int
    registers_per_sm: int
    threads_per_sm: int
    blocks_per_sm: int
    shared_per_block: int
    shared_per_sm: int
    shared_reserved: int
    l2_bytes: int
    memory_bytes: int
    clock_ghz: float
    bandwidth_gbs: float
    driver: int = 0
    warp_size: int = 32

    @property
    def capability(self) -> int:
        """Compute capability as one number: 90 for ``"sm_90"`` and for ``"sm_90a"``."""
        return int(re.sub(r"\D", "", self.arch))


# Sizes: CUDA C++ Programming Guide, "Compute Capabilities", and NVIDIA's data sheets. Clock and bandwidth of the
# H200: measured with a copy of 1 GB. Bandwidth of the others: 0.87 of the data sheet's, as on the H200.
KNOWN_GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU(
            name="NVIDIA H200",
            arch="sm_90",
            sms=132,
            registers_per_sm=65536,
            threads_per_sm=2048,
            blocks_per_sm=32,
            shared_per_block=227 * 1024,
            shared_per_sm=228 * 1024,
            shared_reserved=1024,
            l2_bytes=60 * 2**20,
            memory_bytes=141 * 10**9,
            clock_ghz=1.98,
            bandwidth_gbs=4300.0,
        ),
        GPU(
            name="NVIDIA A100-SXM4-80GB",
            arch="sm_80",
            sms=108,
            registers_per_sm=65536,
            threads_per_sm=2048,
            blocks_per_sm=32,
            shared_per_block=163 * 1024,
            shared_per_sm=164 * 1024,
            shared_reserved=1024,
            l2_bytes=40 * 2**20,
            memory_bytes=80 * 10**9,
            clock_ghz=1.41,
            bandwidth_gbs=1770.0,
        ),
        GPU(
            name="Tesla T4",
            arch="sm_75",
            sms=40,
            registers_per_sm=65536,
            threads_per_sm=1024,
            blocks_per_sm=16,
            shared_per_block=64 * 1024,
            shared_per_sm=64 * 1024,
            shared_reserved=0,
            l2_bytes=4 * 2**20,
            memory_bytes=16 * 10**9,
            clock_ghz=1.59,
            bandwidth_gbs=278.0,
        ),
    )
}
"""GPUs to plan for where there is none, by the driver's name."""

EMULATED_GPU = GPU(
    # A Hopper SM, so that every strategy is open to it; few of them, because an emulated grid-wide team runs all
    # its threads on one processor.
    name="emulator",
    arch="sm_90",
    sms=4,
    registers_per_sm=65536,
    threads_per_sm=2048,
    blocks_per_sm=32,
    shared_per_block=227 * 1024,
    shared_per_sm=228 * 1024,
    shared_reserved=1024,
    l2_bytes=60 * 2**20,
    memory_bytes=2**32,
    clock_ghz=1.0,
    bandwidth_gbs=10.0,
)
"""The GPU that ``device="emulator"`` pretends to be."""


def gpu_from_properties(properties: Mapping[str, Any], *, clock: int, memory_clock: int, driver: int) -> GPU:
    """Make a `GPU` of what the CUDA runtime says about one.

    Parameters
    ----------
    properties : mapping
        The fields of ``cudaDeviceProp``.
    clock, memory_clock : int
        In kHz. CUDA 13 took them out of the properties; as attributes they are in every version.
    driver : int
        The newest CUDA that the driver runs, 13000 for 13.0.
    """
    name = properties["name"].decode(errors="replace")
    # Two transfers a clock on a bus of so many bits; a copy reached 0.87 of that on an H200.
    estimate = 0.87 * 2 * memory_clock * 1e3 * properties["memoryBusWidth"] / 8 / 1e9
    return GPU(
        name=name,
        arch=f"sm_{properties['major']}{properties['minor']}",
        sms=properties["multiProcessorCount"],
        registers_per_sm=properties["regsPerMultiprocessor"],
        threads_per_sm=properties["maxThreadsPerMultiProcessor"],
        blocks_per_sm=properties["maxBlocksPerMultiProcessor"],
        shared_per_block=properties["sharedMemPerBlockOptin"],
        shared_per_sm=properties["sharedMemPerMultiprocessor"],
        shared_reserved=properties["reservedSharedMemPerBlock"],
        l2_bytes=properties["l2CacheSize"],
        memory_bytes=properties["totalGlobalMem"],
        clock_ghz=clock / 1e6,
        bandwidth_gbs=KNOWN_GPUS[name].bandwidth_gbs if name in KNOWN_GPUS else round(estimate, 1),
        driver=driver,
        warp_size=properties["warpSize"],
    )


def choose_arch(capability: int, supported: Sequence[int]) -> str:
    """Choose the architecture to compile for.

    A binary runs on GPUs of its own major version from its own minor version on, so a GPU that is newer than the
    compiler gets the newest binary of its major version.

    Parameters
    ----------
    capability : int
        The GPU's compute capability: 90 for 9.0.
    supported : sequence of int
        What the compiler knows.

    Raises
    ------
    KernelError
        If the compiler knows none that the GPU runs.
    """
    usable = [arch for arch in supported if arch // 10 == capability // 10 and arch <= capability]
    if not usable:
        raise KernelError(
            f"this GPU has compute capability {capability / 10}, and the installed NVRTC compiles for "
            f"{', '.join(str(arch / 10) for arch in supported)}. A newer GPU needs a newer NVRTC; one from before "
            f"those needs CUDA 12: pip install 'gpuscan[cuda12]'."
        )
    return f"sm_{max(usable)}"


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel takes.

    Attributes
    ----------
    registers : int
        32-bit registers of a thread.
    shared_bytes : int
        Shared memory that the text declares for a block; what a launch adds is not in it.
    local_bytes : int
        Memory outside registers that a thread has for its stack: arrays indexed at run time, spilled registers, the
        slow paths of ``sin`` and ``cos`` in float64.
    spill_bytes : int
        Bytes moved by the stores and loads of registers that did not fit, each counted once for a thread however
        often it runs. 0 is what a loop needs to be fast.
    """

    registers: int
    shared_bytes: int = 0
    local_bytes: int = 0
    spill_bytes: int = 0


def read_resources(log: str, kernel_name: str) -> Resources:
    """Read a kernel's resources from what ptxas prints with ``--verbose``.

    The log has them in words that are the same from NVRTC 12.0 to 13.5; the binary has them too, in attributes that
    NVIDIA does not document.

    Parameters
    ----------
    log : str
        NVRTC's log of a compilation with ``--ptxas-options=-v``.
    kernel_name : str
        Name of the ``__global__`` function.

    Raises
    ------
    KernelError
        If the log says nothing about that kernel.
    """
    # [before, name, report, name, report, ...]; functions that were not inlined report inside their kernel's.
    parts = re.split(r"Compiling entry function '([^']+)'", log)
    reports = dict(zip(parts[1::2], parts[2::2], strict=True))
    if kernel_name not in reports:
        raise KernelError(f"the compiler's log has nothing about kernel {kernel_name!r}; it is about {sorted(reports)}")
    report = reports[kernel_name]
    return Resources(
        registers=_total(r"Used (\d+) registers", report),
        shared_bytes=_total(r"(\d+) bytes smem", report),
        local_bytes=_total(r"(\d+) bytes stack frame", report),
        spill_bytes=_total(r"(\d+) bytes spill (?:stores|loads)", report),
    )


def _total(pattern: str, report: str) -> int:
    return sum(int(number) for number in re.findall(pattern, report))


def blocks_per_sm(gpu: GPU, resources: Resources, threads: int, dynamic_shared: int = 0) -> int:
    """Count the blocks of a kernel that one SM holds at once, for plans made without a device.

    It is never more than what the driver counts, so that a grid sized by it is resident as a whole.

    Parameters
    ----------
    gpu : GPU
    resources : Resources
    threads : int
        Threads of a block.
    dynamic_shared : int
        Bytes of shared memory that the launch adds for a block.

    Returns
    -------
    int
        0 if not even one block fits.

    Notes
    -----
    Registers are given out to a warp in units of 256, from the register file of the quarter of the SM that it runs
    on; shared memory to a block in units of 128 or 256 bytes (NVIDIA's occupancy calculator, ``cuda_occupancy.h``).
    """
    shared = resources.shared_bytes + dynamic_shared
    if not 0 < threads <= 1024 or shared > gpu.shared_per_block:
        return 0
    warps = -(-threads // gpu.warp_size)
    registers_of_warp = _round_up(max(resources.registers, 1) * gpu.warp_size, 256)
    return min(
        gpu.blocks_per_sm,
        gpu.threads_per_sm // (warps * gpu.warp_size),
        gpu.registers_per_sm // 4 // registers_of_warp * 4 // warps,
        gpu.shared_per_sm // max(_round_up(shared + gpu.shared_reserved, 256), 1),
    )


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
