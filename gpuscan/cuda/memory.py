"""What a loop wanted when a device has no memory left: in its own words, with what would help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from gpuscan.cuda.binding import BoundKernel, Scratch
from gpuscan.cuda.plan import row_of
from gpuscan.errors import DeviceMemoryError
from gpuscan.loop import Loop, Result


@dataclass(frozen=True)
class Wanted:
    """One array that a call needs."""

    what: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Its bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.what}, {self.dtype} {self.shape}: {readable(self.nbytes)}"


def readable(count: int) -> str:
    """Return a number of bytes in the largest unit of which it is one or more: ``16.4 MB``."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} bytes"


def result_shape(loop: Loop, result: Result, steps: int) -> tuple[int, ...]:
    """Return the shape of the array of a result, no ``steps``, where `steps` steps run."""
    state = loop.state(result.record)
    rows = state.depth if result.kind == "final" and state is not None else result.count(steps)
    return (rows, *row_of(loop.value_of(result.record)))


def wanted_arrays(loop: Loop, bound: BoundKernel | None, steps: int) -> Iterator[Wanted]:
    """Yield what a call of `steps` steps allocates: its results and, of a kernel, scratch memory.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps.
    bound : BoundKernel or None
        What is launched, if it is a kernel.
    steps : int
    """
    for result in loop.results:
        if result.kind != "steps":
            yield Wanted(str(result), loop.value_of(result.record).dtype, result_shape(loop, result, steps))
    if bound is not None:
        for origin, parameter in zip(bound.origins, bound.kernel.parameters, strict=True):
            if isinstance(origin, Scratch):
                yield Wanted(f"scratch {parameter.name}", parameter.dtype, (origin.elements(steps),))


def memory_error(device: str, free: int | None, loop: Loop, bound: BoundKernel | None, steps: int) -> DeviceMemoryError:
    """Return the error to raise where there was no memory for a call.

    Parameters
    ----------
    device : str
        The device's name.
    free : int or None
        Bytes that are free there, None where nobody can tell.
    loop, bound, steps
        As for `wanted_arrays`.
    """
    wanted = sorted(wanted_arrays(loop, bound, steps), key=lambda w: -w.nbytes)
    total = readable(sum(w.nbytes for w in wanted))
    listed = "; ".join(map(str, wanted)) or "nothing"
    left = "" if free is None else f", and {readable(free)} are free"
    steps_too = " beside what its steps compute" if bound is None else ""
    return DeviceMemoryError(
        f"{loop.title}: no memory is left on {device}. A call of {steps} steps keeps {listed}; {total} in all"
        f"{steps_too}{left}. {_advice(loop)}"
    )


def _advice(loop: Loop) -> str:
    histories = [r for r in loop.results if r.kind == "history"]
    states = [r for r in histories if loop.state(r.record) is not None]
    advice = []
    if histories:
        name = histories[0].record
        advice.append(f"read only the last rows of what it returns where they will do, as in {name}[-1]")
    if len(loop.results) > 1:
        advice.append("ask for fewer outputs")
    if states and loop.stop is None and loop.options.checkpoint is None:
        advice.append("for a gradient, have scan(..., checkpoint='sqrt') keep few states and run steps again")
    advice.append("run a smaller batch")
    return f"What helps: {'; '.join(advice)}."
