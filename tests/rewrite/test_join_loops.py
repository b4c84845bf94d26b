"""Loops of one length that become one: which do, which stay apart, and that meaning stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu.at_once import AtOnce
from gpuscan.graph import Graph
from gpuscan.loop import open_loop
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.join_loops import MOST_OPS, join_loops
from gpuscan.rewrite.recurrence_kind import Kind, kind_of
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of, text_of

x, y, s, w, n = gt.matrix("x"), gt.matrix("y"), gt.vector("s"), gt.matrix("w"), gt.lscalar("n")
v, z = gt.vector("v"), gt.constant(0.5)
INPUTS = [x, y, s, w, n, v]
RANDOM = np.random.default_rng(0)
VALUES = [*(RANDOM.normal(size=shape) for shape in ((5, 3), (5, 3), (3,), (3, 3))), np.int64(5), RANDOM.normal(size=5)]
OFF = gs.Mode().excluding("join_loops")


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


def running_sum(**options: Any) -> Any:
    return scan(lambda row, total: total + row, v, z, **options)


def running_product(**options: Any) -> Any:
    return scan(lambda row, product: product * row, v, z, **options)


def nonlinear(**options: Any) -> Any:
    return scan(lambda row, h: np.tanh(h * row), v, z, **options)


# ---- what is joined ----


def test_before_and_after():
    outputs = [running_sum(), running_product()]
    graph = graph_of(INPUTS, outputs)
    assert len(loops_of(graph)) == 2
    after = join_loops(graph)
    assert after is not None
    assert text_of(after) == (
        "scan.0 %0\n| dim[0] %1\n| | v\n| v\n| dimshuffle[x] %2\n| | 0.5\n| dimshuffle[x] %3\n| | 0.5\nscan.1 %0 ...\n"
        "\nInner graph of scan %0\n sequence row, rows 0\n  row\n state total, lags 1, becomes\n  add %4\n  | total\n"
        "  | row\n state product, lags 1, becomes\n  mul %5\n  | product\n  | row\n"
        " results: history of total, history of product\n"
    )
    assert join_loops(after) is None
    assert len(loops_of(assert_meaning_kept(INPUTS, outputs, VALUES))) == 1


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("taps", [[0], [0, 1], [-1, 1]], ids=str)
def test_rows_of_one_sequence_and_of_others(reverse, taps):
    def one(*given):
        return sum(given[:-1], np.sin(given[-1]))

    first = scan(one, {"input": x, "taps": taps}, s, go_backwards=reverse)
    second = scan(lambda row, other, h: np.cos(h) + row * other, [x, y], s, n_steps=first.shape[0])
    third = scan(lambda *rows: np.exp(rows[0]), {"input": x, "taps": taps})
    fourth = scan(lambda *rows: np.exp(-rows[0]), {"input": x, "taps": taps}, go_backwards=True)
    outputs = [first[-1], second, third, fourth]
    after = assert_meaning_kept(INPUTS, outputs, VALUES)
    assert len(loops_of(after)) < 4


def test_names_that_two_loops_have():
    first = scan(lambda row, h, a: (np.tanh(h + row * a), a * h), x, [s, None], [s], name="first")

    def other(row, h, a):
        return np.sin(h + row - a), h * 2.0

    second = scan(other, y, [s, None], [s * 0.5], name="second", n_steps=x.shape[0])
    outputs = [*first, *second]
    after = assert_meaning_kept(INPUTS, outputs, VALUES)
    assert len(loops_of(after)) == 2  # `second` says that it needs as many rows as x has
    second = scan(other, x * 2.0, [s, None], [s * 0.5], name="second")
    (loop,) = loops_of(assert_meaning_kept(INPUTS, [*first, *second], VALUES))
    assert loop.title == "scan[first and second]"
    assert [r.name for r in (*loop.states, *loop.emits)] == ["h", "h_2", "output_1", "output_1_2"]


def test_more_than_two():
    outputs = [running_sum(), running_product()[-1], scan(lambda row, m: np.maximum(m, row), v, z)]
    (loop,) = loops_of(assert_meaning_kept(INPUTS, outputs, VALUES))
    assert [state.name for state in loop.states] == ["total", "product", "m"]


def test_loops_that_others_stand_between_are_joined_in_turn():
    """Joining both pairs of loops would be a circle: each pair has one that needs one of the other."""
    a, b = running_sum(), running_product()
    c = scan(lambda row, h: np.tanh(h + row), a, z)
    d = scan(lambda row, h: np.tanh(h + row), v, z)
    e = scan(lambda row, total: total + row, d, z)
    after = assert_meaning_kept(INPUTS, [a, b, c, d, e], VALUES)
    assert 1 < len(loops_of(after)) < 5


def test_inside_a_step():
    def outer(row, h):
        first = scan(lambda e, a: np.tanh(a + e), row, h[0])
        second = scan(lambda e, a: np.sin(a * e), row, h[1])
        return h + first[-1] * second[-1]

    (loop,) = loops_of(assert_meaning_kept(INPUTS, [scan(outer, x, s)], VALUES))
    assert len(loops_of(Graph.close(loop.reads, loop.outputs))) == 1


def test_gradients():
    cost = (running_sum() * nonlinear()).sum() + scan(lambda row, h: np.sin(h + row), v, z)[-1]
    after = assert_meaning_kept(INPUTS, [cost, gs.grad(cost, v)], VALUES)
    assert len(loops_of(after)) < len(loops_of(graph_of(INPUTS, [cost, gs.grad(cost, v)])))


# ---- what stays apart ----


@pytest.mark.parametrize(
    "build",
    [
        lambda: [running_sum(), nonlinear()],  # a recurrence that can be solved, and one that cannot
        lambda: [running_sum(), scan(lambda row: np.exp(row), v)],  # with states and without
        lambda: [h := nonlinear(), scan(lambda row, h: np.tanh(h), v, h[-1])],  # one needs the other
        lambda: [nonlinear(), scan(lambda row, h: np.tanh(h + row), x, s, n_steps=v.shape[0])],  # other lanes
        lambda: [nonlinear(), scan(lambda row, h: np.tanh(h + row), x[:, 0], z)],  # another number of steps
        lambda: [nonlinear(), scan(lambda row, h: gt.cast(h * row, "float32"), v, np.float32(0.5))],
        lambda: [nonlinear(), scan(lambda row, h: (np.sin(h + row), gs.until(h > 9)), v, z)],
        lambda: [nonlinear(), scan(lambda row, h: gt.assert_op(np.sin(h + row), row < 9), v, z)],
        lambda: [nonlinear(), scan(lambda row, h: np.sin(h + row), v, z, profile=True)],
        lambda: [nonlinear(), scan(lambda row, h: np.sin(h + row), v, z, mode=OFF)],
        lambda: [nonlinear(), scan(lambda row, h: np.sin(h + row), v, z, checkpoint="sqrt")],
        lambda: [nonlinear(n_steps=n), scan(lambda row, h: np.sin(h + row), v, z, n_steps=n)],  # says whose it is
        lambda: [scan(lambda h, w: np.tanh(h @ w), None, s, [u], n_steps=3) for u in (w, w.T)],  # weights
    ],
)
def test_what_stays_apart(build):
    graph = graph_of(INPUTS, build())
    assert join_loops(drop_unread(graph) or graph) is None


def test_a_joined_step_is_not_too_long():
    def long(row, h):
        for _ in range(MOST_OPS // 2):
            h = np.tanh(h)
        return h + row

    assert join_loops(graph_of(INPUTS, [scan(long, v, z), scan(lambda row, h: long(row, h * 2.0), v, z)])) is None


# ---- kinds of recurrences ----


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (lambda row, a, b: (a + row, b - a), Kind.SOLVED),
        (lambda row, a, b: (b * row, b * 0.5 + row), Kind.SOLVED),
        (lambda row, a, b: (-(a * row - 2.0) + a, np.maximum(b, row)), Kind.SOLVED),
        (lambda row, a, b: (a / row, b), Kind.COMPOSED),
        (lambda row, a, b: (gt.switch(row > 0, a, row), b + row), Kind.COMPOSED),
        (lambda row, a, b: (gt.logaddexp(a, row), b + row), Kind.COMPOSED),
        (lambda row, a, b: (a + b, b + a), Kind.STEPS),
        (lambda row, a, b: (row / a, b), Kind.STEPS),
        (lambda row, a, b: (a * a, b), Kind.STEPS),
        (lambda row, a, b: (np.maximum(a, row) + 1.0, b), Kind.STEPS),
        (lambda row, a, b: (np.tanh(a) + row, b + row), Kind.STEPS),
    ],
)
def test_kinds(step, kind):
    (first, _) = scan(step, v, [z, z])
    assert first.owner is not None
    assert kind_of(open_loop(first.owner)) == kind


def test_the_kind_of_a_loop_without_states_and_of_one_that_reads_further_back():
    for out, kind in (
        (scan(lambda row: row * 2.0, v), Kind.NO_STATES),
        (scan(lambda a: a + 1.0, None, {"initial": v, "taps": [-2]}, n_steps=3), Kind.STEPS),
    ):
        assert kind_of(open_loop(out.owner)) == kind


# ---- on devices ----


@pytest.mark.parametrize("strategy", ["prefix", "thread"])
def test_kernels_compute_the_same(strategy):
    if strategy == "prefix":
        outputs = [running_sum(), running_product()[-1], scan(lambda row, h: h * 0.5 + row, v, z, go_backwards=True)]
    else:
        outputs = [nonlinear(), scan(lambda row, h: np.sin(h + row), v, z)[-1]]
    cost = sum(o.sum() for o in outputs)
    outputs = [*outputs, gs.grad(cost, v)]
    with gs.config.change_flags(strategy=strategy):
        f = gs.function(INPUTS, outputs, device="emulator", on_unused_input="ignore")
        found = f(*VALUES)
    assert [plan.team for plan in f.plans] == [strategy] * len(f.plans)
    assert len(f.plans) < len(loops_of(graph_of(INPUTS, outputs)))
    expected = gs.function(INPUTS, outputs, OFF, device="cpu", on_unused_input="ignore")(*VALUES)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_whole_arrays_stay_whole():
    """Running sums and products of many rows take no Python step, joined or not."""
    (loop,) = [
        node
        for node in gs.function([v], [running_sum(), running_product()], device="cpu").graph.nodes
        if node.op.name == "scan"
    ]
    assert AtOnce.of(loop) is not None
