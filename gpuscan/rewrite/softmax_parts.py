"""Sums of exponentials as users write them, found and shifted so that no exponential leaves its range."""

from __future__ import annotations

from dataclasses import dataclass

from gpuscan.graph import Apply, Variable
from gpuscan.rewrite.matching import number_like, operand, operands
from gpuscan.tensor import isfinite, switch
from gpuscan.tensor.layout import restore_axes
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle


@dataclass(frozen=True)
class ExponentialSum:
    """A sum of exponentials, and how its axes were placed afterwards.

    Attributes
    ----------
    exponent : Variable
        What the exponentials are of.
    axes : tuple of int
        What is summed over.
    sum : Variable
        The sum, without its axes.
    moves : tuple of Apply
        What places it, from the sum out.
    """

    exponent: Variable
    axes: tuple[int, ...]
    sum: Variable
    moves: tuple[Apply, ...]

    @property
    def is_shifted(self) -> bool:
        """Whether the exponent has been reduced by its maximum."""
        if not (pair := operands(self.exponent, "sub")):
            return False
        return any(isinstance(op, Reduce) and op.kind == "max" for op in _makers(pair[1]))

    def placed(self, kept: Variable) -> Variable:
        """Return a value like the sum with its axes kept, placed as the sum is."""
        dropped = tuple(axis for axis in range(kept.ndim) if axis not in self.axes)
        return moved(DimShuffle(dropped)(kept), self.moves)


def _makers(v: Variable) -> list[object]:
    """Return the ops that a shift is made by: moves, a choice of 0 where it is infinite, and what is below them."""
    ops: list[object] = []
    while v.owner is not None and (isinstance(v.owner.op, DimShuffle | BroadcastTo) or operands(v, "switch")):
        ops.append(v.owner.op)
        v = operands(v, "switch")[1] if operands(v, "switch") else v.owner.inputs[0]
    return [*ops, v.owner.op] if v.owner is not None else ops


def unmoved(v: Variable) -> tuple[Variable, tuple[Apply, ...]]:
    """Return what a value is before transpositions and broadcasts, and those, the first one first."""
    moves: list[Apply] = []
    while v.owner is not None and isinstance(v.owner.op, DimShuffle | BroadcastTo):
        moves.append(v.owner)
        v = v.owner.inputs[0]
    return v, tuple(reversed(moves))


def moved(v: Variable, moves: tuple[Apply, ...]) -> Variable:
    """Return a value after the moves that `unmoved` found of another."""
    for node in moves:
        v = node.op(v, *node.inputs[1:])
    return v


def sum_of_exponentials(v: Variable) -> ExponentialSum | None:
    """Return what a value is a sum of exponentials of."""
    total, moves = unmoved(v)
    if total.owner is None or not isinstance(total.owner.op, Reduce) or total.owner.op.kind != "sum":
        return None
    exponent = operand(total.owner.inputs[0], "exp")
    if exponent is None or kind(exponent.dtype) != "f":
        return None
    return ExponentialSum(exponent, total.owner.op.axes, total, moves)


def largest(x: Variable, axes: tuple[int, ...]) -> Variable:
    """Return the largest element over `axes`, kept with size 1, to subtract; 0 where it is infinite or NaN."""
    top = restore_axes(Reduce("max", axes)(x), axes, x.ndim)
    return switch(isfinite(top), top, number_like(0, top))


def shifted_softmax(exponent: Variable, axes: tuple[int, ...]) -> Variable:
    """Return ``exp(x) / exp(x).sum()``, also where ``exp(x)`` is out of range."""
    powers = Pointwise("exp")(Pointwise("sub")(exponent, largest(exponent, axes)))
    total = restore_axes(Reduce("sum", axes)(powers), axes, exponent.ndim)
    return Pointwise("true_div")(powers, total)
