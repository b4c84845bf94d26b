"""The estimates of what a step costs, on loops whose best team is known."""

from __future__ import annotations

from typing import Any

import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.costs import (
    SPECIALS,
    StepWork,
    cheaper_team,
    grid_seconds,
    host_seconds,
    on_chip_bytes,
    product_rate,
    step_work,
)
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.grids import GridTeam
from gpuscan.cuda.step.analysis import analyse
from gpuscan.cuda.strategies import choose
from gpuscan.loop import Loop, open_loop
from gpuscan.tensor.pointwise import POINTWISE

H200 = KNOWN_GPUS["NVIDIA H200"]


def lstm(hidden: int, batch: int, dtype: str = "float32") -> Loop:
    x = gt.tensor("x", dtype, (64, batch, 4 * hidden))
    h, c = (gt.tensor(name, dtype, (batch, hidden)) for name in "hc")
    w = gt.tensor("w", dtype, (hidden, 4 * hidden))

    def step(row: Any, h: Any, c: Any, w: Any) -> Any:
        gates = row + h @ w
        i, f, o, g = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
        c = gt.sigmoid(f) * c + gt.sigmoid(i) * gt.tanh(g)
        return gt.sigmoid(o) * gt.tanh(c), c

    (states, _), _ = gs.scan(step, x, [h, c], w)
    while not hasattr(states.owner.op, "results"):
        states = states.owner.inputs[0]
    return open_loop(states.owner)


def test_what_is_counted_of_a_step() -> None:
    work = step_work(lstm(768, 16))
    gates, state = 16 * 4 * 768, 16 * 768
    assert work.flops == 2 * gates * 768
    assert (work.dtype, work.weight_bytes, work.exchanged_bytes) == ("float32", 4 * 768 * 4 * 768, 4 * state)
    assert work.specials == (3 * SPECIALS["sigmoid"] + 2 * SPECIALS["tanh"]) * state
    assert work.row_bytes == 4 * (gates + 2 * state)  # the row of x; the histories of h and c
    assert work.operations == 1 + 1 + 4 + 9


def test_a_product_with_a_transposed_weight_counts_its_bytes() -> None:
    w, h = gt.tensor("w", "float32", (8, 8)), gt.tensor("h", "float32", (8,))
    out, _ = gs.scan(lambda h, w: w.T @ h, None, [h], [w], n_steps=3)
    node = out.owner
    while not hasattr(node.op, "results"):
        node = node.inputs[0].owner
    work = step_work(open_loop(node))
    assert (work.weight_bytes, work.exchanged_bytes, work.flops) == (256, 32, 128)


@pytest.mark.parametrize(
    ("hidden", "batch", "dtype", "team"),
    [
        (768, 16, "float16", "grid"),
        (768, 16, "float32", "grid"),
        (1024, 64, "float16", "grid"),
        (8192, 512, "float16", "host"),
        (8192, 512, "float32", "host"),
    ],
)
def test_known_cases(hidden: int, batch: int, dtype: str, team: str) -> None:
    assert cheaper_team(step_work(lstm(hidden, batch, dtype)), H200) == team


def test_a_step_of_a_dense_lstm_is_estimated_near_its_floor() -> None:
    # cuDNN takes 1.96 us a step for this one in float16 on an H100; the latency floor is 1.1 us.
    assert 0.8e-6 < grid_seconds(step_work(lstm(768, 16, "float16")), H200) < 2e-6


def test_a_large_product_is_estimated_at_what_cublas_reaches() -> None:
    flops = 2 * 512 * 8192 * 8192
    work = StepWork(flops=flops, dtype="float16", weight_bytes=2 * 8192**2, operations=2)
    assert host_seconds(work, H200) == pytest.approx(flops / 790e12, rel=0.1)


def test_operations_cost_their_launches() -> None:
    works = [StepWork(operations=n) for n in (1, 11)]
    each = [(host_seconds(works[1], H200, recorded=r) - host_seconds(works[0], H200, recorded=r)) / 10 for r in (1, 0)]
    assert each == pytest.approx([1.3e-6, 10e-6])


def test_weights_that_do_not_fit_are_read_at_every_step() -> None:
    fits, more = (StepWork(weight_bytes=n) for n in (on_chip_bytes(H200), on_chip_bytes(H200) + 43_000_000))
    in_shared_memory = on_chip_bytes(H200) / 33.5e12
    assert grid_seconds(more, H200) - grid_seconds(fits, H200) == pytest.approx(10e-6 - in_shared_memory, rel=0.1)


def test_rates_are_those_of_the_data_sheets() -> None:
    assert product_rate(H200, "float16", library=True) == pytest.approx(790e12, rel=0.01)
    assert product_rate(H200, "float32", library=True) == pytest.approx(67e12, rel=0.01)
    assert product_rate(H200, "float64", library=True) == pytest.approx(67e12, rel=0.01)
    t4, a100 = KNOWN_GPUS["Tesla T4"], KNOWN_GPUS["NVIDIA A100-SXM4-80GB"]
    assert product_rate(t4, "float16", library=True) == pytest.approx(0.74 * 65e12, rel=0.01)
    assert product_rate(t4, "float64", library=True) == pytest.approx(40 * 1.59e9 * 4)
    assert product_rate(a100, "float32", library=True) == pytest.approx(19.5e12, rel=0.01)


def test_special_functions_are_rows_of_the_table() -> None:
    assert SPECIALS.keys() <= POINTWISE.keys()


def test_a_grid_has_as_many_threads_to_a_rank_as_is_quickest() -> None:
    """Of those that share sums each does the rest of the step: of many rows that is more than the weights are."""
    parts = {}
    for batch in (8, 2048):
        x, w = (
            gt.tensor("x", dtype="float32", shape=(None, batch, 512)),
            gt.tensor("w", dtype="float32", shape=(512, 512)),
        )
        out, _ = gs.scan(lambda x, h, w: gt.tanh(gt.tanh(x) + gt.tanh(h) @ w), x, gt.zeros_like(x[0]), w)
        assert out.owner is not None
        loop = analyse(open_loop(out.owner))
        plans = GridTeam().plans(loop, H200)
        best = min(plans, key=lambda plan: plan.seconds)
        assert len(plans) > 3
        with gs.config.change_flags(strategy="grid"):
            assert choose(loop.loop, H200).shape == best.shape
        parts[batch] = best.shape.parts
    assert parts[8] > parts[2048]
