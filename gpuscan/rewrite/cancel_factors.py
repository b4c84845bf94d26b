"""Cancel exponentials that are divided by and multiplied with, as derivatives of logarithms do.

The derivative of ``log(exp(x) / exp(x).sum())`` divides by an exponential and multiplies with it; where that is 0 or
infinite, the result is NaN. These rewrites change results, for the better. A factor that is cancelled no longer hands
on its NaN. Only what is positive by nature is cancelled: exponentials, sigmoids, sums and quotients of them.
"""

from __future__ import annotations

from dataclasses import replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import Rules, rewrite_nodes, shaped_like
from gpuscan.rewrite.quotients import POSITIVE, Quotient, is_positive, pairs, quotient_of, simpler_product, with_above
from gpuscan.tensor.pointwise import Pointwise, kind
from gpuscan.tensor.reduction import Reduce
from gpuscan.tensor.shaping import DimShuffle


def cancel_factors(graph: Graph) -> Graph | None:
    """Cancel positive factors above and below, also where a sum is multiplied or quotients are added up."""
    return rewrite_nodes(graph, RULES, POSITIVE, DIVISIONS)


def _product(node: Apply) -> Variable | None:
    return simpler_product(node, [_cancelled])


def _cancelled(quotient: Quotient) -> Quotient | None:
    for i, j in pairs(quotient):
        same, divisor = quotient.above[i], quotient.below[j]
        if same.key == divisor.key and is_positive(divisor.base):
            return with_above(quotient, i, j, ())
    return None


def _sum(node: Apply) -> Variable | None:
    """Divide a sum of quotients once, by a sum of exponentials that all of them are divided by."""
    (terms,), op = node.inputs, node.op
    assert isinstance(op, Reduce)
    if op.kind != "sum" or kind(terms.dtype) != "f":
        return None
    quotient = quotient_of(terms)
    for j, divisor in enumerate(quotient.below):
        value = divisor.value
        rank = value.ndim
        is_common = not rank or (rank == terms.ndim and all(value.type.shape[axis] == 1 for axis in op.axes))
        is_sum = divisor.base.owner is not None and isinstance(divisor.base.owner.op, Reduce)
        if not (is_common and is_sum and is_positive(divisor.base)):
            continue
        rest = replace(quotient, below=quotient.below[:j] + quotient.below[j + 1 :]).value()
        if rest is None:
            continue
        once = DimShuffle(tuple(axis for axis in range(rank) if axis not in op.axes))(value) if rank else value
        return Pointwise("true_div")(op(shaped_like(rest, terms)), once)
    return None


DIVISIONS = ("true_div",)

RULES: Rules = {"mul": [_product], "true_div": [_product], Reduce: [_sum]}
