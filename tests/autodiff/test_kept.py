"""What a backward loop reads from memory, and what it computes again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.loop import Scan, open_loop
from gpuscan.tensor.products import MatMul
from tests.autodiff.check import check


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


VARYING = {
    "a product": lambda block, count, w: gt.tanh(block[:count] @ w).sum(0),
    "two, of which one is of the other": lambda block, count, w: gt.tanh(gt.sin(block @ w)[:count] @ w).sum(0),
    "softmax": lambda block, count, w: (gt.softmax(block[: count + 1] @ w, axis=0) ** 2).sum(0),
    "logarithm": lambda block, count, w: gt.log(gt.exp(block[: count + 1] @ w).sum(0)),
}


@pytest.mark.parametrize("name", VARYING)
def test_values_of_another_shape_at_each_step_are_computed_again(name: str) -> None:
    counts = gt.constant(np.array([1, 3, 0, 2], "int32"))

    def cost(x: Any, h0: Any, w: Any) -> Any:
        h, _ = gs.scan(lambda x, k, h, w: np.tanh(h + VARYING[name](x, k, w)), [x, counts], h0, w)
        return (h**2).sum()

    random = np.random.default_rng(0)
    check(cost, *(random.normal(size=shape) * 0.5 for shape in ((4, 4, 2), (2,), (2, 2))))


def test_what_leads_to_values_of_another_shape_is_kept() -> None:
    x, h0, w, k = gt.tensor3("x"), gt.vector("h0"), gt.matrix("w"), gt.ivector("k")
    h, _ = gs.scan(lambda x, k, h, w: np.tanh(h + gt.sin((x + h) @ w)[:k].sum(0)), [x, k], h0, w)
    # As with all rows: the forward step has one, and the backward step one for the state.
    assert _products([(h**2).sum(), *gs.grad((h**2).sum(), [h0, w])], [x, h0, w, k]) == 2
