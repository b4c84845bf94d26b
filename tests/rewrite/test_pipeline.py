"""The pipeline: passes by name, what each did, programs with and without each of them, and how it scales."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, leaves
from gpuscan.rewrite import PASSES, loop_costs, optimise, stacks
from gpuscan.rewrite.sizes import FOUND
from tests.rewrite.programs import OFF, X, graph_of, s, text_of, x

NAMES = list(dict.fromkeys(run_pass.__name__ for run_pass in PASSES))

# ---- by name ----


def test_a_pass_is_a_file_of_its_name():
    for run_pass in PASSES:
        assert run_pass.__module__ == f"gpuscan.rewrite.{run_pass.__name__}"
        assert run_pass.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_every_pass_can_be_left_out(name):
    runs: list[Any] = []
    with gs.config.change_flags(check=True):
        optimise(graph_of(gt.log(1 + gt.exp(x)).sum()), gs.Mode().excluding(name), runs=runs)
    assert all(run.costs is None for run in runs if run.name == name)
    assert len(runs) == len(PASSES)


def test_names_that_there_are_not():
    for wrong in (lambda: gs.Mode().excluding("identity"), lambda: gs.Mode().including("identity")):
        with pytest.raises(ValueError, match=r"Mode: there is no rewrite 'identity'; there are inline, .*identities"):
            wrong()
    assert gs.Mode().excluding("fusion").allows("identities")  # a name of PyTensor's
    with gs.config.change_flags(exclude_rewrites="identity"), pytest.raises(ValueError, match="there are inline, "):
        optimise(graph_of(x))


def test_a_step_goes_through_the_passes_that_its_loop_allows():
    mode = gs.Mode().excluding("small_powers")
    out, _ = gs.scan(lambda row: row**2, X, mode=mode)
    powers = Graph.close([X], [out + X**2])
    costs = [node.op.name for node in optimise(powers).nodes]
    assert costs.count("sqr") == 1
    (loop,) = [node.op for node in optimise(powers).nodes if node.op.name == "scan"]
    assert [str(node.op) for node in loop.body.nodes] == ["power"]


# ---- what each did ----


def test_explain_says_what_each_pass_changed():
    def step(row, h):
        return gt.tanh(h @ X + h @ X + row * 1)

    out, _ = gs.scan(step, X, X[0], name="rnn")
    f = gs.function([X], out[-1], device="cpu")
    text = f.explain("str", rewrites=True)
    assert text is not None
    assert "scan[rnn]: 6 ops, 2 products, 1 history" in text
    assert "  after merge_equal: 5 ops, 1 product, 1 history" in text
    assert "  after drop_unread: 5 ops, 1 product, 0 histories" in text
    assert "  after identities: 4 ops, 1 product, 0 histories" in text
    assert f"rewrites: {1e3 * sum(run.seconds for run in f._recipe.rewrites):.1f} ms of " in text
    assert all(f"\n  {name}" in text for name in NAMES)
    assert "after" not in (f.explain("str") or "")


def test_explain_says_what_would_have_taken_too_much_memory(monkeypatch):
    rows = gt.tensor("rows", shape=(10, 4))
    weights, bias = gt.tensor("weights", shape=(4, 100)), gt.tensor("bias", shape=(100,))

    def step(row, h, total):
        projected = row @ weights
        projected.name = "projected"
        h = gt.tanh(projected + bias + h)
        return h, total + gt.outer(row, h)

    def refused() -> list[tuple[str, str]]:
        (_, total), _ = gs.scan(step, rows, [gt.zeros(100), gt.zeros((4, 100))], name="net")
        text = gs.function([rows, weights, bias], total[-1], device="cpu").explain("str", rewrites=True)
        assert text is not None
        return re.findall(r"^  (\w+) .*\n    left (.*)$", text, flags=re.MULTILINE)

    assert not refused()
    monkeypatch.setattr(stacks, "MOST_BYTES", 7999)
    end = "in the step of scan[net]: of 10 steps it takes 8000 bytes, and gpuscan.rewrite.stacks.MOST_BYTES allows 7999"
    assert refused() == [("hoist_products", f"projected {end}"), ("sum_after", f"tanh {end}")]


def test_loops_inside_loops_and_bytes_that_are_known():
    def outer(row):
        inner, _ = gs.scan(lambda e, h: e * h, row, gt.constant(1.0), name="inner")
        return inner[-1]

    fixed = gt.tensor("fixed", dtype="float32", shape=(5, 3))
    out, _ = gs.scan(outer, gt.cast(fixed, "float64"), name="outer")
    costs = loop_costs(Graph.close([fixed], [out]))
    assert str(costs["scan[outer]"]) == "2 ops, 0 products, 1 history of 8 bytes a step"
    assert str(costs["scan[outer] / scan[inner]"]) == "1 op, 0 products, 1 history of 8 bytes a step"


def test_a_copy_and_a_pickled_function_know_what_was_done():
    f = gs.function([x], x * 1, device="cpu")
    assert f.compile_seconds is not None
    assert "identities" in (f.copy().explain("str", rewrites=True) or "")


# ---- the same results with all, without any, without each one ----

UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": lambda a: gt.exp(gt.clip(a, -3, 3)),
    "log1p": lambda a: gt.log(1 + gt.exp(gt.clip(a, -3, 3))),
    "sigmoid": lambda a: 1 / (1 + gt.exp(-a)),
    "tanh": gt.tanh,
    "neg": lambda a: -a,
    "square": lambda a: gt.clip(a, -9, 9) ** 2,
    "zero": lambda a: a + 0,
    "one": lambda a: 1 * a,
    "half": lambda a: a / 2,
    "total": lambda a: a - a.sum(),
    "softmax": lambda a: gt.exp(gt.clip(a, -3, 3)) / gt.exp(gt.clip(a, -3, 3)).sum(),
    "there and back": lambda a: a.reshape((a.shape[0], 1)).T[0],
    "chosen": lambda a: gt.switch(gt.logical_not(a > 0), a, 2 * a),
    "picked": lambda a: a * gt.eq(gt.arange(a.shape[0]), 1).sum() + (a * gt.eq(gt.arange(a.shape[0]), 1)).sum(),
    "wide": lambda a: gt.cast(gt.cast(a > 0.5, "int8"), "float64") + a,
    "spread": lambda a: (gt.zeros((2, a.shape[0])) + a).sum(0),
    "constants": lambda a: a * (gt.constant(2.0) + gt.exp(gt.constant(0.5))),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: gt.clip(a, -9, 9) * gt.clip(b, -9, 9),
    "quotient": lambda a, b: a / (1 + gt.sqr(b)),
    "maximum": gt.maximum,
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(list(UNARY)), st.integers(0, 5)),
        st.tuples(st.sampled_from(list(BINARY)), st.integers(0, 5), st.integers(0, 5)),
    ),
    min_size=1,
    max_size=6,
)


def expression(steps: list[Any], first: Any) -> Any:
    """Return what a list of operations, each with the numbers of earlier values, computes from `first`."""
    values = [first]
    for name, *which in steps:
        operands = [values[k % len(values)] for k in which]
        values.append(UNARY[name](*operands) if name in UNARY else BINARY[name](*operands))
    return sum(values[1:], values[-1])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(STEPS, st.integers(0, 99), st.booleans())
def test_results_with_all_passes_without_any_and_without_each(steps, seed, in_a_loop):
    value = expression(steps, x)
    if in_a_loop:
        (value, *_), _ = gs.scan(lambda h, total: (gt.tanh(expression(steps, h)), total + h), None, [x, x], n_steps=3)
    outputs = [value, gs.grad((value**2).mean(), x)]
    values = np.random.default_rng(seed).normal(size=4)
    expected = gs.function([x], outputs, OFF, device="cpu")(values)
    for mode in [gs.Mode(), *(gs.Mode().excluding(name) for name in NAMES)]:
        for a, b in zip(gs.function([x], outputs, mode, device="cpu")(values), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=str(mode))


def test_kernels_compute_the_same():
    def step(row, h):
        return gt.log(1 + gt.exp(row)) + h**3 / 4 + 1 / (1 + gt.exp(-h)) * (gt.zeros(4) + 1)

    out, _ = gs.scan(step, X, gt.zeros(4))
    outputs = [out[-1], gs.grad((out[-1] ** 2).sum(), X)]
    rows = np.linspace(-2, 2, 12).reshape(3, 4)
    f = gs.function([X], outputs, device="emulator")
    assert all(plan.team == "thread" for plan in (f(rows), f.plans)[1])
    for found, expected in zip(f(rows), gs.function([X], outputs, OFF, device="cpu")(rows), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


# ---- order ----


def test_grad_sees_what_was_written():
    """No pass runs before a function is compiled: a gradient by one of two equal values is that by this one."""
    a, b = gt.exp(x), gt.exp(x)
    found = gs.function([x], gs.grad((a * b + a).sum(), a), device="cpu")([0.0])
    assert found == 2
    before = text_of(graph_of(a * 1))
    gs.function([x], a * 1, device="cpu")
    assert text_of(graph_of(a * 1)) == before


def test_a_graph_is_done_after_the_pipeline():
    p = gt.exp(X) / gt.exp(X).sum(1, keepdims=True)
    for output in (gt.log(p), gs.grad(gt.log(p)[0, 0], X), gs.grad(gt.log(1 + gt.exp(s * x)).sum(), s)):
        once = optimise(graph_of(output))
        assert text_of(optimise(once)) == text_of(once)


def test_sizes_that_are_remembered_keep_no_graph_alive():
    def held() -> int:
        gc.collect()
        return len(FOUND)

    before = held()
    value = gt.vector()
    for _ in range(50):
        value = gt.tanh(value) + gt.vector()
    graph = Graph.close([v for v in leaves([value]) if v.owner is None], [gs.grad(value.sum(), value), value.shape[0]])
    optimise(graph)
    assert held() > before
    del value, graph
    assert held() <= before


# ---- growth ----


def test_a_size_is_followed_up_a_chain_of_any_length():
    value = x
    for _ in range(10_000):
        value = gt.tanh(value) + s
    assert text_of(optimise(graph_of(value.shape[0]))) == "dim[0](x)"


@pytest.mark.parametrize("kind", ["chain", "mixed", "gradient"])
def test_time_grows_with_the_number_of_nodes(kind):
    def seconds(count: int) -> float:
        value = x
        for k in range(count if kind != "gradient" else count // 4):
            value = gt.tanh(value) if kind == "chain" or k % 2 else value * s + x
        if kind == "gradient":
            value = gs.grad(value.sum(), x)
        graph = graph_of(value)
        gc.disable()  # the collector looks through all objects more often the more there are
        try:
            started = time.process_time()
            optimise(graph)
            return time.process_time() - started
        finally:
            gc.enable()

    seconds(100)
    small = min(seconds(1000) for _ in range(3))
    assert seconds(10_000) < 15 * small + 0.2
