"""The closed form of a loop: opened, closed, compared, printed, and bound to shapes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Apply
from gpuscan.loop import Emit, Loop, NonSequence, Result, Scan, Sequence, State, bind_loop, close_loop, open_loop
from gpuscan.loop.records import loop_title

x, s, w = gt.matrix("x"), gt.vector("s"), gt.vector("w")


def node_of(**options: object) -> Apply:
    """A loop with one record of each kind."""

    def step(old, row, s2, s1, w):
        new = s1 * w + s2 - old
        return new, row * w, gs.until(new.sum() > 1)

    past = {"initial": gt.stack([s, s]), "taps": [-2, -1]}
    (state, _), _ = gs.scan(step, {"input": x, "taps": [-1, 0]}, [past, None], w, **options)
    assert state.owner is not None
    return state.owner


def test_one_record_for_each_thing_carried():
    loop = open_loop(node_of(name="walk", go_backwards=True))
    assert (loop.name, loop.title) == ("walk", "scan[walk]")
    (sequence,), (state,), (emit,), (non_sequence,) = loop.sequences, loop.states, loop.emits, loop.non_sequences
    assert (sequence.name, list(sequence.reads), sequence.margin, sequence.reverse) == ("row", [0, 1], 1, True)
    assert (state.name, list(state.reads), state.depth) == ("s1", [2, 1], 2)
    assert (emit.name, non_sequence.name, non_sequence.source) == ("output_1", "w", w)
    assert loop.results == (Result("history", "s1"), Result("history", "output_1"), Result("steps"))
    assert [v.name for v in loop.reads] == ["old", "row", "s2", "s1", "w"]
    assert loop.outputs == [state.next, emit.value, loop.stop]


def test_opened_and_closed_again_it_is_the_same():
    node = node_of()
    again = close_loop(open_loop(node))
    assert again.op == node.op
    assert hash(again.op) == hash(node.op)
    assert again.inputs == node.inputs
    assert [v.type for v in again.outputs] == [v.type for v in node.outputs]


def test_each_opening_has_variables_of_its_own():
    node = node_of()
    assert not set(open_loop(node).reads) & set(open_loop(node).reads)


def test_loops_of_one_structure_are_equal_and_others_are_not():
    assert node_of().op == node_of().op
    assert node_of().op != node_of(name="other").op
    assert node_of().op != node_of(go_backwards=True).op


def test_a_closed_loop_survives_pickling():
    op = node_of().op
    assert pickle.loads(pickle.dumps(op)) == op


def test_inner_types_are_as_well_known_as_the_inputs_are():
    node = node_of()
    length, _, *rest = node.inputs
    known = node.with_inputs([length, gt.tensor("x", shape=(None, 4)), *rest])
    (state,) = open_loop(known).states
    assert state.next.type.shape == (4,)


def test_shapes_bound():
    loop = bind_loop(node_of(), [(None, 3), (2, 3), (3,)])
    assert loop.states[0].next.type.shape == loop.emits[0].value.type.shape == (3,)
    with pytest.raises(gs.LoopError, match=r"^scan: mul\(.*shapes \(3,\), \(4,\) do not broadcast"):
        bind_loop(node_of(), [(None, 3), (2, 3), (4,)])


def plain_loop() -> Loop:
    row, past, fixed = gt.scalar(), gt.scalar(), gt.scalar()
    return Loop(
        sequences=(Sequence("row", s, {0: row}),),
        states=(State("total", gt.zeros(1), {1: past}, past + row * fixed),),
        emits=(Emit("twice", row * 2),),
        non_sequences=(NonSequence("fixed", gt.constant(3.0), fixed),),
        length=s.shape[0],
        results=(Result("history", "total"), Result("last", "twice", 2), Result("final", "total"), Result("steps")),
        name=None,
    )


def test_results_of_every_kind(device):
    outputs = close_loop(plain_loop()).outputs
    assert [str(v.type) for v in outputs] == ["float64[?]", "float64[?]", "float64[1]", "int64[]"]
    f = gs.function([s], outputs, device=device)
    for found, expected in zip(f(np.arange(4.0)), [[0, 3, 9, 18], [4, 6], [18], 4], strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(f(np.zeros(0)), [[], [], [0], 0], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_types_of_results_with_a_known_length():
    loop = replace(plain_loop(), length=gt.constant(np.int64(5)))
    assert [str(v.type) for v in close_loop(loop).outputs] == ["float64[5]", "float64[2]", "float64[1]", "int64[]"]
    loop = replace(loop, stop=gt.gt(loop.sequences[0].reads[0], 3))
    assert [str(v.type) for v in close_loop(loop).outputs] == ["float64[?]", "float64[?]", "float64[1]", "int64[]"]


def test_what_cannot_be_closed():
    loop = plain_loop()
    with pytest.raises(gs.LoopError, match="two records of a loop are named 'total'"):
        close_loop(replace(loop, emits=(Emit("total", loop.emits[0].value),)))
    with pytest.raises(gs.GraphError, match="is read inside the function but is not a parameter"):
        close_loop(replace(loop, non_sequences=()))


def test_titles_and_results_for_people():
    assert (loop_title("walk"), loop_title(None)) == ("scan[walk]", "scan")
    assert [str(r) for r in plain_loop().results] == ["history of total", "last 2 of twice", "final of total", "steps"]


def test_a_printed_loop_names_its_records():
    node = node_of(name="walk", go_backwards=True)
    text = gs.debugprint(node.outputs, file="str", print_type=False)
    assert text is not None
    assert isinstance(node.op, Scan)
    headings = [line[1:] for line in text.partition("Inner graph of scan[walk]")[2].splitlines() if line[1:2].strip()]
    assert headings[1:] == [
        "sequence row, backwards, rows 0, +1",
        "state s1, lags 2, 1, becomes",
        "emit output_1",
        "non-sequence w",
        "stop after the step where",
        "results: history of s1, history of output_1, steps",
    ]
