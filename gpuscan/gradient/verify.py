"""Gradients held against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuscan import tensor as gt
from gpuscan.autodiff import grad
from gpuscan.compile import function
from gpuscan.graph import Variable


class GradientError(AssertionError):
    """A gradient differs from what finite differences give."""


def numeric_gradient(
    function: Callable[..., float], point: Sequence[np.ndarray], step: float = 1e-3
) -> list[np.ndarray]:
    """Return the gradient of a function of float64 arrays by central differences.

    Differences over `step` and half of it are combined (Richardson's extrapolation), so that the error is of fourth
    order in the step.

    Parameters
    ----------
    function : callable
        Takes the arrays and returns a number.
    point : sequence of ndarray
        Where to differentiate.
    step : float
        The longer step, for elements of size 1; it grows with larger ones.
    """
    gradients = []
    for position, array in enumerate(point):
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            h = step * max(1.0, abs(float(array[index])))

            def at(change: float, index: tuple[int, ...] = index, position: int = position) -> float:
                moved = [a.copy() for a in point]
                moved[position][index] += change
                return float(function(*moved))

            coarse, fine = (at(h) - at(-h)) / (2 * h), (at(h / 2) - at(-h / 2)) / h
            gradient[index] = (4 * fine - coarse) / 3
        gradients.append(gradient)
    return gradients


def verify_grad(
    fun: Callable[..., Variable],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: Any = None,
    eps: float = 1e-3,
    abs_tol: float = 1e-6,
    rel_tol: float = 1e-6,
    device: str | None = None,
) -> None:
    """Check the gradient of a function of variables against finite differences, in float64.

    What it returns is multiplied by random numbers and summed, so that the derivative of every element counts.

    Parameters
    ----------
    fun : callable
        Takes as many variables as there are arrays in `pt` and returns a variable.
    pt : sequence of array_like
        Where to differentiate; converted to float64.
    n_tests : int
        How many sets of random numbers to try.
    rng : numpy.random.Generator or int, optional
        Where they come from.
    eps : float
        Step of the differences: see `numeric_gradient`.
    abs_tol, rel_tol : float
        Differences up to ``abs_tol + rel_tol * abs(expected)`` are accepted.
    device : str, optional
        Where values and gradients are computed, as for `function`.

    Raises
    ------
    GradientError
        Naming the argument and element that differ most, and both values.
    """
    random = np.random.default_rng(rng)
    point = [np.array(a, "float64") for a in pt]
    inputs = [gt.tensor(f"argument {i}", "float64", a.shape) for i, a in enumerate(point)]
    output = gt.as_tensor_variable(fun(*inputs))
    # The random numbers are an input, so that one compilation serves all tests; their shape is found by a call.
    weights = gt.tensor("weights", output.dtype, (None,) * output.ndim)
    cost = gt.sum(output * weights)
    gradients = grad(cost, inputs, disconnected_inputs="ignore")
    compiled = function([*inputs, weights], gradients, device=device, on_unused_input="ignore")
    shape = function(inputs, output, device=device, on_unused_input="ignore")(*point).shape
    value = function([*inputs, weights], cost, device=device, on_unused_input="ignore")
    for _ in range(n_tests):
        w = random.normal(size=shape).astype(output.dtype)
        found = compiled(*point, w)
        expected = numeric_gradient(lambda *moved, w=w: float(value(*moved, w)), point, eps)
        for position, (g, e) in enumerate(zip(found, expected, strict=True)):
            _compare(position, np.asarray(g), e, abs_tol, rel_tol)


def _compare(position: int, found: np.ndarray, expected: np.ndarray, abs_tol: float, rel_tol: float) -> None:
    if found.shape != expected.shape:
        raise GradientError(
            f"the gradient by argument {position} has shape {found.shape}, the argument {expected.shape}"
        )
    excess = np.abs(found - expected) - (abs_tol + rel_tol * np.abs(expected))
    if not (excess <= 0).all():
        worst = np.unravel_index(np.nanargmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape)
        raise GradientError(
            f"the gradient by argument {position} at {tuple(map(int, worst))} is {found[worst]:.10g}; finite "
            f"differences give {expected[worst]:.10g}"
        )
