"""Derivatives carried forwards, along with the values."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gpuscan import tensor as gt
from gpuscan.autodiff.arguments import as_variables, check_choice, paired
from gpuscan.autodiff.rules import DERIVATIVES, check_not_complex, has_derivative, no_rule
from gpuscan.errors import DisconnectedInputError
from gpuscan.graph import Variable, sorted_nodes

WHEN_DISCONNECTED = ("raise", "warn", "ignore")


def carry(given: Mapping[Variable, Variable], outputs: Sequence[Variable]) -> list[Variable | None]:
    """Return the tangents of `outputs` for those of other values; None for outputs that do not depend on those.

    Parameters
    ----------
    given : mapping
        Values and their tangents, each of its value's dtype and shape.
    outputs : sequence of Variable
        What is differentiated.
    """
    tangents = dict(given)
    for node in sorted_nodes(outputs, given.keys()):
        incoming = [tangents.get(v) for v in node.inputs]
        if all(t is None for t in incoming) or not any(has_derivative(v) for v in node.outputs):
            continue
        if (derivative := DERIVATIVES.get(type(node.op))) is None:
            raise no_rule(node)
        check_not_complex(node, [v for v, t in zip(node.inputs, incoming, strict=True) if t is not None])
        for v, tangent in zip(node.outputs, derivative.pushforward(node, incoming), strict=True):
            if tangent is not None and has_derivative(v):
                check_not_complex(node, [v])
                tangents[v] = tangent
    return [tangents.get(v) for v in outputs]


def pushforward(
    outputs: Variable | Sequence[Variable],
    wrt: Variable | Sequence[Variable],
    tangents: Any,
    disconnected_outputs: str = "raise",
) -> Any:
    """Return the Jacobian of `outputs` by `wrt` times tangents, for each output.

    A loop becomes one loop that carries values and tangents together; nothing is differentiated backwards.

    Parameters
    ----------
    outputs : Variable or sequence of Variable
        What is differentiated.
    wrt : Variable or sequence of Variable
        What it is differentiated by.
    tangents : array_like or sequence of array_like
        One for each of `wrt`, of its shape.
    disconnected_outputs : {"raise", "warn", "ignore"}
        What to do about an output that depends on none of `wrt`; its tangent is zeros.

    Returns
    -------
    Variable or list of Variable
        One for each output, of its dtype and shape.

    Raises
    ------
    DisconnectedInputError
        If an output depends on none of `wrt`, unless `disconnected_outputs` says otherwise.
    NullTypeGradError
        If an op on the way has no derivative; names it and the line that made it.
    """
    check_choice(disconnected_outputs, WHEN_DISCONNECTED, "pushforward: disconnected_outputs")
    known = paired(wrt, tangents, "pushforward: wrt", "tangent")
    listed = as_variables(outputs, "pushforward: an output")
    results = []
    for v, tangent in zip(listed, carry(known, listed), strict=True):
        if tangent is None:
            _report(v, disconnected_outputs)
        results.append(gt.zeros_like(v) if tangent is None else tangent)
    return results[0] if isinstance(outputs, Variable) else results


def _report(v: Variable, action: str) -> None:
    message = (
        f"pushforward: {v.name or 'an output'!r} ({v.type}) does not depend on any of wrt in a way that has a "
        "derivative; disconnected_outputs='ignore' gives zeros for it"
    )
    if action == "raise":
        raise DisconnectedInputError(message)
    if action == "warn":
        warnings.warn(message, stacklevel=3)


def Rop(f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str = "raise") -> Any:
    """Return the Jacobian of `f` by `wrt` times `eval_points`: `pushforward` by its older name."""
    return pushforward(f, wrt, eval_points, disconnected_outputs)
