"""Products inside kernels on tensor cores: what they compute, which ones they are, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.config import config
from gpuscan.cuda import tiles
from gpuscan.cuda.gpu import EMULATED_GPU, KNOWN_GPUS
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import KINDS, MOST_BYTES, Size, divide
from gpuscan.cuda.strategies import choose
from gpuscan.loop import open_loop
from tests.kernels.rounding import rounded

UNIT = {"tf32": 2.0**-11, "bf16": 2.0**-8}
"""What rounding an operand changes it by at most, relative: half a unit of a mantissa of 10 or 7 stored bits."""

PRECISIONS = pytest.mark.parametrize("precision", UNIT)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(0, 0.3, shape).astype("float32")


@pytest.fixture(params=["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    inputs: list[Any],
    outputs: list[Any],
    values: list[np.ndarray],
    precision: str,
    team: str = "auto",
    device: str = "emulator",
) -> tuple[list[np.ndarray], gs.Function]:
    """Return what a device computes under these flags, which count when a loop is planned: at the first call."""
    f = gs.function(inputs, outputs, device=device)
    with config.change_flags(matmul_precision=precision, strategy=team):
        return f(*values), f


# ---- what is computed


def centered(state: Any) -> Any:
    """Return elements each of which depends on all, so that they are one team's."""
    return 0.5 * (state - state.mean())


def lstm(size: int, *, rows_apart: bool = True) -> Callable[..., Any]:
    """Return a step of an LSTM; unless rows of the batch are apart, they are no lanes, and a block has all of them."""

    def step(z: Any, h: Any, c: Any, u: Any) -> Any:
        z = z + gt.dot(h if rows_apart else centered(h), u)
        i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
        c = gt.sigmoid(f) * c + gt.sigmoid(i) * gt.tanh(g)
        return gt.sigmoid(o) * gt.tanh(c), c

    return step


@PRECISIONS
@pytest.mark.parametrize(("team", "size", "batch"), [("grid", 32, 16), ("grid", 20, 9), ("block", 32, 16)])
def test_lstm_and_its_gradient(precision: str, team: str, size: int, batch: int, device: str) -> None:
    x, u, h, c = gt.ftensor3("x"), gt.fmatrix("u"), gt.fmatrix("h"), gt.fmatrix("c")
    (hs, cs), _ = gs.scan(lstm(size, rows_apart=team == "grid"), [x], [h, c], [u])
    outputs = [hs, cs, *gs.grad((hs**2).sum(), [u, h, x])]
    values = [normal(3, batch, 4 * size), normal(size, 4 * size), normal(batch, size), normal(batch, size)]
    found, f = run([x, u, h, c], outputs, values, precision, team, device)
    expected = gs.function([x, u, h, c], outputs, device="cpu")(*values)
    for got, wanted in zip(found, expected, strict=True):
        # A product of two operands is off by two units of the sum of its terms' sizes, several times its own size.
        np.testing.assert_allclose(got, wanted, rtol=0, atol=10 * UNIT[precision] * np.abs(wanted).max())
    forwards, backwards = f.plans
    for plan in (forwards, backwards):
        assert (plan.team, plan.precision) == (team, precision)
    assert len(forwards.on_tensor_cores) == 4
    assert len(backwards.on_tensor_cores) == 1
    assert f"4 of 4 products on tensor cores, operands rounded to {precision}" in (f.explain(file="str") or "")
    assert f.kernel_source().count(".multiply_") == 2, "the four gates are one product"


@PRECISIONS
def test_tiles_of_lanes_and_their_gradient(precision: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "MOST_LANES", 16)
    x, u, h, c = gt.ftensor3("x"), gt.fmatrix("u"), gt.fmatrix("h"), gt.fmatrix("c")
    (hs, cs), _ = gs.scan(lstm(20), [x], [h, c], [u])
    outputs = [hs, cs, *gs.grad((hs**2).sum(), [u, h, x])]
    values = [normal(3, 32, 80), normal(20, 80), normal(32, 20), normal(32, 20)]
    found, f = run([x, u, h, c], outputs, values, precision, "tile", device)
    expected = gs.function([x, u, h, c], outputs, device="cpu")(*values)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=10 * UNIT[precision] * np.abs(wanted).max())
    for plan, products in zip(f.plans, (4, 1), strict=True):
        assert (plan.team, plan.precision, len(plan.on_tensor_cores)) == ("tile", precision, products)
        assert plan.tile * plan.lane_count == 32
        assert plan.lane_count > 1


Product = Callable[[Any, Any], Any]

PRODUCTS: dict[str, tuple[Product, tuple[int, ...], tuple[int, ...]]] = {
    "even": (lambda x, w: x @ w, (16, 32), (32, 16)),
    "ragged": (lambda x, w: x @ w, (11, 21), (21, 19)),
    "several tiles": (lambda x, w: x @ w, (40, 50), (50, 36)),
    "transposed": (lambda x, w: x.T @ w.T, (24, 9), (17, 24)),
    "stack": (lambda x, w: (x @ w).reshape((12, 16)), (3, 4, 16), (16, 16)),
    "computed": (lambda x, w: (x + x) @ w, (8, 16), (16, 16)),
    "part of weights": (lambda x, w: x @ w[:, 8:24], (8, 20), (20, 32)),
}
"""From a row of a sequence and weights, and their shapes."""


WAYS = [("tf32", "grid", True), ("bf16", "block", True), ("tf32", "block", False), ("bf16", "grid", False)]
"""Precision, team, and whether weights are the same at every step."""


@pytest.mark.parametrize(
    ("name", "precision", "team", "fixed"),
    [(name, *WAYS[(i + shift) % 4]) for i, name in enumerate(PRODUCTS) for shift in (0, 2)],
)
def test_a_product_is_that_of_rounded_operands(name: str, precision: str, team: str, fixed: bool, device: str) -> None:
    """The left operand has small whole numbers, so that what it is rounded to does not hang on the last bit."""
    product, left, right = PRODUCTS[name]

    def step(row: Any, w: Any, k: Any, s: Any) -> Any:
        k = row - k[::-1]
        return k, centered(s) + product(k, w)

    rows = np.random.default_rng(0).integers(-3, 4, (3, *left)).astype("float32")
    weights = normal(*right)[None] if fixed else normal(3, *right)
    k_value, s_value = np.zeros(left, "float32"), normal(*product(rows[0], weights[0]).shape)
    given = k_value, s_value, rows, weights
    k, s, x, w = (gt.tensor(n, "float32", (None,) * v.ndim) for n, v in zip("ksxw", given, strict=True))
    if fixed:
        (_, out), _ = gs.scan(lambda row, k, s, w: step(row, w, k, s), [x], [k, s], [w[0]])
    else:
        (_, out), _ = gs.scan(step, [x, w], [k, s])
    (found,), f = run([x, w, k, s], [out], [rows, weights, k_value, s_value], precision, team, device)
    expected_k, expected = k_value, s_value.astype("float64")
    for t, got in enumerate(found):
        w_now = rounded(weights[0 if fixed else t], precision).astype("float64")
        expected_k, expected = step(rows[t], w_now, expected_k, expected)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    (plan,) = f.plans
    assert (plan.team, len(plan.on_tensor_cores)) == (team, 1)
    assert (".multiply_held(" in f.kernel_source()) == fixed


@PRECISIONS
def test_a_warp_a_lane(precision: str, device: str) -> None:
    """Each of several lanes has a small product to itself, and its rows are not lanes."""
    s, w = gt.ftensor3("s"), gt.fmatrix("w")
    out, _ = gs.scan(lambda s, w: (s[:, ::-1] - 1) @ w, None, [s], [w], n_steps=2)
    s_value, w_value = np.random.default_rng(0).integers(-9, 9, (5, 8, 16)).astype("float32"), normal(16, 16)
    (found,), f = run([s, w], [out], [s_value, w_value], precision, "warp", device)
    expected = (s_value[:, ::-1] - 1) @ rounded(w_value, precision).astype("float64")
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-4)
    (plan,) = f.plans
    assert (plan.team, len(plan.on_tensor_cores)) == ("warp", 1)


@pytest.mark.parametrize("team", ["grid", "block"])
def test_inside_loops_branches_and_with_a_condition(team: str, device: str) -> None:
    x, s, w = gt.ftensor3("x"), gt.fmatrix("s"), gt.fmatrix("w")

    def step(row: Any, s: Any, w: Any) -> Any:
        inner, _ = gs.scan(lambda h, w, row: gt.tanh(centered(h) @ w + row), None, [s], [w, row], n_steps=2)
        taken = gs.ifelse(row[0, 0] > 0, inner[-1] @ w, s)
        return taken, gs.until(taken.sum() > 1e6)

    out, _ = gs.scan(step, [x], [s], [w])
    values = [normal(4, 12, 24), normal(12, 24), normal(24, 24)]
    (found,), f = run([x, s, w], [out], values, "tf32", team, device)
    (expected,) = gs.function([x, s, w], [out], device="cpu")(*values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * UNIT["tf32"] * np.abs(expected).max())
    (plan,) = f.plans
    assert (plan.team, len(plan.on_tensor_cores)) == (team, 2)


# ---- which products


def rnn(rows: int, terms: int, columns: int, dtype: str = "float32") -> tuple[list[Any], Any, list[np.ndarray]]:
    x, s, w = (gt.tensor(name, dtype, (None,) * ndim) for name, ndim in (("x", 3), ("s", 2), ("w", 2)))
    out, _ = gs.scan(lambda row, s, w: centered(s) + (row + s[:, :1]) @ w, [x], [s], [w])
    shapes = (2, rows, terms), (rows, columns), (terms, columns)
    return [x, s, w], out, [normal(*shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("case", [(5, 20, 20), (16, 8, 16), (16, 16, 8), (16, 16, 16, "float64")], ids=str)
def test_small_ones_and_others_than_of_float32_stay_as_they_are(case: tuple[Any, ...]) -> None:
    inputs, out, values = rnn(*case)
    texts, results = [], []
    for precision in ("highest", "tf32"):
        result, f = run(inputs, [out], values, precision, "block")
        texts.append(f.kernel_source())
        results.append(result[0])
        assert not f.plans[0].on_tensor_cores
    assert texts[0] == texts[1]
    np.testing.assert_array_equal(*results)
    assert "products in full precision: none has 8 rows" in (f.explain(file="str") or "")


def test_full_precision_by_default() -> None:
    assert config.matmul_precision == "highest"
    inputs, out, values = rnn(16, 32, 16)
    f = gs.function(inputs, out, device="emulator")
    f(*values)
    assert "mma.sync" not in f.kernel_source()
    assert "precision" not in (f.explain(file="str") or "")
    with pytest.raises(ValueError, match=r"config.matmul_precision = 'fp8' is not possible"):
        config.matmul_precision = "fp8"


def planned(gpu: str, size: int, batch: int, precision: str) -> KernelPlan:
    x = gt.tensor("x", "float32", (1024, batch, 4 * size))
    u = gt.tensor("u", "float32", (size, 4 * size))
    h, c = (gt.tensor(name, "float32", (batch, size)) for name in "hc")
    (hs, _), _ = gs.scan(lstm(size), [x], [h, c], [u])
    assert hs.owner is not None
    with config.change_flags(matmul_precision=precision):
        return choose(open_loop(hs.owner), {**KNOWN_GPUS, "emulator": EMULATED_GPU}[gpu])


def test_a_gpu_without_the_instructions_keeps_full_precision() -> None:
    plan = planned("Tesla T4", 256, 16, "bf16")
    assert (plan.precision, plan.on_tensor_cores) == ("highest", frozenset())
    assert plan.notes == ("products in full precision: sm_75 has no instructions for bf16",)
    assert plan.shape == planned("Tesla T4", 256, 16, "highest").shape


def test_a_grid_has_whole_tiles_of_columns_to_a_block() -> None:
    plan = planned("NVIDIA H200", 768, 16, "bf16")
    assert (plan.team, len(plan.on_tensor_cores)) == ("grid", 4)
    assert plan.shape == Team("grid", 16 * 768, 1, 256, 96, 8, 768)
    with config.change_flags(strategy="grid"):
        slower = planned("NVIDIA H200", 768, 16, "highest")
    assert (slower.team, slower.shape.width) == ("grid", 0)
    assert plan.estimate is not None
    assert slower.estimate is not None
    assert plan.estimate.seconds < slower.estimate.seconds


def test_lanes_are_the_rows_of_a_tile_where_that_is_quicker() -> None:
    tiles, alone = (planned("NVIDIA H200", 96, batch, "bf16") for batch in (16, 4))
    assert (tiles.team, tiles.tile * tiles.lane_count, len(tiles.on_tensor_cores)) == ("tile", 16, 4)
    assert (alone.team, alone.lane_count, len(alone.on_tensor_cores)) == ("block", 4, 0)


# ---- how warps divide them


@settings(deadline=None, max_examples=60)
@given(
    st.integers(8, 300), st.integers(16, 3000), st.integers(1, 8), st.sampled_from([32, 96, 256, 512, 1024]),
    st.sampled_from(sorted(KINDS)), st.integers(-40, 160),
)  # fmt: skip
def test_divisions_fit(rows: int, terms: int, tiles: int, threads: int, precision: str, room: int) -> None:
    _, words = KINDS[precision]
    tiles = min(tiles, MOST_BYTES // (32 * rows))
    division = divide(Size(rows, terms, 8 * tiles), tiles, Team("block", threads, block=threads), words, room)
    assert division.parts * division.across * division.down <= threads // 32
    assert 4 * division.sums <= MOST_BYTES
    assert division.parts * division.own_steps >= division.steps
    assert division.across * division.own_tiles >= tiles


def test_a_team_of_one_warp_divides_nothing() -> None:
    division = divide(Size(8, 512, 16), 2, replace(Team("warp", 32), block=128), 2, 0)
    assert (division.parts, division.across, division.down) == (1, 1, 1)
