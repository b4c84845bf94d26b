"""Logarithms and exponentials in forms that are accurate, and in range, for all operands.

``log(1 + x)`` is 0 for small x and ``log(1 + exp(x))`` infinite for large x; the functions made for them are not. These
rewrites change results, for the better. A logarithm of a sum of exponentials of no elements, which was minus infinity,
becomes the error of a maximum of nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import (
    Rule,
    Rules,
    as_result,
    either_way,
    is_number,
    operand,
    operands,
    rewrite_nodes,
    same_shape,
)
from gpuscan.rewrite.softmax_parts import largest, sum_of_exponentials
from gpuscan.tensor.layout import restore_axes
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.reduction import Reduce

exp, log, log1p, neg, add, sub, softplus = (
    Pointwise(row) for row in ("exp", "log", "log1p", "neg", "add", "sub", "softplus")
)


def stable_logs(graph: Graph) -> Graph | None:
    """Use ``log1p``, ``expm1``, ``softplus``, ``log1mexp`` and shifted sums of exponentials for what is written out."""
    return rewrite_nodes(graph, RULES)


def _real(read: Callable[[Variable], Variable | None]) -> Rule:
    """Return the rule for a real operand that `read` reads."""
    return lambda node: None if kind(node.inputs[0].dtype) == "c" else read(node.inputs[0])


def _log_of_sum(x: Variable) -> Variable | None:
    """Read ``log(1 + x)``, ``log(1 - x)`` and ``log(exp(x) + exp(y))``."""
    powers = [operand(v, "exp") for v in operands(x, "add")]
    if powers and powers[0] is not None and powers[1] is not None:
        return Pointwise("logaddexp")(powers[0], powers[1])
    for other, one in either_way(operands(x, "add")):
        if is_number(one, 1) and same_shape(other, x):
            return log1p(other)
    if pair := operands(x, "sub"):
        one, other = pair
        if is_number(one, 1) and same_shape(other, x):
            return log1p(neg(other))
    return None


def _log_of_product(x: Variable) -> Variable | None:
    """Read ``log(exp(x))``, ``log(sigmoid(x))``, ``log(-expm1(x))``, and exponentials times or divided by something."""
    if (inner := operand(x, "exp")) is not None:
        return inner
    if (inner := operand(x, "sigmoid")) is not None:
        return neg(softplus(neg(inner)))
    negative = operand(x, "neg")
    if negative is not None and (inner := operand(negative, "expm1")) is not None:
        return Pointwise("log1mexp")(inner)
    if (pair := operands(x, "true_div")) and all(v.dtype == x.dtype for v in pair):
        if (inner := operand(pair[0], "exp")) is not None:
            return sub(inner, log(pair[1]))
        if (inner := operand(pair[1], "exp")) is not None:
            return sub(log(pair[0]), inner)
    for a, b in either_way(operands(x, "mul")):
        if (inner := operand(a, "exp")) is not None and b.dtype == x.dtype:
            return add(inner, log(b))
    return None


def _log_of_exponentials(x: Variable) -> Variable | None:
    """Read ``log(exp(x).sum())``, with or without its axes kept."""
    if (found := sum_of_exponentials(x)) is None or found.is_shifted:
        return None
    top = largest(found.exponent, found.axes)
    total = Reduce("sum", found.axes)(exp(sub(found.exponent, top)))
    kept = add(log(restore_axes(total, found.axes, found.exponent.ndim)), top)
    return found.placed(kept)


def _log1p(node: Apply) -> Variable | None:
    (x,) = node.inputs
    if (inner := operand(x, "exp")) is not None:
        return softplus(inner)
    negative = operand(x, "neg")
    if negative is None:
        return None
    if (inner := operand(negative, "exp")) is not None:
        return Pointwise("log1mexp")(inner)
    if (inner := operand(negative, "sigmoid")) is not None:
        return neg(softplus(inner))
    return None


def _minus_one(node: Apply) -> Variable | None:
    """Read ``exp(x) - 1`` and ``1 - exp(x)``."""
    for (power, one), sign in ((node.inputs, 1), (node.inputs[::-1], -1)):
        inner = operand(power, "exp")
        if inner is not None and kind(inner.dtype) == "f" and is_number(one, 1) and as_result(power, node) is power:
            found = Pointwise("expm1")(inner)
            return found if sign > 0 else neg(found)
    return None


def _plus_minus_one(node: Apply) -> Variable | None:
    """Read ``exp(x) + (-1)``."""
    for power, one in either_way(node.inputs):
        inner = operand(power, "exp")
        if inner is not None and kind(inner.dtype) == "f" and is_number(one, -1) and as_result(power, node) is power:
            return Pointwise("expm1")(inner)
    return None


def _exp(node: Apply) -> Variable | None:
    """Read ``exp(log(x))`` of what is never negative."""
    inner = operand(node.inputs[0], "log")
    if inner is not None and inner.owner is not None and isinstance(inner.owner.op, Pointwise):
        return inner if inner.owner.op.row in NEVER_NEGATIVE and kind(inner.dtype) == "f" else None
    return None


def _sqrt(node: Apply) -> Variable | None:
    """Read ``sqrt(x ** 2)``, in range for all x."""
    inner = operand(node.inputs[0], "sqr")
    return None if inner is None or kind(inner.dtype) != "f" else Pointwise("abs")(inner)


NEVER_NEGATIVE = ("exp", "exp2", "sigmoid", "softplus", "sqr", "abs", "sqrt", "cosh")

RULES: Rules = {
    "log": [_real(_log_of_sum), _real(_log_of_product), _real(_log_of_exponentials)],
    "log1p": [_log1p],
    "sub": [_minus_one],
    "add": [_plus_minus_one],
    "exp": [_exp],
    "sqrt": [_sqrt],
}
