"""Totals of what steps add to parts of an array: which become sums of their own, and that the numbers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import sorted_nodes
from gpuscan.loop.fixed import Outside
from gpuscan.rewrite import bodies
from gpuscan.rewrite import write_after as module
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.keep_last import keep_last
from gpuscan.rewrite.write_after import write_after
from gpuscan.tensor.indexing import WriteIndex
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of

x, s, w, u = gt.matrix("x"), gt.vector("s"), gt.vector("w"), gt.matrix("u")
i, positions, n = gt.iscalar("i"), gt.ivector("positions"), gt.iscalar("n")
INPUTS = [x, s, w, u, i, positions, n]
RANDOM = np.random.default_rng(0)


def values(steps: int = 4) -> list[Any]:
    arrays = [RANDOM.normal(size=shape) for shape in ((5, 3), (3,), (4,), (3, 8))]
    return [*arrays, np.int32(2), np.array([3, 0, 3], "int32"), np.int32(steps)]


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


def writes_inside(graph: Any) -> int:
    """How many writes to parts of arrays the steps of a graph have."""
    bodies = [node for loop in loops_of(graph) for node in sorted_nodes(loop.outputs, loop.reads)]
    return sum(isinstance(node.op, WriteIndex) for node in bodies)


def volatility(row: Any, h: Any, w: Any) -> Any:
    return w[0] + w[1] * row**2 + w[2] * h


@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, {"n_steps": n}, {"n_steps": 1}], ids=str)
def test_the_gradient_of_parameters_in_one_vector(options):
    h = scan(volatility, x, s, w, **options)
    cost = (gt.log(1.5 + h**2) * h).sum()
    after = assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, s, w])], values())
    assert not writes_inside(after)


def test_a_loop_of_no_step():
    h = scan(volatility, x, s, w, n_steps=n)
    assert_meaning_kept(INPUTS, gs.grad(h.sum(), [s, w]), values(0))


def test_a_loop_that_stops():
    h = scan(lambda row, h, w: (volatility(row, h, w), gs.until((abs(row) > 1).any())), x, s, w)
    after = assert_meaning_kept(INPUTS, gs.grad((h**2).sum(), [w]), values())
    assert not writes_inside(after)


def test_weights_side_by_side_are_products_after_the_loop():
    def gates(row, h, u):
        return np.tanh(row * gt.sigmoid(h @ u[:, :3]) + gt.sigmoid(h @ u[:, 3:6]) * h)

    h = scan(gates, x, s, u)
    after = assert_meaning_kept(INPUTS, gs.grad((h**2).sum(), [u]), values())
    assert not writes_inside(after)
    *_, backward = loops_of(after)
    assert [state.name for state in backward.states] == ["owed_h"]


def total_of(add: Any) -> gs.Variable:
    """What a loop has added to a vector after its last step."""
    return scan(lambda k, row, total, w: add(total, row, w, k), [gt.arange(5), x], gt.arange(4.0), w)[-1]


CARRIED_APART = {
    "one element": lambda t, row, w, k: gt.inc_subtensor(t[1], row[0]),
    "one, beside a sum": lambda t, row, w, k: gt.inc_subtensor(t[1], row[0]) + w * row[1],
    "an element that a call says": lambda t, row, w, k: gt.inc_subtensor(t[i], row[0]),
    "a slice": lambda t, row, w, k: gt.inc_subtensor(t[1:], row),
    "a number for a slice": lambda t, row, w, k: gt.inc_subtensor(t[::2], row[1]),
    "positions, one of them twice": lambda t, row, w, k: gt.inc_subtensor(t[positions], row),
    "two, one upon the other": lambda t, row, w, k: gt.inc_subtensor(gt.inc_subtensor(t[1], row[0])[1:], row),
    "to an array of zeros": lambda t, row, w, k: t + gt.inc_subtensor(gt.zeros_like(t)[2], row[0] * w[0]),
    "a row that a sequence names": lambda t, row, w, k: gt.inc_subtensor(t[(k * 2) % 4], row[0]),
    "rows counted from the end": lambda t, row, w, k: gt.inc_subtensor(t[-1 - k % 4], row[0]),
    "several rows, some twice": lambda t, row, w, k: gt.inc_subtensor(t[gt.stack([k % 3, 0, k % 2])], row),
    "a number for several rows": lambda t, row, w, k: gt.inc_subtensor(t[gt.stack([k % 3, 0])], row[1]),
    "to another array": lambda t, row, w, k: t + gt.inc_subtensor((row.sum() * gt.ones(4))[2], row[0]),
}


@pytest.mark.parametrize("name", CARRIED_APART)
def test_what_is_carried_apart(name):
    assert not writes_inside(assert_meaning_kept(INPUTS, [total_of(CARRIED_APART[name])], values()))


@pytest.mark.parametrize("name", CARRIED_APART)
def test_each_by_the_pass_alone(name):
    graph = graph_of(INPUTS, [total_of(CARRIED_APART[name])])
    before = drop_unread(keep_last(graph))
    assert writes_inside(before) > 0
    assert not writes_inside(write_after(before))


LEFT = {
    "a slice that moves": lambda t, row, w, k: gt.inc_subtensor(t[k % 4 :], row[0]),
    "a value that is set": lambda t, row, w, k: gt.set_subtensor(t[1], row[0]),
    "a total that is read": lambda t, row, w, k: gt.inc_subtensor(t[1], row[0] * t[0]),
    "a total that decays": lambda t, row, w, k: gt.inc_subtensor(t[1], row[0]) * 0.5,
    "a total that is added twice": lambda t, row, w, k: t + gt.inc_subtensor(t[1], row[0]),
    "an array that is no total": lambda t, row, w, k: t + gt.exp(gt.inc_subtensor(w[1], row[0])),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left(name):
    graph = graph_of(INPUTS, [total_of(LEFT[name])])
    assert write_after(drop_unread(keep_last(graph))) is None
    assert_meaning_kept(INPUTS, [total_of(LEFT[name])], values())


TABLE, KEYS, LONG = gt.matrix("table"), gt.tensor("keys", "int32", (None, None)), gt.tensor3("long")


@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, {"n_steps": 3}, {"n_steps": 0}], ids=str)
def test_the_gradient_of_rows_looked_up_in_a_table(options):
    if "n_steps" in options:
        options = {"n_steps": n}
    h = scan(lambda k, row, h, table: np.tanh(table[k] * h + row), [KEYS, LONG], LONG[0], TABLE, **options)
    given = [RANDOM.normal(size=(6, 3)), RANDOM.integers(-6, 6, (5, 4), "int32"), RANDOM.normal(size=(5, 4, 3))]
    cost = (h**2).sum()
    after = assert_meaning_kept([TABLE, KEYS, LONG, n], gs.grad(cost, [TABLE, LONG]), [*given, np.int32(3)])
    assert not writes_inside(after)


def test_rows_are_stacked_as_far_as_a_loop_runs():
    def step(k, row, h, table):
        h = np.tanh(table[k] * h + row)
        return h, gs.until((h > 0.9).any())

    h = scan(step, [KEYS, LONG], LONG[0], TABLE)
    keys = np.array([[0, 1], [1, 1], [5, 0], [3, 2]], "int32")
    given = [RANDOM.normal(size=(6, 3)), keys, np.array([0.1, 0.2, 3.0, 0.1])[:, None, None] * np.ones((4, 2, 3))]
    assert not writes_inside(assert_meaning_kept([TABLE, KEYS, LONG], gs.grad((h**2).sum(), [TABLE]), given))


def test_positions_that_a_state_says_are_left():
    def step(row, c, t):
        return (c + 1) % 4, gt.inc_subtensor(t[c], row[0])

    total = scan(step, x, [np.int64(0), gt.arange(4.0)])[1][-1]
    assert write_after(drop_unread(keep_last(graph_of(INPUTS, [total])))) is None
    assert_meaning_kept(INPUTS, [total], values())


def test_a_state_that_no_step_reads():
    total = scan(lambda row, t: gt.inc_subtensor(row[1], row[0]), x, s)[-1]
    assert write_after(drop_unread(keep_last(graph_of(INPUTS, [total])))) is None
    assert_meaning_kept(INPUTS, [total], values())


MOVING = {
    "positions": lambda t, row, k: gt.inc_subtensor(t[gt.arange(k)], row[0]),
    "values": lambda t, row, k: gt.inc_subtensor(t[gt.arange(k)], row[:k]),
}


@pytest.mark.parametrize("name", MOVING)
def test_sizes_that_differ_from_step_to_step_are_not_stacked(name):
    total = scan(lambda k, row, t: MOVING[name](t, row, k), [positions, x], gt.arange(4.0))[-1]
    assert write_after(drop_unread(keep_last(graph_of(INPUTS, [total])))) is None
    assert_meaning_kept(INPUTS, [total], values())


def test_zeros_that_do_not_fit_are_an_error_as_before():
    total = scan(lambda row, t, w: gt.inc_subtensor(t[1], row[0]) + gt.zeros_like(w), x, s, w)[-1]
    f = gs.function([x, s, w], total, device="cpu")
    with pytest.raises(gs.LoopError, match="do not broadcast"):
        f(*values()[:3])
    np.testing.assert_allclose(f(np.ones((5, 3)), np.zeros(3), np.ones(3)), [0, 5, 0])


def test_values_wider_than_rows_are_not_stacked():
    """Of many steps they might take more memory than there is, where rows that are there already cannot."""
    total = scan(lambda k, t: gt.inc_subtensor(t[k], gt.exp(w)), positions, gt.zeros((4, 4)))[-1]
    assert write_after(drop_unread(keep_last(graph_of(INPUTS, [total])))) is None
    assert_meaning_kept(INPUTS, [total], values())


def test_an_array_that_may_broadcast_is_left():
    total = total_of(lambda t, row, w, k: t + gt.inc_subtensor(gt.zeros_like(w)[0], row[0]))
    assert write_after(drop_unread(keep_last(graph_of(INPUTS, [total])))) is None
    short = [v if v.shape != (4,) else v[:1] for v in values()]
    assert_meaning_kept(INPUTS, [total], short)


def test_totals_of_which_more_than_the_last_value_is_read():
    totals = scan(lambda row, t: gt.inc_subtensor(t[1], row[0]), x, gt.arange(4.0))
    assert write_after(graph_of(INPUTS, [totals])) is None


def test_more_writes_than_a_kernel_should_have_arguments_for(monkeypatch):
    monkeypatch.setattr(module, "MOST_WRITES", 1)
    two = total_of(CARRIED_APART["two, one upon the other"])
    assert write_after(drop_unread(keep_last(graph_of(INPUTS, [two])))) is None


def test_a_step_is_walked_once_however_many_writes_it_has(monkeypatch):
    """Once for each write would be the square of a long step's nodes."""

    def add(k, row, t):
        for j in range(60):
            t = gt.inc_subtensor(t[(k + j) % 4 if j % 2 else j % 4], row[0])
        return t

    total = scan(add, [positions, x], gt.arange(4.0))[-1]
    graph = drop_unread(keep_last(graph_of(INPUTS, [total])))
    walks: list[Any] = []
    for place in (module, bodies):
        monkeypatch.setattr(place, "Outside", lambda loop: walks.append(loop) or Outside(loop))
    assert write_after(graph) is None
    assert len(walks) == 1


@pytest.mark.parametrize("dtype", ["int8", "float32", "complex64"])
def test_dtypes(dtype):
    v = gt.tensor("v", dtype, (None, 2))
    total = scan(lambda row, t: gt.inc_subtensor(t[1], row[0]), v, gt.zeros(3, dtype))[-1]
    f = gs.function([v], total, device="cpu")
    given = (np.arange(10).reshape(5, 2) * (1 + 1j if dtype == "complex64" else 1)).astype(dtype)
    found = f(given)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array([0, given[:, 0].sum(dtype=dtype), 0]))


def test_a_position_beyond_the_end_is_an_error_of_a_loop_of_no_step_too():
    total = scan(lambda row, t: gt.inc_subtensor(t[i], row[0]), x, w, n_steps=n)[-1]
    given = dict(zip(INPUTS, values(0), strict=True))
    given[i] = np.int32(4)
    for mode in (None, gs.Mode().excluding("write_after")):
        f = gs.function([x, w, i, n], total, mode, device="cpu")
        if mode is None:
            with pytest.raises(IndexError, match="index 4 is out of bounds"):
                f(*(given[v] for v in (x, w, i, n)))
        else:
            np.testing.assert_array_equal(f(*(given[v] for v in (x, w, i, n))), given[w])
