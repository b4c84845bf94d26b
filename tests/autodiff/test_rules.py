"""Every op's derivative, backwards and forwards, once and twice, against finite differences and against each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.autodiff import ordering, pointwise, rules
from gpuscan.autodiff.pointwise import GRADIENTS
from gpuscan.autodiff.rules import DERIVATIVES
from gpuscan.gradient import consider_constant, disconnected_grad, grad_clip, grad_scale, zero_grad
from gpuscan.graph import Op
from gpuscan.graph.traversal import sorted_nodes
from gpuscan.loop import Scan
from gpuscan.tensor.elementwise import apply
from gpuscan.tensor.pointwise import POINTWISE, Pointwise
from gpuscan.tensor.reduction import sum_to
from gpuscan.tensor.shaping import dims
from tests.autodiff.check import check, inputs_for

Array = np.ndarray


def uniform(low: float, high: float, *shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(low, high, shape)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


# ---- the tables have no holes ----


def ops(of: type[Op] = Op) -> Iterator[type[Op]]:
    """Yield every op that gpuscan defines but for the backends' own, which come after derivatives."""
    for op in of.__subclasses__():
        yield from ops(op)
        is_own = op.__module__.startswith("gpuscan.") and not op.__module__.startswith(
            ("gpuscan.cpu.", "gpuscan.cuda.")
        )
        if is_own and not op.__abstractmethods__:
            yield op


def test_every_pointwise_row_has_its_entry() -> None:
    assert list(GRADIENTS) == [row for row in POINTWISE if row in GRADIENTS]
    assert set(GRADIENTS) == set(POINTWISE)


def test_every_op_has_its_rule_or_a_stated_none() -> None:
    assert set(DERIVATIVES) == set(ops())


def test_every_none_has_its_reason_beside_it() -> None:
    nones = {f'"{row}": None': pointwise for row, entry in GRADIENTS.items() if entry is None}
    without = [op.__name__ for op, entry in DERIVATIVES.items() if entry is None]
    nones |= {f"DERIVATIVES[{op}] = None": ordering if op in ("ArgSort", "SearchSorted") else rules for op in without}
    for statement, module in nones.items():
        lines = inspect.getsource(module).splitlines()
        (at,) = [i for i, line in enumerate(lines) if line.strip().startswith(statement)]
        before = next(line for line in reversed(lines[:at]) if not line.startswith("DERIVATIVES["))
        assert "#" in lines[at] or before.startswith("#"), f"{statement}: say why"


# ---- pointwise rows ----

Domain = tuple[float, float]
ANY: Domain = (-2.0, 2.0)
POSITIVE: Domain = (0.3, 2.5)
INSIDE: Domain = (-0.8, 0.8)
DOMAINS: dict[str, tuple[Domain, ...]] = {
    "floor_div": (ANY, POSITIVE),
    "mod": (ANY, POSITIVE),
    "power": (POSITIVE, ANY),
    "true_div": (ANY, POSITIVE),
    "arctanh": (INSIDE,),
    "arcsin": (INSIDE,),
    "arccos": (INSIDE,),
    "arccosh": ((1.2, 3.0),),
    "log1p": (INSIDE,),
    "clip": (ANY, (-1.0, -0.5), (0.5, 1.0)),
    "erfinv": (INSIDE,),
    "ndtri": ((0.1, 0.9),),
    "gamma": (POSITIVE,),
    "betaln": (POSITIVE, POSITIVE),
    "log1mexp": ((-2.5, -0.3),),
    **dict.fromkeys(("sqrt", "cbrt", "log", "log2", "log10", "reciprocal", "gammaln", "digamma"), (POSITIVE,)),
}
"""Where the operands of rows are drawn from that are not smooth, or not defined, everywhere."""

SHAPES: dict[int, list[list[tuple[int, ...]]]] = {
    1: [[(3,)], [()], [(2, 1)]],
    2: [[(3, 1), (1, 4)], [(4,), (3, 4)], [(), (2, 3)], [(1,), (1,)]],
    3: [[(3, 1), (1, 2), ()], [(2,), (2, 2), (2, 1)]],
}
INTEGRAL = {row for row in POINTWISE if row not in ("switch", "polygamma") and GRADIENTS[row] is pointwise._none}
BY_ONE_OPERAND = ("switch", "polygamma", "gammainc", "gammaincc")
SMOOTH = [row for row in POINTWISE if row not in INTEGRAL and row not in BY_ONE_OPERAND]


def points(row: str, shapes: list[tuple[int, ...]]) -> list[Array]:
    domains: tuple[Domain, ...] = DOMAINS.get(row, (ANY,) * len(shapes))
    pairs = zip(domains, shapes, strict=True)
    return [uniform(low, high, *shape, seed=i) for i, ((low, high), shape) in enumerate(pairs)]


@pytest.mark.parametrize("row", SMOOTH)
def test_pointwise(row: str) -> None:
    for shapes in SHAPES[POINTWISE[row].arity]:
        check(lambda *x: apply(row, *x), *points(row, shapes))


@pytest.mark.parametrize("row", SMOOTH)
def test_pointwise_in_single_precision(row: str) -> None:
    """Gradients of float32 are float32, and near those of float64."""
    values = points(row, SHAPES[POINTWISE[row].arity][0])
    results = []
    for dtype in ("float64", "float32"):
        inputs = inputs_for([v.astype(dtype) for v in values], known=False)
        output = apply(row, *inputs)
        found = [*gs.grad(output.sum(), inputs), gs.pushforward(output, inputs, [v * 0 + 1 for v in inputs])]
        assert [v.dtype for v in found] == [dtype] * len(found)
        results.append(gs.function(inputs, found, device="cpu", on_unused_input="ignore")(*values_as(values, dtype)))
    for double, single in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, rtol=2e-4, atol=2e-4)


def values_as(values: list[Array], dtype: str) -> list[Array]:
    return [v.astype(dtype) for v in values]


@pytest.mark.parametrize("row", sorted(INTEGRAL))
def test_rows_of_integers_pass_nothing(row: str) -> None:
    arity = POINTWISE[row].arity
    is_bits = row in ("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift")
    x = gt.vector("x")
    given = gt.cast(x, "int64") if is_bits else x
    cost = gt.cast(apply(row, *[given] * arity), "float64").sum()
    with pytest.raises(gs.DisconnectedInputError, match="it passes through"):
        gs.grad(cost, x)
    assert gs.grad(cost, x, disconnected_inputs="ignore").eval({x: [1.0, 2.0]}).tolist() == [0.0, 0.0]


def test_switch() -> None:
    condition = np.array([[True], [False], [True]])
    cases: list[list[tuple[int, ...]]] = [[(3, 4), (4,)], [(3, 1), (1, 4)], [(), (3, 1)]]
    for shapes in cases:
        check(gt.switch, condition, *(normal(*s, seed=i) for i, s in enumerate(shapes)))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_polygamma(order: int) -> None:
    check(lambda x: gt.polygamma(order, x), np.array([0.4, 1.0, 3.7, 12.0, -0.7]), rtol=1e-5, eps=1e-4)


MIXED: dict[str, tuple[Callable[..., gs.Variable], list[str]]] = {
    "int * float32": (lambda a, b: a * b, ["int64", "float32"]),
    "float32 * float64": (lambda a, b: a * b, ["float32", "float64"]),
    "float32 / int8": (lambda a, b: a / b, ["float32", "int8"]),
    "float32 ** int": (lambda a, b: a**b, ["float32", "int32"]),
    "int ** float32": (lambda a, b: a**b, ["int8", "float32"]),
    "bool ? float32 : float64": (lambda c, a, b: gt.switch(c, a, b), ["bool", "float32", "float64"]),
    "bool ? float32 : int": (lambda c, a, b: gt.switch(c, a, b), ["bool", "float32", "int16"]),
    "maximum of int and float32": (gt.maximum, ["int16", "float32"]),
    "matmul of float32 and float64": (lambda a, b: a @ b.T, ["float32", "float64"]),
    "matmul of int and float32": (lambda a, b: a @ b.T, ["int32", "float32"]),
    "join of int, float32, float64": (lambda *v: gt.concatenate(v), ["int8", "float32", "float64"]),
    "a float64 array that float32 is added into": (
        lambda a, b: gt.inc_subtensor(a[:1], b[:1]),
        ["float64", "float32"],
    ),
    "mean of float32 and float64": (lambda a, b: gt.mean(a) + gt.mean(b), ["float32", "float64"]),
}


@pytest.mark.parametrize("case", MIXED)
@pytest.mark.parametrize("known", [False, True])
def test_mixed_dtypes(case: str, known: bool) -> None:
    """Each derivative has its value's dtype, backwards and forwards, and the two agree."""
    build, dtypes = MIXED[case]
    values = [uniform(1, 4, 2, 3, seed=i).astype(dtype) for i, dtype in enumerate(dtypes)]
    inputs = inputs_for(values, known)
    output = build(*inputs)
    wrt = [v for v in inputs if v.dtype.startswith("float")]
    gradients = gs.grad(output.sum(), wrt)
    seconds = gs.grad(sum(g.sum() for g in gradients), wrt, disconnected_inputs="ignore")
    forward = gs.pushforward(output, wrt, [gt.ones_like(v) for v in wrt])
    assert [g.dtype for g in gradients] == [v.dtype for v in wrt] == [g.dtype for g in seconds]
    assert forward.dtype == output.dtype
    f = gs.function(inputs, [*gradients, forward], device="cpu", on_unused_input="ignore")
    *found, moved = f(*values)
    assert [g.dtype.name for g in found] == [v.dtype for v in wrt]
    np.testing.assert_allclose(moved.sum(), sum(g.sum() for g in found), rtol=1e-5)


# ---- everything else ----

Case = tuple[Callable[..., gs.Variable], list[Any]]
A34, B34, V3, V4 = normal(3, 4), normal(3, 4, seed=1), normal(3, seed=2), normal(4, seed=3)
T234 = normal(2, 3, 4, seed=4)
POSITIONS = np.array([2, 0, 2, -1])
MASK = np.array([True, False, True])


def reductions() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for name in ("sum", "prod", "max", "min", "mean", "var", "std"):
        function = getattr(gt, name)
        for axis in (None, 0, -1, (0, 2), ()):
            if axis == () and name in ("var", "std"):
                continue
            cases[f"{name} over {axis}"] = lambda x, f=function, a=axis: f(x, axis=a), [T234]
        cases[f"{name} keeps axes"] = lambda x, f=function: f(x, axis=1, keepdims=True) * x, [T234]
    # Of a product with zeros second derivatives are not 0 either.
    zeros = np.array([[1.5, 0.0, -2.0], [0.0, 0.0, 3.0], [0.5, 1.0, 2.0], [0.0, 0.0, 0.0]])
    cases["prod with zeros"] = lambda x: gt.prod(x, axis=1), [zeros]
    cases["prod with zeros over all"] = lambda x: gt.prod(x), [zeros[:2]]
    cases["prod of nothing"] = lambda x: gt.prod(x, axis=0), [normal(0, 2)]
    cases["sum of nothing"] = lambda x: gt.sum(x, axis=0), [normal(0, 2)]
    return cases


def matrix_products() -> dict[str, Case]:
    shapes: list[list[tuple[int, ...]]] = [
        [(3,), (3,)],
        [(3,), (3, 2)],
        [(2, 3), (3,)],
        [(2, 3), (3, 2)],
        [(4, 2, 3), (4, 3, 2)],
        [(4, 2, 3), (3, 2)],
        [(2, 3), (4, 3, 2)],
        [(3,), (4, 3, 2)],
        [(4, 2, 3), (3,)],
        [(4, 1, 2, 3), (2, 3, 2)],
        [(1, 2, 3), (4, 3, 1)],
        [(2, 0), (0, 3)],
    ]
    cases: dict[str, Case] = {
        f"matmul {a} {b}": (lambda x, y: x @ y, [normal(*a), normal(*b, seed=1)]) for a, b in shapes
    }
    cases["dot of stacks"] = gt.dot, [normal(2, 3), normal(4, 3, 2, seed=1)]
    cases["outer"] = gt.outer, [V3, V4]
    return cases


SHAPING: dict[str, Case] = {
    "reshape with -1": (lambda x: x.reshape((2, -1)), [A34]),
    "reshape to unknown sizes": (lambda x, y: x.reshape([y.shape[1], y.shape[0]]) * y.T, [A34, B34]),
    "flatten": (lambda x: x.flatten(), [T234]),
    "dimshuffle": (lambda x: x.dimshuffle(2, "x", 0, 1), [T234]),
    "dimshuffle that drops": (lambda x: x.dimshuffle(1), [normal(1, 3)]),
    "transpose": (lambda x: x.T * x.sum(), [A34]),
    "broadcast_to": (lambda x: gt.broadcast_to(x, (2, 3, 4)), [normal(3, 1)]),
    "broadcast_to unknown sizes": (lambda x, y: gt.broadcast_to(x, dims(y)) * y, [normal(1, 4), A34]),
    "sum_to": (lambda x, y: sum_to(x, dims(y)) * y, [A34, normal(3, 1)]),
    "sum_to of fewer axes": (lambda x, y: sum_to(x, dims(y)) * y, [T234, normal(1, 4)]),
    "sum_to of the same": (lambda x, y: sum_to(x, dims(y)) * y, [A34, B34]),
    "join": (lambda x, y: gt.concatenate([x, y, x], axis=1), [A34, normal(3, 2)]),
    "join with integers made of it": (lambda x: gt.concatenate([gt.cast(x, "int64"), x]), [A34]),
    "stack": (lambda x, y: gt.stack([x, y * x], axis=1), [V3, normal(3)]),
    "stack of scalars": (lambda x, y: gt.stack([x[0], y, x[1] * y, 2.0]), [V3, normal()]),
    "split": (lambda x: gt.split(x, [1, 2, 1], axis=1)[1] * gt.split(x, 2, axis=1)[0], [A34]),
    "repeat": (lambda x: gt.repeat(x, 3, axis=1), [A34]),
    "repeat by a vector": (lambda x: gt.repeat(x, np.array([2, 0, 1]), axis=0), [A34]),
    "repeat by an input": (lambda x, n: gt.repeat(x, n, axis=1), [A34, np.array([0, 2, 1, 1])]),
    "tile": (lambda x: gt.tile(x, (2, 3)), [A34]),
    "cast": (lambda x: gt.cast(gt.cast(x, "float64") * 2, "float64"), [V3]),
    "eye": (lambda x: gt.eye(3, 4) * x, [A34]),
    "arange": (lambda x: gt.arange(x[0], x[0] + 3.2 * x[1], x[1]) ** 2, [np.array([0.3, 0.7])]),
    "arange of a size": (lambda x: gt.arange(x.shape[0]) * x, [V3]),
    "linspace": (lambda x: gt.linspace(x[0], x[1] ** 2, 5), [V3]),
    "sizes alone": (lambda x: gt.zeros((x.shape[0], 2)), [V3]),
    "full": (lambda x: gt.full((2, 3), x[0]) * x, [V3]),
}

INDEXING: dict[str, Case] = {
    "a row": (lambda x: x[1], [A34]),
    "an element": (lambda x: x[-1, 2] ** 2, [A34]),
    "a slice": (lambda x: x[1:, ::2], [A34]),
    "downwards": (lambda x: x[::-1, 3:0:-2], [A34]),
    "a new axis": (lambda x: x[:, None, 1] * x[None], [A34]),
    "a symbolic position": (lambda x, i: x[i] ** 2, [A34, np.int64(2)]),
    "symbolic bounds": (lambda x, i: x[i:, : i + 1], [A34, np.int64(1)]),
    "a part of a part": (lambda x: x[1:][0, 1:][::-1], [A34]),
    "repeated positions": (lambda x, p: x[p] ** 2, [A34, POSITIONS]),
    "pairs of positions": (lambda x, p: x[p, p + 1] ** 2, [A34, np.array([1, 0, 1])]),
    "positions with a slice": (lambda x, p: x[:, p, 1:], [T234, np.array([[0, 2], [2, 2]])]),
    "positions apart": (lambda x, p: x[p, :, p], [T234, np.array([0, 1, 1])]),
    "a constant list": (lambda x: x[[0, 0, 2]], [A34]),
    "a mask": (lambda x, m: x[m] ** 2, [A34, MASK]),
    "a mask of itself": (lambda x: x[x > 0] ** 2, [A34]),
    "take": (lambda x, p: gt.take(x, p, axis=1), [A34, POSITIONS]),
    "several parts of one": (lambda x, i: x[0] * x[i] + x[::-1][1] + x[1:].sum(0), [A34, np.int64(1)]),
    "set": (lambda x, y: gt.set_subtensor(x[1:, 2], y) ** 2, [A34, normal(2)]),
    "set by broadcasting": (lambda x, y: gt.set_subtensor(x[:, 1:], y) ** 2, [A34, normal(3, 1)]),
    "set by a scalar": (lambda x, y: gt.set_subtensor(x[::2], y) ** 2, [A34, normal()]),
    "set downwards": (lambda x, y: gt.set_subtensor(x[::-1], y) ** 2, [A34, B34]),
    "set an element": (lambda x, y, i: gt.set_subtensor(x[i, 0], y) ** 2, [A34, normal(), np.int64(-1)]),
    "set at a mask": (lambda x, y, m: gt.set_subtensor(x[m], y) ** 2, [A34, normal(2, 4), MASK]),
    # Where positions repeat, the last value stays.
    "set repeated positions": (lambda x, y, p: gt.set_subtensor(x[p], y) ** 2, [A34, normal(4, 4), POSITIONS]),
    "set repeated positions to one": (lambda x, y, p: gt.set_subtensor(x[p], y) ** 2, [A34, normal(4), POSITIONS]),
    "set repeated pairs": (
        lambda x, y, p: gt.set_subtensor(x[p, p], y) ** 2,
        [A34, normal(3), np.array([1, 0, 1])],
    ),
    "inc": (lambda x, y: gt.inc_subtensor(x[1:, 2], y) ** 2, [A34, normal(2)]),
    "inc by broadcasting": (lambda x, y: gt.inc_subtensor(x[:, 1:], y) ** 2, [A34, normal(1, 3)]),
    "inc repeated positions": (lambda x, y, p: gt.inc_subtensor(x[p], y) ** 2, [A34, normal(4, 4), POSITIONS]),
    "inc repeated positions by one": (lambda x, y, p: gt.inc_subtensor(x[p], y) ** 2, [A34, normal(), POSITIONS]),
    "inc at a mask": (lambda x, y, m: gt.inc_subtensor(x[m], y) ** 2, [A34, normal(4), MASK]),
    "set by part of itself": (lambda x: gt.set_subtensor(x[0], x[1] * x[2]) ** 2, [A34]),
}

STRUCTURAL: dict[str, Case] = {**reductions(), **matrix_products(), **SHAPING, **INDEXING}


@pytest.mark.parametrize("case", STRUCTURAL)
def test_structural(case: str) -> None:
    build, arrays = STRUCTURAL[case]
    check(build, *arrays)


def test_every_op_with_a_rule_is_in_a_case() -> None:
    met: set[type[Op]] = {Pointwise}
    for build, arrays in STRUCTURAL.values():
        output = build(*inputs_for([np.asarray(a) for a in arrays], known=False))
        met |= {type(node.op) for node in sorted_nodes([output])}
    with_rule = {op for op, rule in DERIVATIVES.items() if rule is not None}
    elsewhere = {"gpuscan.tensor.matrices", "gpuscan.tensor.cumulative", "gpuscan.tensor.ordering"}
    elsewhere |= {"gpuscan.tensor.random.draw", "gpuscan.tensor.guards"}
    elsewhere |= {"gpuscan.control.branches", "gpuscan.control.calls"}  # test_matrices_order_and_draws.py
    left = {op.__name__ for op in with_rule - met if op.__module__ not in elsewhere}
    assert left == {"Barrier", "Scan"}, "the others are below and in test_loops.py"
    assert Scan in DERIVATIVES


# ---- at points where finite differences say nothing ----


def gradient_at(build: Callable[..., gs.Variable], *values: Any, order: int = 1) -> Any:
    """Return the gradient, of some order, of the sum of what `build` makes, by its first argument."""
    inputs = inputs_for([np.asarray(v, "float64") for v in values], known=False)
    g = build(*inputs).sum()
    for _ in range(order):
        g = gs.grad(g.sum(), inputs[0], disconnected_inputs="ignore")
    return gs.function(inputs, g, device="cpu", on_unused_input="ignore")(*values)


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_share(name: str) -> None:
    x = np.array([[1.0, 3.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    half = [0, 0.5, 0.5, 0] if name == "max" else [0.5, 0, 0, 0.5]
    np.testing.assert_allclose(gradient_at(lambda v: getattr(gt, name)(v, axis=1), x), [half, [0.25] * 4])


def test_of_two_equal_operands_one_is_chosen() -> None:
    for function in (gt.maximum, gt.minimum):
        x, y = gt.scalar("x"), gt.scalar("y")
        f = gs.function([x, y], gs.grad(function(x, y), [x, y]), device="cpu")
        assert sum(f(1.0, 1.0)) == 1.0


@pytest.mark.parametrize("exponent", [0, 1, 2, 3])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_powers_at_zero(exponent: int, order: int) -> None:
    expected = {1: 1.0, 2: 2.0, 3: 6.0}[exponent] if order == exponent else 0.0
    assert gradient_at(lambda x: x**exponent, np.zeros(1), order=order).tolist() == [expected]
    assert gradient_at(lambda x, n: x**n, np.zeros(1), np.float64(exponent), order=order).tolist() == [expected]


def test_derivative_of_a_power_by_an_exponent_of_zero() -> None:
    x, n = gt.scalar("x"), gt.scalar("n")
    mixed = gs.grad(gs.grad(x**n, x), n)
    np.testing.assert_allclose(gs.function([x, n], mixed, device="cpu")(4.0, 0.0), 0.25)


def test_logaddexp_of_impossible_events() -> None:
    """Logarithms of probabilities 0 meet in hidden Markov models; their gradients are numbers."""
    a, b = np.array([-np.inf, -np.inf, 0.0, 800.0]), np.array([-np.inf, 0.0, -np.inf, -800.0])
    np.testing.assert_allclose(gradient_at(gt.logaddexp, a, b), [0.5, 0, 1, 1])
    assert np.isfinite(gradient_at(gt.logaddexp, a, b, order=2)).all()


def test_extreme_arguments_of_stable_forms() -> None:
    x = np.array([-800.0, 0.0, 800.0])
    np.testing.assert_allclose(gradient_at(gt.softplus, x), [0, 0.5, 1])
    np.testing.assert_allclose(gradient_at(gt.sigmoid, x), [0, 0.25, 0])


# ---- barriers ----


def test_disconnected_grad() -> None:
    x = gt.vector("x")
    cost = (disconnected_grad(x) * x).sum()
    np.testing.assert_allclose(gs.grad(cost, x).eval({x: [3.0, 4.0]}), [3, 4])
    assert gs.pushforward(cost, x, gt.ones_like(x)).eval({x: [3.0, 4.0]}) == 7
    with pytest.raises(gs.DisconnectedInputError, match=r"it passes through disconnected_grad, made at .*test_rules"):
        gs.grad(consider_constant(x).sum(), x)


def test_zero_grad() -> None:
    x = gt.vector("x")
    cost = (zero_grad(x) * 3).sum()
    assert gs.grad(cost, x).eval({x: [3.0, 4.0]}).tolist() == [0, 0]
    assert gs.pushforward(cost, x, gt.ones_like(x)).eval({x: [3.0, 4.0]}) == 0


def test_clipped_and_scaled_gradients() -> None:
    x = gt.vector("x")
    at = {x: [1.0, -2.0, 3.0]}
    np.testing.assert_allclose(gs.grad((grad_clip(x, -1, 2) ** 2).sum(), x).eval(at), [2, -1, 2])
    np.testing.assert_allclose(gs.grad((grad_scale(x, -0.5) ** 2).sum(), x).eval(at), [-1, 2, -3])
    np.testing.assert_allclose(grad_scale(grad_clip(x, 0, 0), 0.0).eval(at), [1, -2, 3])
    with pytest.raises(ValueError, match="lower bound 2 is above the upper bound 1"):
        grad_clip(x, 2, 1)


def test_barriers_in_a_loop() -> None:
    x, s = gt.vector("x"), gt.scalar("s")
    history, _ = gs.scan(lambda row, acc: 0.5 * disconnected_grad(acc) + grad_scale(row, 2.0) * acc, x, s)
    values = {x: np.array([0.3, 0.2]), s: np.float64(2.0)}
    first = 0.5 * 2 + 0.3 * 2
    np.testing.assert_allclose(gs.grad(history[-1], x).eval(values), [2 * 2 * 0.2, 2 * first])
