"""What the tests of passes share: graphs of a few inputs as text, and functions with and without rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Constant, Graph, verify
from gpuscan.rewrite.pipeline import Pass

x, y, s = gt.vector("x"), gt.vector("y"), gt.scalar("s")
X, Y, Z = gt.matrix("X"), gt.matrix("Y"), gt.matrix("Z")
fixed = gt.tensor("fixed", dtype="float64", shape=(3, 4))
i, I = gt.lscalar("i"), gt.lvector("I")  # noqa: E741  # capitals have one axis more
b, c = gt.vector("b", dtype="bool"), gt.vector("c", dtype="bool")
n8, f32 = gt.vector("n8", dtype="int8"), gt.vector("f32", dtype="float32")
INPUTS = (x, y, s, X, Y, Z, fixed, i, I, b, c, n8, f32)

OFF = gs.Mode(optimizer=None)


def graph_of(*outputs: gs.Variable) -> Graph:
    return Graph.close(INPUTS, outputs)


def text_of(graph: Graph) -> str:
    """Return a graph as nested calls, which are quicker to compare than a tree of lines."""
    words: dict[gs.Variable, str] = {}
    for node in graph.nodes:
        arguments = ", ".join(_word(v, words) for v in node.inputs)
        words.update(dict.fromkeys(node.outputs, f"{node.op}({arguments})"))
    return "; ".join(_word(v, words) for v in graph.outputs)


def _word(v: gs.Variable, words: dict[gs.Variable, str]) -> str:
    return words[v] if v in words else str(v.data) if isinstance(v, Constant) else str(v.name)


def after(run_pass: Pass, *outputs: gs.Variable) -> str:
    """Return what a pass makes of outputs, as text; it must change them, and be done when it is done."""
    graph = graph_of(*outputs)
    changed = run_pass(graph)
    assert changed is not None, f"{run_pass.__name__} left {text_of(graph)} as it is"
    verify(changed, after=run_pass.__name__, types=[v.type for v in graph.outputs])
    again = run_pass(changed)
    assert again is None, f"{run_pass.__name__} changes what it made again, to {text_of(again)}"
    return text_of(changed)


def is_kept(run_pass: Pass, *outputs: gs.Variable) -> bool:
    """Whether a pass leaves outputs as they are."""
    return run_pass(graph_of(*outputs)) is None


def both(outputs: Any, inputs: Sequence[gs.Variable], *values: Any) -> tuple[list[Any], list[Any]]:
    """Return what outputs are with all rewrites and without any."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    found, expected = (gs.function(list(inputs), outputs, mode, device="cpu")(*values) for mode in (None, OFF))
    return found, expected


def assert_agree(
    outputs: Any, inputs: Sequence[gs.Variable], *values: Any, rtol: float = 1e-9, atol: float = 0
) -> None:
    """Check that rewrites change no value beyond rounding, and no dtype."""
    for found, expected in zip(*both(outputs, inputs, *values), strict=True):
        assert found.dtype == expected.dtype
        exact = found.dtype.kind in "biu"
        np.testing.assert_allclose(found, expected, rtol=0 if exact else rtol, atol=0 if exact else atol)
