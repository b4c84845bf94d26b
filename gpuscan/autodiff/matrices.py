"""Jacobians and Hessians: loops over the elements of what is differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuscan import tensor as gt
from gpuscan.autodiff.reverse import grad
from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.loop import scan
from gpuscan.tensor.shaping import dims


def jacobian(
    expression: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Return the derivative of each element of an expression.

    Parameters
    ----------
    expression : Variable
        What is differentiated, of any rank.
    wrt : Variable or sequence of Variable
        What it is differentiated by.
    consider_constant, disconnected_inputs
        As for `grad`.

    Returns
    -------
    Variable or list of Variable
        For each of `wrt` an array of the expression's axes followed by the variable's: element ``[i, j]`` is the
        derivative of element i by element j.

    Raises
    ------
    As `grad`.
    """
    variables = [wrt] if isinstance(wrt, Variable) else list(wrt)
    options: dict[str, Any] = dict(consider_constant=consider_constant, disconnected_inputs=disconnected_inputs)
    if expression.ndim == 0:
        rows = grad(expression, variables, **options)
    else:
        flat = expression.flatten()
        rows, _ = scan(
            lambda i: grad(flat[i], variables, **options), gt.arange(flat.shape[0]), return_list=True, name="jacobian"
        )
        rows = [row.reshape([*dims(expression), *dims(v)]) for row, v in zip(rows, variables, strict=True)]
    return rows[0] if isinstance(wrt, Variable) else rows


def hessian(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Return the second derivatives of a scalar by each variable, a matrix for a vector.

    Parameters
    ----------
    cost : Variable
        What is differentiated, a scalar.
    wrt : Variable or sequence of Variable
        Vectors to differentiate by twice.
    consider_constant, disconnected_inputs
        As for `grad`.

    Returns
    -------
    Variable or list of Variable
        For each of `wrt` the matrix of its second derivatives.

    Raises
    ------
    ShapeError
        If the cost is no scalar or a variable no vector.
    """
    variables = [wrt] if isinstance(wrt, Variable) else list(wrt)
    options: dict[str, Any] = dict(consider_constant=consider_constant, disconnected_inputs=disconnected_inputs)
    for v in variables:
        if v.ndim != 1:
            raise ShapeError(f"hessian: wrt must be vectors; {v.name or 'one'!r} is {v.type}")
    matrices = [jacobian(grad(cost, v, **options), v, consider_constant, "ignore") for v in variables]
    return matrices[0] if isinstance(wrt, Variable) else matrices
