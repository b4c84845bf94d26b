"""The seeds' programs and their gradients on every team, equal to what the CPU computes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import gpuscan as gs
from tests.on_teams import TEAMS, assert_same, carried, check_on, nobody_but
from tests.seeds import test_examples
from tests.seeds.programs import PROGRAMS, Compiled, recorded, run

BY_PREFIX = {
    "test_example_2_non_sequences": (0, 1),
    "test_example_3_cumulative_sum": (1, 2),
    "test_exercise_1_as_given": (1, 2),
    "test_exercise_1_with_the_sum_in_the_loop": (1, 2),
    "test_power": (1, 2),
    "test_polynomial": (1, 2),
    "test_triangular_numbers": (1, 0),
}
"""How many loops of a program, and of its gradient, are linear recurrences. The other teams take all loops."""

WITHOUT_LOOPS = {"test_a_shared_variable_updated_by_a_loop"}
"""Programs whose number of steps tells all that they compute."""


@cache
def on_the_cpu(name: str) -> list[Compiled]:
    with recorded() as compiled:
        run(name, "cpu")
    return compiled


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, team: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = on_the_cpu(name)
    monkeypatch.setattr(test_examples, "one_launch", lambda f: True)  # where the team refuses a loop, there is none
    with nobody_but(team), recorded() as found:
        run(name, "emulator")
    for f, e in zip(found, expected, strict=True):
        for values, wanted in zip(f.results, e.results, strict=True):
            assert_same(values, wanted, single=any(np.asarray(v).dtype == "float32" for v in wanted))
        loops = BY_PREFIX.get(name, (0, 0))[0] if team == "prefix" else len(f.function.plans)
        assert carried(f.function, team) == loops
        assert bool(f.function.plans) == (name not in WITHOUT_LOOPS)


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name: str, team: str) -> None:
    (program,) = on_the_cpu(name)
    wrt = [v for v in program.inputs if v.dtype.startswith("float")]
    loss = sum(np.sin(v).sum() for v in program.outputs if v.dtype.startswith("float"))
    if not wrt:  # what is an integer has no gradient
        return
    gradients = gs.grad(loss, wrt, disconnected_inputs="ignore")
    loops = check_on(team, program.inputs, gradients, program.arguments[0])
    if team == "prefix":
        assert loops == BY_PREFIX.get(name, (0, 0))[1]
    else:
        # Nothing that a limit of the powers of two is compared with depends on it smoothly.
        assert loops == (0 if name == "test_powers_of_two_until" else 2)
