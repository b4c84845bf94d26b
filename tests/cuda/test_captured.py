"""Loops driven from the host whose steps are recorded and replayed, on arrays that only a replay writes to."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.captured import FEWEST_STEPS
from tests.cuda.stand_in import DeviceArray, Recording, StandIn, StandInFence, keep_kernels_pointwise


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    device = StandIn()
    monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: device)
    monkeypatch.setattr("gpuscan.cuda.launch.gpu_count", lambda: 1)
    return device


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_kernels_pointwise(monkeypatch)
    monkeypatch.setattr("gpuscan.cuda.captured.MOST_STEPS", 8)


def normal(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


class Compared:
    """A function on the stand-in for a GPU, each of whose calls is compared with the CPU's."""

    def __init__(self, inputs: list[Any], outputs: Any) -> None:
        self.f = gs.function(inputs, outputs, device="cuda")
        self.oracle = gs.function(inputs, outputs, device="cpu")

    def __call__(self, *values: Any) -> None:
        for found, expected in zip(self.f(*values), self.oracle(*values), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def recurrent(**options: Any) -> tuple[list[Any], list[Any]]:
    x, h, w = gt.matrix("x"), gt.vector("h"), gt.matrix("w")
    (states, norms), _ = gs.scan(lambda row, h, w: (gt.tanh(h @ w + row), (h * h).sum()), x, [h, None], w, **options)
    return [x, h, w], [states, norms, states[-1], norms[-3:]]


class TestChunks:
    def test_whole_chunks_are_replayed_and_the_rest_runs_step_by_step(self, device: StandIn) -> None:
        f = Compared(*recurrent())
        f(normal(29, 3), normal(3), normal(3, 3))
        assert (device.recorded, device.replayed) == (1, 2)  # steps 0 to 7 run while they are recorded

    def test_a_second_call_replays_all_with_its_own_values(self, device: StandIn) -> None:
        f = Compared(*recurrent())
        for seed in range(3):
            f(normal(16, 3, seed=seed), normal(3, seed=seed + 5), normal(3, 3, seed=seed + 9))
        assert (device.recorded, device.replayed) == (1, 1 + 2 + 2)

    @pytest.mark.parametrize("steps", [0, 1, 7, 8, 9, 15, 16, 17, 40])
    def test_any_length(self, device: StandIn, steps: int) -> None:
        f = Compared(*recurrent())
        f(normal(24, 3), normal(3), normal(3, 3))
        f(normal(steps, 3, seed=8), normal(3), normal(3, 3))
        assert device.recorded == 1

    def test_few_steps_are_not_recorded(self, device: StandIn) -> None:
        f = Compared(*recurrent())
        f(normal(FEWEST_STEPS - 1, 3), normal(3), normal(3, 3))
        assert device.recorded == 0

    def test_another_shape_is_recorded_again_and_only_the_last_is_kept(self, device: StandIn) -> None:
        f = Compared(*recurrent())
        for n in (3, 4, 4, 3):
            f(normal(16, n), normal(n), normal(n, n))
        assert device.recorded == 3

    def test_memory_is_given_back_after_the_replays_that_use_it(
        self, device: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fences: list[StandInFence] = []
        monkeypatch.setattr(device, "fence", lambda: fences.append(StandInFence()) or fences[-1])
        f = Compared(*recurrent())
        for n in (3, 4):
            f(normal(16, n), normal(n), normal(n, n))
        assert [(fence.waited, fence.marked) for fence in fences] == [(2, 1), (1, 1)]

    def test_a_longer_call_is_recorded_in_longer_chunks(self, device: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gpuscan.cuda.captured.MOST_STEPS", 64)
        f = Compared(*recurrent())
        for steps in (8, 20, 70, 140):
            f(normal(steps, 3), normal(3), normal(3, 3))
        assert device.recorded == 2
        assert device.replayed == 2 + 0 + 2  # of 8 steps in the second call; of 64 in the last

    def test_results_of_an_earlier_call_stay(self, device: StandIn) -> None:
        inputs, outputs = recurrent()
        f = gs.function(inputs, outputs, device="cuda", placement="device")
        first = f(normal(16, 3), normal(3), normal(3, 3))
        before = [np.array(value.array) for value in first]
        f(normal(16, 3, seed=1), normal(3, seed=2), normal(3, 3, seed=3))
        for value, expected in zip(first, before, strict=True):
            np.testing.assert_array_equal(value.array, expected)


class TestRecords:
    def test_taps_of_sequences_and_states(self, device: StandIn) -> None:
        x, init, w = gt.matrix("x"), gt.matrix("init"), gt.matrix("w")
        for go_backwards in (False, True):
            out, _ = gs.scan(
                lambda before, after, older, newer, w: (newer @ w) * 0.3 + older - before * after,
                dict(input=x, taps=[-1, 2]),
                dict(initial=init, taps=[-3, -1]),
                w,
                go_backwards=go_backwards,
            )
            f = Compared([x, init, w], [out, out[-1], out[-2:]])
            f(normal(25, 3), normal(3, 3), normal(3, 3))
            f(normal(12, 3), normal(4, 3), normal(3, 3))
        assert device.replayed > 0

    def test_a_state_read_further_back_than_a_chunk(self, device: StandIn) -> None:
        init, w = gt.matrix("init"), gt.matrix("w")
        out, _ = gs.scan(lambda old, new, w: old @ w + new, None, dict(initial=init, taps=[-11, -1]), w, n_steps=21)
        Compared([init, w], [out, out[-4:]])(normal(11, 2), normal(2, 2))
        assert device.replayed == 1

    def test_states_that_change_places_and_scalars(self, device: StandIn) -> None:
        a, b, w, scale = gt.vector("a"), gt.vector("b"), gt.matrix("w"), gt.scalar("scale")
        (first, second, count), _ = gs.scan(
            lambda a, b, k, w, scale: (b, a @ w * scale, k + 1), None, [a, b, np.int64(0)], [w, scale], n_steps=20
        )
        f = Compared([a, b, w, scale], [first, second, count, count[-1]])
        for value in (0.5, 0.25):  # a number on the host is none of the recording
            f(normal(2), normal(2), normal(2, 2), value)
        assert device.replayed == 1 + 2

    def test_draws_go_on_from_the_state(self, device: StandIn) -> None:
        x, w = gt.vector("x"), gt.matrix("w")

        def step(x: Any, rng: Any, w: Any) -> Any:
            rng, noise = rng.normal(size=(3,))
            return x @ w + noise, rng

        (walk, states), _ = gs.scan(step, None, [x, gt.random.default_rng(1)], w, n_steps=24)
        f = Compared([x, w], [walk, states[-1]])
        f(normal(3), normal(3, 3) * 0.3)
        f(normal(3), normal(3, 3) * 0.3)
        assert device.replayed == 2 + 3

    def test_a_kernel_inside_is_part_of_the_recording(self, device: StandIn) -> None:
        x, w = gt.matrix("x"), gt.matrix("w")

        def step(row: Any, w: Any) -> Any:
            inner, _ = gs.scan(lambda s, v: s * 0.5 + v, None, [row @ w], [row], n_steps=5)
            return inner[-1]

        out, _ = gs.scan(step, x, None, w)
        f = Compared([x, w], [out])
        f(normal(24, 3), normal(3, 3))
        f(normal(16, 3), normal(3, 3))
        assert device.replayed == 2 + 2
        assert [plan.team for plan in f.f.plans] == ["host", "thread"]
        assert device.launches == 2 * 8  # once to run, once to record

    def test_a_loop_inside_that_the_host_drives_is_recorded_by_itself(self, device: StandIn) -> None:
        x, w = gt.matrix("x"), gt.matrix("w")

        def compiled(n_steps: int) -> Compared:
            def step(row: Any, w: Any) -> Any:
                inner, _ = gs.scan(lambda s, w: gt.tanh(s @ w), None, [row], [w], n_steps=n_steps, name="inner")
                return inner[-1]

            return Compared([x, w], [gs.scan(step, x, None, w)[0]])

        f = compiled(16)
        f(normal(10, 3), normal(3, 3))
        assert device.recorded == 1
        assert device.replayed == 1 + 9 * 2
        assert "scan[inner], a loop inside, is driven from the host and recorded by itself" in str(f.f.explain("str"))
        device.recorded = device.replayed = 0
        compiled(3)(normal(24, 3), normal(3, 3))  # too short for that
        assert (device.recorded, device.replayed) == (1, 2)

    def test_shapes_from_shapes_and_writes_in_place(self, device: StandIn) -> None:
        x, w = gt.matrix("x"), gt.matrix("w")

        def step(row: Any, h: Any, w: Any) -> Any:
            wide = gt.concatenate([row, h @ w, gt.zeros((row.shape[0],))]).reshape((row.shape[0], -1))
            return gt.set_subtensor(wide.sum(1)[1:], h[:-1]) * 0.5, wide

        (h, wide), _ = gs.scan(step, x, [gt.ones(3), None], w)
        f = Compared([x, w], [h, wide[-1]])
        f(normal(17, 3), normal(3, 3))
        f(normal(17, 3, seed=9), normal(3, 3))
        assert device.replayed == 1 + 2

    def test_gradients(self, device: StandIn) -> None:
        inputs, (states, norms, *_) = recurrent()
        loss = (states**2).sum() + norms[-1]
        Compared(inputs, gs.grad(loss, inputs))(normal(19, 3), normal(3), normal(3, 3) * 0.4)
        assert device.recorded == 2


class TestRefusals:
    def reason(self, f: gs.Function) -> str:
        (line,) = [line for line in str(f.explain("str")).splitlines() if "recorded" in line]
        return line

    @pytest.mark.parametrize(
        ("step", "reason"),
        [
            (lambda row, h, w: gt.sort(h @ w) + row, "sort"),
            (lambda row, h, w: gs.raise_op.Assert("no")(h @ w, (row < 9).all()), "assert"),
            (lambda row, h, w: gt.linalg.solve(w, row) + h, "solve"),
            (lambda row, h, w: gs.ifelse(row.sum() > 0, h @ w, h), "if"),
            (lambda row, h, w: gt.set_subtensor((h @ w)[row > 0], 0.5), "a mask"),
            (lambda row, h, w: h + gt.exp(gt.arange(gt.cast(h[0], "int64"))).sum() + (h @ w), "sizes"),
        ],
        ids=["sort", "assert", "solve", "ifelse", "mask", "size"],
    )
    def test_what_waits_for_the_device_is_not_recorded(self, device: StandIn, step: Any, reason: str) -> None:
        x, h, w = (gt.tensor(name, "float64", shape) for name, shape in (("x", (16, 3)), ("h", (3,)), ("w", (3, 3))))
        out, _ = gs.scan(step, x, h, w)
        assert re.search(f"not recorded: .*{reason}", self.reason(gs.function([x, h, w], out, device="cuda")), re.I)

    def test_it_runs_all_the_same(self, device: StandIn) -> None:
        x, h, w = gt.matrix("x"), gt.vector("h"), gt.matrix("w")
        out, _ = gs.scan(lambda row, h, w: gt.sort(h @ w) + row, x, h, w)
        Compared([x, h, w], [out])(normal(16, 3), normal(3), normal(3, 3))
        assert device.recorded == 0

    def test_a_stop_is_read_by_the_host(self, device: StandIn) -> None:
        x = gt.tensor("x", "float64", (3,))
        out, _ = gs.scan(lambda s: (s * 2, gs.until(s.sum() > 9)), None, x, n_steps=50)
        assert "whether to stop" in self.reason(gs.function([x], out, device="cuda"))

    def test_what_fails_while_it_is_recorded_runs_op_by_op_from_then_on(
        self, device: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tries = []

        def fails(work: Any) -> Any:
            tries.append(1)
            work()
            raise RuntimeError("this stream is busy")

        monkeypatch.setattr(device, "record", fails)
        f = Compared(*recurrent())
        for _ in range(2):
            f(normal(20, 3), normal(3), normal(3, 3))
        assert len(tries) == 1
        assert "not recorded: RuntimeError: this stream is busy" in self.reason(f.f)

    def test_explain_says_what_is_recorded(self, device: StandIn) -> None:
        f = Compared(*recurrent())
        f(normal(20, 3), normal(3), normal(3, 3))
        # 8 rows of x, h and w, and 8 rows of each of two outputs: 24 + 3 + 9 + 24 + 8 numbers
        assert (
            f"8 steps are recorded and replayed as one CUDA graph; its buffers take {8 * (24 + 3 + 9 + 24 + 8)} bytes"
            in (self.reason(f.f))
        )

    def test_the_emulator_has_nothing_to_record(self) -> None:
        inputs, outputs = recurrent()
        f = gs.function(inputs, outputs, device="emulator")
        f(normal(20, 3), normal(3), normal(3, 3))
        assert "recorded" not in str(f.explain("str"))

    def test_one_thread_has_the_buffers_and_another_goes_without(self, device: StandIn) -> None:
        f = Compared(*recurrent())
        f(normal(16, 3), normal(3), normal(3, 3))
        (runner,) = f.f._program._runners
        with runner._recorder._lock:
            f(normal(16, 3), normal(3), normal(3, 3))
        assert device.replayed == 1
        threads = [threading.Thread(target=f, args=(normal(16, 3), normal(3), normal(3, 3))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class TestAGoodGuest:
    """What a caller does to a GPU's queue by calling a function: no more than to add to it."""

    def compiled(self) -> tuple[gs.Function, list[Any]]:
        inputs = [gt.matrix("x"), gt.vector("h"), gt.matrix("w")]
        return gs.function(inputs, self.outputs(inputs), device="cuda"), inputs

    def outputs(self, inputs: list[Any]) -> list[Any]:
        x, h, w = inputs
        (states, norms), _ = gs.scan(lambda row, h, w: (gt.tanh(h @ w + row), (h * h).sum()), x, [h, None], w)
        sums, _ = gs.scan(lambda row, s: s * 0.5 + row, x, h)
        return [states, norms, states[-1], norms[-3:], sums]

    def values(self, seed: int, steps: int = 19) -> list[DeviceArray]:
        return [DeviceArray(normal(*shape, seed=seed)) for shape in ((steps, 3), (3,), (3, 3))]

    def test_no_call_waits_for_the_device(self, device: StandIn) -> None:
        f, _ = self.compiled()
        reads = DeviceArray.reads
        for seed in range(3):
            f(*self.values(seed))
        assert (device.waits, DeviceArray.reads) == (0, reads)

    def test_calls_are_kept_in_order_by_the_device(self, device: StandIn) -> None:
        f, _ = self.compiled()
        f(*self.values(0))
        runner = next(r for r in f._program._runners if r._recorder._captured is not None)
        fence = runner._recorder._captured._fence
        f(*self.values(1))
        assert (fence.waited, fence.marked) == (2, 2)

    def test_a_whole_call_becomes_part_of_the_callers_graph(self, device: StandIn) -> None:
        f, inputs = self.compiled()
        oracle = gs.function(inputs, self.outputs(inputs), device="cpu")
        values = self.values(0)
        f(*values)  # once before, so that all is compiled
        results: list[Any] = []
        with Recording() as recording:
            results = f(*values)
        for seed in (4, 5):
            for value, new in zip(values, self.values(seed), strict=True):
                value.array[...] = new.array
            recording.replay()
            for found, expected in zip(results, oracle(*(v.array for v in values)), strict=True):
                np.testing.assert_allclose(found.array, expected, rtol=1e-12)

    def test_what_reads_on_the_host_cannot_be_part_of_it(self, device: StandIn) -> None:
        x = gt.vector("x")
        f = gs.function([x], x * 2, device="cuda", placement="host")
        with Recording(), pytest.raises(RuntimeError, match="while work is recorded"):
            f(DeviceArray(np.ones(3)))
