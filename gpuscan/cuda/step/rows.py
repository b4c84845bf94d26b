"""Rows of arrays in device memory, and which of them a step reads."""

from __future__ import annotations

from collections.abc import Hashable

from gpuscan.cuda.step.parameters import Parameters
from gpuscan.cuda.step.positions import plus, times
from gpuscan.cuda.step.values import InDeviceMemory
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Variable


def row_of_array(
    w: Writer, given: Parameters, array: str, variable: Variable, row: str, key: Hashable = None
) -> InDeviceMemory:
    """Return row `row` of an array whose rows are like `variable`."""
    lane, size = given.place(variable)
    return w.in_device_memory(variable, array, times(row, size), lane, key)


def step_row(start: str, step: str, offset: int) -> str:
    """Return the expression of the row `offset` from a step's first; `start` is that of step 0, going backwards."""
    first = (f"{start} - ({step})" if " " in step else f"{start} - {step}") if start else step
    return plus(first, str(offset))
