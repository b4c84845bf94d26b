"""Where a step waits for other threads: no less than it must, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.step.hazards import Pending

A, B = ("a", 0), ("b", 0)


class TestPending:
    def test_nothing_waits_at_first(self) -> None:
        assert not Pending().needs_barrier([A], [B])

    def test_a_read_waits_for_a_write(self) -> None:
        assert Pending().after([], [A]).needs_barrier([A], [])

    def test_a_write_waits_for_a_read(self) -> None:
        assert Pending().after([A], []).needs_barrier([], [A])

    def test_a_write_waits_for_a_write(self) -> None:
        assert Pending().after([], [A]).needs_barrier([], [A])

    def test_reads_do_not_wait_for_each_other(self) -> None:
        assert not Pending().after([A], []).needs_barrier([A], [])

    def test_other_arrays_and_other_entries_of_a_ring_do_not_matter(self) -> None:
        pending = Pending().after([A], [B])
        assert not pending.needs_barrier([("b", 1)], [("a", 1), ("c", 0)])

    def test_after_a_branch_both_sides_are_pending(self) -> None:
        either = Pending().after([A], []) | Pending().after([], [B])
        assert either.needs_barrier([], [A])
        assert either.needs_barrier([B], [])


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(scale=0.3, size=shape)


def barriers(team: str, step: Callable[..., Any], sequences: Any, states: Any, others: Any = ()) -> int:
    """Return how many barriers stand in the step of a loop's kernel, which computes what the CPU does."""
    arrays = [*sequences, *states, *others]
    inputs = [gt.tensor(f"x{i}", "float64", (None,) * a.ndim) for i, a in enumerate(arrays)]
    first, second = len(sequences), len(sequences) + len(states)
    results, _ = gs.scan(step, inputs[:first], inputs[first:second], inputs[second:], n_steps=5, return_list=True)
    expected = gs.function(inputs, results, device="cpu")(*arrays)
    with gs.config.change_flags(strategy=team):
        f = gs.function(inputs, results, device="emulator")
        found = f(*arrays)
    for e, v in zip(expected, found, strict=True):
        np.testing.assert_allclose(v, e, rtol=1e-12, atol=1e-12)
    (plan,) = f.plans
    assert plan.team == team
    text = f.kernel_source()
    return text[text.rindex("bool advance(") : text.rindex("void finish()")].count("team.sync()")


def lstm(x: Any, h: Any, c: Any, w: Any) -> Any:
    gates = x + h @ w
    i, f, o, g = (gates[:, k * 24 : (k + 1) * 24] for k in range(4))
    c = gt.sigmoid(f) * c + gt.sigmoid(i) * np.tanh(g)
    return gt.sigmoid(o) * np.tanh(c), c


def two_layers(x: Any, a: Any, b: Any, w: Any, u: Any, v: Any) -> Any:
    a = np.tanh(x + a @ w)
    return a, np.tanh(a @ u + b @ v)


@pytest.mark.parametrize("team", ["warp", "block", "grid"])
class TestInAStep:
    def test_one_of_a_recurrent_network(self, team: str) -> None:
        step = lambda x, h, w: np.tanh(x + h @ w)  # noqa: E731
        assert barriers(team, step, [array(6, 2, 24)], [array(2, 24)], [array(24, 24)]) == 1

    def test_one_of_an_lstm(self, team: str) -> None:
        assert barriers(team, lstm, [array(6, 2, 96)], [array(2, 24), array(2, 24)], [array(24, 96)]) == 1

    def test_two_of_two_layers(self, team: str) -> None:
        states, weights = [array(2, 24), array(2, 24)], [array(24, 24)] * 3
        assert barriers(team, two_layers, [array(6, 2, 24)], states, weights) == 2

    def test_none_of_a_step_that_only_sums(self, team: str) -> None:
        """A sum of all elements waits by itself; in a grid, where lanes are one, each has a sum of its own to read."""
        step = lambda x, s: np.tanh(s) * s.sum(1, keepdims=True) + x  # noqa: E731
        assert barriers(team, step, [array(6, 3, 40)], [array(3, 40)]) == (2 if team == "grid" else 0)

    def test_one_of_products_of_several_states(self, team: str) -> None:
        step = lambda a, b, w: (np.tanh(b @ w), np.tanh(a @ w + b))  # noqa: E731
        assert barriers(team, step, [], [array(2, 24), array(2, 24)], [array(24, 24)]) == 1

    def test_one_of_products_that_were_made_one(self, team: str) -> None:
        step = lambda a, b, w: (np.tanh(a @ w), a @ w.T + b @ w)  # noqa: E731
        assert barriers(team, step, [], [array(2, 24), array(2, 24)], [array(24, 24)]) == 1


def test_a_thread_waits_for_nobody() -> None:
    assert barriers("thread", lambda s, w: np.tanh(s @ w), [], [array(3, 4)], [array(4, 4)]) == 0
