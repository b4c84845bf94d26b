"""Graphs run node by node: the meaning that generated code must agree with, and what a debugger sees."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu.meaning import MEANINGS
from gpuscan.tensor.pointwise import POINTWISE, Pointwise
from gpuscan.tensor.products import MatMul
from tests.oracle import check_loop
from tests.random_loops import LOOPS, RandomLoop, arguments

x = gt.vector("x")
m = gt.matrix("m")
i = gt.lscalar("i")


def eager() -> AbstractContextManager[None]:
    return gs.config.change_flags(compile=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(LOOPS)
def test_loops_against_the_oracle(loop: RandomLoop):
    with gs.config.change_flags(compile=False):
        check_loop(**arguments(loop), device="cpu")


def programs() -> Iterator[tuple[str, list[gs.Variable]]]:
    """Outputs of x (5 elements), m (5 by 3) and i (2), with every op among them."""
    yield "shapes", [m.reshape((3, -1)), m.T, m.shape, x[:, None] + m, gt.broadcast_to(x, (2, 5)), gt.zeros((i, 2))]
    yield "joining", [gt.stack([x, x * 2]), gt.concatenate([m, m], 1), gt.repeat(x, 2), gt.repeat(m, gt.arange(5), 0)]
    yield "creation", [gt.arange(i), gt.arange(0.0, 1.0, 0.3), gt.eye(i, 3, 1), gt.full((2, i), 1.5)]
    yield "reductions", [m.sum(), m.max(0), m.argmin(1), (m > 0).any(), m.prod((0, 1)), m.mean(1), m.var()]
    yield "products", [m.T @ x, x @ x, m @ m.T, gt.outer(x, x)]
    yield "reading", [x[i], x[::-1], m[1:i, ::2], m[:, i], x[gt.arange(i)], m[m > 0], x[None, i:]]
    yield "writing", [x[i:].set(0.0), m[:, 0].inc(x), x[gt.constant([0, 0, 1])].inc(1.0), m[i].set(x[:3])]
    yield "guards", [gt.assert_op(x, i > 0), gt.specify_shape(m, (None, 3)), gs.printing.Print("x")(x)]
    yield "graphs", [gs.ifelse(i > 2, x, x[:2]), gs.OpFromGraph([x], x + 1, inline=False)(x)]
    yield "casts", [x.astype("int8"), gt.real(x + 1j), (x > 0).astype("float32"), x.astype("float16") * 0.1]


@pytest.mark.parametrize(("outputs"), [p for _, p in programs()], ids=[name for name, _ in programs()])
def test_ops_against_generated_code(outputs):
    values = np.linspace(-2, 2, 5), np.random.default_rng(0).normal(size=(5, 3)), 2
    with eager():
        expected = gs.function([x, m, i], outputs, on_unused_input="ignore")(*values)
    found = gs.function([x, m, i], outputs, on_unused_input="ignore", device="cpu")(*values)
    for e, f in zip(expected, found, strict=True):
        assert (e.dtype, e.shape) == (f.dtype, f.shape)
        np.testing.assert_allclose(f, e, rtol=1e-12)


@pytest.mark.parametrize("row", POINTWISE)
@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "bool", "complex64"])
def test_pointwise_rows_against_generated_code(row, dtype):
    operands = [gt.tensor(f"a{k}", dtype=dtype, shape=(None,)) for k in range(POINTWISE[row].arity)]
    try:
        out = Pointwise(row)(*operands)
    except gs.DtypeError:
        return
    values = [np.array([0, 1, 1, 0], dtype), np.array([1, 1, 0, 0], dtype), np.array([1, 0, 1, 1], dtype)]
    with eager():
        expected = gs.function(operands, out)(*values[: len(operands)])
    found = gs.function(operands, out, device="cpu")(*values[: len(operands)])
    assert expected.dtype == found.dtype == np.dtype(out.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-2 if dtype == "float16" else 1e-6)


def test_every_op_with_a_meaning_of_its_own_is_among_these():
    graphs = [gs.graph.Graph.close([x, m, i], outputs) for _, outputs in programs()]
    assert set(MEANINGS) <= {type(node.op) for graph in graphs for node in graph.nodes}


def test_an_op_without_one_means_what_its_rule_for_generated_code_says(monkeypatch):
    monkeypatch.delitem(MEANINGS, MatMul)
    with eager():
        f = gs.function([x], [x @ x, gt.outer(x, x) @ x])
    assert f([1.0, 2.0])[0] == 5


def test_results_are_memory_of_their_own_and_shared_variables_are_updated():
    total = gs.shared(np.zeros(2), "total")
    with eager():
        f = gs.function([x], [x, x[:1]], updates={total: total + x})
    given = np.ones(2)
    assert not any(np.shares_memory(v, given) for v in f(given))
    f(given)
    np.testing.assert_array_equal(total.get_value(), [2, 2])
    assert f.explain("str").endswith("device cpu, not compiled: node by node in Python\n")
    assert (f.device, f.plans, f.kernel_source()) == ("cpu", (), "")


def test_lengths_are_checked_as_in_generated_code():
    out, _ = gs.scan(lambda row: row, x, n_steps=i)
    with eager(), pytest.raises(gs.LoopError, match="sequence 'row' has 2 rows along its first axis; 3 steps need 3"):
        gs.function([x, i], out)([1.0, 2.0], 3)


# ---- what a user sees ----


def test_the_function_called_after_nodes_stands_in_the_step():
    seen = []

    def look(run):
        if str(run.node.op) == "mul":
            frames = [frame.name for frame in traceback.extract_stack()]
            seen.append((run.steps, run.inputs[1].item(), run.outputs[0].item(), "_step" in frames))

    out, _ = gs.scan(lambda row, p: p * row, x, gt.constant(1.0), name="product")
    with gs.config.change_flags(compile=False, on_node=look):
        f = gs.function([x], out[-1])
        assert f([2.0, 5.0]) == 10
    assert seen == [((("scan[product]", 0),), 2.0, 2.0, True), ((("scan[product]", 1),), 5.0, 10.0, True)]


def test_errors_name_op_step_and_line():
    out, _ = gs.scan(lambda k, v: v[k], gt.arange(i), non_sequences=x, name="pick")
    with eager(), pytest.raises(IndexError) as caught:
        gs.function([x, i], out)([1.0], 3)
    assert re.fullmatch(
        r"scan\[pick\], step 1: index\[\?\] \(made at .*test_eager.py:\d+\): index 1 is out of bounds .*",
        str(caught.value),
    )


# ---- the first NaN ----


class TestNanGuard:
    def run(self, inputs, outputs, *values):
        with gs.config.change_flags(nan_guard=True):
            return gs.function(inputs, outputs)(*values)

    def test_it_names_loop_step_op_position_and_line(self):
        out, _ = gs.scan(lambda row, s: s + gt.log(row), m, gt.zeros(3), name="walk")
        rows = np.ones((4, 3))
        rows[2, 1] = 0
        with pytest.raises(FloatingPointError) as caught:
            self.run([m], out, rows)
        assert re.fullmatch(
            r"scan\[walk\], step 2: log made -inf at \[1\] of a float64\[3\] \(made at .*test_eager.py:\d+\)",
            str(caught.value),
        )

    def test_what_came_in_is_passed_on(self):
        nan, inf = np.array([np.nan, 1.0]), np.array([1.0, np.inf])
        np.testing.assert_array_equal(self.run([x], x * 2 + 1, nan), [np.nan, 3])
        np.testing.assert_array_equal(self.run([x], [x.sum(), gt.exp(-x)], inf)[0], np.inf)
        np.testing.assert_array_equal(self.run([x], gt.switch(x > 0, x, -np.inf), [-1.0]), [-np.inf])

    def test_what_is_made_beside_what_came_in_is_found(self):
        with pytest.raises(FloatingPointError, match=r"sqrt made nan at \[1\] of a float64\[2\]"):
            self.run([x], gt.sqrt(x), [np.nan, -1.0])
        with pytest.raises(FloatingPointError, match="sub made nan"):
            self.run([x], x - x, [np.inf])
        with pytest.raises(FloatingPointError, match=r"sum\[0\] made inf, a float64\[\]"):
            self.run([x], x.sum(), [1e308, 1e308])

    def test_a_side_not_chosen_makes_nothing(self):
        out = gs.ifelse(x.sum() > 0, gt.log(x), x)
        np.testing.assert_array_equal(self.run([x], out, [0.0]), [0])

    def test_where_nothing_is_wrong_nothing_is_said(self):
        np.testing.assert_array_equal(self.run([x], x / 2, [1.0]), [0.5])


def test_flags():
    with pytest.raises(ValueError, match=r"config.on_node = 3 is not possible; it must be a function, or None"):
        gs.config.on_node = 3
    assert (gs.config.compile, gs.config.nan_guard, gs.config.on_node) == (True, False, None)
