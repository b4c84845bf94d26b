"""The gradient of a program by all of its inputs, as a program."""

from __future__ import annotations

import gpuscan as gs
from benchmarks.workloads.workload import Program, Workload
from gpuscan.graph import Variable

ARE_GRADIENTS = {"linear_recurrence_gradient", "lstm_gradient", "truncated_bptt"}
"""Names of the workloads of which no gradient is taken: they have one in them."""


def float_outputs(program: Program) -> list[Variable]:
    """Return the outputs that have a gradient."""
    return [v for v in program.outputs if v.dtype.startswith("float")]


def gradient_of(workload: Workload, program: Program) -> Program | None:
    """Return the gradient of a workload's program by its floats, None where it has none or is one.

    Its inputs are the program's and a cotangent for each of `float_outputs`, so that none is a constant.
    """
    outputs = float_outputs(program)
    if not outputs or workload.name in ARE_GRADIENTS:
        return None
    owed = [Variable(v.type, f"owed_{i}") for i, v in enumerate(outputs)]
    by = [v for v in program.inputs if v.dtype.startswith("float")]
    return Program([*program.inputs, *owed], gs.pullback(outputs, by, owed, disconnected_inputs="ignore"))
