"""Every team computes what the CPU does, or says why it does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import gpuscan as gs
from gpuscan.cuda.plan import KernelPlan
from tests.cuda.random_steps import STEPS, RandomStep
from tests.cuda.team_programs import PROGRAMS, Given, Program
from tests.cuda.team_runs import assert_same, expected, gradient, outputs_of, run

TEAMS = ("thread", "warp", "block", "grid")

SIZES = ("room for", "nothing to divide", "text is made of", "would take", "bytes of shared memory")
"""What teams say of loops that are too large or too small for them."""

OPTIONS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "derandomize": True,  # so that what was compiled before is found
    "phases": [Phase.explicit, Phase.generate],  # each try at a smaller example would be compiled too
}

EVERYWHERE = {"lags_and_taps", "lstm", "inner_loop_history", "draws_in_inner_axes"}
"""Programs whose kernels are compiled as they are for a GPU."""

UNKNOWN = {"gradient of inner_loop_that_stops"}
"""What the host drives: the backward loop inside has as many rows as the forward one ran steps."""


@pytest.fixture(params=["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check(name: str, team: str, device: str) -> gs.Function:
    """Assert that a team computes what the CPU does, and carries all loops of a program or says why it does not.

    Which sizes it takes is checked on the emulator: of a GPU that depends on the GPU.
    """
    given = Given()
    f, found = run(given, outputs_of(name, given), team, device)
    assert_same(found, expected(name), PROGRAMS[name.removeprefix("gradient of ")])
    for plan in f.plans if device == "emulator" else ():
        assert_carried(plan, team)
        assert (plan.team == "host") <= (name in UNKNOWN), "\n".join(plan.explain())
    return f


def assert_carried(plan: KernelPlan, team: str) -> None:
    """Assert that a team carries a loop, or does not because of its size."""
    refused = plan.refusals.get(team, "")
    assert plan.team in (team, "host") or any(reason in refused for reason in SIZES), "\n".join(plan.explain())


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.optimised if name in EVERYWHERE else []) for name in PROGRAMS],
)
def test_programs(name: str, team: str, device: str) -> None:
    check(name, team, device)


@pytest.mark.parametrize(
    ("name", "team"),
    # Two teams each, all of them in turn.
    [
        (name, TEAMS[(i + j) % len(TEAMS)])
        for i, name in enumerate(name for name, program in PROGRAMS.items() if program.differentiable)
        for j in (0, 2 - i // len(TEAMS) % 2)
    ],
)
def test_gradients(name: str, team: str, device: str) -> None:
    check(f"gradient of {name}", team, device)


@settings(**OPTIONS, max_examples=24)
@given(STEPS, st.sampled_from(TEAMS))
def test_random_steps(step: RandomStep, team: str) -> None:
    given = Given()
    outputs = step.loop(given)
    values = gs.function(given.variables, outputs, device="cpu", on_unused_input="ignore")(*given.values)
    f, found = run(given, outputs, team)
    assert_same(found, values, Program(step.loop, rtol=1e-9))
    for plan in f.plans:
        assert_carried(plan, team)


@settings(**OPTIONS, max_examples=10)
@given(STEPS, st.sampled_from(TEAMS))
def test_gradients_of_random_steps(step: RandomStep, team: str) -> None:
    given = Given()
    outputs = gradient(step.loop(given), given)
    values = gs.function(given.variables, outputs, device="cpu", on_unused_input="ignore")(*given.values)
    _, found = run(given, outputs, team)
    assert_same(found, values, Program(step.loop, rtol=1e-8))
