"""Loops as the planner sees them, found without a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.step.analysis import Analysis, analyse
from gpuscan.graph import sorted_nodes
from gpuscan.loop import Loop, Scan, open_loop


def array(*shape: int, dtype: str = "float64") -> gs.Variable:
    return gt.tensor("x", dtype, shape)


def loops_of(*outputs: gs.Variable) -> list[Loop]:
    """Return the loops that values are computed with, open, in their order."""
    return [open_loop(node) for node in sorted_nodes(outputs, ()) if isinstance(node.op, Scan)]


def analysed(step: Callable[..., Any], *args: Any, **options: Any) -> Analysis:
    """Return what is found out about a loop."""
    results, _ = gs.scan(step, *args, return_list=True, **options)
    return analyse(loops_of(*results)[-1])
