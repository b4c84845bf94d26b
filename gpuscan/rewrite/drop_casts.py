"""Drop conversions that change nothing, and those on the way to another."""

from __future__ import annotations

import numpy as np

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import Rules, rewrite_nodes
from gpuscan.tensor.pointwise import Cast, kind


def drop_casts(graph: Graph) -> Graph | None:
    """Convert from where a value comes from, if what is between loses nothing, and not at all to its own dtype."""
    return rewrite_nodes(graph, RULES)


def _cast(node: Apply) -> Variable | None:
    (x,) = node.inputs
    dtype = node.outputs[0].dtype
    if x.dtype == dtype:
        return x
    if x.owner is None or not isinstance(x.owner.op, Cast):
        return None
    origin = x.owner.inputs[0]
    if not keeps_all(origin.dtype, x.dtype):
        return None
    return origin if origin.dtype == dtype else Cast(dtype)(origin)


def keeps_all(dtype: str, wider: str) -> bool:
    """Whether every number of one dtype is one of another; NumPy's own answer takes int64 for a part of float64."""
    if kind(dtype) in "iu" and kind(wider) in "fc":
        digits = np.finfo(wider).nmant + 1
        return np.iinfo(dtype).bits - (kind(dtype) == "i") <= digits and np.can_cast(dtype, wider, "safe")
    return bool(np.can_cast(dtype, wider, "safe"))


RULES: Rules = {Cast: [_cast]}
