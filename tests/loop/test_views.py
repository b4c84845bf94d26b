"""map, reduce, foldl, foldr and filter: loops of a narrower kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

x, y, start = gt.vector("x"), gt.vector("y"), gt.scalar("start")
X, Y = np.array([3.0, -1.0, 4.0, 1.0, -5.0]), np.array([2.0, 7.0, 1.0, 8.0, 2.0])


def run(outputs: Any, device: str = "cpu") -> Any:
    """Return outputs for X, Y and 10 in place of the inputs above, whichever they need."""
    return gs.function([x, y, start], outputs, device=device, on_unused_input="ignore")(X, Y, 10.0)


def test_map(device):
    out, updates = gs.map(lambda a, b, w: a * b + w, [x, y], start)
    assert updates == {}
    np.testing.assert_array_equal(run(out, device), X * Y + 10)


def test_map_by_position_and_backwards(device):
    # fn, sequences, non_sequences, truncate_gradient, go_backwards, mode, name
    out, _ = gs.map(lambda a, w: (a * 2, a + w), x, [start], -1, True, None, "twice")
    assert out[0].owner.op.name == "scan[twice]"
    doubled, moved = run(out, device)
    np.testing.assert_array_equal(doubled, X[::-1] * 2)
    np.testing.assert_array_equal(moved, X[::-1] + 10)


def test_map_with_updates():
    count = gs.shared(0, name="count")
    out, updates = gs.map(lambda a: (a, {count: count + 1}), x)
    gs.function([x], out, updates=updates, device="cpu")(X)
    assert count.get_value() == 5
    with pytest.raises(gs.LoopError, match="return_updates=False would hide"):
        gs.map(lambda a: (a, {count: count + 1}), x, return_updates=False)


def test_reduce_keeps_the_last_value_only(device):
    total, updates = gs.reduce(lambda a, total: total + a, x, start)
    assert updates == {}
    assert total.ndim == 0
    f = gs.function([x, start], total, device=device)
    assert f(X, 10.0) == 12
    assert [r.kind for node in f.graph.nodes if (r := getattr(node.op, "results", [None])[0])] == ["final"]


def test_reduce_after_no_row_is_what_it_starts_from(device):
    total, _ = gs.reduce(lambda a, total: total + a, x, start)
    assert gs.function([x, start], total, device=device)(np.zeros(0), 10.0) == 10


def test_reduce_of_several_values(device):
    (total, largest), _ = gs.reduce(
        lambda a, total, largest, w: (total + a * w, gt.maximum(largest, a)), x, [start, np.float64(-np.inf)], start
    )
    found = run([total, largest], device)
    assert (found[0], found[1]) == (X.sum() * 10 + 10, 4)


def test_reduce_whose_last_value_nothing_reads_back(device):
    (total, last), _ = gs.reduce(lambda a, total: (total + a, a * 2), x, [start, None])
    assert run([total, last], device) == [12, -10]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (lambda f: gs.reduce(f, x, start), X),
        (lambda f: gs.reduce(f, x, start, None, True, None, "name"), X[::-1]),
        (lambda f: gs.foldl(f, x, start), X),
        (lambda f: gs.foldr(f, x, start), X[::-1]),
        (lambda f: gs.foldr(f, x, start, [], None, "name"), X[::-1]),
    ],
    ids=["reduce", "reduce backwards", "foldl", "foldr", "foldr by position"],
)
def test_directions(view, expected, device):
    value = 10.0
    for row in expected:
        value = value * 2 + row
    assert run(view(lambda row, so_far: so_far * 2 + row)[0], device) == value


def test_reduce_without_updates():
    assert isinstance(gs.reduce(lambda a, b: a + b, x, start, return_updates=False), gs.Variable)
    count = gs.shared(0, name="count")
    with pytest.raises(gs.LoopError, match="return_updates=False would hide"):
        gs.reduce(lambda a, b: (a + b, {count: count + 1}), x, start, return_updates=False)


def test_filter(device):
    np.testing.assert_array_equal(run(gs.filter(lambda a: a > 0, x), device), [3, 4, 1])
    np.testing.assert_array_equal(run(gs.filter(lambda a, w: a * a > w, x, start), device), [4, -5])
    assert run(gs.filter(lambda a: a > 100, x), device).shape == (0,)


def test_filter_of_several_sequences():
    for kept in (gs.filter(lambda a, b: a > 0, [x, y]), gs.filter(lambda a, b: [a > 0, a > 0], [x, y])):
        for found, expected in zip(run(kept), [X[X > 0], Y[X > 0]], strict=True):
            np.testing.assert_array_equal(found, expected)
    first, second = run(gs.filter(lambda a, b: [a > 0, b > 5], [x, y]))
    np.testing.assert_array_equal(first, [3, 4, 1])
    np.testing.assert_array_equal(second, [7, 8])


def test_filter_backwards_keeps_the_last_row_first():
    np.testing.assert_array_equal(run(gs.filter(lambda a: a > 0, x, go_backwards=True)), [1, 4, 3])


@pytest.mark.parametrize(("backwards", "expected"), [(False, [[3, 4], [0, 2]]), (True, [[1, 4, 3], [3, 2, 1]])])
def test_filter_by_the_shortest_sequence(backwards, expected):
    i = gt.lvector("i")
    kept = gs.filter(lambda a, b: a > 0 if not backwards else [a > 0, b > 0], [x, i], go_backwards=backwards)
    values = X if backwards else X[:4]
    found = gs.function([x, i], kept, device="cpu")(values, np.arange(5) if backwards else np.arange(3))
    if backwards:
        expected[1] = [4, 3, 2, 1]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_filter_of_rows(device):
    m = gt.matrix("m")
    value = np.arange(6.0).reshape(3, 2)
    found = gs.function([m], gs.filter(lambda row: row.sum() > 3, m), device=device)(value)
    np.testing.assert_array_equal(found, value[1:])


@pytest.mark.parametrize(
    ("sequences", "fn", "message"),
    [
        (x, lambda a: a, "over all rows it returned float64[?]"),
        (gt.matrix(), lambda row: row > 0, "over all rows it returned bool[?, ?]"),
        ([x, x, x], lambda a, b, c: [a > 0, b > 0], "or one for each of 3 sequences"),
        ({"input": x, "taps": [-1]}, lambda a: a > 0, "filter: sequences have no taps; pass the sequences themselves"),
    ],
)
def test_conditions_that_are_none(sequences, fn, message):
    with pytest.raises(gs.LoopError) as caught:
        gs.filter(fn, sequences)
    assert message in str(caught.value)


def test_conditions_with_updates():
    count = gs.shared(0, name="count")
    with pytest.raises(gs.LoopError, match="it returned updates too"):
        gs.filter(lambda a: (a > 0, {count: count + 1}), x)
