"""Programs on one team at a time: it carries every loop that it takes, and no kernel is made for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
from gpuscan.cuda import runner
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan
from gpuscan.loop import Loop

TEAMS = ("prefix", "thread", "warp", "block", "grid", "host")


@contextmanager
def nobody_but(team: str) -> Iterator[None]:
    """Have `team` carry the loops that it takes, and the host drive those that it refuses."""
    choices = runner.choices

    def listed(loop: Loop, gpu: GPU, steps: int | None = None) -> Iterator[KernelPlan]:
        return (plan for plan in choices(loop, gpu, steps) if plan.team in (team, "host"))

    with pytest.MonkeyPatch.context() as patch, gs.config.change_flags(strategy=team):
        patch.setattr(runner, "choices", listed)
        yield


def carried(f: gs.Function, team: str) -> int:
    """Return how many loops of a function `team` carried when it ran last. It refused the others, and says why."""
    for plan in f.plans:
        assert plan.team == team or (plan.team == "host" and plan.refusals[team]), "\n".join(plan.explain())
    return sum(plan.team == team for plan in f.plans)


def check_on(team: str, inputs: Sequence[gs.Variable], outputs: Sequence[gs.Variable], values: Sequence[Any]) -> int:
    """Assert that a team computes what the CPU does; return how many loops it carried."""
    expected = gs.function(inputs, outputs, device="cpu", on_unused_input="ignore")(*values)
    with nobody_but(team):
        f = gs.function(inputs, outputs, device="emulator", on_unused_input="ignore")
        # What is made of a float32 is no more exact than it, also as a float64.
        assert_same(f(*values), expected, any(v.dtype == "float32" for v in (*inputs, *outputs)))
        return carried(f, team)


def assert_same(found: Sequence[Any], expected: Sequence[Any], single: bool = False) -> None:
    """Assert equal integers, and floats that differ by no more than the order in which their terms are added."""
    rtol = 2e-5 if single else 1e-10
    for v, e in zip(found, expected, strict=True):
        v, e = np.asarray(v), np.asarray(e)
        assert (v.dtype, v.shape) == (e.dtype, e.shape)
        if e.dtype.kind in "biu":
            np.testing.assert_array_equal(v, e)
        else:
            np.testing.assert_allclose(v, e, rtol=rtol, atol=rtol * max(1.0, np.abs(e).max(initial=0)))
