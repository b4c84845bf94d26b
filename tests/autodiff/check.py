"""The check that most tests of derivatives make: all that can be computed of a function's derivatives agrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.gradient import numeric_gradient

Build = Callable[..., gs.Variable]


def inputs_for(arrays: Sequence[np.ndarray], known: bool) -> list[gs.Variable]:
    """Return inputs that take `arrays`, of their shapes (`known`) or of any of their ranks."""
    return [gt.tensor(f"x{i}", a.dtype.name, a.shape if known else (None,) * a.ndim) for i, a in enumerate(arrays)]


def like(variables: Sequence[gs.Variable], name: str) -> list[gs.Variable]:
    """Return an input of the type of each variable."""
    return [gt.tensor(f"{name}{i}", v.dtype, v.type.shape) for i, v in enumerate(variables)]


def dot(left: Sequence[Any], right: Sequence[Any]) -> Any:
    """Return the sum of products of all elements."""
    return sum((a * b).sum() for a, b in zip(left, right, strict=True))


def random_like(arrays: Sequence[Any], rng: np.random.Generator) -> list[np.ndarray]:
    return [np.asarray(rng.normal(size=np.shape(a)), np.asarray(a).dtype) for a in arrays]


def check(build: Build, *arrays: Any, second: bool = True, rtol: float = 1e-6, eps: float = 1e-3) -> None:
    """Check the derivatives of what `build` makes of inputs, by all inputs that are not integers.

    For inputs of known and of unknown shape: each gradient has its variable's dtype and shape and is what finite
    differences give; derivatives carried forwards are the adjoint of those carried backwards; and the same holds for
    the gradients of gradients.
    """
    values = [np.asarray(a) for a in arrays]
    for known in (False, True):
        _check(build, values, known, second, rtol, eps)


def _check(build: Build, values: list[np.ndarray], known: bool, second: bool, rtol: float, eps: float) -> None:
    rng = np.random.default_rng(len(values))
    inputs = inputs_for(values, known)
    output = build(*inputs)
    wrt = [v for v in inputs if v.dtype.startswith("float")]
    positions = [i for i, v in enumerate(inputs) if v in wrt]
    (c,), tangents, others = like([output], "c"), like(wrt, "t"), like(wrt, "u")
    cost = (output * c).sum()
    found = [output, *gs.grad(cost, wrt, disconnected_inputs="ignore")]
    found.append(gs.pushforward(output, wrt, tangents, disconnected_outputs="ignore"))
    by_tangents = dot(found[1:-1], tangents)
    if second:
        found += gs.grad(by_tangents, wrt, disconnected_inputs="ignore")
        found += gs.pushforward(found[1 : 1 + len(wrt)], wrt, others, disconnected_outputs="ignore")
    every = [*inputs, c, *tangents, *others]
    f = gs.function(every, found, device="cpu", on_unused_input="ignore")
    costs = gs.function(every, [cost, by_tangents], device="cpu", on_unused_input="ignore")

    shape = gs.function(inputs, output, device="cpu", on_unused_input="ignore")(*values).shape
    weights = np.asarray(rng.normal(size=shape), output.dtype)
    t, u = (random_like([values[i] for i in positions], rng) for _ in range(2))
    rest = [weights, *t, *u]

    def numeric(which: int) -> list[np.ndarray]:
        def value(*moved: np.ndarray) -> float:
            given = list(values)
            for i, array in zip(positions, moved, strict=True):
                given[i] = array
            return float(costs(*given, *rest)[which])

        return numeric_gradient(value, [values[i] for i in positions], eps)

    count = len(wrt)
    result, *results = f(*values, *rest)
    gradients, forward = results[:count], results[count]
    assert forward.shape == result.shape
    assert forward.dtype == result.dtype
    _agree(gradients, [values[i] for i in positions], numeric(0), rtol, "first derivative")
    np.testing.assert_allclose(dot([forward], [weights]), dot(gradients, t), rtol=1e-9, atol=1e-9)
    if second:
        seconds, products = results[count + 1 : 2 * count + 1], results[2 * count + 1 :]
        _agree(seconds, [values[i] for i in positions], numeric(1), rtol, "second derivative")
        # Forward over reverse: the same Hessian from its other side.
        np.testing.assert_allclose(dot(products, t), dot(seconds, u), rtol=1e-8, atol=1e-8)


def _agree(found: Sequence[Any], of: Sequence[np.ndarray], expected: Sequence[Any], rtol: float, what: str) -> None:
    for i, (g, x, e) in enumerate(zip(found, of, expected, strict=True)):
        assert (g.dtype, g.shape) == (x.dtype, x.shape), f"{what} by float argument {i}"
        np.testing.assert_allclose(g, e, rtol=rtol, atol=10 * rtol, err_msg=f"{what} by float argument {i}")
