"""What passes on single nodes share: rules by op, applied everywhere, and what they look for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpuscan.graph import Apply, Constant, Graph, Op, Variable, made_at
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.rewrite.sizes import same_size, size_of
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle

Rule = Callable[[Apply], Variable | None]
"""From a node of one output to what to use in place of that; None to keep it."""
Rules = Mapping[Any, Sequence[Rule]]
"""Rules by what they look at: a row of the pointwise table by its name, any other op by its class."""

MOST_RULES = 32
"""How many rules are applied one after another to what the last one returned."""


def rewrite_nodes(graph: Graph, rules: Rules, *needs: Collection[Any]) -> Graph | None:
    """Return the graph with every rule applied wherever it can be, inputs first; None if none can.

    Each of `needs` lists kinds of op, as `rules` does, of which the graph must have one for any rule to apply.
    """
    kinds = {_kind(node.op) for node in graph.nodes}
    if any(kinds.isdisjoint(wanted) for wanted in (rules, *needs)):
        return None

    def change(node: Apply, _: Apply) -> Sequence[Variable] | None:
        found: Variable | None = None
        current: Apply | None = node
        for _round in range(MOST_RULES):
            if current is None or (better := _first(rules, current)) is None:
                break
            found, current = better, better.owner
        return None if found is None else [found]

    changed = rebuild(graph, change)
    return None if changed is graph else changed


def _kind(op: Op) -> Any:
    return op.row if isinstance(op, Pointwise) else type(op)


def _first(rules: Rules, node: Apply) -> Variable | None:
    applicable = rules.get(_kind(node.op))
    if applicable is None or node.op.effect:
        return None
    with made_at(node.where):
        return next((found for rule in applicable if (found := rule(node)) is not None), None)


# ---- what computes a value ----


def operands(v: Variable, row: str) -> tuple[Variable, ...]:
    """Return the operands of a value that `row` of the pointwise table computes; none if something else does."""
    node = v.owner
    return node.inputs if node is not None and isinstance(node.op, Pointwise) and node.op.row == row else ()


def operand(v: Variable, row: str) -> Variable | None:
    """Return the one operand of a value that `row` of the pointwise table computes."""
    return found[0] if (found := operands(v, row)) else None


def either_way(pair: Sequence[Variable]) -> Iterator[tuple[Variable, Variable]]:
    """Yield the two operands of a commutative operation in both orders."""
    if pair:
        first, second = pair
        yield first, second
        yield second, first


# ---- values known without running anything ----


def uniform(v: Variable) -> Any:
    """Return the number that every element of a value is, as a NumPy scalar; None where that is not known."""
    while not isinstance(v, Constant):
        if v.owner is None or not isinstance(v.owner.op, BroadcastTo | DimShuffle):
            return None
        v = v.owner.inputs[0]
    if v.data.size == 0 or (v.data.size > 1 and (v.data.size > 64 or (v.data != v.data.flat[0]).any())):
        return None
    return v.data.flat[0]


def is_number(v: Variable, number: float) -> bool:
    """Whether every element of a value is `number`."""
    value = uniform(v)
    return value is not None and bool(value == number)


def number_like(value: Any, v: Variable) -> Constant:
    """Return a number as a constant of the dtype of `v`."""
    return Constant(np.asarray(value, v.dtype))


# ---- shapes ----


def as_result(v: Variable, node: Apply) -> Variable | None:
    """Return `v`, an operand of a pointwise node or made of one, as what the node returns: of its dtype and shape.

    None if nothing says that the other operands do not broadcast it to a larger shape, or that they fit it: what would
    be an error is to stay one.
    """
    result = node.outputs[0]
    if not same_shape(v, result) or not _operands_fit(node):
        return None
    return v if v.dtype == result.dtype else Cast(result.dtype)(v)


def same_shape(a: Variable, b: Variable) -> bool:
    """Whether two values are certain to have the same shape."""
    return a.ndim == b.ndim and all(same_size(a, axis, b, axis) for axis in range(a.ndim))


def _operands_fit(node: Apply) -> bool:
    """Whether the operands of a node are certain to broadcast to the shape of its result."""
    return all(_fits(v, node.outputs[0]) for v in node.inputs)


def _fits(v: Variable, result: Variable) -> bool:
    before = result.ndim - v.ndim
    return all(size == 1 or same_size(v, axis, result, axis + before) for axis, size in enumerate(v.type.shape))


def shaped_like(v: Variable, other: Variable) -> Variable:
    """Return `v`, which broadcasts to the shape of `other`, in that shape."""
    return v if same_shape(v, other) else BroadcastTo()(v, *(size_of(other, axis) for axis in range(other.ndim)))


def filled(value: Any, node: Apply) -> Variable | None:
    """Return what a node returns if every element of that is `value`; None if its operands may not fit each other."""
    result = node.outputs[0]
    return shaped_like(number_like(value, result), result) if _operands_fit(node) else None
