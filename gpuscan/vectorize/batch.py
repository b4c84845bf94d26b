"""A batch, what a value is in it, and the walk that adds it to a graph.

A value that depends on the element of the batch has the batch axes in front of its own, of full size; one that does not
is as it was. Which of the two it is shows in its rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from gpuscan.errors import ShapeError
from gpuscan.graph import Apply, RuleTable, Shape, Variable, made_at, sorted_nodes
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, dims

Rule = Callable[["Batch", Any, Apply, Sequence[Variable]], Sequence[Variable]]
RULES: RuleTable[Rule] = RuleTable()
"""For each op how a node of it is made over batched inputs."""


def vectorize_rule(op: type) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of `op`.

    It takes the `Batch`, the op, the node as it is without a batch, and inputs some of which are batched; it returns
    what to use in place of the node's outputs, each batched or not.
    """
    return RULES.rule(op)


@dataclass(frozen=True)
class Batch:
    """The batch axes.

    Attributes
    ----------
    sizes : tuple of Variable
        Their sizes, int64 scalars.
    """

    sizes: tuple[Variable, ...]

    @property
    def ndim(self) -> int:
        """Number of batch axes."""
        return len(self.sizes)

    @property
    def axes(self) -> tuple[int, ...]:
        """Where the batch axes are in a batched value."""
        return tuple(range(self.ndim))

    @property
    def shape(self) -> Shape:
        """The sizes as far as they are known."""
        return tuple(size.known for size in self.sizes)

    def own(self, old: Variable) -> tuple[int, ...]:
        """Return where the own axes of `old` are in it when it is batched."""
        return tuple(range(self.ndim, self.ndim + old.ndim))

    def align(self, old: Variable, new: Variable, ndim: int) -> Variable:
        """Return `new` with `ndim` own axes, so that it broadcasts against others that have as many."""
        if not is_batched(old, new) or old.ndim == ndim:
            return new
        return DimShuffle((*self.axes, *[None] * (ndim - old.ndim), *self.own(old)))(new)

    def spread(self, old: Variable, new: Variable) -> Variable:
        """Return `new` batched: the same for every element of the batch if it was not."""
        return new if is_batched(old, new) else BroadcastTo()(new, *self.sizes, *dims(new))

    def rebuild(self, outputs: Sequence[Variable], replacements: Mapping[Variable, Variable]) -> list[Variable]:
        """Return `outputs` with variables replaced by others, some of them batched.

        Raises
        ------
        NotImplementedError
            Naming an op that has no rule.
        """
        new = dict(replacements)
        for node in sorted_nodes(outputs, replacements.keys()):
            inputs = [new.get(v, v) for v in node.inputs]
            if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
                continue
            if any(is_batched(a, b) for a, b in zip(node.inputs, inputs, strict=True)):
                results = self._apply(node, inputs)
            else:
                results = node.with_inputs(inputs).outputs
            for old, fresh in zip(node.outputs, results, strict=True):
                fresh.name = fresh.name or old.name
                new.setdefault(old, fresh)
        return [new.get(v, v) for v in outputs]

    def _apply(self, node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        rule = RULES.get(type(node.op))
        if rule is None:
            raise NotImplementedError(
                f"vectorize_graph: there is no rule that gives {node.op} (made at {node.where}) a batch axis"
            )
        with made_at(node.where):
            return rule(self, node.op, node, inputs)


def is_batched(old: Variable, new: Variable) -> bool:
    """Whether `new`, in place of `old`, depends on the element of the batch."""
    return new.ndim != old.ndim


def shuffled(x: Variable, order: Sequence[int | None]) -> Variable:
    """Return `x` with its axes in another order, None for a new one."""
    return x if list(order) == list(range(x.ndim)) else DimShuffle(tuple(order))(x)


def refuse_batched(node: Apply, olds: Sequence[Variable], news: Sequence[Variable], what: str) -> None:
    """Raise ShapeError if one of `news` depends on the element of the batch; `what` says what they are."""
    if any(is_batched(a, b) for a, b in zip(olds, news, strict=True)):
        differs(node, what)


def differs(node: Apply, what: str) -> NoReturn:
    """Raise ShapeError: `what`, which decides a size, differs from one element of the batch to another."""
    raise ShapeError(
        f"vectorize_graph: {what} of {node.op} (made at {node.where}) would differ from one element of the batch to "
        "another, and an array has one size along each axis"
    )
