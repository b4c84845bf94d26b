"""Results that the number of steps tells: values that are the same at every step, and counters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, leaves
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.results_from_length import results_from_length
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of, text_of

x, s, w, n, k = gt.matrix("x"), gt.vector("s"), gt.matrix("w"), gt.lscalar("n"), gt.lvector("k")
INPUTS = [x, s, w, n, k]
RANDOM = np.random.default_rng(0)


def values(steps: int = 4) -> list[Any]:
    return [RANDOM.normal(size=(5, 3)), np.arange(3.0), RANDOM.normal(size=(3, 3)), np.int64(steps), np.arange(2)]


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


# ---- counters ----


def test_before_and_after():
    out = scan(lambda i: i + 2, None, n, n_steps=x.shape[0])
    assert text_of(graph_of(INPUTS, [out])).startswith("scan %0\n")
    after = assert_meaning_kept(INPUTS, [out[-1]], values())
    assert text_of(after) == (
        "index[-1] %0\n| add %1\n| | index[:1] %2\n| | | dimshuffle[x] %3\n| | | | n\n| | mul %4\n"
        "| | | dim[0] %5\n| | | | x\n| | | 2\n"
    )


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("start", [lambda: n, lambda: k, lambda: gt.cast(k, "int8"), lambda: gt.cast(n, "uint8")])
def test_histories_and_finals(start, steps):
    first = start()
    out = scan(lambda i: gt.cast(100, i.dtype) + i, None, first, n_steps=n)
    assert not loops_of(assert_meaning_kept(INPUTS, [out, out[-1]] if steps else [out], values(steps)))


def test_a_counter_that_differs_from_element_to_element():
    out = scan(lambda i, by: i + by, None, gt.stack([k, k]), [k * 3], n_steps=n)
    assert not loops_of(assert_meaning_kept(INPUTS, [out, out[-1]], values()))


@pytest.mark.parametrize("limit", [0, 7, 99])
def test_a_counter_of_a_loop_that_stops(limit):
    def step(i, h):
        return i + 3, h * 0.5, gs.until(h.sum() * 0 + i > limit)

    counter, _ = scan(step, None, [n, s], n_steps=9)
    after = assert_meaning_kept(INPUTS, [counter, counter[-1]], values())
    assert [str(r) for loop in loops_of(after) for r in loop.results] == ["steps"]


def test_other_results_stay():
    def step(row, i, h):
        return i + 1, h + row * i

    counter, h = scan(step, x, [n, s])
    after = assert_meaning_kept(INPUTS, [counter, h], values())
    assert [str(r) for loop in loops_of(after) for r in loop.results] == ["history of h"]


# ---- values that are the same at every step ----


@pytest.mark.parametrize("read", [lambda h: h, lambda h: h[-2:], lambda h: h[-1], lambda h: h.sum(0)])
def test_an_emit_that_no_step_changes(read):
    def step(row, h, w):
        return h * row, w @ w, row.shape[0] + h.shape[0]

    outputs = scan(step, x, [s, None, None], [w])
    after = assert_meaning_kept(INPUTS, [outputs[0], *map(read, outputs[1:])], values())
    (loop,) = loops_of(after)
    assert [record.name for record in (*loop.states, *loop.emits)] == ["h"]


def test_gradients():
    rows, fixed = scan(lambda row, h, w: (np.tanh(h + row), np.exp(w[0]) * 2.0), x, [s, None], [w])
    cost = (rows * fixed).sum()
    assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, s, w])], values())


def test_loops_inside_a_step():
    def outer(row, h):
        count = scan(lambda i: i + 1, None, gt.constant(np.int64(1)), n_steps=row.shape[0])
        return h + row * count[-1]

    (loop,) = loops_of(assert_meaning_kept(INPUTS, [scan(outer, x, s)], values()))
    assert "scan" not in text_of(Graph.close(loop.reads, loop.outputs))


# ---- what stays, and errors ----


@pytest.mark.parametrize(
    "build",
    [
        lambda: scan(lambda h: h + 1.0, None, s, n_steps=n),  # floats are rounded at every step
        lambda: scan(lambda i: i * 2, None, n, n_steps=n),
        lambda: scan(lambda i, j: (i + j, j + 1), None, [n, n], n_steps=n)[0],
        lambda: scan(lambda i: i[0] + i, None, k, n_steps=n),
        lambda: scan(lambda row, i: i + 1, x, n, n_steps=n),  # says whether there are enough rows
        lambda: scan(lambda a, b, i: i + 1, [{"input": x, "taps": [0, 1]}], n),  # and so does this
        lambda: scan(lambda row, s, n: s[n], x, None, [s, n]),  # may fail, and there may be no step
        lambda: scan(lambda row, s: gt.assert_op(s, s > 0), x, None, [s]),
        lambda: scan(lambda row, rng: rng.normal()[1], x, None, [gs.shared(np.zeros(2, "uint64"))]),
    ],
)
def test_what_stays(build):
    out = build()
    shared = [v for v in leaves([out]) if isinstance(v, gs.SharedVariable)]
    graph = graph_of([*INPUTS, *shared], [out])
    assert results_from_length(drop_unread(graph) or graph) is None


def test_a_negative_number_of_steps():
    f = gs.function([n], scan(lambda i: i + 1, None, n, n_steps=n)[-1], device="cpu")
    assert f(5) == 10
    with pytest.raises(AssertionError, match="scan: n_steps must not be negative"):
        f(-1)


def test_kernels_compute_the_same():
    def outer(row, h, i):
        inner = scan(lambda j: j + 2, None, i, n_steps=row.shape[0])
        return h * 0.5 + row * inner[-1], i + 1, i * 0 + 7

    outputs = scan(outer, x, [s, n, None])
    f = gs.function(INPUTS, outputs, device="emulator", on_unused_input="ignore")
    found = f(*(given := values()))
    assert [plan.team for plan in f.plans] == ["thread"]
    expected = gs.function(INPUTS, outputs, gs.Mode(optimizer=None), device="cpu", on_unused_input="ignore")(*given)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
