"""What a backward loop reads from memory, and what it computes again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.loop import Scan, open_loop
from gpuscan.tensor.products import MatMul


def _products(outputs: list[Any], inputs: list[Any]) -> int:
    """How many matrix products the steps of all loops of a compiled function hold."""
    graph = gs.function(inputs, outputs, device="cpu").graph
    loops = [node.op.body for node in graph.nodes if isinstance(node.op, Scan)]
    return sum(isinstance(node.op, MatMul) for body in loops for node in body.nodes)


@pytest.mark.parametrize("gate", [gt.sigmoid, np.tanh], ids=["sigmoid", "tanh"])
def test_products_of_the_forward_step_are_kept(gate: Any) -> None:
    x, h0, w = gt.tensor3("x"), gt.matrix("h0"), gt.matrix("w")
    h, _ = gs.scan(lambda row, h, w: 0.5 * h + gate(row + h @ w), [x], [h0], [w])
    cost = (h[-1] ** 2).sum()
    # The forward step has one and the backward step one, for the state; that for the matrix comes after the loop.
    assert _products([cost, *gs.grad(cost, [h0, w])], [x, h0, w]) == 2


def test_pointwise_work_is_computed_again() -> None:
    x, s0 = gt.vector("x"), gt.scalar("s0")
    history, _ = gs.scan(lambda row, s: np.tanh(np.sin(s) * row), [x], [s0])
    cost = history[-1] ** 2
    graph = gs.function([x, s0], gs.grad(cost, s0), device="cpu").graph
    loops = [open_loop(node) for node in graph.nodes if isinstance(node.op, Scan)]
    stacked = [r for loop in loops for r in loop.results if r.kind == "history" and loop.state(r.record) is None]
    assert len(loops) == 2
    assert not stacked
