"""Of a history whose end alone is read the end alone is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
from gpuscan.graph import Graph
from gpuscan.loop import Scan
from gpuscan.rewrite import optimise
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.keep_last import keep_last
from tests.rewrite.loops import graph_of, n, results_of, s, x
from tests.rewrite.nets import loops_of, text_of

READS: dict[str, tuple[Callable[[gs.Variable], gs.Variable], str, str]] = {
    # what is read of a history: what a state gives instead, and an emit
    "[-1]": (lambda h: h[-1], "final of state", "last 1 of emit"),
    "[-1, 0]": (lambda h: h[-1, 0], "final of state", "last 1 of emit"),
    "[-1, n]": (lambda h: h[-1, n], "final of state", "last 1 of emit"),
    "[-3]": (lambda h: h[-3], "last 3 of state", "last 3 of emit"),
    "[-3:]": (lambda h: h[-3:], "last 3 of state", "last 3 of emit"),
    "[-1:]": (lambda h: h[-1:], "last 1 of state", "last 1 of emit"),
    "[-4:-2]": (lambda h: h[-4:-2], "last 4 of state", "last 4 of emit"),
    "[-4::2]": (lambda h: h[-4::2], "last 4 of state", "last 4 of emit"),
    "twice": (lambda h: h[-1] + h[-3:].sum(0), "final of state, last 3 of state", "last 1 of emit, last 3 of emit"),
}
KEEPS_ALL: dict[str, Callable[[gs.Variable], Any]] = {
    "[n]": lambda h: h[n],
    "[n:]": lambda h: h[n:],
    "[:-1]": lambda h: h[:-1],
    "[-3:n]": lambda h: h[-3:n],
    "[-3:2]": lambda h: h[-3:2],
    "[-1::-1]": lambda h: h[-1::-1],
    "[-3::n]": lambda h: h[-3::n],
    "[[-1, -2]]": lambda h: h[[-1, -2]],
    "sum": lambda h: h.sum(0),
    "whole": lambda h: h,
    "its own index": lambda h: h[h[0, 0].astype("int64")],
}


def state_and_emit() -> list[gs.Variable]:
    def step(row, state):
        new = state + row
        emit = row * 2.0
        emit.name = "emit"
        return new, emit

    return gs.scan(step, x, [s, None])[0]


@pytest.mark.parametrize("name", READS)
def test_the_end_of_a_history(name):
    read, of_state, of_emit = READS[name]
    for history, expected in zip(state_and_emit(), (of_state, of_emit), strict=True):
        changed = keep_last(graph_of(read(history)))
        assert changed is not None
        after = drop_unread(changed)
        assert after is not None
        assert ", ".join(sorted(results_of(after))) == expected


@pytest.mark.parametrize("name", KEEPS_ALL)
def test_reads_that_need_all_rows(name):
    for history in state_and_emit():
        assert keep_last(graph_of(KEEPS_ALL[name](history))) is None


def test_the_last_row_beside_a_history_is_free_for_a_state_only():
    state, emit = state_and_emit()
    changed = keep_last(graph_of(state, state[-1]))
    assert changed is not None
    assert results_of(changed) == ["history of state", "history of emit", "final of state"]
    assert keep_last(graph_of(emit, emit[-1])) is None


def test_before_and_after():
    out, _ = gs.scan(lambda row, total: total + row, x, s)
    graph = graph_of(out[-1])
    assert text_of(graph).splitlines()[:2] == ["index[-1, :] %0", "| scan %1"]
    assert text_of(graph).splitlines()[-1] == " results: history of total"
    after = optimise(graph)
    assert text_of(after).splitlines()[:2] == ["index[-1, :] %0", "| scan %1"]
    assert text_of(after).splitlines()[-1] == " results: final of total"


def test_inside_a_loop_too():
    def outer(row):
        inner, _ = gs.scan(lambda element, total: total + element, row, np.float64(0))
        return inner[-1]

    (loop,) = loops_of(optimise(graph_of(gs.scan(outer, x)[0])))
    inner = [node.op for node in Graph.close(loop.reads, loop.outputs).nodes if isinstance(node.op, Scan)]
    assert [str(result) for op in inner for result in op.results] == ["final of total"]


def test_no_step_gives_the_initial_state():
    out, _ = gs.scan(lambda total: total + 1, outputs_info=s, n_steps=n)
    np.testing.assert_array_equal(gs.function([s, n], out[-1], device="cpu")([1.0, 2.0], 0), [1, 2])
