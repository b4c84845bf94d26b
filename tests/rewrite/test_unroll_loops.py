"""Loops of one step and short loops inside steps: which become steps, which stay, and that meaning stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph
from gpuscan.loop import Scan
from gpuscan.rewrite import optimise
from gpuscan.rewrite.unroll_loops import MOST_OPS_OUTSIDE, MOST_STEPS, unroll_loops
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of, text_of

x, h0, w = gt.matrix("x"), gt.vector("h0"), gt.matrix("w")
fixed, start = gt.tensor("fixed", shape=(4, 3)), gt.tensor("start", shape=(3,))
INPUTS = [x, h0, w, fixed, start]
RANDOM = np.random.default_rng(0)
VALUES = [RANDOM.normal(size=shape) for shape in ((4, 3), (3,), (3, 3), (4, 3), (3,))]
OFF = gs.Mode().excluding("unroll_loops")


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


def inner_loops(graph: Graph) -> int:
    """How many loops there are inside the steps of the loops of a graph."""
    bodies = [node.op.body for node in graph.nodes if isinstance(node.op, Scan)]
    return sum(isinstance(node.op, Scan) for body in bodies for node in body.nodes)


# ---- one step ----


def test_before_and_after():
    out = scan(lambda row, h: np.tanh(h * 0.5 + row), fixed, start, n_steps=1)[-1]
    assert text_of(graph_of(INPUTS, [out])).startswith("index[-1, :] %0\n| scan %1\n")
    after = assert_meaning_kept(INPUTS, [out], VALUES)
    assert text_of(after) == "tanh %0\n| add %1\n| | mul %2\n| | | start\n| | | 0.5\n| | index[0, :] %3\n| | | fixed\n"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("taps", [[0], [-1, 1], [2], [-2]], ids=str)
@pytest.mark.parametrize("read", ["all", "last"])
def test_rows_and_past_values(taps, reverse, read):
    def step(*given):
        return sum(given[: len(taps)], given[-2] * 0.5 - given[-1]), given[0] * given[-1]

    initial = {"initial": fixed, "taps": [-3, -1]}
    outputs = scan(step, {"input": fixed, "taps": taps}, [initial, None], n_steps=1, go_backwards=reverse)
    outputs = outputs if read == "all" else [outputs[0][-1], outputs[0][-2:], outputs[1][-1:]]
    assert not loops_of(assert_meaning_kept(INPUTS, outputs, VALUES))


@pytest.mark.parametrize("holds", [False, True])
def test_a_loop_that_may_stop_after_its_one_step(holds):
    out = scan(lambda h: (h * 2.0, gs.until((h * h).sum() > (-1 if holds else 99))), None, start, n_steps=1)
    after = assert_meaning_kept(INPUTS, [out, gs.scan_steps(out), out[-1]], VALUES)
    assert not loops_of(after)
    assert after.outputs[1].known == 1


def test_no_step_at_all():
    def step(row, h):
        return h + row, row[:2] * 3.0, h[:1]

    outputs = scan(step, fixed, [start, None, None], n_steps=0)
    assert not loops_of(assert_meaning_kept(INPUTS, [*outputs, outputs[0][-2:]], VALUES))


def test_draws_are_the_same():
    rng = gs.shared(np.random.default_rng(3), name="rng")

    def step(h):
        after, noise = rng.normal(size=(3,))
        later, more = after.uniform(size=(3,))
        return h + noise * more, {rng: later}

    out, updates = gs.scan(step, outputs_info=start, n_steps=1)
    found, expected = [gs.function([start], [out, updates[rng]], mode, device="cpu")(VALUES[4]) for mode in (None, OFF)]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_updates_advance():
    stream = gt.random.RandomStream(7)
    total = gs.shared(np.float64(1), name="total")
    out, updates = gs.scan(lambda h: (h + stream.normal(), {total: total + h}), outputs_info=np.float64(2), n_steps=1)
    runs = []
    for mode in (None, OFF):
        f = gs.function([], out, mode, updates=updates, device="cpu")
        stream.seed(7)
        total.set_value(np.float64(1))
        runs.append([*f(), *f(), total.get_value()])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[0][0] != runs[0][1]


def test_gradients():
    out = scan(lambda row, h, w: np.tanh(h @ w + row), fixed, h0, [w], n_steps=1)
    cost = (out**2).sum()
    after = assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [h0, w, fixed])], VALUES)
    assert not loops_of(after)


# ---- what stays a loop ----


def large(h: Any) -> Any:
    for _ in range(MOST_OPS_OUTSIDE + 1):
        h = np.tanh(h)
    return h


@pytest.mark.parametrize(
    "build",
    [
        lambda: scan(lambda row: row * 2.0, x, n_steps=1),  # there may be no row, which the loop says
        lambda: scan(lambda h: np.tanh(h), None, {"initial": x, "taps": [-2]}, n_steps=1),  # or no past value
        lambda: scan(lambda h: np.tanh(h), None, h0, n_steps=2),
        lambda: scan(lambda h: gt.assert_op(h, h > 0), None, h0, n_steps=1),
        lambda: scan(lambda h: h[gt.cast(h[0], "int64")] * h, None, h0, n_steps=1),  # the message names the step
        lambda: scan(lambda h: np.tanh(h), None, h0, n_steps=1, profile=True),
        lambda: scan(lambda h: np.tanh(h), None, h0, n_steps=1, mode=OFF),
        lambda: scan(lambda h: np.tanh(h), None, h0, n_steps=1, checkpoint=1),
        lambda: scan(large, None, h0, n_steps=1),  # on a GPU a launch for each operation
    ],
)
def test_what_stays(build):
    assert unroll_loops(graph_of(INPUTS, [build()])) is None


def test_errors_are_still_errors():
    f = gs.function([x], scan(lambda row: row * 2.0, x, n_steps=1), device="cpu")
    with pytest.raises(gs.LoopError, match="sequence 'row' has 0 rows along its first axis; 1 step needs 1"):
        f(np.ones((0, 3)))
    f = gs.function([h0, w], scan(lambda h: h @ w, None, h0, n_steps=1)[-1], device="cpu")
    with pytest.raises(ValueError, match=r"must have size 3; found shape \(2,\)"):
        f(np.ones(3), np.ones((3, 2)))


# ---- inside a step ----


def newton(steps: int, **options: Any) -> Any:
    def outer(row, s):
        return scan(lambda v: v - (v * v - row * row - 1.0) / (2.0 * v), None, s, n_steps=steps, **options)[-1]

    return scan(outer, x, h0 * h0 + 1.0)


@pytest.mark.parametrize("steps", [1, 3, MOST_STEPS])
def test_a_short_loop_inside_a_step(steps):
    after = assert_meaning_kept(INPUTS, [newton(steps)], VALUES)
    assert inner_loops(after) == 0
    assert len(loops_of(after)) == 1


def test_histories_inside_a_step():
    def outer(row, s):
        values, emits = scan(lambda e, v: (v * 0.5 + e, v - e), row[:3], [s[0], None], n_steps=3)
        return values * emits.sum() + values[1]

    assert inner_loops(assert_meaning_kept(INPUTS, [scan(outer, fixed, start)], VALUES)) == 0


def test_gradients_through_a_short_loop():
    cost = (newton(3) ** 2).sum()
    after = assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, h0])], VALUES)
    assert inner_loops(after) < inner_loops(optimise(after, OFF)) + 1


@pytest.mark.parametrize(
    "inner",
    [
        lambda s: scan(lambda v: np.tanh(v), None, s, n_steps=MOST_STEPS + 1)[-1],
        lambda s: scan(lambda v: np.tanh(v @ w), None, s, n_steps=2)[-1],  # its weights would have two places
        lambda s: scan(lambda v: (np.tanh(v), gs.until(v.sum() > 1)), None, s, n_steps=2)[-1],
        lambda s: scan(lambda v: large(large(v)), None, s, n_steps=3)[-1],
    ],
)
def test_what_stays_inside_a_step(inner):
    assert unroll_loops(graph_of(INPUTS, [scan(lambda s: inner(s), None, h0, n_steps=5)])) is None


def test_kernels_compute_the_same():
    outputs = [newton(3)[-1], gs.grad(newton(3)[-1].sum(), h0)]
    f = gs.function(INPUTS, outputs, device="emulator", on_unused_input="ignore")
    found = f(*VALUES)
    assert all(plan.team == "thread" for plan in f.plans)
    expected = gs.function(INPUTS, outputs, OFF, device="cpu", on_unused_input="ignore")(*VALUES)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_state_that_changes_its_shape_is_an_error_either_way():
    a = gt.vector("a")
    out = scan(lambda h: h + a, None, h0, n_steps=1)
    for mode, error in ((None, gs.ShapeError), (OFF, gs.LoopError)):
        f = gs.function([h0, a], out, mode, device="cpu")
        np.testing.assert_array_equal(f([1, 2], [3, 4]), [[4, 6]])
        with pytest.raises(error):
            f([1], [3, 4])
