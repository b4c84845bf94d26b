"""Programs that hypothesis draws, and their gradients: the same with all passes, without any, and without each one.

Every test takes a few passes, and leaves each of them out of every program that it draws; those of one test are the
same in every run, and other ones than those of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph
from gpuscan.rewrite import PASSES, optimise
from tests.autodiff.gentle_loops import draw, gentle, steps_of
from tests.control.random_branches import n, program, x
from tests.oracle import as_graph, assert_same
from tests.random_loops import LOOPS, RandomLoop, arguments
from tests.rewrite.nets import NETS, Net
from tests.rewrite.programs import OFF

NAMES = list(dict.fromkeys(run_pass.__name__ for run_pass in PASSES))
TOGETHER = 4
GROUPS = [tuple(NAMES[i : i + TOGETHER]) for i in range(0, len(NAMES), TOGETHER)]

OPTIONS = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)

Names = Sequence[str]
leaving_out = pytest.mark.parametrize("names", GROUPS, ids=" ".join)


@dataclass(frozen=True)
class Drawn:
    """A program, and values for its inputs; the first outputs may be draws, which are the same to the last bit."""

    inputs: Sequence[gs.Variable]
    outputs: Sequence[gs.Variable]
    values: Sequence[Any]
    draws: int = 0

    def with_gradients(self, cost: gs.Variable) -> Drawn:
        wrt = [v for v in self.inputs if v.dtype == "float64"]
        gradients = gs.grad(cost, wrt, disconnected_inputs="ignore")
        return replace(self, outputs=[*self.outputs, cost, *gradients])

    def run(self, mode: gs.Mode) -> list[np.ndarray]:
        # Without updates, so that all modes draw the same numbers.
        options: dict[str, Any] = {"device": "cpu", "on_unused_input": "ignore", "no_default_updates": True}
        found: list[np.ndarray] = gs.function(list(self.inputs), list(self.outputs), mode, **options)(*self.values)
        return found


def check(strategy: st.SearchStrategy[Any], make: Callable[[Any], Drawn | None], names: Names, examples: int) -> None:
    """Assert that programs made of what a strategy draws give the same in all modes."""

    @seed(crc32(" ".join(names).encode()))
    @settings(OPTIONS, max_examples=examples)
    @given(strategy)
    def every_mode(drawn: Any) -> None:
        if (program := make(drawn)) is None:
            return
        expected = program.run(OFF)
        for mode in (gs.Mode(), *(gs.Mode().excluding(name) for name in names)):
            found = program.run(mode)
            for a, b in zip(found, expected, strict=True):
                assert_same(a, b, rtol=1e-9)
            for a, b in zip(found[: program.draws], expected, strict=False):
                np.testing.assert_array_equal(a, b)

    every_mode()


def forward(loop: RandomLoop) -> Drawn:
    symbolic = as_graph(**arguments(loop))
    return Drawn(symbolic.inputs, symbolic.outputs, symbolic.values)


def gradients(loop: RandomLoop) -> Drawn | None:
    drawn = draw(gentle(loop))
    return None if drawn is None else Drawn(drawn.inputs, [], drawn.values).with_gradients(drawn.cost)


def draws(loop: RandomLoop) -> Drawn:
    """A loop whose steps draw numbers, show them and compute with them."""
    loop = gentle(loop)
    stream = gt.random.RandomStream(loop.seed)
    given = arguments(loop)

    def with_captured(*captured: Any) -> Callable[..., Any]:
        def step(*reads: Any) -> Any:
            real, number = stream.normal(size=2), stream.integers(0, 9, size=2)
            inner = steps_of(loop, RandomLoop.inside)(real, number, *captured)(*reads)
            return [real, number, *inner]

        return step

    given["outputs_info"] = [None, None, *given["outputs_info"]]
    given["read"] = [lambda history: history] * 2 + given["read"]
    symbolic = as_graph(**{**given, "fn": with_captured})
    program = Drawn(symbolic.inputs, symbolic.outputs, symbolic.values, draws=2)
    costs = [(v**2).sum() for v in symbolic.outputs if v.dtype == "float64"]
    return program.with_gradients(sum(costs[1:], costs[0]))


def nets(net: Net) -> Drawn:
    inputs, outputs, values = net.build()
    costs = [(v**2).sum() for v in outputs]
    return Drawn(inputs, outputs, values).with_gradients(sum(costs[1:], costs[0]))


def branches(random: Random) -> Drawn:
    outputs = program(random)
    drawn = Drawn([x, n], outputs, [np.array([0.3, -0.5, 1.2]), random.randint(-1, 2)])
    return drawn.with_gradients(gt.stack([v.sum() for v in outputs]).sum())


@leaving_out
def test_loops(names: Names) -> None:
    check(LOOPS, forward, names, 30)


@leaving_out
def test_gradients(names: Names) -> None:
    check(LOOPS, gradients, names, 15)


@leaving_out
def test_draws(names: Names) -> None:
    check(LOOPS, draws, names, 8)


@leaving_out
def test_nets_and_their_gradients(names: Names) -> None:
    check(NETS, nets, names, 6)


@leaving_out
def test_branches_and_their_gradients(names: Names) -> None:
    check(st.randoms(), branches, names, 5)


# ---- passes before a gradient is taken ----


@leaving_out
def test_gradients_of_what_passes_made(names: Names) -> None:
    """A loop that a pass made has the gradient of the one that was written, and so has what all of them made."""

    @seed(crc32(" ".join(names).encode()))
    @settings(OPTIONS, max_examples=3)
    @given(NETS)
    def every_pass(net: Net) -> None:
        inputs, outputs, values = net.build()
        cost = sum(((v**2).sum() for v in outputs[1:]), (outputs[0] ** 2).sum())
        expected = Drawn(inputs, [], values).with_gradients(cost).run(OFF)
        written = Graph.close(inputs, [cost])
        for passes in (PASSES, *([p] for p in dict.fromkeys(PASSES) if p.__name__ in names)):
            if (made := optimise(written, passes=passes)) is written:
                continue
            found = Drawn(made.parameters, [], values).with_gradients(made.outputs[0]).run(OFF)
            for a, b in zip(found, expected, strict=True):
                assert_same(a, b, rtol=1e-9)

    every_pass()
