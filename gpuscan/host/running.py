"""Running sums and sorting in NumPy's words."""

from __future__ import annotations

from gpuscan.graph import Apply
from gpuscan.host.rules import rule
from gpuscan.host.writer import Writer
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.ordering import ArgSort, SearchSorted, Sort


@rule(Cumulate)
def _cumulate(w: Writer, op: Cumulate, node: Apply) -> str:
    return f"{w.function(f'cum{op.kind}')}({w.array(node.inputs[0])}, {op.axis}, {node.outputs[0].dtype!r})"


@rule(Sort)
def _sort(w: Writer, op: Sort, node: Apply) -> str:
    return f"{w.function('sort')}({w.array(node.inputs[0])}, {op.axis}, kind='stable')"


@rule(ArgSort)
def _argsort(w: Writer, op: ArgSort, node: Apply) -> str:
    return f"{w.function('argsort')}({w.array(node.inputs[0])}, {op.axis}, kind='stable')"


@rule(SearchSorted)
def _searchsorted(w: Writer, op: SearchSorted, node: Apply) -> str:
    x, v = (w.array(v) for v in node.inputs)
    return f"{w.function('searchsorted')}({x}, {v}, {op.side!r})"
