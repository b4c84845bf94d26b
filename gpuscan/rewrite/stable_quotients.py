"""Quotients of exponentials in forms that stay in range: sigmoid and softmax.

Written out, ``exp(x) / (1 + exp(x))`` and ``exp(x) / exp(x).sum()`` are infinity by infinity for large x. These
rewrites change results, for the better. A softmax of no elements becomes the error of a maximum of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import (
    Rules,
    as_result,
    either_way,
    is_number,
    operand,
    operands,
    rewrite_nodes,
    same_shape,
)
from gpuscan.rewrite.quotients import Factor, Quotient, pairs, simpler_product, with_above
from gpuscan.rewrite.softmax_parts import shifted_softmax, sum_of_exponentials
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle


def stable_quotients(graph: Graph) -> Graph | None:
    """Use ``sigmoid`` and shifted sums for quotients of exponentials that are written out."""
    return rewrite_nodes(graph, RULES, ("exp",))


def _product(node: Apply) -> Variable | None:
    return simpler_product(node, [_as_softmax, _as_sigmoid, _as_other_sigmoid])


def _as_softmax(quotient: Quotient) -> Quotient | None:
    for i, j in pairs(quotient):
        exponent, total = operand(quotient.above[i].base, "exp"), quotient.below[j]
        if exponent is None or quotient.above[i].moves or total.base.owner is None:
            continue
        found = sum_of_exponentials(total.base)
        if found is None or found.exponent is not exponent or found.is_shifted:
            continue
        if _in_place(total, found.axes, exponent.ndim):
            return with_above(quotient, i, j, [Factor(shifted_softmax(exponent, found.axes))])
    return None


def _in_place(total: Factor, axes: Sequence[int], ndim: int) -> bool:
    """Whether a sum over `axes` is placed beside what it is a sum of as if it had kept them with size 1."""
    places: list[int | None] = [axis for axis in range(ndim) if axis not in axes]
    for node in total.moves:
        if isinstance(node.op, DimShuffle):
            places = [None if a is None else places[a] for a in node.op.order]
        elif isinstance(node.op, BroadcastTo):
            places = [*[None] * (len(node.inputs) - 1 - len(places)), *places]
    places = [*[None] * (ndim - len(places)), *places]
    return places == [None if axis in axes else axis for axis in range(ndim)]


def _as_sigmoid(quotient: Quotient) -> Quotient | None:
    """Read ``exp(x) / (1 + exp(x))`` and ``exp(x) / (exp(x) + exp(y))``."""
    for i, j in pairs(quotient):
        above, below = quotient.above[i], quotient.below[j]
        inner = operand(above.base, "exp")
        if inner is None or above.moves != below.moves:
            continue
        for power, rest in either_way(operands(below.base, "add")):
            if power is not above.base or not (is_number(rest, 1) or operand(rest, "exp") is not None):
                continue
            other = operand(rest, "exp")
            if rest.dtype == power.dtype and (other is not None or same_shape(power, below.base)):
                exponent = inner if other is None else Pointwise("sub")(inner, other)
                return with_above(quotient, i, j, [Factor(Pointwise("sigmoid")(exponent), above.moves)])
    return None


def _as_other_sigmoid(quotient: Quotient) -> Quotient | None:
    """Read ``sigmoid(-x) * exp(x)``, which is what ``exp(x) / (1 + exp(x))`` may have become."""
    for i, power in enumerate(quotient.above):
        inner = operand(power.base, "exp")
        for j, other in enumerate(quotient.above):
            negative = operand(other.base, "sigmoid")
            if inner is None or negative is None or operand(negative, "neg") is not inner or power.moves != other.moves:
                continue
            rest = [f for k, f in enumerate(quotient.above) if k not in (i, j)]
            sigmoid = Factor(Pointwise("sigmoid")(inner), power.moves)
            return replace(quotient, above=(*rest, sigmoid))
    return None


def _sigmoid(node: Apply) -> Variable | None:
    """Read ``1 / (1 + exp(-x))``."""
    if kind(node.outputs[0].dtype) != "f" or not is_number(node.inputs[0], 1):
        return None
    for power, one in either_way(operands(node.inputs[1], "add")):
        inner = operand(power, "exp")
        if inner is not None and is_number(one, 1) and as_result(inner, node) is inner:
            negative = operand(inner, "neg")
            return Pointwise("sigmoid")(Pointwise("neg")(inner) if negative is None else negative)
    return None


def _reciprocal(node: Apply) -> Variable | None:
    for power, one in either_way(operands(node.inputs[0], "add")):
        inner = operand(power, "exp")
        if inner is not None and kind(inner.dtype) == "f" and is_number(one, 1) and as_result(inner, node) is inner:
            return Pointwise("sigmoid")(Pointwise("neg")(inner))
    return None


RULES: Rules = {"mul": [_product], "true_div": [_sigmoid, _product], "reciprocal": [_reciprocal]}
