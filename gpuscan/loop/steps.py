"""How many steps a loop ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpuscan.errors import LoopError
from gpuscan.graph import Apply, Variable
from gpuscan.loop.op import Scan
from gpuscan.loop.records import Result
from gpuscan.tensor.indexing import Index


def scan_steps(outputs: Any) -> Variable:
    """Return how many steps a loop runs, an int64 scalar: with ``until`` not more than ``n_steps``.

    Parameters
    ----------
    outputs : Variable, list or dict of them
        What `scan` returned: an output, several, its updates, or both. Views of an output will do: ``values[-1]``.

    Raises
    ------
    LoopError
        If they are no results of a loop, or of two.

    Examples
    --------
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> limit = gt.scalar("limit")
    >>> powers, _ = gs.scan(lambda x: (x * 2, gs.until(x * 2 > limit)), outputs_info=gt.constant(1.0), n_steps=1024)
    >>> f = gs.function([limit], [powers[-1], gs.scan_steps(powers)])
    >>> last, steps = f(45)
    >>> int(steps)
    6
    """
    loops = list(dict.fromkeys(_loop_of(v) for v in _variables(outputs)))
    if len(loops) != 1:
        raise LoopError(f"scan_steps: pass results of one loop; found {outputs!r:.100}, of {len(loops) or 'no'} loops")
    (node,) = loops
    assert isinstance(node.op, Scan)
    if node.op.stops:
        return node.outputs[node.op.results.index(Result("steps"))]
    return node.inputs[0]


def _variables(outputs: Any) -> Iterator[Any]:
    stack = [outputs]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif item is not None:
            yield item


def _loop_of(variable: Any) -> Apply:
    node = variable.owner if isinstance(variable, Variable) else None
    while node is not None and isinstance(node.op, Index):
        node = node.inputs[0].owner
    if node is None or not isinstance(node.op, Scan):
        raise LoopError(f"scan_steps: {variable!r} is no result of scan")
    return node
