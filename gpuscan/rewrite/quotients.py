"""Products and quotients taken apart into factors, for passes that cancel them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpuscan.graph import Apply, Variable
from gpuscan.rewrite.matching import either_way, is_number, operand, operands, shaped_like
from gpuscan.rewrite.softmax_parts import moved, unmoved
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.reduction import Reduce

MOST_FACTORS = 12
"""A product of more factors is not looked into further: each product inside a long chain is looked at once."""

POSITIVE = ("exp", "exp2", "sigmoid", "softplus")
"""Rows of the pointwise table whose results are positive by nature."""

MOST_DEEP = 6
"""How many ops are looked through to see that a value is positive."""


@dataclass(frozen=True)
class Factor:
    """A factor of a product: a value, and the transpositions and broadcasts that place it."""

    base: Variable
    moves: tuple[Apply, ...] = ()

    @property
    def value(self) -> Variable:
        """The factor as it is multiplied with."""
        return moved(self.base, self.moves)

    @property
    def key(self) -> Any:
        """What equal factors have in common."""
        return (self.base, tuple((m.op, m.inputs[1:]) for m in self.moves))


@dataclass(frozen=True)
class Quotient:
    """A product of factors, divided by others."""

    above: tuple[Factor, ...]
    below: tuple[Factor, ...]
    negative: bool

    def value(self) -> Variable | None:
        """Return it as a variable; None if no factor is left above, from whose dtype the number 1 would be taken."""
        above, below = (_multiplied([f.value for f in factors]) for factors in (self.above, self.below))
        if above is None:
            return None
        found = above if below is None else Pointwise("true_div")(above, below)
        return Pointwise("neg")(found) if self.negative else found


def _multiplied(values: Sequence[Variable]) -> Variable | None:
    product: Variable | None = None
    for v in values:
        product = v if product is None else Pointwise("mul")(product, v)
    return product


# ---- taking a product apart ----


def quotient_of(v: Variable) -> Quotient:
    """Return a value as factors above and below, as far as products, quotients and signs are seen."""
    above: list[Factor] = []
    below: list[Factor] = []
    negative = False
    stack: list[tuple[Factor, bool]] = [(Factor(v), True)]
    while stack:
        factor, is_above = stack.pop()
        factor = _unmoved(factor)
        parts = _parts(factor) if len(above) + len(below) + len(stack) < MOST_FACTORS else None
        if parts is None:
            (above if is_above else below).append(factor)
            continue
        negative ^= parts.negative
        stack.extend((f, not is_above) for f in reversed(parts.below))
        stack.extend((f, is_above) for f in reversed(parts.above))
    return Quotient(tuple(above), tuple(below), negative)


def _unmoved(factor: Factor) -> Factor:
    base, moves = unmoved(factor.base)
    return Factor(base, (*moves, *factor.moves))


def _parts(factor: Factor) -> Quotient | None:
    """Return what one op makes a factor of, each part placed as the whole is."""
    node = factor.base.owner
    if node is None or not isinstance(node.op, Pointwise) or node.op.row not in ("mul", "true_div", "neg"):
        return None
    if any(v.dtype != factor.base.dtype for v in node.inputs):
        return None
    if factor.moves and any(v.ndim not in (0, factor.base.ndim) for v in node.inputs):
        return None
    parts = tuple(Factor(v, factor.moves if v.ndim else ()) for v in node.inputs)
    if node.op.row == "true_div":
        return Quotient(parts[:1], parts[1:], False)
    return Quotient(parts, (), node.op.row == "neg")


def is_positive(v: Variable, deep: int = 0) -> bool:
    """Whether a value is positive wherever it is in range."""
    v, _ = unmoved(v)
    node = v.owner
    if node is None or deep > MOST_DEEP or kind(v.dtype) != "f":
        return False
    if isinstance(node.op, Reduce):
        return node.op.kind == "sum" and is_positive(node.inputs[0], deep + 1)
    if not isinstance(node.op, Pointwise):
        return False
    if node.op.row == "sub":
        return is_number(node.inputs[0], 1) and operand(node.inputs[1], "sigmoid") is not None
    if node.op.row in ("add", "mul", "true_div"):
        return all(is_number(x, 1) or is_positive(x, deep + 1) for x in node.inputs)
    return node.op.row in POSITIVE


# ---- putting it together otherwise ----

Step = Callable[[Quotient], Quotient | None]
"""From a quotient to a simpler one, or None."""


def simpler_product(node: Apply, steps: Sequence[Step]) -> Variable | None:
    """Return a product or quotient after `steps` on its factors; None if none can be taken.

    A sum that is multiplied with what is positive by nature is multiplied term by term if that lets a step be taken:
    derivatives of a softmax, and of a cross-entropy of two classes, are of that form.
    """
    if kind(node.outputs[0].dtype) != "f":
        return None
    found = _after(steps, node.outputs[0])
    return _distributed(node, steps) if found is None else found


def _distributed(node: Apply, steps: Sequence[Step]) -> Variable | None:
    if not isinstance(node.op, Pointwise) or node.op.row != "mul":
        return None
    for terms, power in either_way(node.inputs):
        pair = operands(terms, "add")
        if not pair or not is_positive(power) or any(v.dtype != node.outputs[0].dtype for v in pair):
            continue
        products = [Pointwise("mul")(term, power) for term in pair]
        shorter = [_after(steps, product) for product in products]
        if any(v is not None for v in shorter):
            first, second = (p if s is None else s for p, s in zip(products, shorter, strict=True))
            return shaped_like(Pointwise("add")(first, second), node.outputs[0])
    return None


def _after(steps: Sequence[Step], v: Variable) -> Variable | None:
    """Return a product after `steps`, each as often as it can be taken."""
    quotient, changed = quotient_of(v), False
    for step in steps:
        while (found := step(quotient)) is not None:
            quotient, changed = found, True
    value = quotient.value() if changed else None
    return shaped_like(value, v) if value is not None and value.dtype == v.dtype else None


def pairs(quotient: Quotient) -> Iterator[tuple[int, int]]:
    """Yield the numbers of a factor above and one below, for all of them."""
    for i in range(len(quotient.above)):
        for j in range(len(quotient.below)):
            yield i, j


def with_above(quotient: Quotient, i: int, j: int, above: Sequence[Factor]) -> Quotient:
    """Return a quotient with factors in place of factor i above, and without factor j below."""
    return replace(
        quotient,
        above=(*quotient.above[:i], *above, *quotient.above[i + 1 :]),
        below=quotient.below[:j] + quotient.below[j + 1 :],
    )
