"""Values that no step of a loop changes are differentiated once, outside of it.

What goes out for such a value at each step is added up in the backward loop, and from the total it goes on to what the
value is computed from. Derivatives are linear in what comes in, so that is the same as to go on at every step, and
steps have less to do: the gradient of ``exp(log_sigma)``, of ``softmax(transitions)`` or of ``w[0]`` in a step adds up
one number, or one array, that nothing but a sum is made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import final

from gpuscan.autodiff.reverse import collect
from gpuscan.autodiff.rules import has_derivative
from gpuscan.graph import Apply, Constant, Variable, substitute
from gpuscan.loop import Loop
from gpuscan.loop.fixed import SURE, Outside
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.indexing import Gather, Index, Mask
from gpuscan.tensor.matrices import (
    QR,
    SVD,
    Cholesky,
    Det,
    Eigh,
    Inverse,
    SingularValues,
    SlogDet,
    Solve,
    SolveTriangular,
)
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Join, Reshape, Stack

MATRICES = (QR, SVD, Cholesky, Det, Eigh, Inverse, SingularValues, SlogDet, Solve, SolveTriangular)

LINEAR = tuple(op for op in (*SURE, *MATRICES) if op not in (Barrier, BroadcastTo))
"""Ops whose derivatives are linear in what comes in, as that of a clipped gradient is not."""


@final
class FixedValues:
    """The values that a step reads of those that are the same at every step, and are computed.

    Attributes
    ----------
    values : list of Variable
        Inner values; none is larger than what it is computed from, so that no total is larger either.
    """

    def __init__(self, loop: Loop) -> None:
        # By a stand-in for each source: what goes out for one is not to hold what goes out for another.
        self._stand_ins = {n.name: Variable(n.source.type, n.name, known=n.source.known) for n in loop.non_sequences}
        self._sources = {self._stand_ins[n.name]: n.source for n in loop.non_sequences}
        apart = tuple(replace(n, source=self._stand_ins[n.name]) for n in loop.non_sequences)
        self._outside = Outside(replace(loop, non_sequences=apart))
        self.values = list(dict.fromkeys(self._frontier(loop)))

    def _frontier(self, loop: Loop) -> Iterator[Variable]:
        """Yield the values that are read by work which is not theirs."""
        leaving: set[Variable] = set()
        there = {n.read for n in loop.non_sequences}
        for node in self._outside.ahead:
            made_outside = all(v in there or v in leaving or not _is_differentiated(v) for v in node.inputs)
            if made_outside and node in self._outside.asked and _may_leave(node, leaving):
                leaving.update(node.outputs)
        read = [v for node in self._outside.nodes if not leaving.issuperset(node.outputs) for v in node.inputs]
        yield from (v for v in (*read, *loop.outputs) if v in leaving)

    def outside(self, value: Variable) -> Variable:
        """Return one of the values as it is outside of the loop."""
        return substitute([self._outside.say(value)], self._sources)[0]

    def pull(self, totals: Mapping[Variable, Variable]) -> dict[str, Variable]:
        """Return what goes out for non-sequences, by name.

        Parameters
        ----------
        totals : mapping of Variable to Variable
            What came in at all steps together for these values, and for non-sequences as steps read them.
        """
        wrt = {name: v for name, v in self._stand_ins.items() if has_derivative(v)}
        found = collect({self._outside.say(v): total for v, total in totals.items()}, list(wrt.values()))
        named = {name: g for name, g in zip(wrt, found, strict=True) if g is not None}
        return dict(zip(named, substitute(named.values(), self._sources), strict=True))


def _is_differentiated(v: Variable) -> bool:
    return has_derivative(v) and not isinstance(v, Constant)


def _may_leave(node: Apply, leaving: set[Variable]) -> bool:
    """Whether a node that is the same at every step is one to differentiate outside, as those of `leaving` are."""
    op = node.op
    if not isinstance(op, LINEAR) or any(kind(v.dtype) != "f" for v in node.outputs):
        return False
    if isinstance(op, DimShuffle | Reshape):
        return node.inputs[0] in leaving  # of an array as it is there is nothing to gain
    if isinstance(op, Index):
        return not any(isinstance(item, Gather | Mask) for item in op.pattern)
    return isinstance(op, Join | Stack) or all(_is_no_larger(v, node) for v in node.outputs)


def _is_no_larger(v: Variable, node: Apply) -> bool:
    """Whether an output has the shape of an input, or fewer axes."""
    shapes = [x.type.shape for x in node.inputs if not isinstance(x, Constant)]
    return any(v.ndim < len(shape) or v.type.shape == shape for shape in shapes)
