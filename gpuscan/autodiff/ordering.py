"""Derivatives of running sums and products, and of sorting."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import Cotangent
from gpuscan.autodiff.forward import carry
from gpuscan.autodiff.reverse import collect
from gpuscan.autodiff.rules import DERIVATIVES, Derivative, Outgoing
from gpuscan.graph import Apply, Variable
from gpuscan.loop import scan
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.ordering import ArgSort, SearchSorted, Sort
from gpuscan.tensor.shaping import dims


def _turned(x: Variable, axis: int) -> Variable:
    """Return `x` with the elements along an axis in the opposite order."""
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


def _running_product(x: Variable, axis: int) -> Variable:
    """Return running products as a loop, whose derivative is right where elements are 0."""
    rows = gt.moveaxis(x, axis, 0)
    products, _ = scan(lambda row, so_far: so_far * row, rows, gt.ones(dims(rows, 1), x.dtype), name="cumprod")
    return gt.moveaxis(products, 0, axis)


def _pull_cumulate(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    op, x = node.op, node.inputs[0]
    assert isinstance(op, Cumulate)
    assert incoming[0] is not None
    g = gt.cast(incoming[0].total(), x.dtype)
    if op.kind == "sum":
        return [_turned(op(_turned(g, op.axis)), op.axis)]
    return collect({_running_product(x, op.axis): g}, [x])


def _push_cumulate(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    op, x = node.op, node.inputs[0]
    assert isinstance(op, Cumulate)
    if tangents[0] is None:
        return [None]
    if op.kind == "sum":
        return [op(tangents[0])]
    return carry({x: tangents[0]}, [_running_product(x, op.axis)])


def _pull_sort(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Sort)
    assert incoming[0] is not None
    order = ArgSort(node.op.axis)
    return [gt.take_along_axis(incoming[0].total(), order(order(node.inputs[0])), node.op.axis)]


def _push_sort(node: Apply, tangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    assert isinstance(node.op, Sort)
    if tangents[0] is None:
        return [None]
    return [gt.take_along_axis(tangents[0], ArgSort(node.op.axis)(node.inputs[0]), node.op.axis)]


DERIVATIVES[Cumulate] = Derivative(_pull_cumulate, _push_cumulate)
DERIVATIVES[Sort] = Derivative(_pull_sort, _push_sort)
# Positions are integers.
DERIVATIVES[ArgSort] = None
DERIVATIVES[SearchSorted] = None
