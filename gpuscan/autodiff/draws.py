"""Derivatives of random draws by parameters of location and scale.

For given random numbers a draw is a function of its parameters: loc + scale * z. The numbers z are those of the same
draw with location 0 and scale 1, since a draw is a function of its state. Other parameters (shapes, degrees of
freedom, probabilities) change which numbers are used, and have no such derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import MISSING, Cotangent, Missing
from gpuscan.autodiff.rules import DERIVATIVES, Derivative, Outgoing, has_derivative, no_rule
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import sum_to
from gpuscan.tensor.shaping import dims

UNIT = {"loc": 0, "scale": 1, "low": 0, "high": 1, "mean": 0, "sigma": 1}
"""The value of each parameter for which a draw gives the numbers z."""

Partials = dict[str, Callable[[Variable, Variable], Variable]]
_SCALED: Partials = {"scale": lambda y, z: z}
_SHIFTED: Partials = {"loc": lambda y, z: gt.ones_like(y), **_SCALED}

PARTIALS: dict[str, Partials] = {
    "uniform": {"low": lambda y, z: 1 - z, "high": lambda y, z: z},
    "lognormal": {"mean": lambda y, z: y, "sigma": lambda y, z: y * gt.log(z)},
    **dict.fromkeys(("exponential", "gamma"), _SCALED),
    **dict.fromkeys(("normal", "halfnormal", "laplace", "logistic", "cauchy", "student_t"), _SHIFTED),
}
"""By distribution and parameter the derivative of a sample y, where z is that of the unit parameters."""


def _partials(node: Apply) -> list[Variable | None]:
    """Return the derivative of the sample by each parameter; None for those that have none."""
    op = node.op
    assert isinstance(op, Draw)
    state, sizes, parameters = op.split(node.inputs)
    names = [p.name for p in op.spec.parameters]
    known = PARTIALS.get(op.distribution, {})
    unit = [gt.full_like(v, UNIT[n]) if n in known else v for n, v in zip(names, parameters, strict=True)]
    numbers = op.apply(state, *sizes, *unit)[1] if known else node.outputs[1]
    return [known[n](node.outputs[1], numbers) if n in known else None for n in names]


def _pull(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Draw)
    _, sizes, parameters = node.op.split(node.inputs)
    none: list[Variable | Cotangent | Missing | None] = [None] * (1 + len(sizes))
    if incoming[1] is None or not has_derivative(node.outputs[1]):
        return [*none, *[None] * len(parameters)]
    g = incoming[1].total()
    return [
        *none,
        *(
            MISSING if partial is None else gt.cast(sum_to(g * partial, dims(v)), v.dtype)
            for v, partial in zip(parameters, _partials(node), strict=True)
        ),
    ]


def _push(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    assert isinstance(node.op, Draw)
    _, _, given = node.op.split(tangents)
    terms = []
    for tangent, partial in zip(given, _partials(node), strict=True):
        if tangent is None:
            continue
        if partial is None:
            raise no_rule(node, "has a derivative by parameters of location and scale alone")
        terms.append(gt.cast(tangent * partial, node.outputs[1].dtype))
    return [None, sum(terms[1:], terms[0]) if terms else None]


DERIVATIVES[Draw] = Derivative(_pull, _push)
