"""Values that are passed on as they are, while their derivatives are stopped, scaled or held within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import Cotangent
from gpuscan.autodiff.rules import DERIVATIVES, Derivative, Outgoing
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.barrier import Barrier


def disconnected_grad(x: Any) -> Variable:
    """Return `x` as if what follows did not depend on it; a variable reached through this alone is disconnected."""
    return Barrier("disconnected")(gt.as_tensor_variable(x))


consider_constant = disconnected_grad


def zero_grad(x: Any) -> Variable:
    """Return `x` with derivatives of zero."""
    return Barrier("zero")(gt.as_tensor_variable(x))


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """Return `x`; the gradient that comes in for it is held between the bounds, element by element.

    Raises
    ------
    ValueError
        If the lower bound is above the upper one.
    """
    if not lower_bound <= upper_bound:
        raise ValueError(f"grad_clip: the lower bound {lower_bound} is above the upper bound {upper_bound}")
    return Barrier("clip", (float(lower_bound), float(upper_bound)))(gt.as_tensor_variable(x))


def grad_scale(x: Any, multiplier: float) -> Variable:
    """Return `x`; the gradient that comes in for it is multiplied by `multiplier`."""
    return Barrier("scale", (float(multiplier),))(gt.as_tensor_variable(x))


def _passed(op: Barrier, g: Variable) -> Variable | None:
    if op.kind == "disconnected":
        return None
    if op.kind == "zero":
        return gt.zeros_like(g)
    return gt.clip(g, *op.bounds) if op.kind == "clip" else g * op.bounds[0]


def _pull(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Barrier)
    assert incoming[0] is not None
    return [_passed(node.op, incoming[0].total())]


def _push(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    assert isinstance(node.op, Barrier)
    # Clipping is of what comes in backwards; it is not a derivative, and forwards there is nothing to clip.
    if tangents[0] is None or node.op.kind == "clip":
        return [tangents[0]]
    return [_passed(node.op, tangents[0])]


DERIVATIVES[Barrier] = Derivative(_pull, _push)
