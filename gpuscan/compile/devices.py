"""From a device's name to the program that runs a graph there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from gpuscan.compile.profiling import loops_of
from gpuscan.config import DEVICE_PATTERN, config
from gpuscan.cpu import CpuProgram, EagerProgram
from gpuscan.errors import KernelError, counted
from gpuscan.graph import Graph
from gpuscan.host import LoopProfile
from gpuscan.mode import Mode, get_mode


class Program(Protocol):
    """A graph compiled for a device."""

    graph: Graph

    @property
    def device(self) -> str:
        """The device's name."""

    def __call__(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the outputs for the parameters' values."""

    def keep(self, value: Any) -> Any:
        """Return the value of a shared variable as it is best kept between calls."""

    def place(self, result: Any, arguments: Sequence[Any], placement: str) -> Any:
        """Return an output where the caller wants it: see `function`."""

    def explain(self) -> Iterator[str]:
        """Yield lines that say how each loop runs."""

    def plans(self) -> tuple[Any, ...]:
        """Return how each loop runs, as the last call planned it."""

    def profiles(self) -> Iterator[LoopProfile]:
        """Yield what was measured of each loop that is profiled."""

    def source(self) -> str:
        """Return the generated text."""


def resolve(device: str) -> str:
    """Return the device that `device` means on this machine: ``cpu``, ``emulator`` or ``cuda:N``.

    Raises
    ------
    ValueError
        If there is no device of that name.
    KernelError
        If it is a GPU and there is none.
    """
    if not re.fullmatch(DEVICE_PATTERN, device):
        raise ValueError(f"function: there is no device {device!r}; use 'auto', 'cpu', 'cuda', 'cuda:1' or 'emulator'")
    if device in ("cpu", "emulator"):
        return device
    from gpuscan.cuda.launch import gpu_count, why_no_gpu  # not needed, and not imported, for the CPU

    count = gpu_count()
    if device == "auto":
        return "cuda:0" if count else "cpu"
    index = int(device.partition(":")[2] or 0)
    if index < count:
        return f"cuda:{index}"
    found = f"there is {counted(count, 'GPU')}" if count else why_no_gpu().rstrip(".")
    raise KernelError(
        f"function: device {device!r} cannot be used: {found}. Choose another with function(..., device='cpu') or "
        "'emulator', with config.device, or with GPUSCAN_FLAGS=device=cpu"
    )


def asked_device(device: str | None, mode: Mode | str | None, graph: Graph) -> str | None:
    """Return the device that a call of `function` asks for, None if it leaves that to ``config.device``.

    Raises
    ------
    ValueError
        If nothing else says it, and loops ask for different ones.
    KernelError
        If it is a GPU and there is none.
    """
    asked = device or (get_mode(mode).device if mode is not None else None)
    asked = asked or _device_of_loops(graph) or get_mode(mode).device
    resolve(asked or config.device)
    return asked


def _device_of_loops(graph: Graph) -> str | None:
    modes = {op.name: op.options.mode for op in loops_of(graph)}
    asked = {name: mode.device for name, mode in modes.items() if mode is not None and mode.device is not None}
    if len(set(asked.values())) > 1:
        listed = ", ".join(f"{name} for {device!r}" for name, device in asked.items())
        raise ValueError(
            f"function: the modes of its loops ask for different devices ({listed}); say which with device="
        )
    return next(iter(asked.values()), None)


def available_device(asked: str | None) -> str:
    """Return the device to run on: what was asked for if there is one here, as there may not be on another machine."""
    try:
        return resolve(asked or config.device)
    except KernelError:
        return resolve("auto")


def make_program(graph: Graph, device: str, inputs: int) -> Program:
    """Return the program that runs `graph`, rewritten, on a device that `resolve` returned.

    The first `inputs` parameters are passed by the caller, the others are shared variables.
    """
    if device == "cpu":
        return CpuProgram(graph)
    from gpuscan.cuda.program import CudaProgram  # not needed, and not imported, for the CPU

    return CudaProgram(graph, device, inputs)


def make_eager(graph: Graph) -> Program:
    """Return the program that runs `graph` node by node, as the user wrote it, in Python."""
    return EagerProgram(graph, bool(config.nan_guard))
