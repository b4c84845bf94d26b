"""Each pass: what it changes, what it must leave alone, and that meaning stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu import CpuProgram
from gpuscan.graph import Apply, Graph
from gpuscan.loop import Scan
from gpuscan.rewrite import PASSES, optimise
from gpuscan.rewrite.count_steps import count_steps
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.keep_last import keep_last
from gpuscan.rewrite.merge_equal import merge_equal
from gpuscan.rewrite.pipeline import Pass
from tests.oracle import as_graph, assert_same
from tests.random_loops import LOOPS, arguments
from tests.rewrite.nets import loops_of, text_of

x, s, n = gt.matrix("x"), gt.vector("s"), gt.iscalar("n")


def graph_of(*outputs: gs.Variable) -> Graph:
    return Graph.close([x, s, n], outputs)


def results_of(graph: Graph) -> list[str]:
    return [str(result) for loop in loops_of(graph) for result in loop.results]


def loop_of_three() -> list[gs.Variable]:
    """A loop whose outputs are a state that stands alone, a state that reads it, and an emit."""

    def step(row, first, second, offset):
        return first + row, second * first, row * offset

    return gs.scan(step, x, [s, s, None], s * 3)[0]


# ---- merge_equal ----


def test_equal_nodes_and_constants_are_merged():
    a, b = gt.exp(s) + 2.0, gt.exp(s) + 2.0
    graph = graph_of(a * b)
    assert text_of(graph) == (
        "mul %0\n| add %1\n| | exp %2\n| | | s\n| | 2.0\n| add %3\n| | exp %4\n| | | s\n| | 2.0\n"
    )
    merged = merge_equal(graph)
    assert merged is not None
    assert text_of(merged) == "mul %0\n| add %1\n| | exp %2\n| | | s\n| | 2.0\n| add %1 ...\n"


def test_equal_loops_are_merged():
    def build() -> gs.Variable:
        return gs.scan(lambda row, total: total + row, x, s)[0]

    merged = merge_equal(graph_of(build(), build()))
    assert merged is not None
    assert len(loops_of(merged)) == 1
    assert merged.outputs[0] is merged.outputs[1]


def test_what_differs_is_not_merged():
    different = graph_of(
        *(gt.exp(s), gt.log(s), s + 1.0, s + np.float32(1), x[0], x[1]),
        gs.scan(lambda row: row * 2.0, x, n_steps=n)[0],
        gs.scan(lambda row: row * 3.0, x, n_steps=n)[0],
        gs.scan(lambda row: row * 2.0, x, n_steps=n, go_backwards=True)[0],
    )
    assert len(set((merge_equal(different) or different).outputs)) == len(different.outputs)


def test_the_user_s_variables_stay_two():
    a, b = gt.exp(s), gt.exp(s)
    optimise(graph_of(a, b))
    assert a.owner is not b.owner


# ---- count_steps ----


def test_the_length_of_a_history_keeps_no_row():
    state, _, emit = loop_of_three()
    graph = graph_of(state.shape[0], state.shape[1], emit.shape[0])
    counted = optimise(graph)
    assert not loops_of(counted)
    assert text_of(counted).startswith("dim[0] %0\n| x\n")


def test_sizes_that_only_the_loop_knows():
    emit, _ = gs.scan(lambda row: row[:n], x)
    assert count_steps(graph_of(emit.shape[1])) is None


def test_sizes_of_an_emit_that_its_inputs_tell():
    counted = optimise(graph_of(loop_of_three()[2].shape[1]))
    assert not loops_of(counted)


def test_steps_of_a_loop_that_stops_are_counted_by_the_loop():
    stopped, _ = gs.scan(lambda row: (row, gs.until(row.sum() > 1)), x)
    graph = optimise(graph_of(stopped.shape[0]))
    assert [str(r) for r in loops_of(graph)[0].results] == ["steps"]
    assert gs.function([x], stopped.shape[0], device="cpu")(np.eye(3) * 2) == 1


def test_a_wrong_number_of_steps_is_still_an_error():
    out, _ = gs.scan(lambda row: row * 2, x, n_steps=n)
    f = gs.function([x, n], [out.shape[0], out[-1]], device="cpu")
    with pytest.raises(gs.LoopError, match="2 rows along its first axis; 3 steps need 3"):
        f(np.ones((2, 2)), 3)


# ---- keep_last ----

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


# ---- drop_unread ----


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


# ---- all of them ----


def evaluate(graph: Graph, values: list[Any]) -> list[Any]:
    return CpuProgram(graph)([value[()] if np.ndim(value) == 0 else value for value in values])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(LOOPS, st.permutations(PASSES))
def test_passes_in_any_order_leave_meaning_as_it_is(loop, passes: list[Pass]):
    symbolic = as_graph(**arguments(loop))
    graph = Graph.close(symbolic.inputs, symbolic.outputs)
    expected = evaluate(graph, symbolic.values)
    for run_pass in passes:
        graph = run_pass(graph) or graph
        for found, value in zip(evaluate(graph, symbolic.values), expected, strict=True):
            assert_same(np.asarray(found), value, rtol=0)
    # A loop that another order took out of a step may become its step only now, and that is simplified in a next round.
    for run_pass in (*PASSES, *PASSES):
        graph = run_pass(graph) or graph
    assert all(run_pass(graph) is None for run_pass in PASSES), "there is still something to do"


@pytest.mark.parametrize("run_pass", PASSES, ids=lambda p: p.__name__)
def test_a_graph_without_loops_that_is_as_it_should_be(run_pass):
    assert run_pass(graph_of(gt.exp(x) + s, x.sum() * n)) is None


def test_a_pass_that_breaks_the_graph_is_named(monkeypatch):
    def lose_dtypes(graph: Graph) -> Graph:
        return Graph(graph.parameters, [gt.cast(v, "float32") for v in graph.outputs])

    monkeypatch.setattr("gpuscan.rewrite.pipeline.PASSES", (lose_dtypes,))
    with gs.config.change_flags(check=True), pytest.raises(gs.GraphError, match="after lose_dtypes: output 0"):
        optimise(graph_of(x * 2))


def test_passes_keep_names_and_lines():
    out, _ = gs.scan(lambda row, total: total + row, x, s)
    last = out[-1] * 2.0
    last.name = "last"
    graph = optimise(graph_of(last))
    assert graph.outputs[0].name == "last"
    node = graph.outputs[0].owner
    assert isinstance(node, Apply)
    assert node.where.file == __file__
