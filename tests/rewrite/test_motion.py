"""Work that moves out of loops: what moves, what must stay, and that meaning stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import sorted_nodes
from gpuscan.loop import Loop, open_loop
from gpuscan.rewrite import optimise, stacks
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.hoist_invariants import hoist_invariants
from gpuscan.rewrite.hoist_products import hoist_products
from gpuscan.rewrite.keep_last import keep_last
from gpuscan.rewrite.sum_after import sum_after
from gpuscan.rewrite.widen_products import widen_products
from gpuscan.tensor.products import MatMul
from tests.rewrite.nets import NETS, Net, assert_meaning_kept, graph_of, loops_of, run, text_of

x, h0, w, u = gt.matrix("x"), gt.vector("h0"), gt.matrix("w"), gt.matrix("u")
n = gt.iscalar("n")
INPUTS = [x, h0, w, u, n]
RANDOM = np.random.default_rng(0)
VALUES = [RANDOM.normal(size=shape) for shape in ((4, 3), (3,), (3, 3), (3, 3))]


ENDS = [keep_last, drop_unread]


def ops_of(loop: Loop) -> list[str]:
    """The names of the ops in a step."""
    return [node.op.name for node in sorted_nodes(loop.outputs, loop.reads)]


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


# ---- sizes that differ from step to step ----

BLOCKS, COUNTS = gt.tensor3("blocks"), gt.ivector("counts")

MOVING = {
    "first rows": lambda block, count: block[:count],
    "rows by their positions": lambda block, count: block[gt.arange(count)],
    "rows that hold something": lambda block, count: block[block[:, 0] > 0],
}


def in_blocks(step: Any, init: Any) -> Any:
    return scan(step, [BLOCKS, COUNTS], init, w)


@pytest.mark.parametrize("part", MOVING)
def test_products_of_as_many_rows_as_a_step_says(part):
    """An array for all steps has no place for them: neither before the loop, nor stacked for a product after it."""

    def net(block, count, h, w):
        return np.tanh(h + (MOVING[part](block, count) @ w).sum(0))

    h = in_blocks(net, h0)
    total = in_blocks(lambda block, count, t, w: t + MOVING[part](block, count).T @ MOVING[part](block, count), w)
    summed = in_blocks(lambda block, count, h, w: np.tanh(h + MOVING[part](block, count).sum(0) @ w), h0)
    counts, blocks = np.array([1, 4, 0, 2, 3], "int32"), RANDOM.normal(size=(5, 4, 3))
    outputs = [h, total[-1], summed, *gs.grad((h**2).sum(), [w, BLOCKS, h0])]
    assert_meaning_kept([BLOCKS, COUNTS, h0, w], outputs, [blocks, counts, *VALUES[1:3]])


def test_rows_of_an_inner_loop_that_stops():
    def step(row, total, w):
        rows = scan(lambda e, w: (e * w[0], gs.until(e > 0.5)), row, None, w)
        return total + rows.T @ rows

    total = scan(step, x, w, w)[-1]
    rows = np.array([[0.1, 0.2, 0.3], [0.7, 0, 0], [0.1, 0.9, 0]])
    assert_meaning_kept([x, w], [total], [rows, VALUES[2]])


def test_inner_loops_of_as_many_steps_as_a_step_says():
    def outer(block, count, total, w):
        inner = scan(lambda row, s: np.tanh(s * 0.5 + row @ w), block, h0, n_steps=count)
        return total + inner.sum()

    total = in_blocks(outer, gt.zeros(()))[-1]
    counts, blocks = np.array([1, 4, 0, 2, 3], "int32"), RANDOM.normal(size=(5, 4, 3))
    given = [blocks, counts, *VALUES[1:3]]
    assert_meaning_kept([BLOCKS, COUNTS, h0, w], gs.grad(total, [w, BLOCKS, h0]), given)


# ---- all of them, on nets that hypothesis draws ----


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(NETS)
@example(Net((2,), (0,), 3, 0, False, True, False, False, 3, ("weights", "bias"), "all", False, 0))
def test_nets_mean_the_same(net):
    inputs, outputs, values = net.build()
    assert_meaning_kept(inputs, outputs, values)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(NETS)
@example(Net((2,), (-1, 0), 3, 1, True, True, True, False, 2, ("mixed",), "all", True, 1))
def test_gradients_of_nets_mean_the_same(net):
    inputs, outputs, values = net.build()
    cost = sum((v**2).sum() for v in outputs)
    assert_meaning_kept(inputs, [cost, *gs.grad(cost, inputs[:5], disconnected_inputs="ignore")], values)


# ---- hoist_invariants ----


def test_invariant_work_is_done_once():
    graph = graph_of(INPUTS, [scan(lambda row, h, w, u: np.tanh(h @ (w @ u * 2.0)) + row, x, h0, [w, u])])
    after = hoist_invariants(graph)
    assert "| mul %3\n| | matmul %4\n| | | w\n| | | u\n| | 2.0\n" in text_of(after)
    assert ops_of(loops_of(after)[0]) == ["matmul", "tanh", "add"]
    assert [r.name for r in loops_of(after)[0].non_sequences] == ["mul"]
    assert hoist_invariants(after) is None


@pytest.mark.parametrize(
    "step",
    [
        lambda row, h, w, u: h * (1.0 - w[0]) + row,  # cheap
        lambda row, h, w, u: h + w.T[0] + row,
        lambda row, h, w, u: h + gt.linalg.inv(w)[0],  # may fail, and there may be no step
        lambda row, h, w, u: h @ gt.assert_op(w, gt.ge(w[0], 0)),  # is to be heard of at each step
    ],
)
def test_what_stays_although_it_does_not_change(step):
    assert hoist_invariants(graph_of(INPUTS, [scan(step, x, h0, [w, u])])) is None


def test_what_may_fail_leaves_a_loop_that_runs():
    after = hoist_invariants(graph_of(INPUTS, [scan(lambda h, w: h @ gt.linalg.inv(w), None, h0, [w], n_steps=3)]))
    assert ops_of(loops_of(after)[0]) == ["matmul"]


@pytest.mark.parametrize("run_pass", [hoist_invariants, hoist_products, widen_products])
def test_what_one_side_alone_reads_stays(run_pass):
    def step(row, h, w, u):
        return gs.ifelse(gt.gt(h.sum(), 0), (w @ u)[0] + row @ w + h @ w + h @ u, h)

    assert run_pass(graph_of(INPUTS, [scan(step, x, h0, [w, u])])) is None


def test_draws_stay():
    rng = gs.shared(np.random.default_rng(1), name="rng")
    graph = graph_of([*INPUTS, rng], [scan(lambda row, rng: row + rng.normal(size=(3, 3))[1] @ w, x, None, [rng])])
    after = hoist_invariants(graph)
    assert after is None


def test_loops_hand_invariants_out_level_by_level():
    def outer(row, h, w, u):
        inner = scan(lambda s, w, u, row: np.tanh(s @ (w @ u)) + row, None, h, [w, u, row], n_steps=2)
        return inner[-1]

    after = hoist_invariants(graph_of(INPUTS, [scan(outer, x, h0, [w, u])]))
    (loop,) = loops_of(after)
    assert "matmul" not in ops_of(loop)
    (inner,) = [node for node in sorted_nodes(loop.outputs, loop.reads) if node.op.name == "scan"]
    assert ops_of(open_loop(inner)).count("matmul") == 1


def test_a_loop_whose_mode_leaves_the_pass_out():
    mode = gs.Mode().excluding("hoist_invariants")
    graph = graph_of(INPUTS, [scan(lambda row, h, w: h @ (w @ w) + row, x, h0, [w], mode=mode)])
    assert ops_of(loops_of(optimise(graph))[0]).count("matmul") == 2


# ---- hoist_products ----


def test_a_projection_is_one_product():
    graph = graph_of(INPUTS, [scan(lambda row, h, w, u: np.tanh(row @ w + h @ u), x, h0, [w, u])])
    after = hoist_products(graph)
    (loop,) = loops_of(after)
    assert ops_of(loop) == ["matmul", "add", "tanh"]
    assert [(s.name, list(s.reads)) for s in loop.sequences] == [("row", []), ("matmul", [0])]
    assert "| matmul %2\n| | x\n| | w" in text_of(after)
    assert hoist_products(after) is None


def test_what_is_computed_from_a_product_goes_with_it():
    after = hoist_products(graph_of(INPUTS, [scan(lambda row, h: np.tanh(row @ w + h0) * h, x, h0)]))
    assert ops_of(loops_of(after)[0]) == ["mul"]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("taps", [[0], [-1, 1], [2], [-2]], ids=str)
@pytest.mark.parametrize("steps", [None, 1, 0])
def test_rows_that_steps_read(taps, reverse, steps):
    def step(*given):
        return np.tanh(sum((row @ w for row in given[:-1]), given[-1]))

    out = scan(step, {"input": x, "taps": taps}, h0, n_steps=None if steps is None else n, go_backwards=reverse)
    after = assert_meaning_kept(INPUTS, [out], [*VALUES, np.int32(steps or 0)])
    assert "matmul" not in ops_of(loops_of(after)[0])


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (lambda row, h, w, u: h * (row * 2.0 + w[0]), {}),  # pointwise work alone
        (lambda row, h, w, u: (h @ u + row @ w, gs.until(h.sum() > 1)), {}),  # rows that no step may read
        (lambda row, h, w, u: h + gt.outer(row, row) @ h, {}),  # no product with what does not change
    ],
)
def test_products_that_stay(step, options):
    assert hoist_products(graph_of(INPUTS, [scan(step, x, h0, [w, u], **options)])) is None


def test_products_too_large_for_memory_stay(monkeypatch):
    rows, weights = gt.tensor("rows", shape=(10, 4)), gt.tensor("weights", shape=(4, 100))
    graph = graph_of([rows, weights], [scan(lambda row, h: h + (row @ weights).sum(), rows, np.float64(0))])
    assert hoist_products(graph) is not None
    monkeypatch.setattr(stacks, "MOST_BYTES", 7999)
    assert hoist_products(graph) is None


def test_a_sequence_that_is_too_short_is_still_named():
    f = gs.function(INPUTS, scan(lambda row, h: row @ w + h, x, h0, n_steps=n), device="cpu", on_unused_input="ignore")
    with pytest.raises(gs.LoopError, match="sequence 'row' has 4 rows along its first axis; 5 steps need 5"):
        f(*VALUES, 5)


# ---- sum_after ----


def total_of(step: Any, *others: Any, init: Any = None, **options: Any) -> Any:
    init = gt.zeros((3, 3)) if init is None else init
    return scan(step, x, [init, *others], **options)


def test_a_sum_of_outer_products_is_one_product():
    total = total_of(lambda row, total: total + gt.outer(row, row))
    after = optimise(graph_of(INPUTS, [total[-1]]))
    assert not loops_of(after)
    assert [node.op for node in after.nodes].count(MatMul()) == 1
    np.testing.assert_allclose(run(after, [*VALUES, np.int32(0)])[0], VALUES[0].T @ VALUES[0])


def test_what_is_multiplied_is_stacked_once():
    def step(row, h, first, second):
        new = np.tanh(row @ w + h @ u)
        return new, first + gt.outer(row, new), second + gt.outer(new, row)

    _, first, second = scan(step, x, [h0, gt.zeros((3, 3)), gt.zeros((3, 3))])
    after = sum_after(optimise(graph_of(INPUTS, [first[-1], second[-1]]), passes=ENDS))
    (loop,) = loops_of(after)
    assert [str(r) for r in loop.results] == ["history of h"]
    assert [s.name for s in loop.states] == ["h"]


def test_a_sum_of_what_is_at_hand_leaves_too():
    def step(row, h, total):
        new = np.tanh(row + h)
        return new, total + new

    h, total = scan(step, x, [h0, h0])
    after = sum_after(optimise(graph_of(INPUTS, [h, total[-1]]), passes=ENDS))
    assert [s.name for s in loops_of(after)[0].states] == ["h"]
    alone = optimise(graph_of(INPUTS, [total[-1]]), passes=ENDS)
    assert sum_after(alone) is None, "as a state it needs no memory"


def test_what_is_stacked_is_in_the_order_in_which_it_was_asked_for():
    """In the order of a set, the text of the kernel would differ from process to process, and be compiled for each."""

    def step(row, h, *totals):
        values = [np.sin(h * (i + 2.0)) for i in range(len(totals))]
        for i, v in enumerate(values):
            v.name = f"value_{i}"
        return [np.tanh(row + h), *(t + gt.outer(row, v) for t, v in zip(totals, values, strict=True))]

    _, *totals = scan(step, x, [h0, *[gt.zeros((3, 3))] * 8])
    after = sum_after(optimise(graph_of(INPUTS, [t[-1] for t in totals]), passes=ENDS))
    (loop,) = loops_of(after)
    assert [str(r) for r in loop.results] == [f"history of value_{i}" for i in range(8)]


@pytest.mark.parametrize(
    "step",
    [
        lambda row, total: total + gt.outer(row, row) * total[0, 0],  # read
        lambda row, total: 0.5 * total + gt.outer(row, row),
        lambda row, total: total - gt.outer(row, row),
        lambda row, total: gt.outer(row, row) + gt.outer(row, row) @ w,
    ],
)
def test_states_that_are_no_sum(step):
    total = total_of(step)
    graph = optimise(graph_of(INPUTS, [total[-1]]), passes=ENDS)
    assert sum_after(graph) is None


def test_a_history_of_sums_stays():
    assert sum_after(graph_of(INPUTS, [total_of(lambda row, total: total + gt.outer(row, row))])) is None


def test_a_sum_of_rows_that_may_be_too_few_keeps_its_error():
    total = total_of(lambda row, total: total + gt.outer(row, row), n_steps=n)
    f = gs.function([x, n], total[-1], device="cpu")
    np.testing.assert_allclose(f(VALUES[0], 2), VALUES[0][:2].T @ VALUES[0][:2])
    with pytest.raises(gs.LoopError, match="has 4 rows"):
        f(VALUES[0], 5)


@pytest.mark.parametrize("steps", [lambda y: y.shape[0], lambda y: y.shape[0] + 1, lambda y: y.shape[1]])
def test_steps_that_other_sizes_decide(steps):
    y = gt.matrix("y")
    f = gs.function([x, y], total_of(lambda row, total: total + gt.outer(row, row), n_steps=steps(y))[-1], device="cpu")
    with pytest.raises(gs.LoopError, match="has 4 rows"):
        f(VALUES[0], np.ones((5, 5)))


@pytest.mark.parametrize("taps", [[0], [-1, 1]], ids=str)
def test_two_sequences_that_leave_no_loop(taps):
    y = gt.matrix("y")
    pair = [{"input": x, "taps": taps}, y]
    out = gs.scan(lambda a, *rest: rest[-1] + gt.outer(a, rest[-2]), pair, gt.zeros((3, 3)), go_backwards=True)[0]
    after = assert_meaning_kept([x, y], [out[-1]], [VALUES[0], RANDOM.normal(size=(3, 3))])
    assert not loops_of(after)


def test_sums_of_products_in_another_precision():
    """As in the gradient of single weights that meet a mask of integers, which NumPy multiplies in double."""
    rows, mask, u = gt.tensor3("rows", "float32"), gt.tensor3("mask", "int64"), gt.fmatrix("u")
    h, _ = gs.scan(lambda row, m, h, u: gt.cast(gt.tanh(row + (h * m) @ u), "float32"), [rows, mask], rows[0], u)
    graph = optimise(graph_of([rows, mask, u], [gs.grad((h**2).sum(), u)]))
    *_, backward = loops_of(graph)
    assert [s.name for s in backward.states] == ["owed_h"]
    random = np.random.default_rng(0)
    given = [random.normal(size=(6, 2, 3)), random.integers(0, 2, (6, 2, 3)), random.normal(size=(3, 3))]
    given = [given[0].astype("float32"), given[1], given[2].astype("float32")]
    found, expected = (
        gs.function([rows, mask, u], gs.grad((h**2).sum(), u), mode, device="cpu")(*given)
        for mode in (None, gs.Mode(optimizer=None))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "float32", "complex128", "int8"])
def test_sums_of_other_dtypes(dtype):
    rows = gt.tensor("rows", dtype=dtype, shape=(None, 3))
    values = (np.arange(12).reshape(4, 3) * 11).astype(dtype)
    total = scan(lambda row, total: total + gt.outer(row, row), rows, gt.zeros((3, 3), dtype))
    plain = scan(lambda row, total: total + row, rows, gt.zeros(3, dtype), go_backwards=True)
    assert_meaning_kept([rows], [total[-1], plain[-1]], [values])


# ---- widen_products ----

WEIGHTS = [gt.matrix(name) for name in ("w1", "w2", "w3", "u1", "u2", "u3")]
BIASES = [gt.vector(name) for name in ("b1", "b2", "b3")]


def gated(row: Any, h: Any, *given: Any) -> Any:
    ws, us, bs = given[:3], given[3:6], given[6:]
    gates = [row @ a + h @ b + c for a, b, c in zip(ws, us, bs, strict=True)]
    return gt.sigmoid(gates[0]) * h + gt.sigmoid(gates[1]) * np.tanh(gates[2])


def gated_values(width: int = 3) -> list[Any]:
    shapes = [(4, 3), (3,), *[(3, width)] * 3, *[(3, 3)] * 3, *[(width,)] * 3]
    return [RANDOM.normal(size=shape) for shape in shapes]


def test_gates_are_one_product_and_one_sigmoid():
    inputs = [x, h0, *WEIGHTS, *BIASES]
    out = scan(gated, x, h0, [*WEIGHTS, *BIASES])
    after = assert_meaning_kept(inputs, [out], gated_values())
    names = ops_of(loops_of(after)[0])
    assert [names.count(op) for op in ("matmul", "sigmoid", "join[1]", "tanh")] == [1, 1, 0, 1]
    assert [node.op.name for node in after.nodes].count("matmul") == 1


@pytest.mark.parametrize("width", [1, 3])
def test_columns_that_broadcast(width):
    inputs = [x, h0, *WEIGHTS, *BIASES]
    assert_meaning_kept(inputs, [scan(gated, x, h0, [*WEIGHTS, *BIASES])], gated_values(width))


def test_matrices_on_the_left_of_a_vector():
    def step(row, h, w, u):
        return np.tanh(w @ h) + np.tanh(u @ h) * row

    after = assert_meaning_kept(INPUTS, [scan(step, x, h0, [w, u])], [*VALUES, np.int32(0)])
    assert [ops_of(loops_of(after)[0]).count(op) for op in ("matmul", "tanh")] == [1, 1]


def test_some_of_the_gates_of_another_group():
    def gru(row, h, w1, w2, w3, u1, u2, u3):
        z, r = gt.sigmoid(row @ w1 + h @ u1), gt.sigmoid(row @ w2 + h @ u2)
        return (1.0 - z) * h + z * np.tanh(row @ w3 + (r * h) @ u3)

    after = assert_meaning_kept([x, h0, *WEIGHTS], [scan(gru, x, h0, WEIGHTS)], gated_values()[:8])
    names = ops_of(loops_of(after)[0])
    assert [names.count(op) for op in ("matmul", "sigmoid")] == [2, 1]


@pytest.mark.parametrize(
    "step",
    [
        lambda row, h, w, u: np.tanh(h @ w) + row,  # one alone
        lambda row, h, w, u: h @ w + (h * 2.0) @ u + row,  # of two values
        lambda row, h, w, u: h @ gt.outer(row, row) + h @ gt.outer(h, row),  # by matrices that change
        lambda row, h, w, u: h @ w[:, gt.cast(w[0, 0], "int64")][:, None] + (h @ u).sum(),  # cannot be joined outside
    ],
)
def test_products_that_stay_apart(step):
    assert widen_products(graph_of(INPUTS, [scan(step, x, h0, [w, u])])) is None


def test_gradients_through_joined_weights():
    inputs = [x, h0, *WEIGHTS, *BIASES]
    cost = (scan(gated, x, h0, [*WEIGHTS, *BIASES])[-1] ** 2).sum()
    assert_meaning_kept(inputs, [cost, *gs.grad(cost, inputs)], gated_values())
