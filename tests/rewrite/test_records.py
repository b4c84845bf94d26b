"""States and histories that need not be: carried twice, never changed, stacked only to be reduced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.rewrite import optimise
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.fold_reductions import fold_reductions
from gpuscan.rewrite.merge_equal import merge_equal
from gpuscan.rewrite.simplify_states import simplify_states
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of, text_of

x, s, n = gt.matrix("x"), gt.vector("s"), gt.iscalar("n")
VALUES = [np.random.default_rng(0).normal(size=(5, 2)), np.array([0.5, 1.5]), np.int32(3)]


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


def states_of(graph: gs.Graph) -> list[str]:
    return [state.name for loop in loops_of(graph) for state in loop.states]


# ---- simplify_states ----


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("stops", [False, True])
def test_a_state_that_never_changes(stops, steps):
    def step(row, fixed, h):
        outputs = fixed, np.tanh(h + row * fixed)
        return (*outputs, gs.until(h.sum() > 1)) if stops else outputs

    fixed, h = scan(step, x, [s * 2.0, s], n_steps=n)
    after = assert_meaning_kept([x, s, n], [fixed, h, fixed[-1:]], [*VALUES[:2], np.int32(steps)])
    assert states_of(after) == ["h"]
    assert [r.name for r in loops_of(after)[0].non_sequences] == ["fixed"]


def test_states_that_step_alike_are_one():
    def step(row, a, b, c):
        return np.tanh(a + b + row), np.tanh(b + a + row), np.tanh(a - c + row)

    start = s * 2.0
    a, b, c = scan(
        lambda row, a, b, c: (*step(row, a, b, c)[:1], np.tanh(a + b + row), step(row, a, b, c)[2]), x, [start] * 3
    )
    after = assert_meaning_kept([x, s, n], [a, b, c], VALUES)
    assert states_of(after) == ["a", "c"]
    assert after.outputs[0] is after.outputs[1]


def test_states_that_read_each_other():
    a, b = scan(lambda row, a, b: (b * 0.5 + row, a * 0.5 + row), x, [s, s])
    assert states_of(assert_meaning_kept([x, s, n], [a, b], VALUES)) == ["a"]


@pytest.mark.parametrize(
    ("step", "starts"),
    [
        (lambda row, a, b: (np.tanh(a + row), np.tanh(b + row)), (s, s * 2.0)),  # another beginning
        (lambda row, a, b: (np.tanh(a + row), np.tanh(b - row)), (s, s)),  # another step
        (lambda row, a, b: (b, a * 2.0), (s, s)),
    ],
)
def test_states_that_differ(step, starts):
    graph = merge_equal(graph_of([x, s, n], scan(step, x, list(starts)))) or graph_of(
        [x, s, n], scan(step, x, [*starts])
    )
    assert simplify_states(graph) is None


def test_an_emit_that_is_a_state():
    h, emit = scan(lambda row, h: (new := np.tanh(h + row), new), x, [s, None])
    after = simplify_states(graph_of([x, s, n], [h, emit]))
    assert after is not None
    assert [str(r) for r in loops_of(after)[0].results] == ["history of h"]


def test_a_state_that_is_read_as_it_was_longer_ago_stays():
    out = scan(lambda a, b: b, None, {"initial": x, "taps": [-2, -1]}, n_steps=n)
    assert simplify_states(graph_of([x, s, n], [out])) is None
    assert_meaning_kept([x, s, n], [out], VALUES)


# ---- fold_reductions ----


def net() -> Any:
    return scan(lambda row, h: (np.tanh(h + row), row * h), x, [s, None])


@pytest.mark.parametrize("which", [0, 1], ids=["state", "emit"])
@pytest.mark.parametrize("axis", [0, (0, 1), None], ids=str)
@pytest.mark.parametrize("reduce", [gt.sum, gt.mean], ids=["sum", "mean"])
def test_a_history_that_is_only_reduced_is_not_stacked(which, axis, reduce):
    after = assert_meaning_kept([x, s, n], [reduce(net()[which], axis)], VALUES)
    assert [r.kind for r in loops_of(after)[0].results] == ["final"]


def test_before_and_after():
    after = optimise(graph_of([x, s, n], [net()[1].sum()]))
    assert text_of(after).splitlines()[:4] == ["sum[0] %0", "| index[0, :] %1", "| | scan %2", "| | | dim[0] %3"]
    assert text_of(after).splitlines()[-1] == " results: final of sum_output_1"


def test_maxima_of_a_loop_that_runs():
    fixed = gt.tensor("fixed", shape=(5, 2))
    histories = scan(lambda row, h: (np.tanh(h + row), gt.cast(10.0 * row, "int32")), fixed, [s, None])
    outputs = [histories[0].max(0), histories[1].min(0), histories[1].max(0)]
    after = assert_meaning_kept([fixed, s], outputs, VALUES[:2])
    assert {r.kind for r in loops_of(after)[0].results} == {"final"}


@pytest.mark.parametrize(
    "read",
    [
        lambda h: h.sum(1),
        lambda h: h.prod(0),
        lambda h: h.sum(0) + h[0],
        lambda h: [h.sum(0), h],
    ],
)
def test_histories_that_stay(read):
    found = read(net()[0])
    assert fold_reductions(graph_of([x, s, n], found if isinstance(found, list) else [found])) is None


def test_a_sum_of_rows_of_a_size_that_only_the_step_knows():
    out = scan(lambda row: row[:n], x)
    assert fold_reductions(graph_of([x, s, n], [out.sum(0)])) is None


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float32", "float16"])
def test_sums_of_other_dtypes(dtype):
    rows = gt.tensor("rows", dtype=dtype, shape=(None, 3))
    out = scan(lambda row, h: (np.tanh(h), row), rows, [np.float64(1), None])[1]
    values = (np.arange(12).reshape(4, 3) * 9 % 100).astype(dtype)
    after = assert_meaning_kept([rows], [out.sum(0)], [values])
    assert after.outputs[0].dtype == out.sum(0).dtype


def test_a_sum_of_no_step():
    f = gs.function([x, s], net()[1].sum(0), device="cpu")
    np.testing.assert_array_equal(f(np.zeros((0, 2)), [1.0, 2.0]), [0, 0])


def test_gradients_through_a_sum():
    cost = net()[0].sum() + net()[1].mean()
    assert_meaning_kept([x, s, n], [cost, *gs.grad(cost, [x, s])], VALUES)


def test_unread_histories_do_not_come_back():
    graph = graph_of([x, s, n], [net()[0].sum(0)])
    once = optimise(graph)
    assert [str(r) for loop in loops_of(optimise(once)) for r in loop.results] == ["final of sum_h"]
    assert drop_unread(once) is None
