"""Past values that are stacked by the loop, and not joined of an initial value and a history."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph
from gpuscan.rewrite import optimise
from gpuscan.rewrite.stack_past import stack_past
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of

x, h0, w, n = gt.matrix("x"), gt.vector("h0"), gt.matrix("w"), gt.iscalar("n")
INPUTS = [x, h0, w, n]
RANDOM = np.random.default_rng(0)
OFF = gs.Mode().excluding("stack_past")


def values(steps: int = 5) -> list[Any]:
    return [RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3), RANDOM.normal(size=(3, 3)) * 0.5, np.int32(steps)]


def joins(graph: Graph) -> int:
    return sum(str(node.op) == "join[0]" for node in graph.nodes)


def results(graph: Graph) -> list[str]:
    return [str(r) for loop in loops_of(graph) for r in loop.results]


def net(**options: Any) -> Any:
    """A net whose derivative reads the states that steps start from, and a gate that is kept."""

    def step(row, h, w):
        return gt.sigmoid(row @ w) * h + row

    return gs.scan(step, x, h0, w, **options)[0]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [1, 5])
def test_gradients_read_what_the_loop_stacked(reverse, steps):
    h = net(n_steps=n, go_backwards=reverse)
    cost = (h[-1] ** 2).sum()
    outputs = [cost, *gs.grad(cost, [x, h0, w])]
    after = assert_meaning_kept(INPUTS, outputs, values(steps))
    assert joins(after) == 0
    assert "history of h_past" in results(after)
    assert "history of h" not in results(after)
    assert joins(optimise(graph_of(INPUTS, outputs), OFF)) == 1


def test_no_step_at_all():
    grads = gs.grad((net(n_steps=n)[-1] ** 2).sum(), [x, h0, w])
    given = values(0)
    found, expected = (gs.function(INPUTS, grads, mode, device="cpu")(*given) for mode in (None, OFF))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_second_derivatives():
    cost = (net()[-1] ** 2).sum()
    (first,) = gs.grad(cost, [h0])
    assert_meaning_kept(INPUTS, [first, gs.grad((first**2).sum(), h0)], values())


def test_a_loop_that_stops():
    h, _ = gs.scan(lambda row, h: (row * h * h, gs.until(h.sum() > 0.5)), x, h0)
    cost = h[-1].sum()
    after = assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, h0])], values())
    assert joins(after) == 0


def test_before_and_after():
    h, _ = gs.scan(lambda h: np.tanh(h), None, h0, n_steps=4)
    out = gt.concatenate([h0[None], h[:-1]])
    after = assert_meaning_kept(INPUTS, [out], values())
    assert results(after) == ["history of h_past"]
    assert joins(after) == 0
    assert stack_past(after) is None


@pytest.mark.parametrize(
    "build",
    [
        lambda h: [gt.concatenate([h0[None], h])],  # one row more than steps
        lambda h: [gt.concatenate([h0[None], h[:-1]])],  # of no step there is still one row
        lambda h: [gt.concatenate([w[:1], h])],
        lambda h: [gs.scan(lambda p, a: p * a, gt.concatenate([h0[None], h]), h0)[0]],  # reads the last row too
        lambda h: [gs.scan(lambda p, q, a: p * a + q, {"input": gt.concatenate([h0[None], h]), "taps": [0, 1]}, h0)[0]],
    ],
)
def test_what_stays(build):
    assert stack_past(graph_of(INPUTS, build(net()))) is None


def test_a_history_that_is_asked_for_is_kept():
    h = net()
    after = assert_meaning_kept(INPUTS, [h, gs.grad((h**2).sum(), h0)], values())
    assert "history of h" in results(after)
    assert "history of h_past" not in results(after)


def test_kernels_compute_the_same():
    cost = (net()[-1] ** 2).sum()
    outputs = [cost, *gs.grad(cost, [x, h0, w])]
    given = values()[:3]
    f = gs.function([x, h0, w], outputs, device="emulator")
    found = f(*given)
    assert all(plan.team != "host" for plan in f.plans)
    expected = gs.function([x, h0, w], outputs, gs.Mode(optimizer=None), device="cpu")(*given)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_inside_a_step():
    def outer(row, h):
        inner, _ = gs.scan(lambda e, a: a * np.sin(a) * e, row, h.sum())
        return h * 0.5 + gs.grad(inner[-1], row)

    out, _ = gs.scan(outer, x, h0)
    assert_meaning_kept(INPUTS, [out], values())
    f = gs.function([x, h0], out, device="emulator")
    given = values()[:2]
    np.testing.assert_allclose(
        f(*given), gs.function([x, h0], out, gs.Mode(optimizer=None), device="cpu")(*given), rtol=1e-9
    )
    assert [plan.team != "host" for plan in f.plans] == [True]
