"""Sizes of a history come from what decides them, and keep no row of it."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
from gpuscan.rewrite import optimise
from gpuscan.rewrite.count_steps import count_steps
from tests.rewrite.loops import graph_of, loop_of_three, n, x
from tests.rewrite.nets import loops_of, text_of


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
