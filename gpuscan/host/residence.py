"""Which values of a graph stay on the host: the scalars that sizes, lengths and kernels' numbers come from.

A scalar in device memory would have to be waited for wherever its value decides how much to launch.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.graph import Apply, Constant, Variable
from gpuscan.tensor.indexing import At, Index
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.shaping import Dim, Stack


def host_values(nodes: Sequence[Apply], given: Sequence[Variable]) -> set[Variable]:
    """Return the values that are NumPy scalars, or vectors stacked of them, on the host.

    Parameters
    ----------
    nodes : sequence of Apply
        Those of a function, or of a step of a loop driven from the host, in order.
    given : sequence of Variable
        Those of the values that nodes start from that are scalars on the host.
    """
    found = set(given)
    for node in nodes:
        if isinstance(node.op, Dim):
            found.update(node.outputs)
        elif isinstance(node.op, Pointwise | Cast | Stack) or _element(node.op):
            if all(v in found or (isinstance(v, Constant) and v.ndim == 0) for v in node.inputs):
                found.update(node.outputs)
    return found


def _element(op: object) -> bool:
    return isinstance(op, Index) and len(op.pattern) == 1 and isinstance(op.pattern[0], At)
