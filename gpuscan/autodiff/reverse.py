"""Derivatives collected backwards, from a cost to what it is computed from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gpuscan import tensor as gt
from gpuscan.autodiff.arguments import as_variables, check_choice, check_real, paired
from gpuscan.autodiff.cotangents import Cotangent, Missing, accumulate
from gpuscan.autodiff.rules import DERIVATIVES, check_not_complex, has_derivative, no_rule
from gpuscan.errors import DisconnectedInputError, ShapeError
from gpuscan.graph import Apply, Variable, dependents, sorted_nodes
from gpuscan.tensor.barrier import Barrier

WHEN_DISCONNECTED = ("raise", "warn", "ignore")
RETURNED_WHEN_DISCONNECTED = ("zero", "None", "disconnected")


def collect(
    given: Mapping[Variable, Variable],
    wrt: Sequence[Variable],
    constant: Sequence[Variable] = (),
    ends: Sequence[Variable] = (),
) -> list[Variable | None]:
    """Return the cotangents of `wrt` for those of other values; None for what they do not depend on.

    Parameters
    ----------
    given : mapping
        Values and their cotangents, each of its value's dtype and shape.
    wrt : sequence of Variable
        What to differentiate by.
    constant : sequence of Variable
        Values to take as given, through which nothing passes.
    ends : sequence of Variable
        Those of `wrt` of which nothing is passed on to what they are computed from.
    """
    stop = set(constant)
    found = {value: Cotangent(value, [cotangent]) for value, cotangent in given.items() if value not in stop}
    relevant = dependents(given, {v for v in wrt if v not in stop})
    for node in reversed(sorted_nodes(given, {*stop, *ends})):
        incoming = [found.get(v) for v in node.outputs]
        if any(c is not None for c in incoming) and any(v in relevant and has_derivative(v) for v in node.inputs):
            _pull(node, incoming, relevant, found)
    return [found[v].total() if v in found and v not in stop else None for v in wrt]


def _pull(
    node: Apply, incoming: Sequence[Cotangent | None], relevant: set[Variable], found: dict[Variable, Cotangent]
) -> None:
    """Add what goes out of a node to what has been found."""
    if (derivative := DERIVATIVES.get(type(node.op))) is None:
        raise no_rule(node)
    came = [v for v, c in zip(node.outputs, incoming, strict=True) if c is not None]
    check_not_complex(node, [*came, *(v for v in node.inputs if v in relevant)])
    for x, outgoing in zip(node.inputs, derivative.pullback(node, incoming), strict=True):
        # What goes out for integers would be carried on, rounded, to what they were made of.
        if outgoing is None or x not in relevant or not has_derivative(x):
            continue
        if isinstance(outgoing, Missing):
            raise no_rule(node, f"has no derivative by {x.name or 'one of its operands'!r}")
        total = found.setdefault(x, Cotangent(x))
        if isinstance(outgoing, Cotangent):
            total.whole += outgoing.whole
            total.parts += outgoing.parts
        else:
            total.whole.append(outgoing)


def pullback(
    outputs: Variable | Sequence[Variable],
    wrt: Variable | Sequence[Variable],
    cotangents: Any,
    consider_constant: Sequence[Variable] = (),
    disconnected_inputs: str = "raise",
) -> Any:
    """Return cotangents times the Jacobian of `outputs` by `wrt`, for each of `wrt`.

    Parameters
    ----------
    outputs : Variable or sequence of Variable
        What is differentiated.
    wrt : Variable or sequence of Variable
        What it is differentiated by.
    cotangents : array_like or sequence of array_like
        One for each output, of its shape.
    consider_constant : sequence of Variable
        Values through which nothing passes.
    disconnected_inputs : {"raise", "warn", "ignore"}
        What to do about a variable of `wrt` that no output depends on; its result is zeros.

    Returns
    -------
    Variable or list of Variable
        One for each of `wrt`, of its dtype and shape.

    Raises
    ------
    DisconnectedInputError
        If an output does not depend on a variable, unless `disconnected_inputs` says otherwise.
    NullTypeGradError
        If an op on the way has no derivative; names it and the line that made it.
    """
    given = paired(outputs, cotangents, "pullback: outputs", "cotangent")
    return _answer(given, wrt, consider_constant, disconnected_inputs, "zero", "pullback")


def Lop(f: Any, wrt: Any, eval_points: Any, consider_constant: Any = None, disconnected_inputs: str = "raise") -> Any:
    """Return `eval_points` times the Jacobian of `f` by `wrt`: `pullback` by its older name and argument order."""
    return pullback(f, wrt, eval_points, consider_constant or (), disconnected_inputs)


def grad(
    cost: Variable | None,
    wrt: Variable | Sequence[Variable],
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
) -> Any:
    """Return the gradient of a scalar.

    Parameters
    ----------
    cost : Variable or None
        What is differentiated, a scalar; None if `known_grads` alone is to be carried on.
    wrt : Variable or sequence of Variable
        What it is differentiated by: inputs, shared variables, or anything computed on the way.
    consider_constant : sequence of Variable, optional
        Values through which no gradient passes.
    disconnected_inputs : {"raise", "warn", "ignore"}
        What to do about a variable of `wrt` that the cost does not depend on.
    known_grads : mapping, optional
        Gradients of some further cost by other variables, which are carried on to `wrt` and added.
    return_disconnected : {"zero", "None", "disconnected"}
        What to return for such a variable: zeros, or None for the other two.

    Returns
    -------
    Variable or list of Variable
        The gradient by each variable of `wrt`, of its dtype and shape.

    Raises
    ------
    ShapeError
        If the cost is no scalar, or a known gradient has another rank than its variable.
    DtypeError
        If the cost or a variable of `wrt` is not real floating point.
    DisconnectedInputError
        If the cost does not depend on a variable, unless `disconnected_inputs` says otherwise.
    NullTypeGradError
        If an op on the way has no derivative; names it and the line that made it.
    """
    known = known_grads or {}
    given = paired(list(known), list(known.values()), "grad: known_grads", "known gradient")
    if cost is None and not given:
        raise ValueError("grad: there is nothing to differentiate; pass a cost or known_grads")
    if cost is not None:
        check_real(cost, "grad: the cost")
        if cost.ndim:
            raise ShapeError(
                f"grad: the cost must be a scalar; {cost.name or 'it'} is {cost.type}. Reduce it, as in cost.sum(), or "
                "use jacobian for the derivative of each element"
            )
        one = gt.constant(1, dtype=cost.dtype)
        accumulate(given, cost, one)
    return _answer(given, wrt, consider_constant or (), disconnected_inputs, return_disconnected, "grad")


def _answer(
    given: Mapping[Variable, Variable],
    wrt: Any,
    constant: Sequence[Variable],
    when_disconnected: str,
    returned: str,
    called: str,
) -> Any:
    check_choice(when_disconnected, WHEN_DISCONNECTED, f"{called}: disconnected_inputs")
    check_choice(returned, RETURNED_WHEN_DISCONNECTED, f"{called}: return_disconnected")
    variables = as_variables(wrt, f"{called}: wrt")
    results: list[Any] = []
    for v, g in zip(variables, collect(given, variables, constant), strict=True):
        if g is None:
            _report(_without_derivative(v, given, constant, called), when_disconnected)
        results.append(gt.zeros_like(v) if g is None and returned == "zero" else g)
    return results[0] if isinstance(wrt, Variable) else results


def _report(message: str, action: str) -> None:
    if action == "raise":
        raise DisconnectedInputError(message)
    if action == "warn":
        warnings.warn(message, stacklevel=4)


def _without_derivative(
    v: Variable, given: Mapping[Variable, Variable], constant: Sequence[Variable], called: str
) -> str:
    """Return the message about a variable that what is differentiated has no derivative by."""
    message = f"{called}: what is differentiated does not depend on {v.name or 'a variable of wrt'!r} ({v.type})"
    relevant = dependents(given, {v})
    held = [c for c in constant if c in relevant]
    if any(value in relevant for value in given):
        message += " in a way that has a derivative"
        if held:
            message += f": consider_constant holds {held[0].name or 'a value on the way'!r} constant"
        elif (node := _last_continuous(given, relevant)) is not None:
            message += f": it passes through {node.op}, made at {node.where}"
            message += "" if has_derivative(node.outputs[0]) else f", which gives {node.outputs[0].type}"
    return f"{message}; disconnected_inputs='ignore' gives zeros for it"


def _last_continuous(given: Mapping[Variable, Variable], relevant: set[Variable]) -> Apply | None:
    """Return a node that stops derivatives, or makes integers of numbers that have one; None if none is seen."""
    for node in sorted_nodes(given):
        reads = any(x in relevant and has_derivative(x) for x in node.inputs)
        stops = isinstance(node.op, Barrier) and node.op.kind == "disconnected"
        if reads and (stops or not any(has_derivative(y) for y in node.outputs)):
            return node
    return None
