"""Every team computes what the CPU does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
from tests.cuda.team_programs import PROGRAMS, Given

TEAMS = ("thread", "warp", "block", "grid")


def outputs_of(name: str, given: Given) -> list[Any]:
    """Return what a program computes, or its gradient where the name says so."""
    program = PROGRAMS[name.removeprefix("gradient of ")]
    outputs = list(program.make(given))
    if not name.startswith("gradient of "):
        return outputs
    weights = np.random.default_rng(1)
    floats = [v for v in outputs if v.dtype.startswith("float")]
    loss = sum((np.sin(v) * weights.normal()).sum() for v in floats)
    return list(gs.grad(loss, [v for v in given.variables if v.dtype.startswith("float")]))


@cache
def expected(name: str) -> list[np.ndarray]:
    given = Given()
    return gs.function(given.variables, outputs_of(name, given), device="cpu", on_unused_input="ignore")(*given.values)


def check(name: str, team: str) -> gs.Function:
    """Assert that a team computes what the CPU does, and carries all loops of a program or says why it cannot."""
    program = PROGRAMS[name.removeprefix("gradient of ")]
    given = Given()
    outputs = outputs_of(name, given)
    with gs.config.change_flags(strategy=team):
        f = gs.function(given.variables, outputs, device="emulator", on_unused_input="ignore")
        found = f(*given.values)
    for e, v in zip(expected(name), found, strict=True):
        assert (e.dtype, e.shape) == (v.dtype, v.shape)
        if e.dtype.kind in "biu":
            np.testing.assert_array_equal(v, e)
        else:
            rtol = 2e-5 if e.dtype == "float32" else program.rtol
            np.testing.assert_allclose(v, e, rtol=rtol, atol=rtol * max(1.0, np.abs(e).max(initial=0)))
    for plan in f.plans:
        if team in program.refused:
            assert program.refused[team] in plan.refusals[team]
        else:
            assert plan.team == team, "\n".join(plan.explain())
    return f


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, team: str) -> None:
    check(name, team)


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if program.differentiable])
def test_gradients(name: str, team: str) -> None:
    check(f"gradient of {name}", team)
