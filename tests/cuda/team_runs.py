"""Programs of `team_programs` and their gradients, run by one team on the emulator and by the CPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import gpuscan as gs
from tests.cuda.team_programs import PROGRAMS, Given, Program


def outputs_of(name: str, given: Given) -> list[Any]:
    """Return what a program computes, or its gradient where the name says so."""
    program = PROGRAMS[name.removeprefix("gradient of ")]
    outputs = list(program.make(given))
    return gradient(outputs, given) if name.startswith("gradient of ") else outputs


def gradient(outputs: list[Any], given: Given) -> list[Any]:
    """Return the derivatives, by all inputs of floats, of a sum of sines of all outputs of floats."""
    weights = np.random.default_rng(1)
    floats = [v for v in outputs if v.dtype.startswith("float")]
    loss = sum((np.sin(v) * weights.normal()).sum() for v in floats)
    inputs = [v for v in given.variables if v.dtype.startswith("float")]
    return list(gs.grad(loss, inputs, disconnected_inputs="ignore"))


@cache
def expected(name: str) -> list[np.ndarray]:
    given = Given()
    return gs.function(given.variables, outputs_of(name, given), device="cpu", on_unused_input="ignore")(*given.values)


def run(given: Given, outputs: list[Any], team: str, device: str = "emulator") -> tuple[gs.Function, list[np.ndarray]]:
    with gs.config.change_flags(strategy=team):
        f = gs.function(given.variables, outputs, device=device, on_unused_input="ignore")
        return f, f(*given.values)


def assert_same(found: list[np.ndarray], values: list[np.ndarray], program: Program) -> None:
    for e, v in zip(values, found, strict=True):
        assert (e.dtype, e.shape) == (v.dtype, v.shape)
        if e.dtype.kind in "biu":
            np.testing.assert_array_equal(v, e)
        else:
            rtol = 2e-5 if e.dtype == "float32" else program.rtol
            np.testing.assert_allclose(v, e, rtol=rtol, atol=rtol * max(1.0, np.abs(e).max(initial=0)))
