"""Loops that hypothesis draws mean what the oracle says."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.oracle import check_loop
from tests.random_loops import LOOPS, arguments

OPTIONS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}


@settings(max_examples=500, **OPTIONS)
@given(LOOPS)
def test_on_the_cpu(loop):
    check_loop(**arguments(loop), device="cpu")


@settings(max_examples=60, **OPTIONS)
@given(LOOPS)
def test_on_the_emulator(loop):
    check_loop(**arguments(loop), device="emulator")
