"""Derivatives of loops, of all that a loop can be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.gradient import verify_grad
from tests.autodiff.check import check, dot, random_like

Case = tuple[Callable[..., gs.Variable], list[Any]]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def scan(*args: Any, **kwargs: Any) -> Any:
    """Return the outputs of `gpuscan.scan` without its updates."""
    return gs.scan(*args, **kwargs)[0]


def decay(row: Any, s: Any) -> Any:
    return np.tanh(0.5 * s + row)


def decays(x: Any, s: Any, **options: Any) -> Any:
    return scan(decay, x, s, **options)


X, S = normal(5, 3), normal(3, seed=1)
X1, S1 = normal(6), np.float64(0.3)


# ---- what is carried and read ----


def second_order(a: Any, b: Any, row: Any) -> Any:
    return np.sin(a * 0.7 + b * row)


def lstm_like(row: Any, h: Any, c: Any, w: Any) -> Any:
    gate = gt.sigmoid(row + h @ w)
    c = gate * c + (1 - gate) * np.tanh(h)
    return [gate * np.tanh(c), c]


def with_counter(row: Any, s: Any, n: Any) -> Any:
    return [s * 0.5 + row * gt.cast(n, "float64"), n + 1, s * row]


CARRIED: dict[str, Case] = {
    "one state": (lambda x, s: decays(x, s), [X, S]),
    "a scalar": (lambda x, s: decays(x, s), [X1, S1]),
    "no sequence": (lambda s: scan(lambda v: np.sin(v) + v * v, None, s, n_steps=4), [S]),
    "a symbolic number of steps": (lambda s, n: scan(lambda v: np.sin(v) * v, None, s, n_steps=n), [S, np.int64(3)]),
    "no state": (lambda x: scan(lambda row: row**2 * row.sum(), x), [X]),
    "lags": (
        lambda x, s: scan(lambda row, a, b: np.sin(a * b + row), x, {"initial": s, "taps": [-3, -1]}),
        [X, normal(3, 3)],
    ),
    "lag 2 alone": (
        lambda x, s: scan(lambda row, a: np.sin(a * row), x, {"initial": s, "taps": [-2]}),
        [X, normal(2, 3)],
    ),
    "more initial values than lags": (
        lambda x, s: scan(lambda row, a, b: np.sin(a * b + row), x, {"initial": s, "taps": [-1, -2]}),
        [X, normal(4, 3)],
    ),
    "taps of both signs": (
        lambda x, s: scan(lambda p, r, q, v: v * 0.3 + p * q + np.sin(r), {"input": x, "taps": [-2, 0, 1]}, s),
        [normal(7), S1],
    ),
    "taps above 0 alone": (lambda x: scan(lambda p, q: p * q, {"input": x, "taps": [1, 3]}), [normal(7)]),
    "backwards": (lambda x, s: decays(x, s, go_backwards=True), [X, S]),
    "backwards over less": (lambda x, s: decays(x, s, go_backwards=True, n_steps=3), [X, S]),
    "less than the sequence": (lambda x, s: decays(x, s, n_steps=3), [X, S]),
    "backwards with taps and less": (
        lambda x, s: scan(
            lambda p, q, v: v * p + np.sin(q), {"input": x, "taps": [-1, 2]}, s, go_backwards=True, n_steps=3
        ),
        [normal(8), S1],
    ),
    "sequences of different lengths": (
        lambda x, y, s: scan(lambda a, b, v: a * v + b, [x, y], s, go_backwards=True),
        [normal(5), normal(4, seed=1), S1],
    ),
    "several states and a matrix": (
        lambda x, h, c, w: scan(lstm_like, x, [h, c], w)[0] * 2,
        [normal(4, 2, 3), normal(2, 3, seed=1), normal(2, 3, seed=2), normal(3, 3, seed=3)],
    ),
    "a state read only by another": (
        lambda x, s, r: scan(lambda row, a, b: [a * 0.5 + row, np.sin(a) + b], x, [s, r])[1],
        [X1, S1, S1],
    ),
    "a shift register": (lambda x, s, r: scan(lambda row, a, b: [row * a, a], x, [s, r])[1] ** 2, [X1, S1, S1]),
    "a state that never changes": (lambda x, s: scan(lambda row, a: [a, a * row], x, [s, None])[1] ** 2, [X1, S1]),
    "a state that is the row": (lambda x, s: scan(lambda row, a: [row, a * row], x, [s, None])[1] ** 2, [X1, S1]),
    "two states of one value": (
        lambda x, s: scan(lambda row, a, b: (lambda v: [v, v])(np.sin(a * row + b)), x, [s, s])[0] ** 2,
        [X1, S1],
    ),
    "emits beside states": (
        lambda x, s: scan(lambda row, a: [np.tanh(a + row), a * row], x, [s, None])[1],
        [X, S],
    ),
    "the state of a step emitted": (
        lambda x, s: (lambda v: v[0] * v[1])(scan(lambda row, a: [(b := np.tanh(a + row)), b * b], x, [s, None])),
        [X, S],
    ),
    "integers beside floats": (
        lambda x, s, n: (lambda v: v[0] * v[2])(scan(with_counter, x, [s, n, None])),
        [X1, S1, np.int64(2)],
    ),
    "captured": (lambda x, s, w: scan(lambda row, a: np.tanh(a * w + row), x, s), [X, S, S]),
    "computed outside": (lambda x, s, w: scan(lambda row, a: np.tanh(a * (w * w).sum() + row), x, s), [X, S, S]),
    "one thing in every place": (lambda x: scan(lambda row, a, w: np.tanh(a * w[0] + row), x, x[0], x), [X]),
    "an unread non-sequence": (lambda x, s, w: scan(lambda row, a, w: decay(row, a), x, s, w) + w, [X, S, S]),
    "broadcasting inside": (lambda x, s, w: scan(lambda row, a: a * 0.5 + row * w, x, s), [X1, normal(2, 3), S]),
    "rows picked by a state": (
        lambda x, s, n: scan(lambda a, i: [a + np.sin(x[i] * a), (i * 3 + 1) % 5], None, [s, n], n_steps=4)[0],
        [X, S, np.int64(2)],
    ),
    "written to at a position": (
        lambda x, s: scan(lambda row, i, a: gt.set_subtensor(a[i % 3], row * a[0]), [x, gt.arange(6)], s)[-1],
        [X1, S],
    ),
    "a nested loop": (
        lambda x, s: scan(lambda row, a: scan(lambda v, w: np.sin(v * w), row, a)[-1], x, s),
        [normal(3, 4), S1],
    ),
    "a nested loop that captures": (
        lambda x, s, w: scan(
            lambda row, a: scan(lambda v: v * np.cos(w * row) + a, None, a * w, n_steps=2).sum(0), x, s
        ),
        [normal(3, 2), normal(2), normal(2, seed=5)],
    ),
    "three deep": (
        lambda x: scan(lambda m: scan(lambda r, a: scan(lambda v, b: b * v, r, a)[-1] + a, m, gt.ones(()))[-1], x),
        [normal(2, 2, 2)],
    ),
    "a nested loop of as many steps as a row says": (
        lambda x, n: scan(
            lambda row, k, a: scan(lambda v: np.sin(v + row), None, a, n_steps=k)[-1] + a, [x, n], gt.zeros(())
        ),
        [normal(3), np.array([2, 1, 3])],
    ),
    "jumps that a float decides": (
        lambda x, s: scan(lambda row, a: gt.switch(row > 0, a * row, a - row), x, s),
        [X1, S1],
    ),
    "one step": (lambda x, s: decays(x, s), [X[:1], S]),
    "one step of three lags": (
        lambda x, s: scan(lambda row, a: np.sin(a * row), x, {"initial": s, "taps": [-3]}),
        [X[:1], normal(3, 3)],
    ),
    "no step": (lambda x, s: decays(x, s).sum() + s.sum() ** 2, [X[:0], S]),
    "no step, last value": (lambda x, s, n: decays(x, s, n_steps=n)[-1] ** 2, [X, S, np.int64(0)]),
    "two dtypes of integers": (
        lambda x, n: scan(lambda row, k: row * gt.cast(k, "float64"), [x, n]),
        [X1, np.arange(6, dtype="int8")],
    ),
}


@pytest.mark.parametrize("case", CARRIED)
def test_what_is_carried(case: str) -> None:
    build, arrays = CARRIED[case]
    check(build, *arrays)


# ---- what a cost reads ----

READS: dict[str, Callable[..., Any]] = {
    "all": lambda h: h**2,
    "last": lambda h: h[-1] ** 2,
    "part of the last": lambda h: h[-1, 1:],
    "first": lambda h: h[0] ** 2,
    "last two": lambda h: h[-2:] ** 2,
    "last but one": lambda h: h[-2] ** 2,
    "a slice": lambda h: h[1:4:2] ** 2,
    "turned": lambda h: h[::-1][1:],
    "a list": lambda h: h[[0, -1, 0]] ** 2,
    "an element": lambda h: h[-1, 0] * h[2, 1],
    "several": lambda h: h[-1] * h[0] + h.sum(0) * h[-1] + h[1:3].sum(0),
    "a new axis before": lambda h: h[None, -1] ** 2,
    "positions in the last": lambda h: h[-1, [0, 0, 2]] ** 2,
    "its size": lambda h: h.sum() * h.shape[0] + h.mean(),
    "transposed": lambda h: (h.T @ h)[0],
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("loop", ["one lag", "two lags"])
def test_what_is_read(read: str, loop: str) -> None:
    if loop == "one lag":
        check(lambda x, s: READS[read](decays(x, s)), X, S)
    else:
        info = {"taps": [-2, -1]}
        check(
            lambda x, s: READS[read](scan(lambda r, a, b: second_order(a, b, r), x, {"initial": s, **info})),
            X,
            normal(2, 3),
        )


def test_a_symbolic_position() -> None:
    check(lambda x, s, i: decays(x, s)[i] ** 2, X, S, np.int64(-2))
    check(lambda x, s, i: decays(x, s)[:i], X, S, np.int64(2))


def test_a_fresh_output_is_read_at_its_end() -> None:
    check(lambda x, s: scan(lambda row, a: [decay(row, a), a * row], x, [s, None])[1][-1], X, S)


def test_a_loop_read_twice() -> None:
    def twice(x: Any, s: Any) -> Any:
        first, second = decays(x, s), decays(x, s)
        return first[-1] * second.sum(0) + decays(first, second[-1])

    check(twice, X, S)


# ---- loops that stop ----


def stopping(limit: float) -> Callable[..., Any]:
    def step(row: Any, s: Any) -> Any:
        new = s * 0.9 + row**2
        return [new, np.sin(new * row)], gs.until(new > limit)

    return step


UNTIL: dict[str, Callable[..., Any]] = {
    "history": lambda x, s: scan(stopping(1.5), x, [s, None])[0] ** 2,
    "emits": lambda x, s: scan(stopping(1.5), x, [s, None])[1] ** 2,
    "last": lambda x, s: scan(stopping(1.5), x, [s, None])[0][-1] ** 2,
    "last of both": lambda x, s: (lambda v: v[0][-1] * v[1][-1])(scan(stopping(1.5), x, [s, None])),
    "never true": lambda x, s: scan(stopping(99.0), x, [s, None])[0] ** 2,
    "at once": lambda x, s: scan(stopping(-99.0), x, [s, None])[0] ** 2,
    "backwards": lambda x, s: scan(stopping(1.5), x, [s, None], go_backwards=True)[0] ** 2,
    "nested": lambda x, s: scan(lambda row, a: scan(stopping(1.5), row * x, [a * 0.3, None])[0].sum(0), x, s),
    "in a loop that stops": lambda x, s: scan(
        lambda row, a: (
            (b := scan(stopping(1.5), row * x, [a * 0.3, None])[1].sum(0) + a),
            gs.until(b > 2.5),
        ),
        x,
        s,
    ),
}
ROWS = np.array([0.3, -0.8, 0.4, 1.1, 0.2, -0.6])


@pytest.mark.parametrize("case", UNTIL)
def test_until(case: str) -> None:
    check(UNTIL[case], ROWS, np.float64(0.4))


def test_rows_after_the_last_step_get_nothing() -> None:
    x, s = gt.vector("x"), gt.scalar("s")
    history = scan(stopping(1.5), x, [s, None])[0]
    f = gs.function([x, s], [history, gs.grad(history.sum(), x)], device="cpu")
    values, gradient = f(ROWS, 0.4)
    assert len(values) == 4
    assert gradient.shape == ROWS.shape
    assert (gradient[:4] != 0).all()
    assert (gradient[4:] == 0).all()


# ---- states kept at the ends of segments alone ----


@pytest.fixture
def in_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every loop, nested ones too, keep the states of every other step."""
    monkeypatch.setattr(gs, "scan", partial(gs.scan, checkpoint=2))


@pytest.mark.usefixtures("in_segments")
@pytest.mark.parametrize("case", CARRIED)
def test_what_is_carried_in_segments(case: str) -> None:
    build, arrays = CARRIED[case]
    check(build, *arrays, second=case in ("lags", "one thing in every place", "a nested loop that captures"))


@pytest.mark.usefixtures("in_segments")
@pytest.mark.parametrize("read", READS)
def test_what_is_read_in_segments(read: str) -> None:
    check(lambda x, s: READS[read](decays(x, s)), X, S, second=False)


@pytest.mark.usefixtures("in_segments")
@pytest.mark.parametrize("case", UNTIL)
def test_until_in_segments(case: str) -> None:
    check(UNTIL[case], ROWS, np.float64(0.4), second=False)


def test_inputs_of_a_loop_that_depend_on_each_other() -> None:
    """What goes out for one is not counted again for another that it is computed from, or that it is."""
    for checkpoint in (None, 2, "sqrt"):
        check(lambda x, c=checkpoint: decays(x, np.sin(x[0]), checkpoint=c), X)
        check(lambda x, c=checkpoint: scan(lambda a, b, s: a * s + b, [x, x], x[0], checkpoint=c), X)


# ---- shared variables ----


def test_by_shared_variables() -> None:
    w, x = gs.shared(S, "w"), gt.matrix("x")
    cost = (scan(lambda row, a: np.tanh(a * w + row), x, w * 2) ** 2).sum()
    found = gs.function([x], gs.grad(cost, w), device="cpu")(X)
    v, y = gt.vector("v"), gt.matrix("y")
    same = (scan(lambda row, a: np.tanh(a * v + row), y, v * 2) ** 2).sum()
    np.testing.assert_allclose(found, gs.function([y, v], gs.grad(same, v), device="cpu")(X, S))


def test_of_an_update_alone() -> None:
    """The value of a shared variable after the loop, by its value before and by what was added."""
    total, x = gs.shared(np.float64(0.5), "total"), gt.vector("x")
    outputs, updates = gs.scan(lambda row: ([], {total: total * 0.5 + row**2}), x)
    assert not outputs
    gradients = gs.grad(updates[total] ** 2, [x, total])
    by_x, by_total = gs.function([x], gradients, device="cpu")(X1)
    weights = 0.5 ** np.arange(5, -1, -1)
    final = (weights * X1**2).sum() + 0.5 * 0.5**6
    np.testing.assert_allclose(by_x, 2 * final * weights * 2 * X1)
    np.testing.assert_allclose(by_total, 2 * final * 0.5**6)


def test_of_history_and_update_together() -> None:
    total, x = gs.shared(np.float64(0.5), "total"), gt.vector("x")
    history, updates = gs.scan(lambda row: (total * row, {total: np.sin(total + row)}), x)
    cost = (history**2).sum() + updates[total]

    def same(x: Any, s: Any) -> Any:
        states, emits = scan(lambda row, a: [np.sin(a + row), a * row], x, [s, None])
        return (emits**2).sum() + states[-1]

    s = gt.scalar("s")
    expected = gs.function([x, s], gs.grad(same(x, s), [x, s]), device="cpu")(X1, 0.5)
    found = gs.function([x], gs.grad(cost, [x, total]), device="cpu")(X1)
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e)


# ---- by other things than inputs ----


def test_by_values_on_the_way() -> None:
    x, s = gt.matrix("x"), gt.vector("s")
    doubled = x * 2
    history = decays(doubled, s)
    cost = (history**2).sum()
    found = gs.grad(cost, [doubled, history, x, s, cost])
    f = gs.function([x, s], [*found, history], device="cpu")
    by_doubled, by_history, by_x, _, by_cost, h = f(X, S)
    np.testing.assert_allclose(by_history, 2 * h)
    np.testing.assert_allclose(by_x, 2 * by_doubled)
    assert by_cost == 1


def test_constants_on_the_way() -> None:
    x, s = gt.matrix("x"), gt.vector("s")
    history = decays(x, s)
    cost = (history * history[-1]).sum()
    held = gs.grad(cost, s, consider_constant=[history[-1]])  # another node: nothing is held
    last = history[-1]
    cost = (history * last).sum()
    partial = gs.grad(cost, s, consider_constant=[last])
    whole, part = gs.function([x, s], [held, partial], device="cpu")(X, S)
    v = gt.vector("v")
    expected = gs.grad((history * v).sum(), s)
    f = gs.function([x, s, v], [expected, last], device="cpu", on_unused_input="ignore")
    np.testing.assert_allclose(part, f(X, S, f(X, S, S)[1])[0])
    assert not np.allclose(whole, part)


def test_known_gradients() -> None:
    x, s, g = gt.matrix("x"), gt.vector("s"), gt.matrix("g")
    history = decays(x, s)
    by_known = gs.grad(None, [x, s], known_grads={history: g})
    by_cost = gs.grad((history * g).sum(), [x, s])
    both = gs.grad((history**2).sum(), s, known_grads={history: g})
    sum_of_both = gs.grad((history**2).sum() + (history * g).sum(), s)
    f = gs.function([x, s, g], [*by_known, *by_cost, both, sum_of_both], device="cpu")
    a, b, c, d, e, h = f(X, S, normal(5, 3, seed=9))
    for found, expected in ((a, c), (b, d), (e, h)):
        np.testing.assert_allclose(found, expected)


# ---- higher order, matrices ----


def test_third_derivatives() -> None:
    def gradient_of_gradient(x: Any, s: Any) -> Any:
        g = gs.grad((decays(x, s) ** 2).sum(), s)
        return gs.grad((g * g).sum(), x)

    verify_grad(gradient_of_gradient, [X[:3], S], rel_tol=1e-5)


def test_gauss_newton_products() -> None:
    """J^T J v by a push forwards and a pull backwards, against the Jacobian itself."""
    x, s, v = gt.matrix("x"), gt.vector("s"), gt.vector("v")
    history = decays(x, s)
    product = gs.pullback(history, s, gs.pushforward(history, s, v))
    jacobian = gs.jacobian(history, s).reshape((-1, 3))
    a, j = gs.function([x, s, v], [product, jacobian], device="cpu", on_unused_input="ignore")(X, S, S[::-1].copy())
    np.testing.assert_allclose(a, j.T @ j @ S[::-1])


def test_hessian_of_a_loop() -> None:
    x, s = gt.matrix("x"), gt.vector("s")
    cost = (decays(x, s) ** 3).sum()
    hessian = gs.hessian(cost, s)
    columns = [gs.grad(gs.grad(cost, s)[i], s) for i in range(3)]
    h, *c = gs.function([x, s], [hessian, *columns], device="cpu")(X, S)
    np.testing.assert_allclose(h, np.stack(c))
    np.testing.assert_allclose(h, h.T)


def test_jacobian_of_a_loop_of_each_rank() -> None:
    x, s = gt.vector("x"), gt.scalar("s")
    history = decays(x, s)
    by_x, by_s = gs.jacobian(history, [x, s])
    last = gs.jacobian(history[-1], [x])[0]
    f = gs.function([x, s], [by_x, by_s, last], device="cpu")
    a, b, c = f(X1, 0.3)
    assert (a.shape, b.shape, c.shape) == ((6, 6), (6,), (6,))
    np.testing.assert_allclose(a, np.tril(a))
    np.testing.assert_allclose(a[-1], c)


def test_a_gradient_inside_a_step() -> None:
    """Steps that descend a cost, and the derivative of where they arrive."""

    def descend(x: Any, s: Any) -> Any:
        def step(v: Any, x: Any) -> Any:
            return v - 0.1 * gs.grad(((v - x) ** 4).sum() + np.sin(v).sum(), v)

        return scan(step, None, s, x, n_steps=3)[-1]

    check(descend, S, S[::-1].copy() + 0.5)


def test_the_gradient_of_a_loop_inside_a_step() -> None:
    def step(v: Any, x: Any) -> Any:
        return v - 0.1 * gs.grad((decays(x, v) ** 2).sum(), v)

    check(lambda x, s: scan(step, None, s, x, n_steps=2)[-1], X[:3], S, rtol=1e-5)


def test_forwards_through_states_that_stay_still() -> None:
    """A tangent may reach a state only through another one."""
    x, s = gt.vector("x"), gt.scalar("s")
    states = scan(lambda row, a, b, c: [a * 0.5 + row, b + np.sin(a), c * 0.5], x, [s, s * 0, gt.ones(())])
    tangents = gs.pushforward(states, x, gt.ones_like(x), disconnected_outputs="ignore")
    f = gs.function([x, s], tangents, device="cpu")
    moved = f(X1, 0.3)
    assert moved[1][0] == 0
    assert moved[1][2] != 0
    assert (moved[2] == 0).all()


# ---- devices and dtypes ----


def gradients_of_everything(dtype: str) -> tuple[list[gs.Variable], list[gs.Variable]]:
    x, s, w = gt.tensor("x", dtype, (None, None, None)), gt.tensor("s", dtype, (None, None)), gt.vector("w", dtype)

    def step(row: Any, before: Any, a: Any, b: Any) -> Any:
        new = np.tanh(a * w + row) + before * b * 0.3
        return [new, new * b]

    states, emits = scan(
        step, {"input": x, "taps": [0, -1]}, [{"initial": gt.stack([s, s * 2]), "taps": [-2, -1]}, None]
    )
    cost = (states[-1] ** 2).sum() + emits.sum()
    first = gs.grad(cost, [x, s, w])
    return [x, s, w], [*first, *gs.grad(dot(first, first), [x, s, w])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_devices_agree(device: str, dtype: str) -> None:
    inputs, outputs = gradients_of_everything(dtype)
    assert [v.dtype for v in outputs] == [dtype] * 6
    values = random_like([np.zeros(s, dtype) for s in ((6, 2, 3), (2, 3), (3,))], np.random.default_rng(2))
    expected_in, expected_out = gradients_of_everything("float64")
    expected = gs.function(expected_in, expected_out, device="cpu")(*(v.astype("float64") for v in values))
    for found, e in zip(gs.function(inputs, outputs, device=device)(*values), expected, strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, e, rtol=1e-9 if dtype == "float64" else 1e-2, atol=1e-3)
