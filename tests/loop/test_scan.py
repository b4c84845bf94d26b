"""What loops mean: every form of the arguments of scan, on every device, against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from tests.oracle import check_loop, either, run_loop


def normal(*shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(dtype)


# ---- sequences ----


def test_sequences_of_scalars_vectors_and_matrices(device):
    check_loop(lambda x, v, m: m * v + x, [normal(5), normal(5, 3), normal(5, 2, 3)], device=device)


def test_the_shortest_sequence_decides(device):
    f = check_loop(lambda a, b: a * b, [normal(7), normal(4)], device=device)
    np.testing.assert_allclose(f(np.ones(3), np.full(6, 2.0))[0], np.full(3, 2.0))


@pytest.mark.parametrize("taps", [[-1, 0], [0, -1], [-2, 1], [1, 2], [-3], [2], [0, 3, -1]], ids=str)
def test_taps_of_a_sequence(taps, device):
    def step(*reads):
        return sum((i + 1) * read for i, read in enumerate(reads)) + 0.0

    check_loop(step, {"input": normal(8, 2), "taps": taps}, device=device)


@pytest.mark.parametrize("taps", [[-1, 0], [-2, 1], [1, 2], [2]], ids=str)
@pytest.mark.parametrize("n_steps", [None, 2, 1])
def test_backwards_each_sequence_starts_at_its_own_last_usable_row(taps, n_steps):
    def step(first, *reads):
        return first + 10 * reads[0], sum(reads)

    sequences = [np.arange(9.0), {"input": np.arange(20.0, 27.0), "taps": taps}]
    check_loop(step, sequences, n_steps=n_steps, go_backwards=True, device="cpu")


def test_backwards_with_one_step_reads_the_last_row(device):
    x = gt.vector("x")
    out, _ = gs.scan(lambda row: row * 1.0, x, n_steps=1, go_backwards=True)
    np.testing.assert_array_equal(gs.function([x], out, device=device)(np.arange(5.0)), [4.0])


def test_a_sequence_that_is_an_array_or_a_list():
    out, _ = gs.scan(lambda a, b: a + b, [np.arange(3), [10, 20, 30]])
    np.testing.assert_array_equal(out.eval(device="cpu"), [10, 21, 32])


# ---- states ----


def test_a_state_of_each_rank(device):
    def step(x, s, v, m):
        return s + x, v * x + s, m - v * x

    check_loop(step, normal(4), [normal(), normal(3), normal(2, 3)], device=device)


@pytest.mark.parametrize("taps", [[-2, -1], [-1, -2], [-3], [-1, -4], [-2]], ids=str)
def test_lags_of_a_state(taps, device):
    def step(*past):
        return sum((0.3 + 0.2 * i) * value for i, value in enumerate(past)) + 0.1

    check_loop(step, None, {"initial": normal(4, 3), "taps": taps}, n_steps=6, device=device)


def test_lag_one_written_out_takes_the_bare_value():
    check_loop(lambda s: s * 2, None, {"initial": normal(3), "taps": [-1]}, n_steps=3, device="cpu")


def test_states_and_fresh_outputs_in_any_order(device):
    def step(x, a, b, w):
        return x * w, a + x, a * b, b + 1.0

    check_loop(step, normal(5, 3), [None, normal(3), None, normal(3)], normal(3), device=device)


def test_states_swap(device):
    check_loop(lambda a, b: (b, a), None, [normal(3), normal(3) + 5], n_steps=5, device=device)


def test_a_state_that_is_another_states_past(device):
    def step(a, b2, b1):
        return b2, a + b1

    check_loop(step, None, [normal(2), {"initial": normal(2, 2), "taps": [-2, -1]}], n_steps=7, device=device)


def test_an_output_that_is_an_argument_as_it_is(device):
    check_loop(lambda x, s, w: (x, s, w), normal(4, 2), [None, normal(2), None], normal(2), device=device)


@pytest.mark.parametrize(
    ("dtype", "step"),
    [
        ("int64", lambda s: s * 3 - 1),
        ("int32", lambda s: s + s),
        ("uint8", lambda s: s + np.uint8(100)),
        ("bool", lambda s: ~s),
        ("float32", lambda s: s * 0.5 + 1),
        ("complex128", lambda s: s * (0.5 + 1j)),
        ("complex64", lambda s: s * s + 1),
        ("float16", lambda s: s * 0.5 + 1),
        ("float16", lambda s: np.tanh(s) * np.float16(3)),
        ("int16", lambda s: s * 7),
        ("uint64", lambda s: s * s + np.uint64(1)),
    ],
)
def test_dtypes_of_states(dtype, step, device):
    check_loop(step, None, np.array([0, 1, 3]).astype(dtype), n_steps=5, device=device)


def test_states_of_different_dtypes(device):
    def step(x, count, seen, total):
        positive = x > 0
        return count + positive, seen | positive, total + np.where(positive, x, 0.0)

    check_loop(step, normal(6, 4), [np.zeros(4, "int64"), np.zeros(4, "bool"), np.zeros(4)], device=device)


def test_steps_that_mix_elements(device):
    w = normal(3, 3)

    def step(x, s):
        return np.tanh(s @ w + x), (s * x).sum()

    check_loop(step, normal(5, 3), [normal(3), None], device=device)


# ---- number of steps ----


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_few_steps(n_steps, device):
    def step(x, s, m):
        return s + x, m * 2, x * m

    check_loop(step, normal(4, 3), [normal(3), normal(2, 3), None], n_steps=np.int64(n_steps), device=device)


def test_no_step_of_an_empty_sequence(device):
    f = check_loop(lambda x, s: (s + x, x > 0), normal(0, 3), [normal(3), None], device=device)
    assert [out.shape for out in f(np.zeros((0, 3)), np.zeros(3))] == [(0, 3), (0, 3)]


def test_symbolic_number_of_steps_from_call_to_call(device):
    n, s = gt.iscalar("n"), gt.vector("s")
    out, _ = gs.scan(lambda s: s * 2, outputs_info=s, n_steps=n)
    f = gs.function([s, n], [out, out[-1]], device=device)
    for steps in (3, 0, 1, 5):
        history, last = f(np.ones(2), steps)
        assert history.shape == (steps, 2)
        np.testing.assert_array_equal(last, np.full(2, 2.0**steps))


def test_number_of_steps_computed_from_the_inputs(device):
    x = gt.vector("x")
    out, _ = gs.scan(lambda row, s: s + row, x, np.float64(0), n_steps=x.shape[0] - 1)
    np.testing.assert_array_equal(gs.function([x], out, device=device)(np.ones(4)), [1, 2, 3])


# ---- what is read ----

READS = [
    lambda history: history[-1],
    lambda history: history[-3:],
    lambda history: history[-2],
    lambda history: history[-3:-1],
    lambda history: history[-1, 0],
    lambda history: history[::2],
    lambda history: history[1:],
    lambda history: history[-4::2],
]


@pytest.mark.parametrize("read", READS, ids=["-1", "-3:", "-2", "-3:-1", "-1, 0", "::2", "1:", "-4::2"])
def test_parts_of_a_history(read, device):
    def step(x, s2, s1):
        return s1 * 0.5 + s2 + x, s1 * x

    outputs_info = [{"initial": normal(2, 3), "taps": [-2, -1]}, None]
    check_loop(step, normal(6, 3), outputs_info, read=read, device=device)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_the_last_rows_of_fewer(steps):
    n = gt.lscalar("n")
    (states, emits), _ = gs.scan(lambda s: (s + 1.0, s * 2), outputs_info=[gt.zeros(2), None], n_steps=n)
    found = gs.function([n], [states[-3:], emits[-3:], emits[-3:-1]], device="cpu")(steps)
    history = np.arange(steps)[:, None] + np.ones(2)
    for value, expected in zip(found, [history[-3:], 2 * (history - 1)[-3:], 2 * (history - 1)[-3:-1]], strict=True):
        np.testing.assert_array_equal(value, expected)


def test_the_last_state_after_no_step_is_the_initial_one(device):
    n = gt.iscalar("n")
    out, _ = gs.scan(lambda s: s + 1.0, outputs_info=gt.ones(2), n_steps=n)
    np.testing.assert_array_equal(gs.function([n], out[-1], device=device)(0), [1, 1])


# ---- values from outside ----


def test_outer_variables_are_captured(device):
    x, w = gt.vector("x"), gt.scalar("w")
    doubled = w * 2
    out, _ = gs.scan(lambda row: row * doubled + w + 1, x)
    found = gs.function([x, w], out, device=device)(np.arange(3.0), 5.0)
    np.testing.assert_allclose(found, np.arange(3.0) * 10 + 6)


def test_work_on_outer_variables_alone_is_done_outside():
    x, w = gt.vector("x"), gt.vector("w")
    out, _ = gs.scan(lambda row: row * gt.exp(w).sum(), x)
    text = gs.debugprint(out, file="str")
    assert text is not None
    assert "exp" in text.partition("Inner graph")[0]
    assert "exp" not in text.partition("Inner graph")[2]


def test_an_outer_variable_passed_and_captured_is_one():
    x, w = gt.vector("x"), gt.scalar("w")
    out, _ = gs.scan(lambda row, v: row * v + w, x, non_sequences=w)
    assert len(out.owner.op.non_sequences) == 1
    np.testing.assert_array_equal(gs.function([x, w], out, device="cpu")([1.0, 2.0], 3.0), [6, 9])


def test_a_step_that_returns_an_outer_value(device):
    x, w = gt.vector("x"), gt.vector("w")
    out, _ = gs.scan(lambda row: w, x)
    np.testing.assert_array_equal(gs.function([x, w], out, device=device)(np.ones(2), np.ones(3)), np.ones((2, 3)))


def test_shared_variables_are_found(device):
    w = gs.shared(np.array([1.0, 2.0]), name="w")
    x = gt.matrix("x")
    f = gs.function([x], gs.scan(lambda row: row * w, x)[0], device=device)
    np.testing.assert_array_equal(f(np.ones((2, 2))), [[1, 2], [1, 2]])
    w.set_value([3.0, 4.0])
    np.testing.assert_array_equal(f(np.ones((1, 2))), [[3, 4]])


def test_strict_takes_what_is_passed():
    w, x = gs.shared(2.0, name="w"), gt.vector("x")
    out, _ = gs.scan(lambda row, w: row * w, x, non_sequences=[w], strict=True)
    np.testing.assert_array_equal(gs.function([x], out, device="cpu")([1.0, 2.0]), [2, 4])


# ---- updates ----


def test_an_update_is_carried_through_the_loop(device):
    a = gs.shared(1, name="a")
    values, updates = gs.scan(lambda: {a: a + 1}, n_steps=10)
    assert values is None
    f = gs.function([], [a + 1, updates[a] + 1], updates=updates, device=device)
    for first in (1, 11):
        before, after = f()
        assert (before, after) == (first + 1, first + 11)
        assert a.get_value() == first + 10


def test_without_updates_a_shared_variable_keeps_its_value():
    a = gs.shared(1, name="a")
    _, updates = gs.scan(lambda: {a: a + 1}, n_steps=10)
    f = gs.function([], updates[a], device="cpu")
    assert (f(), f(), a.get_value()) == (11, 11, 1)


def test_outputs_with_updates(device):
    seen = gs.shared(np.zeros(2), name="seen")
    x = gt.matrix("x")
    out, updates = gs.scan(lambda row, s: (s + row * seen, {seen: seen + row}), x, gt.zeros(2))
    f = gs.function([x], out, updates=updates, device=device)
    np.testing.assert_array_equal(f(np.ones((3, 2))), np.array([0.0, 1.0, 3.0])[:, None] * np.ones(2))
    np.testing.assert_array_equal(seen.get_value(), [3, 3])


@pytest.mark.parametrize("form", [dict, list, tuple])
def test_updates_are_a_dict_or_pairs(form):
    a = gs.shared(0.0, name="a")
    _, updates = gs.scan(lambda: form([(a, a + 1.0)]), n_steps=3)
    assert updates[a].eval(device="cpu") == 3


def test_an_update_of_a_shared_variable_that_is_passed():
    a = gs.shared(1.0, name="a")

    def step(a):
        assert a.get_value() == 1.0
        return a * 10, {a: a + 1}

    out, updates = gs.scan(step, non_sequences=[a], n_steps=3, strict=True)
    f = gs.function([], out, updates=updates, device="cpu")
    np.testing.assert_array_equal(f(), [10, 20, 30])
    np.testing.assert_array_equal(f(), [40, 50, 60])


def test_two_shared_variables_that_read_each_other(device):
    a, b = gs.shared(np.int64(0), name="a"), gs.shared(np.int64(1), name="b")
    _, updates = gs.scan(lambda: {a: b, b: a + b}, n_steps=7)
    gs.function([], updates=updates, device=device)()
    assert (a.get_value(), b.get_value()) == (13, 21)


# ---- until ----


@pytest.mark.parametrize("limit", [0.5, 3.0, 50.0, 1e9])
def test_until_alone_decides(limit, device):
    def step(s, limit):
        return s * 2, gs.until(s * 2 > limit)

    check_loop(step, None, np.float64(1), np.float64(limit), n_steps=10, device=device)


def test_until_with_a_sequence_and_a_fresh_output(device):
    def step(x, s):
        return s + x, x * s, gs.until((s + x).sum() > 2)

    check_loop(step, np.abs(normal(9, 2)), [np.zeros(2), None], device=device)


@pytest.mark.parametrize("read", [lambda h: h[-1], lambda h: h[-2:]], ids=["-1", "-2:"])
def test_until_with_only_the_end_read(read):
    def step(s):
        return s + 1, s * 2.0, gs.until(s > 4)

    check_loop(step, None, [np.int64(0), None], n_steps=20, read=read, device="cpu")


def test_until_with_no_step_at_all(device):
    def step(s):
        return s + 1.0, s * np.ones(3), gs.until(s > 4)

    check_loop(step, None, [np.float64(0), None], n_steps=np.int64(0), device=device)


def test_until_with_updates():
    a = gs.shared(0, name="a")
    out, updates = gs.scan(lambda s: (s + 1, {a: a + 2}, gs.until(s >= 3)), outputs_info=np.int64(0), n_steps=100)
    np.testing.assert_array_equal(gs.function([], out, updates=updates, device="cpu")(), [1, 2, 3, 4])
    assert a.get_value() == 8


# ---- several loops ----


def test_two_loops_in_one_function(device):
    x, s = gt.matrix("x"), gt.vector("s")
    first, _ = gs.scan(lambda row, s: s + row, x, s)
    second, _ = gs.scan(lambda row, last: row * last, first, non_sequences=first[-1])
    values = normal(4, 3), normal(3)
    expected = np.cumsum(values[0], 0) + values[1]
    found = gs.function([x, s], [second, first], device=device)(*values)
    np.testing.assert_allclose(found[0], expected * expected[-1])
    np.testing.assert_allclose(found[1], expected)


def test_a_loop_inside_a_loop(device):
    def inner(x, s):
        return s * 0.5 + x

    def outer(row, s):
        (history,) = either(inner, row, s.sum() * 0.1)
        return s + history

    check_loop(outer, normal(4, 3), normal(3), device=device)


def test_a_loop_inside_whose_length_and_captures_are_of_the_loop_outside():
    def outer(k, row, s):
        (history,) = either(lambda t: t * 1.5 + row.sum(), None, s, None, k)
        return history[-1]

    check_loop(outer, [np.arange(1, 5), normal(4, 2)], np.float64(1), device="cpu")


def test_three_loops_deep(device):
    x = gt.vector("x")

    def outer(a):
        def middle(b):
            return gs.scan(lambda c: a + 10 * b + 100 * c, x)[0]

        return gs.scan(middle, x)[0]

    values = np.arange(3.0)
    expected = values[:, None, None] + 10 * values[:, None] + 100 * values
    found = gs.function([x], gs.scan(outer, x)[0], device=device)(values)
    np.testing.assert_allclose(found, expected)


def test_a_shared_variable_updated_by_an_inner_loop():
    a = gs.shared(0, name="a")

    def outer():
        _, updates = gs.scan(lambda: {a: a + 1}, n_steps=3)
        return updates

    _, updates = gs.scan(outer, n_steps=4)
    gs.function([], updates=updates, device="cpu")()
    assert a.get_value() == 12


def test_updates_of_three_loops_deep(device):
    a, b = gs.shared(np.int64(1), name="a"), gs.shared(np.float64(0), name="b")

    def outer(row):
        def middle():
            _, updates = gs.scan(lambda: {a: a * 2 % 1000}, n_steps=2)
            return updates | {b: b + row + updates[a]}

        return gs.scan(middle, n_steps=3)[1]

    x = gt.vector("x")
    values = np.arange(4.0)
    _, updates = gs.scan(outer, x)
    gs.function([x], updates=updates, device=device)(values)
    expected_a, expected_b = 1, 0.0
    for row in values:
        for _ in range(3):
            expected_a = expected_a * 4 % 1000
            expected_b += row + expected_a
    assert (a.get_value(), b.get_value()) == (expected_a, expected_b)


def test_an_inner_loop_with_outputs_updates_and_a_condition(device):
    count = gs.shared(np.int64(0), name="count")

    def outer(limit, total):
        def inner(s):
            return [s * 2, s], {count: count + 1}, gs.until(s * 2 > limit)

        (doubled, _), updates = gs.scan(inner, outputs_info=[np.float64(1), None], n_steps=20)
        return [total + doubled[-1], doubled.sum()], list(updates.items())

    x = gt.vector("x")
    (totals, sums), updates = gs.scan(outer, x, [np.float64(0), None])
    found = gs.function([x], [totals, sums, updates[count]], updates=updates, device=device)([3.0, 20.0, 0.5])
    np.testing.assert_array_equal(found[0], [4, 36, 38])
    np.testing.assert_array_equal(found[1], [6, 62, 2])
    assert found[2] == count.get_value() == 8


def test_an_inner_length_that_is_an_outer_state(device):
    def outer(s, n):
        (history,) = either(lambda t: t * 0.5 + 1, None, s, None, n)
        return history.sum() + s, (n + 2) % 5

    check_loop(outer, None, [np.float64(1), np.int64(1)], n_steps=7, device=device)


def test_an_inner_loop_of_no_steps(device):
    def outer(n, s):
        (history,) = either(lambda t: t * 2.0, None, s, None, n)
        return history.sum(0) + s

    check_loop(outer, np.array([0, 2, 0, 1]), normal(3), device=device)


def test_several_loops_that_stop(device):
    limit = gt.scalar("limit")
    outs = [
        gs.scan(lambda s, k=k: (s * k, gs.until(s * k > limit)), None, np.float64(1), n_steps=90)[0] for k in (2, 3)
    ]
    chained, _ = gs.scan(lambda row: (row + 1, gs.until(row > 10)), outs[0])
    found = gs.function([limit], [*outs, chained], device=device)(30.0)
    for value, expected in zip(found, [[2, 4, 8, 16, 32], [3, 9, 27, 81], [3, 5, 9, 17]], strict=True):
        np.testing.assert_array_equal(value, expected)


def test_until_alone_with_updates(device):
    a = gs.shared(np.int64(1), name="a")
    values, updates = gs.scan(lambda: ({a: a * 3}, gs.until(a > 50)), n_steps=1000)
    assert values is None
    gs.function([], updates=updates, device=device)()
    assert a.get_value() == 243


def test_an_inner_loop_that_stops():
    def outer(limit, s):
        (history,) = either(lambda t: (t * 2, gs.until(t * 2 > limit)), None, s, None, 30)
        return history[-1] * 0.5

    check_loop(outer, np.array([4.0, 100.0, 3.0]), np.float64(1), device="cpu")


# ---- the form of what scan returns ----


def test_one_output_several_and_none() -> None:
    x = gt.vector("x")
    one, updates = gs.scan(lambda row: row, x)
    assert isinstance(one, gs.Variable)
    assert updates == {}
    assert isinstance(gs.scan(lambda row: row, x, return_list=True)[0], list)
    assert len(gs.scan(lambda row: [row, row + 1], x)[0]) == 2
    assert len(gs.scan(lambda row: ([row, row + 1], {}), x)[0]) == 2
    assert isinstance(gs.scan(lambda row: row, x, return_updates=False), gs.Variable)


def test_the_step_function_runs_once():
    calls: list[Any] = []
    x = gt.vector("x")
    gs.scan(lambda row: calls.append(row) or row, x)
    assert len(calls) == 1
    assert calls[0].name == "row"


def test_a_ufunc_is_a_step_function():
    x, y = gt.vector("x"), gt.vector("y")
    out, _ = gs.scan(np.add, [x, y])
    np.testing.assert_array_equal(gs.function([x, y], out, device="cpu")([1.0, 2.0], [3.0, 4.0]), [4, 6])


def test_any_number_of_parameters():
    out, _ = gs.scan(lambda *rows: rows[0] + rows[1], [np.arange(3), np.arange(3)])
    np.testing.assert_array_equal(out.eval(device="cpu"), [0, 2, 4])


def test_types_of_the_results():
    x = gt.tensor("x", shape=(7, 3))
    (states, emits), _ = gs.scan(lambda row, s: (s + row, row > 0), x, [gt.zeros(3), None])
    assert str(states.type) == "float64[7, 3]"
    assert str(emits.type) == "bool[7, 3]"
    stopped, _ = gs.scan(lambda row: (row, gs.until(row.sum() > 1)), x)
    assert str(stopped.type) == "float64[?, 3]"


def test_a_loop_of_a_million_rows_is_not_unrolled():
    assert run_loop(lambda s: s + 1, None, np.int64(0), n_steps=1000).outputs[0][-1] == 1000
    out, _ = gs.scan(lambda s: s + 1, outputs_info=np.int64(0), n_steps=100_000)
    assert out[-1].eval(device="cpu") == 100_000
