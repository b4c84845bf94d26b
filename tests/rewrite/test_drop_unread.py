"""What nothing reads, and what only that needed, is dropped."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
from gpuscan.graph import Graph
from gpuscan.rewrite import optimise
from gpuscan.rewrite.drop_unread import drop_unread
from tests.rewrite.loops import graph_of, loop_of_three, n, results_of, s, x
from tests.rewrite.nets import loops_of


def records_of(graph: Graph) -> list[str]:
    (loop,) = loops_of(graph)
    kept = [*loop.sequences, *loop.states, *loop.emits, *loop.non_sequences]
    return [record.name for record in kept]


@pytest.mark.parametrize(
    ("reads", "kept"),
    [
        ((0,), ["row", "first"]),
        ((1,), ["row", "first", "second"]),
        ((2,), ["row", "output_2", "offset"]),
        ((0, 2), ["row", "first", "output_2", "offset"]),
    ],
)
def test_records_that_nothing_needs_are_dropped(reads, kept):
    outputs = loop_of_three()
    after = drop_unread(graph_of(*(outputs[i] for i in reads)))
    assert after is not None
    assert records_of(after) == kept
    assert len(results_of(after)) == len(reads)


def test_nothing_unread_nothing_dropped():
    assert drop_unread(graph_of(*loop_of_three())) is None


def test_what_a_stop_condition_needs_stays():
    def step(row, count, total):
        return count + 1, total + row, gs.until(count > 3)

    (_, total), _ = gs.scan(step, x, [np.int64(0), s])
    after = drop_unread(graph_of(total))
    assert after is not None
    assert records_of(after) == ["row", "count", "total"]


def test_states_that_need_each_other_only_go_together():
    def step(row, a, b):
        return a + b, b * a, row * 2

    (_, _, emit), _ = gs.scan(step, x, [s, s, None])
    after = drop_unread(graph_of(emit))
    assert after is not None
    assert records_of(after) == ["row", "output_2"]


def test_a_sequence_stays_though_no_row_of_it_is_read():
    out, _ = gs.scan(lambda unread, total: total * 2, x, s, n_steps=n)
    after = drop_unread(graph_of(out)) or graph_of(out)
    assert records_of(after) == ["unread", "total"]
    assert not loops_of(after)[0].sequences[0].reads
    f = gs.function([x, s, n], out, device="cpu")
    with pytest.raises(gs.LoopError, match="sequence 'unread' has 2 rows"):
        f(np.ones((2, 1)), [1.0], 3)


def test_a_loop_of_which_only_updates_are_used_keeps_nothing_else():
    a = gs.shared(np.float64(1), name="a")
    values, updates = gs.scan(lambda row, total: (total + row, {a: a * 2}), x, s)
    assert isinstance(values, gs.Variable)
    graph = optimise(Graph.close([x, s, a], [updates[a]]))
    assert results_of(graph) == ["final of a"]
    assert records_of(graph) == ["row", "a"]
