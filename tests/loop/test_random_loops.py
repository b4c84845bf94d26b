"""Loops that hypothesis draws mean what the oracle says, and every team carries them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.on_teams import TEAMS, check_on
from tests.oracle import as_graph, check_loop
from tests.random_loops import LOOPS, RandomLoop, arguments, running_sum

OPTIONS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

FEWEST = {"prefix": 25, "thread": 35, "warp": 35, "block": 35, "grid": 35, "host": 35}
"""Of the loops below, how many each team carries at least."""


@settings(max_examples=500, **OPTIONS)
@given(LOOPS)
def test_on_the_cpu(loop: RandomLoop) -> None:
    check_loop(**arguments(loop), device="cpu")


@pytest.mark.parametrize("team", TEAMS)
def test_on_every_team(team: str) -> None:
    carried = []

    # The same loops for all teams, and the same each time, so that what was compiled before is found. Each try at a
    # smaller example would be compiled too.
    @settings(max_examples=40, derandomize=True, phases=[Phase.explicit, Phase.generate], **OPTIONS)
    @given(LOOPS)
    def check(loop: RandomLoop) -> None:
        graph = as_graph(**arguments(running_sum(loop) if team == "prefix" else loop))
        carried.append(check_on(team, graph.inputs, graph.outputs, graph.values))

    check()
    assert sum(carried) >= FEWEST[team]
