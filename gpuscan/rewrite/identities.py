"""Algebra that cancels: adding 0, multiplying by 1, two signs, a choice that is no choice.

Results stay the same bit for bit, NaN and infinities included, except for the sign of a zero: ``x + 0`` and
``-(x - y)`` of equal numbers lose it. ``x - x`` and ``x * 0`` are 0 for integers only, as infinity and NaN give NaN.
"""

from __future__ import annotations

import math

import numpy as np

from gpuscan.graph import Apply, Constant, Graph, Variable
from gpuscan.rewrite.matching import (
    Rule,
    Rules,
    as_result,
    either_way,
    filled,
    is_number,
    operand,
    operands,
    rewrite_nodes,
    uniform,
)
from gpuscan.tensor.pointwise import Pointwise, kind


def identities(graph: Graph) -> Graph | None:
    """Drop operations that give back an operand, and signs that meet another sign."""
    return rewrite_nodes(graph, RULES)


# ---- neutral and absorbing numbers ----


def _neutral_right(number: float) -> Rule:
    """Return the rule for a number that changes nothing as the second operand."""

    def rule(node: Apply) -> Variable | None:
        x, other = node.inputs
        return as_result(x, node) if is_number(other, number) else None

    return rule


def _neutral(number: float) -> Rule:
    """Return the rule for a number that changes nothing on either side."""

    def rule(node: Apply) -> Variable | None:
        for x, other in either_way(node.inputs):
            if is_number(other, number) and (found := as_result(x, node)) is not None:
                return found
        return None

    return rule


def _absorbing(number: int, kinds: str) -> Rule:
    """Return the rule for a number that decides the result, of dtypes of `kinds`, whatever is beside it."""

    def rule(node: Apply) -> Variable | None:
        decided = kind(node.outputs[0].dtype) in kinds and any(is_number(v, number) for v in node.inputs)
        return filled(number, node) if decided else None

    return rule


def _truth(rule: Rule) -> Rule:
    """Return `rule` for operands that are true or false."""
    return lambda node: rule(node) if all(v.dtype == "bool" for v in node.inputs) else None


def _same_twice(node: Apply) -> Variable | None:
    a, b = node.inputs
    return a if a is b and a.dtype == node.outputs[0].dtype else None


def _difference_of_equals(node: Apply) -> Variable | None:
    a, b = node.inputs
    return filled(0, node) if a is b and kind(a.dtype) in "iu" else None


# ---- signs ----


def _negative(v: Variable) -> Variable | None:
    """Return what a value is the negative of."""
    return operand(v, "neg")


def _sum_with_negative(node: Apply) -> Variable | None:
    for a, b in either_way(node.inputs):
        if (positive := _negative(b)) is not None and b.dtype == node.outputs[0].dtype:
            return Pointwise("sub")(a, positive)
    return None


def _difference_with_negative(node: Apply) -> Variable | None:
    a, b = node.inputs
    positive = _negative(b)
    return Pointwise("add")(a, positive) if positive is not None and b.dtype == node.outputs[0].dtype else None


def _signs_cancel(node: Apply) -> Variable | None:
    """Read ``(-a) * (-b)``, and what becomes of the sign of one factor beside a constant."""
    a, b = node.inputs
    if any(v.dtype != node.outputs[0].dtype or kind(v.dtype) not in "fi" for v in (a, b)):
        return None
    without = _negative(a), _negative(b)
    if without[0] is not None and without[1] is not None:
        return node.op(without[0], without[1])
    for position, (x, other) in enumerate(((without[0], b), (without[1], a))):
        if x is not None and isinstance(other, Constant) and kind(other.dtype) == "f":
            negated = Constant(-other.data)
            return node.op(negated, x) if position else node.op(x, negated)
    return None


def _times_minus_one(node: Apply) -> Variable | None:
    for x, other in either_way(node.inputs):
        if is_number(other, -1) and kind(x.dtype) in "fi" and (found := as_result(x, node)) is not None:
            return Pointwise("neg")(found)
    return None


def _negative_of(node: Apply) -> Variable | None:
    (x,) = node.inputs
    if (positive := operand(x, "neg")) is not None:
        return positive
    if difference := operands(x, "sub"):
        return Pointwise("sub")(difference[1], difference[0])
    for row in ("mul", "true_div"):
        for position, v in enumerate(operands(x, row)):
            if isinstance(v, Constant) and kind(v.dtype) == "f" and v.dtype == x.dtype:
                factors = list(operands(x, row))
                factors[position] = Constant(-v.data)
                return Pointwise(row)(*factors)
    return None


def _without_sign(*rows: str) -> Rule:
    """Return the rule of an even operation, which does not see what `rows` do to a sign."""

    def rule(node: Apply) -> Variable | None:
        (x,) = node.inputs
        for row in rows:
            inner = operand(x, row)
            if inner is not None and kind(inner.dtype) == "f":
                return node.op(inner)
        return None

    return rule


# ---- division ----


def _by_power_of_two(node: Apply) -> Variable | None:
    """Multiply by the inverse, which is exact."""
    x, divisor = node.inputs
    number = uniform(divisor)
    if number is None or not isinstance(divisor, Constant) or kind(divisor.dtype) != "f":
        return None
    value = float(number)
    if abs(math.frexp(value)[0]) != 0.5 or min(abs(value), abs(1 / value)) < np.finfo(divisor.dtype).tiny:
        return None
    return Pointwise("mul")(x, Constant(np.full(divisor.data.shape, 1 / value, divisor.dtype)))


# ---- choices ----


def _switch(node: Apply) -> Variable | None:
    condition, a, b = node.inputs
    chosen = uniform(condition)
    if chosen is not None or a is b:
        return as_result(a if chosen is None or chosen else b, node)
    for row in ("logical_not", "invert"):
        opposite = operand(condition, row)
        if opposite is not None and opposite.dtype == "bool":
            return node.op(opposite, b, a)
    return None


def _twice(row: str) -> Rule:
    """Return the rule of an operation that undoes itself."""
    return lambda node: operand(node.inputs[0], row) if kind(node.inputs[0].dtype) in "biu" else None


def _not(node: Apply) -> Variable | None:
    (x,) = node.inputs
    inner = operand(x, "logical_not")
    if inner is not None and inner.dtype == "bool":
        return inner
    for row, opposite in (("eq", "neq"), ("neq", "eq")):
        if pair := operands(x, row):
            return Pointwise(opposite)(*pair)
    return None


def _again(row: str) -> Rule:
    """Return the rule of an operation that changes nothing the second time."""

    def rule(node: Apply) -> Variable | None:
        (x,) = node.inputs
        return x if operand(x, row) is not None and x.dtype == node.outputs[0].dtype else None

    return rule


RULES: Rules = {
    "add": [_neutral(0), _sum_with_negative],
    "sub": [_neutral_right(0), _difference_with_negative, _difference_of_equals],
    "mul": [_neutral(1), _times_minus_one, _signs_cancel, _absorbing(0, "biu")],
    "true_div": [_neutral_right(1), _signs_cancel, _by_power_of_two],
    "neg": [_negative_of],
    "abs": [_without_sign("neg"), _again("abs")],
    "sqr": [_without_sign("neg", "abs")],
    "cosh": [_without_sign("neg", "abs")],
    "maximum": [_same_twice],
    "minimum": [_same_twice],
    "switch": [_switch],
    "logical_and": [_truth(_neutral(1)), _absorbing(0, "b"), _same_twice],
    "bitwise_and": [_truth(_neutral(1)), _absorbing(0, "biu"), _same_twice],
    "logical_or": [_truth(_neutral(0)), _truth(_absorbing(1, "b")), _same_twice],
    "bitwise_or": [_neutral(0), _truth(_absorbing(1, "b")), _same_twice],
    "bitwise_xor": [_neutral(0)],
    "logical_not": [_not],
    "invert": [_twice("invert")],
    "conj": [lambda node: operand(node.inputs[0], "conj")],
    **{row: [_again(row)] for row in ("floor", "ceil", "trunc", "rint", "sign")},
}  # fmt: skip
