"""A graph compiled for a GPU or the emulator: each loop a runner, what is around the loops driven from the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np

from gpuscan.cuda.device import open_device
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.runner import LoopRunner, loop_writer
from gpuscan.graph import Graph
from gpuscan.host import LoopProfile, write_function
from gpuscan.host.residence import host_values


@final
class CudaProgram:
    """Runs a graph on a GPU, or on the emulator.

    Parameters
    ----------
    graph : Graph
        What to run.
    device : str
        ``emulator`` or ``cuda:N``.
    inputs : int
        How many of the parameters are passed by the caller; the rest are shared variables, which stay on the device
        whatever their rank.
    """

    def __init__(self, graph: Graph, device: str, inputs: int) -> None:
        self.graph = graph
        self.device = device
        self._device = open_device(device)
        self._runners: list[LoopRunner] = []
        self._host = [i < inputs and v.ndim == 0 for i, v in enumerate(graph.parameters)]
        scalars = [v for v, host in zip(graph.parameters, self._host, strict=True) if host]
        with self._device.active():  # constants are put on the device here
            self.function = write_function(
                graph, self._device.arrays, loop_writer(self._device, self._runners), host_values(graph.nodes, scalars)
            )

    def __call__(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the outputs for the parameters' values: arrays on the device, and NumPy scalars."""
        with self._device.active():
            values = [
                self._scalar(value) if host else self.keep(value)
                for value, host in zip(arguments, self._host, strict=True)
            ]
            return self.function.run(*values)

    def _scalar(self, value: Any) -> Any:
        return self._device.to_host(value)[()] if self._device.is_device_array(value) else np.asarray(value)[()]

    def keep(self, value: Any) -> Any:
        """Return `value` as it is best kept between calls: in the device's memory."""
        if self.device == "emulator":
            return value
        return self._device.as_array(value, str(value.dtype))

    def place(self, result: Any, arguments: Sequence[Any], placement: str) -> Any:
        """Return an output where the caller wants it."""
        on_device = placement == "device" or (
            placement == "auto" and any(self._device.is_device_array(a) for a in arguments)
        )
        if not on_device or self.device == "emulator":
            return self._device.to_host(result)
        return self._device.as_array(result, str(result.dtype))

    def explain(self) -> Iterator[str]:
        """Yield lines that say how each loop runs."""
        gpu = self._device.gpu
        yield f"device {self.device}: {gpu.name}, {gpu.arch}, {gpu.sms} SMs"
        for runner in self._runners:
            yield from runner.explain()

    def plans(self) -> tuple[KernelPlan, ...]:
        """Return the plan of each loop, in order, as the last call used it."""
        return tuple(plan for runner in self._runners for plan in runner.plans())

    def profiles(self) -> Iterator[LoopProfile]:
        """Yield what was measured of each loop that is profiled."""
        for runner in self._runners:
            yield from runner.profiles()

    def source(self) -> str:
        """Return the text of the kernels made so far, and of the Python function around them."""
        kernels = [text for runner in self._runners for text in runner.sources()]
        return "\n".join([*kernels, "// around the loops, in Python:", self.function.source])
