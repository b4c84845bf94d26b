"""Recording work as a CUDA graph: on a fake CuPy in what order things happen, on a GPU what a replay computes."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda import recording


class FakeStream:
    def __init__(self, cupy: FakeCupy, name: str) -> None:
        self.cupy, self.name = cupy, name
        self.capturing = False

    def __enter__(self) -> None:
        self.cupy.streams.append(self)

    def __exit__(self, *error: Any) -> None:
        self.cupy.streams.pop()

    def record(self) -> str:
        self.cupy.note(f"event of {self.name}")
        return self.name

    def wait_event(self, event: str) -> None:
        self.cupy.note(f"{self.name} waits for {event}")

    def is_capturing(self) -> bool:
        return self.capturing

    def begin_capture(self) -> None:
        self.capturing = True
        self.cupy.note("begin")

    def end_capture(self) -> Any:
        self.capturing = False
        self.cupy.note("end")
        if self.cupy.spoiled:
            raise RuntimeError("the capture was invalidated")
        return SimpleNamespace(launch=lambda: self.cupy.note(f"launch on {self.cupy.streams[-1].name}"))


class FakeCupy:
    """As much of CuPy as recording takes; its arrays are NumPy's."""

    ndarray = np.ndarray
    full, empty, result_type = staticmethod(np.full), staticmethod(np.empty), staticmethod(np.result_type)

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.spoiled = False
        self.streams = [FakeStream(self, "current")]
        self.cuda = SimpleNamespace(
            get_current_stream=lambda: self.streams[-1],
            Stream=lambda non_blocking: FakeStream(self, "private" if non_blocking else "blocking"),
            MemoryPool=lambda: SimpleNamespace(malloc="pool"),
            using_allocator=self.using,
        )

    def note(self, text: str) -> None:
        self.noted.append(text)

    @contextmanager
    def using(self, malloc: str) -> Any:
        self.note(f"memory of the {malloc}")
        yield
        self.note("memory as before")

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        self.note("copy")
        return np.asarray(x, dtype)

    array = asarray

    def concatenate(self, arrays: Any, axis: int) -> Any:
        self.note("concatenate")
        return np.concatenate(arrays, axis)

    def stack(self, arrays: Any) -> Any:
        self.note("stack")
        return np.stack(arrays)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    fake = FakeCupy()
    monkeypatch.setattr(recording, "require_cupy", lambda: fake)
    return fake


class TestRecord:
    def test_work_runs_and_is_captured_on_a_stream_and_in_memory_of_its_own(self, cupy: FakeCupy) -> None:
        replay = recording.record(lambda: cupy.note(f"work on {cupy.streams[-1].name}"))
        assert cupy.noted == [
            "event of current", "private waits for current", "memory of the pool",
            "work on private", "begin", "work on private", "end",
            "memory as before", "event of private", "current waits for private",
        ]  # fmt: skip
        replay()
        assert cupy.noted[-1] == "launch on current"

    def test_both_calls_know_that_they_are_recorded(self, cupy: FakeCupy) -> None:
        seen: list[bool] = []
        assert not recording.is_recording()
        recording.record(lambda: seen.append(recording.is_recording()))
        assert seen == [True, True]
        assert not recording.is_recording()

    @pytest.mark.parametrize("spoiled", [False, True])
    def test_a_failure_ends_the_capture_and_is_raised(self, cupy: FakeCupy, spoiled: bool) -> None:
        cupy.spoiled = spoiled

        def work() -> None:
            if cupy.streams[-1].is_capturing():
                raise ValueError("a wait")

        with pytest.raises(ValueError, match="a wait"):
            recording.record(work)
        assert cupy.noted[-4:] == ["begin", "end", "event of private", "current waits for private"]
        assert not recording.is_recording()
        assert len(cupy.streams) == 1

    def test_a_capture_of_the_callers_is_one(self, cupy: FakeCupy) -> None:
        cupy.streams[-1].begin_capture()
        assert recording.is_recording()

    def test_a_fence_waits_for_the_last_mark(self, cupy: FakeCupy) -> None:
        fence = recording.StreamFence()
        fence.wait()
        assert cupy.noted == []
        fence.mark()
        with FakeStream(cupy, "other"):
            fence.wait()
        assert cupy.noted == ["event of current", "other waits for current"]


class TestCopies:
    def test_outside_of_recordings_they_are_cupys(self, cupy: FakeCupy) -> None:
        recording.asarray(2.0)
        recording.array([1, 2])
        recording.concatenate([np.ones(2)] * 2)
        recording.stack([np.ones(2)] * 2)
        assert cupy.noted == ["copy", "copy", "concatenate", "stack"]

    def test_inside_numbers_are_filled_in_and_arrays_refused(self, cupy: FakeCupy) -> None:
        with FakeStream(cupy, "captured"):
            cupy.streams[-1].begin_capture()
            cupy.noted.clear()
            for make in (recording.asarray, recording.array):
                np.testing.assert_array_equal(make(np.float32(2.5)), np.float32(2.5), strict=True)
                with pytest.raises(RuntimeError, match=r"shape \(2,\) would be copied"):
                    make([np.int64(1), np.int64(2)], "int64")
            assert cupy.noted == []

    @pytest.mark.parametrize("axis", [0, 1, -1])
    def test_inside_arrays_are_joined_without_addresses_from_the_host(self, cupy: FakeCupy, axis: int) -> None:
        parts = [np.full((2, 3), i, "float32") for i in range(10)]
        cupy.streams[-1].begin_capture()
        found = recording.concatenate(parts, axis), recording.stack(parts)
        assert cupy.noted == ["begin"]
        np.testing.assert_array_equal(found[0], np.concatenate(parts, axis), strict=True)
        np.testing.assert_array_equal(found[1], np.stack(parts), strict=True)


@pytest.mark.cuda
class TestOnGpu:
    def recurrent(self, device: str, dtype: str = "float64") -> Any:
        x, h, w = (gt.tensor(name, dtype, (None,) * ndim) for name, ndim in (("x", 3), ("h", 2), ("w", 2)))
        (states, norms), _ = gs.scan(lambda row, h, w: (gt.tanh(h @ w + row), (h * h).sum()), x, [h, None], w)
        return gs.function([x, h, w], [states, norms, states[-1]], device=device)

    def values(self, steps: int, dtype: str = "float64", n: int = 512) -> list[np.ndarray]:
        rng = np.random.default_rng(steps)
        return [(rng.normal(size=s) / 20).astype(dtype) for s in ((steps, 64, n), (64, n), (n, n))]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_a_recorded_loop(self, dtype: str) -> None:
        on_gpu, on_cpu = (self.recurrent(device, dtype) for device in ("cuda", "cpu"))
        for steps in (200, 3, 130, 200):
            values = self.values(steps, dtype)
            for found, expected in zip(on_gpu(*values), on_cpu(*values), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-6)
        if on_gpu.plans[0].team == "host":
            assert "replayed as one CUDA graph" in str(on_gpu.explain("str"))

    def test_a_call_in_the_callers_graph(self) -> None:
        cupy = pytest.importorskip("cupy")
        f, oracle = self.recurrent("cuda"), self.recurrent("cpu")
        values = [cupy.asarray(v) for v in self.values(20)]
        pool, stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
        cupy.cuda.get_current_stream().synchronize()
        with cupy.cuda.using_allocator(pool.malloc), stream:
            f(*values)
            stream.begin_capture()
            results = f(*values)
            graph = stream.end_capture()
            for seed in (5, 6):
                for value, new in zip(values, self.values(20), strict=True):
                    value[...] = cupy.asarray(new * seed / 5)
                graph.launch()
                expected = oracle(*(v.get() for v in values))
                for found, e in zip(results, expected, strict=True):
                    np.testing.assert_allclose(found.get(), e, rtol=1e-9, atol=1e-9)

    def test_calls_on_two_streams_keep_their_order(self) -> None:
        cupy = pytest.importorskip("cupy")
        f, oracle = self.recurrent("cuda"), self.recurrent("cpu")
        given = [self.values(160, n=n) for n in (512, 512)]
        given[1][0] *= 2
        f(*given[0])
        results = []
        for values in given:
            with cupy.cuda.Stream(non_blocking=True) as stream:
                results.append((stream, f(*(cupy.asarray(v) for v in values))))
        for (stream, found), values in zip(results, given, strict=True):
            stream.synchronize()
            for value, expected in zip(found, oracle(*values), strict=True):
                np.testing.assert_allclose(value.get(), expected, rtol=1e-9, atol=1e-9)
