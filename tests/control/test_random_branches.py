"""Graphs of branches, calls and loops that nobody would write, against the interpreter on the graph as it was built."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuscan as gs
from gpuscan.cpu import Interpreter
from gpuscan.graph import Graph
from tests.control.random_branches import n, program, x


def check(draw: Random, device: str, **flags: Any) -> None:
    outputs = program(draw)
    with gs.config.change_flags(**flags):
        f = gs.function([x, n], outputs, on_unused_input="ignore", device=device)
    graph = Graph.close([x, n], outputs)
    for vector in ([0.3, -0.5, 1.2], [-1.0, -0.2, 0.1]):
        for count in (-1, 0, 1, 2):
            expected = Interpreter().run(graph, [np.array(vector), np.asarray(count)])
            for e, v in zip(expected, f(vector, count), strict=True):
                np.testing.assert_allclose(v, e, rtol=1e-12)


@pytest.mark.parametrize("flags", [{"check": True}, {"compile": False}], ids=["compiled", "eager"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(draw=st.randoms())
def test_on_the_cpu(flags, draw):
    check(draw, "cpu", **flags)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(draw=st.randoms())
def test_on_the_emulator(draw):
    check(draw, "emulator")
