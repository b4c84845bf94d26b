"""Loops run in parallel along time: what they compute, against the CPU, and when they are run so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda import emulator
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.kernel import Kernel
from gpuscan.cuda.prefix import LANES_PER_SM, LEAST_STEPS
from gpuscan.cuda.strategies import STRATEGIES, choose
from gpuscan.loop import bind_loop
from tests.cuda.texts import own_text

H200 = KNOWN_GPUS["NVIDIA H200"]

EPS = {"float32": 2.0**-24, "float64": 2.0**-53}


@pytest.fixture(autouse=True)
def prefix_team() -> Iterator[None]:
    with gs.config.change_flags(strategy="prefix"):
        yield


@pytest.fixture(params=["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def last_looks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all blocks run at once, and of tiles that have published their maps the last look back first."""
    load = emulator.load
    look, later = "look_back<Maps>(states, stage, at);", "for (long long i = chunk; i < 50; ++i) gpuscan_pause();"

    def slowly(kernel: Kernel, **_: Any) -> Any:
        source = kernel.source.replace("of.load();", "of.load(); if (of.chunk == 0) gpuscan_pause();")
        source = source.replace(look, f"{later} {look}")
        assert source != kernel.source
        return load(replace(kernel, source=source), cooperative=True)

    monkeypatch.setattr(emulator, "load", slowly)


def teams(f: gs.Function) -> list[str]:
    return [plan.team for plan in f.plans]


def as_list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def check(
    inputs: list[Any],
    outputs: Any,
    *values: Any,
    device: str = "emulator",
    magnitudes: list[np.ndarray] | None = None,
    steps: int = 1,
) -> list[np.ndarray]:
    """Check that all loops of a function run in parallel along time and compute what the CPU does.

    Exactly, or where `magnitudes` are given to within a rounding a step of those: the sums of the absolute values of
    what the results are sums of.
    """
    expected = as_list(gs.function(inputs, outputs, device="cpu")(*values))
    f = gs.function(inputs, outputs, device=device)
    found = as_list(f(*values))
    assert set(teams(f)) == {"prefix"}, f.explain("str")
    for i, (e, v) in enumerate(zip(expected, found, strict=True)):
        assert (v.dtype, v.shape) == (e.dtype, e.shape)
        if magnitudes is None:
            np.testing.assert_array_equal(v, e)
        else:
            bound = (steps + 4) * EPS[e.dtype.name] * magnitudes[i]
            assert (np.abs(v.astype("float64") - e) <= bound).all(), np.abs(v - e).max()
    return found


def normal(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def whole(*shape: int, dtype: str, seed: int = 0) -> np.ndarray:
    limits = (0, 2) if dtype == "bool" else (0 if dtype.startswith("u") else -9, 10)
    return np.random.default_rng(seed).integers(*limits, shape).astype(dtype)


def first_order(dtype: str, a: str) -> tuple[list[Any], list[Any]]:
    """Return the inputs of ``s = a * s + x`` with `a` one number, one a lane or one a step, and its results."""
    x, s = gt.tensor("x", dtype, (None, None)), gt.tensor("s", dtype, (None,))
    ndim = {"number": 0, "lane": 1, "step": 2}[a]
    factor = gt.tensor("a", dtype, (None,) * ndim)
    if a == "step":
        out, _ = gs.scan(lambda x, a, s: a * s + x, [x, factor], [s])
    else:
        out, _ = gs.scan(lambda x, s, a: a * s + x, [x], [s], [factor])
    return [x, s, factor], [out, out[-1], out[-2:]]


def check_first_order(dtype: str, a: str, steps: int, lanes: int, device: str = "emulator") -> list[np.ndarray]:
    inputs, outputs = first_order(dtype, a)
    if not steps:
        outputs = outputs[:1]
    shape = {"number": (), "lane": (lanes,), "step": (steps, lanes)}[a]
    factor = np.random.default_rng(1).uniform(-1.0, 1.0, shape).astype(dtype)
    values = [normal(steps, lanes, dtype=dtype), normal(lanes, dtype=dtype), factor]
    f = gs.function(inputs, outputs, device="cpu")
    magnitudes = as_list(f(*(np.abs(v) for v in values)))
    return check(inputs, outputs, *values, device=device, magnitudes=magnitudes, steps=steps)


class TestFirstOrder:
    @pytest.mark.parametrize(
        ("steps", "lanes"), [(0, 3), (1, 1), (2, 40), (31, 3), (1000, 40), (5000, 1), (5000, 3), (200, 70)]
    )
    def test_lengths(self, steps: int, lanes: int, device: str) -> None:
        check_first_order("float64", "step", steps, lanes, device)

    @pytest.mark.optimised
    @pytest.mark.parametrize(("dtype", "a"), [("float32", "number"), ("float64", "lane"), ("float32", "step")])
    def test_factors(self, dtype: str, a: str, device: str) -> None:
        check_first_order(dtype, a, 3000, 3, device)

    def test_a_float32_loop_is_nearer_to_the_truth_than_its_steps_one_by_one(self) -> None:
        x = gt.fvector("x")
        out, _ = gs.scan(lambda x, s: s + x, [x], [np.float32(0)])
        values = np.random.default_rng(0).uniform(size=20_000).astype("float32")
        truth = values.astype("float64").sum()
        one_by_one = np.cumsum(values)[-1]
        parallel = gs.function([x], out[-1], device="emulator")(values)
        assert abs(parallel - truth) < abs(one_by_one - truth)


@pytest.mark.optimised
class TestOperations:
    """Each on a state of its own, all in one loop."""

    def test_on_floats_exactly(self, device: str) -> None:
        x, s = gt.fmatrix("x"), gt.fvector("s")

        def step(x: Any, highest: Any, lowest: Any, newest: Any, first: Any) -> Any:
            return gt.maximum(highest, x), gt.minimum(x, lowest), x, first

        outs, _ = gs.scan(step, [x], [s, s, s, s])
        values = normal(2000, 3, dtype="float32")
        values[700, 1] = np.nan
        values[[5, 900], 2] = np.inf, -np.inf
        inputs, results = [x, s], [*outs, *(out[-1] for out in outs)]
        check(inputs, results, values, np.array([-9, 0, 9], "float32"), device=device)

    def test_on_integers_exactly(self, device: str) -> None:
        x, s = gt.lvector("x"), gt.lscalar("s")

        def step(x: Any, *states: Any) -> Any:
            a, b, c, d, e, f, g, h = states
            return a + x, x - b, c * x, d * x - x, gt.maximum(e, x), f ^ x, g & (x | 1), x | h

        outs, _ = gs.scan(step, [x], [s] * 8)
        check([x, s], [*outs, *(out[-1] for out in outs)], whole(5000, dtype="int64"), np.int64(3), device=device)

    @pytest.mark.parametrize("dtype", ["int8", "uint32"])
    def test_integers_that_wrap_around(self, dtype: str, device: str) -> None:
        x, s = gt.tensor("x", dtype, (None, None)), gt.tensor("s", dtype, (None,))
        out, _ = gs.scan(lambda x, s: s * x + x, [x], [s])
        check([x, s], out, whole(2000, 2, dtype=dtype), whole(2, dtype=dtype), device=device)

    def test_booleans(self, device: str) -> None:
        x = gt.tensor("x", "bool", (None,))
        step = lambda x, odd, ever, always: (odd ^ x, gt.or_(ever, x), gt.and_(x, always))  # noqa: E731
        outs, _ = gs.scan(step, [x], [np.bool_(False), np.bool_(False), np.bool_(True)])
        values = np.ones(3000, "bool")
        values[1000:2000] = whole(1000, dtype="bool")
        check([x], list(outs), values, device=device)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_logarithms_of_sums(self, dtype: str, device: str) -> None:
        x = gt.tensor("x", dtype, (None,))
        out, _ = gs.scan(lambda x, s: gt.logaddexp(x, s), [x], [np.array(-np.inf, dtype)])
        values = 50 * normal(3000, dtype=dtype)
        expected = np.logaddexp.accumulate(values.astype("float64"))
        found = gs.function([x], out, device=device)(values)
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)

    def test_products(self, device: str) -> None:
        x = gt.dvector("x")
        out, _ = gs.scan(lambda x, s: s * x, [x], [1.0])
        values = np.exp(0.01 * normal(5000))
        found = gs.function([x], out, device=device)(values)
        np.testing.assert_allclose(found, np.cumprod(values), rtol=1e-11)


class TestReads:
    def test_taps_backwards(self, device: str) -> None:
        x, s = gt.matrix("x"), gt.vector("s")
        step = lambda before, now, s: 0.5 * s + before - 2.0 * now  # noqa: E731
        out, _ = gs.scan(step, [dict(input=x, taps=[-2, 0])], [s], go_backwards=True)
        check([x, s], out, normal(1500, 3), normal(3), device=device, magnitudes=[np.full((1498, 3), 9.0)], steps=40)

    def test_rows_and_factors_that_broadcast(self, device: str) -> None:
        rows, columns, init = gt.tensor3("rows"), gt.tensor3("columns"), gt.matrix("init")
        decay = gt.col("decay")
        (state, shared), _ = gs.scan(lambda r, c, s, d: (s * d + r * c, r * 2), [rows, columns], [init, None], [decay])
        values = [normal(600, 1, 5), normal(600, 4, 1), normal(4, 5), np.full((4, 1), 0.9)]
        bounds = [np.full((600, 4, 5), 60.0), np.zeros((600, 1, 5))]
        inputs = [rows, columns, init, decay]
        check(inputs, [state, shared], *values, device=device, magnitudes=bounds, steps=40)

    def test_a_scalar_state_beside_a_vector_one(self, device: str) -> None:
        v, n = gt.lvector("v"), gt.iscalar("n")
        (count, total), _ = gs.scan(lambda k, v: (k + 1, v * 3 + 1), None, [np.int64(1), v], n_steps=n)
        check([v, n], [count, total, count[-1]], whole(40, dtype="int64"), 500, device=device)

    def test_no_lanes(self, device: str) -> None:
        x = gt.matrix("x")
        out, _ = gs.scan(lambda row, s: s + row, [x], [x[0]])
        check([x], out, normal(4, 0), device=device)

    def test_no_steps_leave_the_initial_state(self, device: str) -> None:
        x, s = gt.lmatrix("x"), gt.lvector("s")
        out, _ = gs.scan(lambda row, s: s + row, [x], [s], n_steps=0)
        check([x, s], out, whole(4, 3, dtype="int64"), whole(3, dtype="int64"), device=device)


class TestStates:
    def test_of_several_stages(self, device: str) -> None:
        x = gt.lvector("x")

        def step(x: Any, total: Any, level: Any, peak: Any, seen: Any) -> Any:
            level = level + x
            return total + level * x, level, gt.maximum(peak, total - level), seen + peak * 2

        outs, _ = gs.scan(step, [x], [np.int64(v) for v in (1, 2, 3, 4)])
        check([x], [*outs, *(out[-1] for out in outs)], whole(9000, dtype="int64"), device=device)

    def test_a_value_of_the_step_before(self, device: str) -> None:
        x = gt.vector("x")
        (kept, change), _ = gs.scan(lambda x, last: (x, x - last), [x], [0.0, None])
        check([x], [kept, change], normal(5000), device=device)

    def test_values_computed_from_states(self, device: str) -> None:
        x = gt.lmatrix("x")
        (total, odd), _ = gs.scan(lambda x, s: (s + x, (s + x) % 2 * x), [x], [gt.zeros(3, "int64"), None])
        check([x], [odd[-5:], total[-1]], whole(3000, 3, dtype="int64"), device=device)


@pytest.mark.parametrize("seed", range(2))
def test_random_loops(seed: int, device: str) -> None:
    """Integers, so that results are equal: states of every form, some fed by the one before, over taps of sequences."""
    rng = np.random.default_rng(seed)
    steps, lanes = int(rng.choice([7, 700, 3000])), int(rng.choice([1, 5, 33, 70]))
    taps = [sorted(rng.choice([-2, -1, 0, 1], 2, replace=False).tolist()) for _ in range(2)]
    forms = rng.permutation(6)[:3]

    def step(*given: Any) -> Any:
        rows, states, factor = given[:4], given[4:7], given[7]
        results: list[Any] = []
        for form, s in zip(forms, states, strict=True):
            b = sum(row * (i + 2) for i, row in enumerate(rows)) + sum(results)
            chosen = gt.switch(rows[0] > 3, b, s + factor)
            results.append([s + b, factor * s - b, gt.maximum(s, b), s ^ b, chosen, (s - b) * rows[0]][form])
        return [*results, results[-1] * 2 - states[0]]

    sequences = [gt.lmatrix("p"), gt.lmatrix("q")]
    inputs = [*sequences, *(gt.lvector(f"s{i}") for i in range(3)), gt.lvector("factor")]
    rows = [dict(input=v, taps=t) for v, t in zip(sequences, taps, strict=True)]
    outs, _ = gs.scan(step, rows, [*inputs[2:5], None], inputs[5:], go_backwards=bool(seed % 2))
    values = [rng.integers(-5, 9, (steps + 3, width)) for width in (lanes, 1)]
    values += [rng.integers(-3, 4, lanes) for _ in range(4)]
    check(inputs, [outs[0][-1], outs[1], outs[2][-2:], outs[3]], *values, device=device)


class TestGradients:
    def test_of_a_linear_recurrence(self, device: str) -> None:
        x, a, h = gt.matrix("x"), gt.matrix("a"), gt.vector("h")
        out, _ = gs.scan(lambda x, a, s: a * s + x, [x, a], [h])
        inputs = [x, a, h]
        values = [normal(1500, 3), np.random.default_rng(1).uniform(0.2, 0.9, (1500, 3)), normal(3)]
        grads = gs.grad((out**2).sum(), inputs)
        bounds = [np.full(v.shape, 1e3) for v in values]
        check(inputs, grads, *values, device=device, magnitudes=bounds, steps=40)

    def test_of_what_every_step_shares(self, device: str) -> None:
        x, a, b, h = gt.matrix("x"), gt.vector("a"), gt.vector("b"), gt.vector("h")
        out, _ = gs.scan(lambda x, s, a, b: a * s + (1 - a) * np.tanh(b * x), [x], [h], [a, b])
        inputs = [x, h, a, b]
        values = [normal(1500, 3), normal(3), np.array([0.3, 0.9, -0.5]), normal(3)]
        f = gs.function(inputs, gs.grad(out.sum(), inputs), device=device)
        f(*values)
        final = f.plans[-1]
        assert [s.name for s in final.loop.states] == [
            "owed_s",
            "d_a",
            "d_b",
            "d_sub",
        ]  # of 1 - a, which is computed outside
        bounds = [np.full(v.shape, 1e3) for v in values]
        check(inputs, gs.grad(out.sum(), inputs), *values, device=device, magnitudes=bounds, steps=1500)


class TestStepByStep:
    """Where composing steps would go wrong, tiles go step by step and give exactly what the serial loop does."""

    def test_factors_that_overflow_on_a_state_of_zero(self, device: str) -> None:
        x, s = gt.vector("x"), gt.scalar("s")
        out, _ = gs.scan(lambda x, s: 2.0 * s + x, [x], [s])
        values = np.zeros(12_000)
        values[11_900] = 1.0
        check([x, s], out, values, 0.0, device=device)

    def test_growth_that_cancels(self, device: str) -> None:
        x = gt.vector("x")
        out, _ = gs.scan(lambda x, s: 2.0 * s - x, [x], [1.0])
        check([x], out, np.ones(12_000), device=device)

    def test_infinities_and_gaps(self, device: str) -> None:
        x = gt.matrix("x")
        step = lambda x, s: gt.switch(gt.isnan(x), 0.0, 0.5 * s + x)  # noqa: E731
        out, _ = gs.scan(step, [x], [gt.zeros(2)])
        values = np.ones((9000, 2))
        values[2000, 0], values[4000, 0] = np.inf, np.nan  # from here to there infinity
        values[[100, 3000], 1] = -np.inf, np.nan
        check([x], out, values, device=device)

    def test_a_factor_of_zero_keeps_infinity_from_becoming_a_number(self, device: str) -> None:
        x, a = gt.vector("x"), gt.vector("a")
        out, _ = gs.scan(lambda x, a, s: a * s + x, [x, a], [0.0])
        values, factors = np.ones(8000), np.full(8000, 0.5)
        values[3000], factors[6000] = np.inf, 0.0
        check([x, a], out, values, factors, device=device)

    def test_products_that_vanish_and_sums_that_overflow(self, device: str) -> None:
        x = gt.vector("x")
        (product, total), _ = gs.scan(lambda x, p, s: (p * x, s + x), [x], [1e300, 0.0])
        values = np.where(np.arange(12_000) % 4000 < 2000, 0.5, 2.0)
        values[[9000, 9001, 9002]] = 1e308, 1e308, -1e308
        check([x], [product[:8000], total[:100]], values[:8000], device=device)
        check([x], total[9000:], np.r_[np.zeros(9000), -1e308, 1e308, 1e308, np.zeros(9)], device=device)


class TestLookingBack:
    @pytest.mark.usefixtures("last_looks_first")
    @pytest.mark.parametrize(("lanes", "steps"), [(3, 14_000), (40, 1000)])
    def test_over_tiles_that_only_their_maps_are_known_of(self, lanes: int, steps: int) -> None:
        check_first_order("float64", "lane", steps, lanes)

    @pytest.mark.usefixtures("last_looks_first")
    def test_over_more_tiles_than_a_warp_has_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpuscan.cuda.prefix.BLOCKS_PER_SM", 10)
        check_first_order("float64", "number", 7000, 32)

    @pytest.mark.usefixtures("last_looks_first")
    def test_in_several_stages(self) -> None:
        TestStates().test_of_several_stages("emulator")

    @pytest.mark.usefixtures("last_looks_first")
    def test_over_tiles_that_go_step_by_step(self) -> None:
        TestStepByStep().test_growth_that_cancels("emulator")
        TestStepByStep().test_infinities_and_gaps("emulator")

    def test_a_run_repeats_whatever_was_published(self, request: pytest.FixtureRequest) -> None:
        one_by_one = check_first_order("float32", "step", 20_000, 1)
        request.getfixturevalue("last_looks_first")
        together = check_first_order("float32", "step", 20_000, 1)
        for a, b in zip(one_by_one, together, strict=True):
            np.testing.assert_array_equal(a, b)


class TestChoice:
    def loop(self, lanes: int = 3, length: int | None = None) -> Any:
        x = gt.tensor("x", "float32", (length, None))
        out, _ = gs.scan(lambda x, s: 0.5 * s + x, [x], [gt.zeros(lanes, "float32")])
        assert out.owner is not None
        return bind_loop(out.owner, [(None, lanes), (1, lanes)])

    @pytest.fixture(autouse=True)
    def automatic(self, prefix_team: None) -> Iterator[None]:
        with gs.config.change_flags(strategy="auto"):
            yield

    def test_few_lanes(self) -> None:
        assert choose(self.loop(), H200).team == "prefix"
        assert choose(self.loop(LANES_PER_SM * H200.sms - 1), H200, LEAST_STEPS).team == "prefix"

    def test_many_lanes(self) -> None:
        plan = choose(self.loop(LANES_PER_SM * H200.sms), H200)
        assert plan.team == "thread"
        assert "16896 lanes fill the GPU" in plan.refusals["prefix"]

    def test_few_steps(self) -> None:
        plan = choose(self.loop(), H200, LEAST_STEPS - 1)
        assert plan.team == "thread"
        assert "2047 steps are done sooner one after the other" in plan.refusals["prefix"]

    def test_the_number_of_steps_of_the_call_decides(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x = gt.lvector("x")
        out, _ = gs.scan(lambda x, s: s + x, [x], [np.int64(0)])
        f = gs.function([x], out, device="emulator")
        for steps, team in ((10, "thread"), (LEAST_STEPS, "prefix")):
            np.testing.assert_array_equal(f(np.arange(steps)), np.cumsum(np.arange(steps)))
            assert teams(f) == [team]
        monkeypatch.setattr(emulator, "load", lambda kernel, **_: pytest.fail("compiled again"))
        for steps, team in ((LEAST_STEPS + 5, "prefix"), (7, "thread")):
            f(np.arange(steps))
            assert teams(f) == [team]  # what ran last, not what was planned last

    def test_a_team_that_cannot_leaves_the_loop_to_others(self) -> None:
        x = gt.vector("x")
        out, _ = gs.scan(lambda x, s: np.tanh(s) + x, [x], [0.0])
        f = gs.function([x], out, device="emulator")
        with gs.config.change_flags(strategy="prefix"):
            f(normal(5))
        assert teams(f) == ["thread"]
        assert "not team prefix: state 's' is neither linear in itself" in (f.explain("str") or "")

    def test_the_host_runs_what_it_is_told_to(self) -> None:
        x = gt.vector("x")
        out, _ = gs.scan(lambda x, s: s + x, [x], [0.0])
        f = gs.function([x], out, device="emulator")
        with gs.config.change_flags(strategy="host"):
            f(normal(5))
        assert teams(f) == ["host"]

    def test_every_team_has_a_name_that_the_setting_takes(self) -> None:
        for strategy in STRATEGIES:
            with gs.config.change_flags(strategy=strategy.team):
                assert gs.config.strategy == strategy.team
        with pytest.raises(ValueError, match=r"config\.strategy"):
            gs.config.strategy = "cluster"

    @pytest.mark.parametrize(
        ("step", "reason"),
        [
            (lambda x, s: (s + x, gs.until(s > 5)), "stops on a condition"),
            (lambda x, s: s * s + x, "neither linear"),
        ],
    )
    def test_refusals(self, step: Callable[..., Any], reason: str) -> None:
        x = gt.vector("x")
        out, _ = gs.scan(step, [x], [0.0])
        f = gs.function([x], out, device="emulator")
        f(normal(5))
        assert reason in f.plans[0].refusals["prefix"]

    def test_draws_are_refused(self) -> None:
        rng = gs.shared(np.random.default_rng(0))
        x = gt.vector("x")

        def step(x: Any, s: Any, rng: Any) -> Any:
            rng, noise = rng.normal(0.0, 1.0)
            return s + x + noise, rng

        outs, _ = gs.scan(step, [x], [0.0, rng])
        f = gs.function([x], outs[0], device="emulator")
        f(normal(5))
        assert "draws follow each other" in f.plans[0].refusals["prefix"]


@pytest.mark.optimised
def test_text(golden: Callable[[str, str], None]) -> None:
    x, a, rate = gt.fmatrix("x"), gt.fvector("a"), gt.fscalar("rate")

    def step(x: Any, a: Any, level: Any, total: Any, peak: Any, rate: Any) -> Any:
        level = a * level + rate * (x - level)
        return level, total + level * level, gt.maximum(peak, level), level - total

    zeros = gt.zeros(3, "float32")
    (level, total, peak, gap), _ = gs.scan(step, [x, a], [zeros, zeros, zeros, None], [rate], go_backwards=True)
    f = gs.function([x, a, rate], [level, total[-1], peak[-2:], gap], device="emulator")
    f(normal(9, 3, dtype="float32"), normal(9, dtype="float32"), np.float32(0.5))
    assert teams(f) == ["prefix"]
    golden("prefix.cu", own_text(f))


@pytest.mark.nvrtc
def test_registers() -> None:
    pytest.importorskip("cupy")
    from gpuscan.cuda.launch import resources
    from gpuscan.cuda.prefix_text import prefix_kernel

    inputs, outputs = first_order("float32", "step")
    f = gs.function(inputs, outputs[0], device="emulator")
    f(np.ones((3, 1), "float32"), np.ones(1, "float32"), np.ones((3, 1), "float32"))
    kernel = prefix_kernel(f.plans[0], frozenset()).kernel
    for arch in ("sm_75", "sm_90"):
        found = resources(kernel, arch)
        assert found.spill_bytes == 0
        assert found.registers <= 64  # so that four blocks share an SM
