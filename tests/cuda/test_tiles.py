"""Blocks that carry a tile of lanes compute what the CPU does, and are chosen where lanes share weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda import tiles
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.step.resident import own_columns
from gpuscan.cuda.step.team import Deal, Team
from gpuscan.cuda.strategies import choices, choose
from gpuscan.loop import open_loop
from gpuscan.tensor import random
from tests.cuda.analysed import analysed, array
from tests.cuda.team_programs import PROGRAMS, Given, Program, loop
from tests.cuda.team_runs import assert_same, expected, gradient, outputs_of, run

H200 = KNOWN_GPUS["NVIDIA H200"]
BATCH, SIZE = 12, 8


@pytest.fixture
def low_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tiles of at most 4 lanes, so that small batches are several tiles."""
    monkeypatch.setattr(tiles, "MOST_LANES", 4)


# ---- what is computed


@pytest.fixture(params=["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check(
    make: Callable[[Given], Any], device: str, mode: Any = None, *, differentiate: bool = False
) -> tuple[KernelPlan, ...]:
    """Assert that tiles of several lanes, several of them, compute what the CPU does; return their plans."""
    given = Given()
    outputs = list(make(given))
    outputs = gradient(outputs, given) if differentiate else outputs
    values = gs.function(given.variables, outputs, device="cpu", on_unused_input="ignore")(*given.values)
    with gs.config.change_flags(strategy="tile"):
        f = gs.function(given.variables, outputs, mode, device=device, on_unused_input="ignore")
        found = f(*given.values)
    assert_same(found, values, Program(make))
    for plan in f.plans:
        assert plan.team == "tile", "\n".join(plan.explain())
        assert plan.tile > 1
        assert plan.lane_count > 1
    return f.plans


def weights(given: Given, columns: int = SIZE) -> gs.Variable:
    return given.normal(SIZE, columns, scale=0.3)


def lags_taps_and_rows(given: Given) -> Any:
    """Everything a loop may be given and may keep, backwards."""
    x, init, w, bias = given.normal(7, BATCH, SIZE), given.normal(2, BATCH, SIZE), weights(given), given.normal(BATCH)
    per_column = given.integers(1, 4, 7, SIZE)

    def step(now: Any, after: Any, row: Any, old: Any, new: Any) -> Any:
        next_ = np.tanh(new @ w + now - old[:, ::-1] * row + after.sum(1, keepdims=True) * 0.1)
        return next_, next_.max(1) + bias

    states, sums = loop(
        step, [dict(input=x, taps=[0, 2]), per_column], [dict(initial=init, taps=[-2, -1]), None], go_backwards=True
    )
    return [states, states[-1], sums, sums[-2:]]


def lanes_that_know_where_they_are(given: Given) -> Any:
    """What a lane reads of an axis that it has whole, and writes to one that runs along the lanes."""
    h, w, table = given.normal(BATCH, SIZE), weights(given), given.normal(2 * BATCH + 1)
    x, one = given.normal(5, 2, BATCH // 2, SIZE), given.normal(3, SIZE)

    def step(row: Any, h: Any) -> Any:
        new = np.tanh(h @ w + row.reshape((BATCH, SIZE)) + table[2::2][:BATCH, None] - gt.arange(BATCH)[:, None] * 0.1)
        new = gt.inc_subtensor(new[2:5], one)
        new = gt.set_subtensor(new[7, 1:3], 0.5)
        joined = gt.concatenate([new[:, 3:], h[:, :3] * 0.5], axis=1)
        return joined + gt.concatenate([table[:5], table[:7]])[:, None]

    return loop(step, [x], [h])


def gathers_scatters_and_a_loop_inside(given: Given) -> Any:
    h, w, table = given.normal(BATCH, SIZE), weights(given), given.integers(-2, 3, 9, SIZE)
    picked, places = given.integers(0, 9, 4, BATCH), given.integers(0, SIZE, 3)

    def step(i: Any, h: Any) -> Any:
        new = np.tanh(h @ w + table[i] * 0.2 + h[:, places].sum(1, keepdims=True))
        new = gt.inc_subtensor(new[:, places], 0.25)
        inner, _ = gs.scan(lambda s, new: s * 0.5 + new, None, [h], [new], n_steps=2)
        return inner[-1] * 0.5

    return loop(step, [picked], [h])


def draws_and_a_condition(given: Given) -> Any:
    h, w, count = given.normal(BATCH, SIZE), weights(given), given.normal(scale=0.0)

    def step(h: Any, count: Any, rng: Any) -> Any:
        rng, noise = rng.normal(0, 1, size=(BATCH, SIZE))
        rng, one = rng.uniform(0, 1, size=(BATCH,))
        inner, _ = gs.scan(lambda s, w: np.tanh(s @ w), None, [h], [w], n_steps=2)
        new = np.tanh(inner[-1] @ w + noise) * one[:, None]
        return (new, count + 1, rng, one), gs.until(count > 2)

    h, count, _, one = loop(step, None, [h, count, random.default_rng(3), None], n_steps=9)
    return [h, one, count[-1]]


def heads_of_a_batch(given: Given) -> Any:
    """Two axes of lanes, of which one is in tiles."""
    s, w, x = given.normal(2, BATCH, SIZE), given.normal(2, SIZE, SIZE, scale=0.3), given.normal(4, 2, BATCH, SIZE)
    return loop(lambda x, s: np.tanh(s @ w + x), [x], [s])


@pytest.mark.usefixtures("low_tiles")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lags_taps_and_rows, marks=pytest.mark.optimised),
        lanes_that_know_where_they_are,
        gathers_scatters_and_a_loop_inside,
        draws_and_a_condition,
        heads_of_a_batch,
    ],
)
def test_tiles_compute_what_the_cpu_does(make: Callable[[Given], Any], device: str) -> None:
    check(make, device)


@pytest.mark.usefixtures("low_tiles")
@pytest.mark.parametrize("make", [lags_taps_and_rows, gathers_scatters_and_a_loop_inside, heads_of_a_batch])
def test_gradients(make: Callable[[Given], Any], device: str) -> None:
    check(make, device, differentiate=True)


@pytest.mark.usefixtures("low_tiles")
@pytest.mark.parametrize("make", [lags_taps_and_rows, heads_of_a_batch])
def test_totals_count_each_lane_once(make: Callable[[Given], Any], device: str) -> None:
    """Gradients of weights that are added up inside the loop: a share for each tile, not for each lane."""
    as_written = gs.Mode().excluding("sum_after")
    *_, backwards = check(make, device, as_written, differentiate=True)
    assert backwards.totals


@pytest.mark.parametrize("name", ["lstm", "rnn_of_odd_sizes", "gradient of two_layers"])
def test_one_tile_of_all_lanes(name: str, device: str) -> None:
    """Their batches are of two and of three: there is one other tile than a lane."""
    given = Given()
    f, found = run(given, outputs_of(name, given), "tile", device)
    assert_same(found, expected(name), PROGRAMS[name.removeprefix("gradient of ")])
    assert {(plan.team, plan.lane_count) for plan in f.plans} == {("tile", 1)}


# ---- how elements are dealt out


@pytest.mark.parametrize(
    ("each", "across", "stripes", "rows"), [*product((1, 2, 4), (4, 6), (1, 2, 3), (3, 4, 6)), (1, 5, 4, 4)]
)
def test_ranks_share_rows_and_columns(each: int, across: int, stripes: int, rows: int) -> None:
    columns = each * across
    team = Team("block", across * stripes, block=32 * stripes, stripes=stripes)
    assert team.deal((rows, columns)) == Deal(each, across, stripes)
    assert team.slots((rows, columns)) == -(-rows // stripes) * each
    held = own_columns(team, (rows, columns), 10, columns)
    assert held is not None
    assert (held.count, held.rows, held.places(team)) == (each, 10, across)


def test_what_one_team_has_of_a_value() -> None:
    found = analysed(lambda x, h, w: np.tanh(h @ w + x), [array(9, 8, 16)], [array(8, 16)], [array(16, 16)])
    (state,) = found.loop.states
    tiled = found.in_tiles(0, 4)
    assert (tiled.shape(state.next), tiled.lanes.sizes, tiled.lanes.teams, tiled.lanes.count) == (
        (4, 16),
        (8,),
        (2,),
        2,
    )
    assert tiled.work() == 4 * found.work()
    assert found.lanes.count == 8


# ---- what is chosen


def rnn_plans(batch: int, size: int = 64, strategy: str = "auto", precision: str = "highest") -> list[KernelPlan]:
    shapes = dict(x=(9, batch, size), h=(batch, size), u=(size, size))
    x, h, u = (gt.tensor(name, "float32", shape) for name, shape in shapes.items())
    out, _ = gs.scan(lambda x, h, u: gt.tanh(x + h @ u), x, h, u)
    assert out.owner is not None
    with gs.config.change_flags(strategy=strategy, matmul_precision=precision):
        return list(choices(open_loop(out.owner), H200))


@pytest.mark.parametrize("precision", ["highest", "tf32"])
def test_many_lanes_go_in_tiles(precision: str) -> None:
    plan = rnn_plans(4096, precision=precision)[0]
    assert plan.team == "tile"
    assert plan.tile * plan.lane_count == 4096
    assert len(plan.on_tensor_cores) == (precision == "tf32")
    lines = list(plan.explain())
    assert f"  a tile of {plan.tile} lanes a block: {plan.lane_count} tiles" in lines
    assert any(line.startswith("  lanes 4096: 4096, grid") for line in lines)


def refusal(step: Callable[..., Any], *args: Any, **options: Any) -> str:
    results, _ = gs.scan(step, *args, return_list=True, **options)
    assert results[0].owner is not None
    return choose(open_loop(results[0].owner), H200).refusals["tile"]


def test_why_not() -> None:
    w = array(16, 16)
    assert "no product has lanes for rows" in refusal(
        lambda s, w: np.tanh(w @ s), None, [array(16, 300)], [w], n_steps=2
    )
    assert "no product has lanes for rows" in refusal(lambda s: s * 0.5, None, [array(300)], n_steps=2)
    assert "no state is carried" in refusal(lambda x, w: x @ w + 1, [array(9, 300, 16)], None, [w])
    assert "307 lanes cannot be divided" in refusal(lambda s, w: np.tanh(s @ w), None, [array(307, 16)], [w], n_steps=2)
    assert "30 lanes have a block each" in refusal(lambda s, w: np.tanh(s @ w), None, [array(30, 16)], [w], n_steps=2)
