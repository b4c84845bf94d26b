"""A graph with a batch axis gives, for each element of the batch, what the graph without one gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, Op, vectorize_graph
from gpuscan.printing import Print
from gpuscan.tensor.reduction import SumTo, sum_to
from gpuscan.vectorize import RULES
from tests.random_loops import LOOPS, RandomLoop

Build = Callable[..., Any]


def input_like(value: np.ndarray, name: str) -> gs.Variable:
    return gt.tensor(name, dtype=value.dtype.name, shape=(None,) * value.ndim)


def check(
    build: Build,
    cores: Sequence[np.ndarray],
    batched: dict[int, np.ndarray],
    shape: tuple[int, ...],
    device: str = "cpu",
) -> list[gs.Variable]:
    """Assert that the graph of `build` over a batch agrees with a Python loop over the batch; return its outputs.

    `batched` has for positions of `cores` an array with further axes in front, which broadcast to `shape`.
    """
    inputs = [input_like(v, f"a{i}") for i, v in enumerate(cores)]
    outputs = build(*inputs)
    wide = {i: input_like(v, f"b{i}") for i, v in batched.items()}
    vectorized = vectorize_graph(outputs, {inputs[i]: v for i, v in wide.items()})
    values = [batched.get(i, v) for i, v in enumerate(cores)]
    f = gs.function([wide.get(i, v) for i, v in enumerate(inputs)], vectorized, device=device, on_unused_input="ignore")
    one = gs.function(inputs, outputs, device="cpu", on_unused_input="ignore")
    full = {i: np.broadcast_to(v, (*shape, *cores[i].shape)) for i, v in batched.items()}
    found = f(*values)
    for index in np.ndindex(*shape):
        expected = one(*(full[i][index] if i in full else v for i, v in enumerate(cores)))
        for new, old, e, v in zip(vectorized, outputs, expected, found, strict=True):
            element = v[index] if new.ndim > old.ndim else v
            assert (element.shape, element.dtype) == (e.shape, e.dtype)
            np.testing.assert_allclose(element, e, rtol=1e-10, atol=1e-12)
    return vectorized


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape)


def integers(*shape: int) -> np.ndarray:
    return np.random.default_rng(6).integers(0, 2, shape)


# Functions of x (3), m (3 by 4), t (2 by 3 by 4) and k (an integer scalar, 0 or 1).
PROGRAMS: dict[str, Build] = {
    "pointwise": lambda x, m, t, k: [gt.exp(x) + m.T, m * x[:, None], t + x[0], x.astype("float32"), x * k],
    "sizes": lambda x, m, t, k: [m.shape * 2, gt.stack([x.sum(), x[0], 1.0]), m.size + x.sum()],
    "reshape": lambda x, m, t, k: [
        m.reshape((4, 3)), t.flatten(), t.reshape((-1, 2)), m.reshape((2, -1, 2)), m.flatten(1),
    ],
    "axes": lambda x, m, t, k: [m.T, t.transpose(2, 0, 1), x[None, :, None], t[:1].squeeze(0), m.dimshuffle(1, "x", 0)],
    "broadcast": lambda x, m, t, k: [
        gt.broadcast_to(x, (2, 3)), gt.broadcast_to(m[0, 0], (2,)), gt.zeros_like(m) + x[1],
    ],
    "join": lambda x, m, t, k: [gt.concatenate([m, t[0]], 1), gt.stack([x, x * 2], 1), gt.concatenate([x, [1.0, 2.0]])],
    "repeat": lambda x, m, t, k: [gt.repeat(x, 2), gt.repeat(m, gt.constant([1, 0, 2]), 0), gt.tile(x, 2)],
    "reduce": lambda x, m, t, k: [m.sum(), m.sum(0), t.max((0, 2)), m.argmax(1), x.argmin(), (x > 0).any(), t.mean(1)],
    "products": lambda x, m, t, k: [
        x @ m, m.T @ x, x @ x, m.T @ m, t @ m.T, m.T @ t[0], x @ t, m @ t.transpose(0, 2, 1),
    ],
    "read": lambda x, m, t, k: [x[k], m[k], m[:, k], t[k, 1:, ::2], x[::-1], m[-1, 1], t[:, k, None], m[1:, k]],
    "gather": lambda x, m, t, k: [
        x[gt.stack([k, 2, k])], m[gt.stack([k, 1])], m[:, gt.stack([k, 1, 0])], t[k, :, gt.constant([3, 2])],
        t[:, gt.constant([[0, 1], [2, 0]])], t[gt.constant([0, 1]), :, gt.constant([3, 2])],
        t[gt.stack([k, 0]), :, gt.stack([1, k])],
        t[:, gt.stack([k, 2]), k], t[gt.stack([k, k]), gt.constant([[0], [1]])], m[gt.constant([True, False, True])],
        t[gt.constant([1, 0]), :, k],
    ],
    "write": lambda x, m, t, k: [
        x[1].set(5.0), x[k].set(x[0]), m[k].inc(m[2]), m[:, k].set(x), m[:, 1:3].inc(1.0), m[::2, k].inc(x[:2]),
        t[k, :, k].set(x[1]), m[gt.stack([k, 1])].inc(m[:2]), t[gt.constant([0, 1]), :, gt.constant([3, 2])].set(x),
        t[gt.stack([k, 1]), :, gt.constant([3, 2])].inc(m[:, :2].T), t[:, gt.constant([2, 1])].set(m[:2]),
        m[gt.constant([True, False, True])].set(m[1]), t[:, :, k].inc(m[:, 0]), gt.zeros(4)[k].set(2.0),
    ],
    "stacks": lambda x, m, t, k: [
        *(f(m @ m.T + 4 * gt.eye(3)) for f in (gt.linalg.inv, gt.linalg.cholesky, gt.linalg.det)),
        gt.linalg.solve(m @ m.T + gt.eye(3), x), gt.linalg.solve(m @ m.T + gt.eye(3), m),
        gt.linalg.solve_triangular(m[:, :3] + 4 * gt.eye(3), x, lower=True), gt.linalg.slogdet(m @ m.T + gt.eye(3))[1],
        gt.linalg.eigh(m @ m.T)[0], gt.linalg.svd(m, compute_uv=False), gt.linalg.qr(t)[1] ** 2, gt.linalg.svd(t)[1],
    ],
    "order": lambda x, m, t, k: [
        gt.sort(x), gt.sort(m, 0), gt.argsort(m, 1), gt.cumsum(t, 1), gt.cumprod(x), gt.searchsorted(gt.sort(x), m),
        gt.searchsorted(gt.sort(x), x[k], side="right"), gt.searchsorted(gt.constant([-0.5, 0.5]), m),
        gt.searchsorted(gt.stack([-np.inf, x[0], np.nan]), gt.stack([np.nan, x[0]])),
        gt.searchsorted(gt.stack([-np.inf, x[0], np.nan]), gt.stack([np.nan, x[0]]), "right"),
        gt.searchsorted(gt.stack([k, k + 1, 9]), [0, k, 5]),
    ],
    "moved": lambda x, m, t, k: [
        gt.roll(x, 1), gt.roll(t, k, 1), gt.flip(m), gt.pad(m, ((1, 0), (0, 2)), "reflect"), gt.pad(x, 2),
        gt.vstack([x, x]), gt.take_along_axis(m, gt.argsort(m, 0), 0), gt.fill_diagonal(m, x), gt.topk(x, 2),
        gt.argtopk(m, 3), gt.median(m, 0),
    ],
    "vectors": lambda x, m, t, k: [
        gt.matvec(m.T, x), gt.matvec(t, m[:2]), gt.vecmat(x, m), gt.vecdot(t, m), gt.batched_dot(m, t[0]),
        gt.vdot(m, t[0]), gt.inner(t, m), gt.cross(x, m[:, 0]), gt.matrix_power(m[:, :3], 3), gt.cov(m),
        gt.convolve(x, [1.0, 2.0]), gt.convolve(gt.specify_shape(x, (3,)), m[0], "same"),
        gt.geomspace(x[0] ** 2, x[1] ** 2, 3), *gt.meshgrid(x, m[0]),
    ],
    "contractions": lambda x, m, t, k: [
        gt.einsum("ijk,kj->i", t, m.T), gt.einsum("i,ij->ij", x, m), gt.diag(x, 1), gt.diagonal(t, 1, 1, 2), gt.tril(m),
        gt.softmax(m, 0), gt.logsumexp(t), gt.kron(x, m), gt.trace(m), gt.tensordot(t, m), gt.gammainc(x**2, m.T**2),
    ],
    "gradients": lambda x, m, t, k: [
        *gs.grad((gt.tanh(gs.zero_grad(x)[:, None] * m) * (m + x[:, None])).sum(), [x, m]),
        sum_to(t * m, [gt.constant(np.int64(3)), gt.constant(np.int64(1))]), SumTo()(m, *m[:, :1].shape),
    ],
    "guards": lambda x, m, t, k: [gt.assert_op(x, k < 5), gt.specify_shape(m, (3, None)), Print("m", ["shape"])(m)],
    "ifelse": lambda x, m, t, k: [
        *gs.ifelse(k > 0, [x, m[0], 1.5], [x * 2, gt.zeros(4), x[0]]), gs.ifelse(m.sum() > 0, x, 1 - x),
    ],
    "call": lambda x, m, t, k: [
        gs.OpFromGraph([V, K], V[K] + V)(x, k), gs.OpFromGraph([V, K], gt.stack([V.sum(), 1.0]), inline=False)(x, k),
    ],
    "loops": lambda x, m, t, k: [
        gs.scan(lambda row, s: gt.tanh(row * s + x[0]), m, gt.ones(4))[0],
        gs.scan(lambda row, a, b: a + b * row.sum(), m, {"initial": x, "taps": [-2, -1]})[0][-1],
        gs.scan(lambda before, after: after - before, {"input": m, "taps": [-1, 1]})[0],
        gs.scan(lambda s: s @ m.T @ m, None, gt.zeros(4), n_steps=2)[0],
        gs.scan(lambda s: x * 1, None, gt.zeros(3), n_steps=2, return_list=True)[0][0],
        gs.scan(lambda row, s: (s + 1, row * s), m, [np.float64(0), None], go_backwards=True)[0][1],
    ],
    "loops in loops": lambda x, m, t, k: [
        gs.scan(lambda row, s: gs.scan(lambda v, u: u * 0.5 + v + x[0], row, s)[0][-1], m, np.float64(1))[0],
        gs.scan(lambda s: (s * 2, gs.until(x.size > 1)), None, x[k], n_steps=4)[0],
        gs.scan(lambda row, s: (s + row, gs.until(gt.constant(True))), m, gt.zeros(4))[0],
    ],
}  # fmt: skip
V, K = gt.vector("v"), gt.lscalar("k")
CORES = [normal(3), normal(3, 4), normal(2, 3, 4), np.asarray(1)]


@pytest.mark.parametrize("batched", [(0,), (1,), (2,), (3,), (0, 3), (0, 1, 2), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_op(program, batched):
    draws = {i: (integers if i == 3 else normal)(2, *CORES[i].shape) for i in batched}
    check(PROGRAMS[program], CORES, draws, (2,))


@pytest.mark.parametrize("program", PROGRAMS)
def test_two_batch_axes_that_broadcast(program):
    draws = {0: normal(3, 2, 3), 1: normal(1, 2, 3, 4), 3: integers(2)}
    check(PROGRAMS[program], CORES, draws, (3, 2))


@pytest.mark.parametrize("program", ["loops", "ifelse", "call", "loops in loops"])
def test_on_the_emulator(program):
    check(PROGRAMS[program], CORES, {0: normal(2, 3), 1: normal(2, 3, 4), 3: integers(2)}, (2,), "emulator")


def test_every_op_has_a_rule_and_a_program():
    inputs = [input_like(v, "a") for v in CORES]
    graphs = [Graph.close(inputs, build(*inputs)) for build in PROGRAMS.values()]
    seen = {type(node.op) for graph in graphs for node in graph.nodes}
    # Sizes that differ along the batch are all that these could have.
    ragged = {op for op in RULES if op.__name__ in ("Arange", "Eye")}
    assert set(RULES) - ragged <= seen
    waiting = {op.__name__ for op in final_ops(Op) - set(RULES)}
    assert waiting <= WAITING, f"no rule of gpuscan.vectorize.rules for {sorted(waiting - WAITING)}"


WAITING = {"Draw", "Recurrence", "AtEnd", "Appended"}
"""Ops that have no rule, on purpose: whether elements of a batch draw the same is for whoever writes it to say, and
the others are made by the backends, after batches."""


def final_ops(base: type[Op]) -> set[type[Op]]:
    found = {op for child in base.__subclasses__() for op in final_ops(child)}
    is_ours = base.__module__.startswith("gpuscan.") and not getattr(base, "__abstractmethods__", None)
    return found | ({base} if is_ours else set())


# ---- random loops ----


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(LOOPS, st.integers(0, 2**12 - 1))
def test_random_loops(loop: RandomLoop, which: int):
    loop = replace(loop, until=None, inner_until=None, steps=min(loop.steps, 4))
    rng = np.random.default_rng(loop.seed)
    draws: list[tuple[Any, tuple[int, ...]]] = []
    for s in loop.sequences:
        draws.append((s.value, (loop.steps + max(0, *s.taps) - min(0, *s.taps) + s.extra,)))
    for o in loop.outputs:
        if o.taps:
            draws.append((o.value, () if o.taps == (-1,) else (-min(o.taps),)))
    draws += [(v, ()) for v in (*loop.non_sequences, *loop.captured)]
    cores = [value.draw(rng, *rows) for value, rows in draws] + [np.asarray(rng.integers(-3, 4))]
    batched = {i: value.draw(rng, 2, *rows) for i, (value, rows) in enumerate(draws) if which >> i & 1}

    def build(*inputs: gs.Variable) -> list[gs.Variable]:
        rest = iter(inputs)
        sequences = [{"input": next(rest), "taps": list(s.taps)} for s in loop.sequences]
        infos = [{"initial": next(rest), "taps": list(o.taps)} if o.taps else None for o in loop.outputs]
        others = [next(rest) for _ in loop.non_sequences]
        captured = [next(rest) for _ in loop.captured]
        steps = loop.steps if loop.says_steps or not sequences else None
        step = loop.step(*captured)
        return gs.scan(
            step, sequences, infos, [*others, next(rest)], steps, go_backwards=loop.reverse, return_list=True
        )[0]

    check(build, cores, batched, (2,))


# ---- what is made ----


def test_a_loop_stays_one_loop_and_one_product():
    x, w, h = gt.matrix("x"), gt.matrix("w"), gt.vector("h")
    out, _ = gs.scan(lambda row, h: gt.tanh(h @ w + row), x, h)
    batch = gt.tensor3("batch")
    text = gs.debugprint(vectorize_graph(out, {x: batch}), file="str")
    assert (text.count("scan %"), text.count("matmul")) == (2, 1)
    assert re.search(r"matmul %\d+ : float64\[\?, \?\]\n.*\| h : float64\[\?, \?\]\n.*\| w : float64\[\?, \?\]", text)


def test_a_pointwise_loop_is_a_kernel_after_as_before():
    x, rate = gt.vector("x"), gt.scalar("rate")
    out, _ = gs.scan(lambda row, s: s * rate + row, x, np.float64(0))
    xs, rates = gt.matrix("xs"), gt.vector("rates")
    f = gs.function([xs, rates], vectorize_graph(out, {x: xs, rate: rates}), device="emulator")
    np.testing.assert_allclose(f(np.ones((2, 3)), [0.5, 2.0]), [[1, 1.5, 1.75], [1, 3, 7]])
    assert [plan.team for plan in f.plans] == ["thread"]


def test_what_does_not_depend_on_the_batch_has_no_batch_axis():
    x, y = gt.vector("x"), gt.vector("y")
    a, b = vectorize_graph([x * 2, y * 2], {x: gt.matrix("xs")})
    assert (a.ndim, b.ndim) == (2, 1)
    assert isinstance(vectorize_graph(x * 2, {x: gt.matrix("xs")}), gs.Variable)
    assert vectorize_graph(x * y, {x: y}).ndim == 1


def test_nodes_point_at_the_line_that_they_stand_for():
    x = gt.vector("x")
    checked = gt.assert_op(x, x > 0)
    out = vectorize_graph(checked * 2, {x: gt.matrix("xs")})
    node, source = out.owner, checked.owner
    assert (node.where.line, node.inputs[0].owner.where) == (source.where.line + 1, source.where)


# ---- vectorize ----


def test_vectorize_with_a_signature():
    f = gt.vectorize(lambda m, v: (m @ v, m.sum()), "(m,n),(n)->(m),()")
    a, b = normal(5, 1, 3, 4), normal(2, 4)
    product, total = f(a, b)
    np.testing.assert_allclose(product.eval(), (a @ b[..., None])[..., 0])
    np.testing.assert_allclose(total.eval(), np.broadcast_to(a.sum((-1, -2)), (5, 2)))
    assert (product.static_shape, total.static_shape) == ((5, 2, 3), (5, 2))


def test_vectorize_of_a_function_of_scalars():
    f = gt.vectorize(lambda a, b: gs.ifelse(a > b, a - b, b))
    np.testing.assert_array_equal(f(np.array([1.0, 5.0]), np.array([[2.0], [3.0]])).eval(), [[2, 3], [3, 2]])


def test_vectorize_of_a_loop():
    def count(start, ratio):
        return gs.scan(lambda s, r: s * r, None, start, ratio, n_steps=3)[0]

    powers = gt.vectorize(count, "(),()->(n)")(np.array([1.0, 2.0]), 2.0)
    np.testing.assert_array_equal(powers.eval(), [[2, 4, 8], [4, 8, 16]])


# ---- messages ----


class Unheard(Op):
    def infer(self, inputs):
        return [inputs[0].type]


x, m, k = gt.vector("x"), gt.matrix("m"), gt.lscalar("k")
ks = gt.lvector("ks")


def vectorized(out: Any, replaced: dict[Any, Any]) -> Any:
    return lambda: vectorize_graph(out() if callable(out) else out, replaced)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (vectorized(lambda: Unheard()(x), {x: m}), NotImplementedError, "no rule that gives unheard (made at "),
        (vectorized(lambda: gt.arange(k), {k: ks}), gs.ShapeError, "the length of arange (made at "),
        (vectorized(lambda: gt.eye(3, 3, k), {k: ks}), gs.ShapeError, "the size or the diagonal of eye"),
        (vectorized(lambda: x[:k], {k: ks}), gs.ShapeError, "a bound of index[:?]"),
        (vectorized(lambda: x[x > 0], {x: m}), gs.ShapeError, "the mask of index[mask]"),
        (vectorized(lambda: gt.repeat(x, k), {k: ks}), gs.ShapeError, "would differ from one element of the batch"),
        (vectorized(lambda: gt.zeros(k), {k: ks}), gs.ShapeError, "a size of broadcastto"),
        (vectorized(lambda: x.reshape((k, 2)), {k: ks}), gs.ShapeError, "a size of reshape"),
        (
            vectorized(lambda: gs.scan(lambda s: s + 1, None, x, n_steps=k, name="grow")[0], {k: ks}),
            gs.LoopError,
            "scan[grow]: the number of steps would differ from one element of the batch to another",
        ),
        (
            vectorized(lambda: gs.scan(lambda s: (s * 2, gs.until(s.sum() > 9)), None, x, n_steps=9)[0], {x: m}),
            gs.LoopError,
            "scan: elements of the batch would stop at different steps. Give until() a condition",
        ),
        (
            vectorized(x * 2, {x: gt.scalar()}),
            gs.ShapeError,
            "'x' is float64[?]; what replaces it is float64[], which has",
        ),
        (vectorized(x * 2, {x: gt.fmatrix()}), gs.DtypeError, "what replaces it is float32[?, ?]. Cast it to float64"),
        (vectorized(x * m[0], {x: gt.ones((2, 3)), m: gt.ones((4, 5, 3))}), gs.ShapeError, "batch axes do not fit"),
        (lambda: gt.vectorize(lambda a: a, "(n)"), ValueError, "'(n)' is no signature; write the last axes as in"),
        (lambda: gt.vectorize(lambda a: a, "(n)->(n)")(x, x), TypeError, "has 1 inputs; found 2"),
        (lambda: gt.vectorize(lambda a: a, "(n,m)->(n)")(x), gs.ShapeError, "argument 0 is float64[?]"),
        (lambda: gt.vectorize(lambda a: a.sum(), "(n)->(n)")(x), gs.ShapeError, "the function returns float64[]"),
        (
            lambda: gt.vectorize(lambda a, b: a @ b, "(n),(n)->()")(np.ones((2, 3)), np.ones(4)),
            gs.ShapeError,
            "axis 'n' of '(n),(n)->()' has sizes 3 and 4",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
