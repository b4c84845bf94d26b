"""A device without memory left: what the error says, and that nothing is changed by the call."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.device import Emulator
from gpuscan.cuda.memory import readable
from tests.cuda.stand_in import StandIn, keep_kernels_pointwise


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    device = StandIn()
    monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: device)
    monkeypatch.setattr("gpuscan.cuda.launch.gpu_count", lambda: 1)
    return device


def sums(**options: Any) -> tuple[Any, Any]:
    x = gt.fmatrix("x")
    (h, doubled), _ = gs.scan(lambda row, h: (h + row, row * 2), x, [gt.zeros_like(x[0]), None], name="sums", **options)
    return x, (h, doubled)


ROWS = np.ones((1000, 4096), "float32")


def test_the_error_says_what_was_wanted_what_is_free_and_what_helps(device: StandIn) -> None:
    x, outputs = sums()
    device.memory = 10_000_000
    with pytest.raises(gs.DeviceMemoryError) as caught:
        gs.function([x], outputs, device="cuda")(ROWS)
    records = [r for r in ("h", "doubled") if f"history of {r}, float32 (1000, 4096): 16.4 MB" in str(caught.value)]
    assert "h" in records
    assert re.search(
        r"^scan\[sums\]: no memory is left on cuda:0\. A call of 1000 steps keeps .*; 32\.8 MB in all, "
        r"and 10\.0 MB are free\. What helps: .*h\[-1\].*fewer outputs.*checkpoint='sqrt'.*smaller batch\.$",
        str(caught.value),
    )
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, gs.KernelError)
    assert isinstance(caught.value.__cause__, MemoryError)


def test_advice_is_about_what_the_loop_has(device: StandIn) -> None:
    x, (h, _) = sums()
    device.memory = 1000
    with pytest.raises(gs.DeviceMemoryError) as caught:
        gs.function([x], h[-1], device="cuda")(ROWS)
    assert "final of h, float32 (1, 4096): 16.4 kB" in str(caught.value)
    assert not re.search(r"checkpoint|fewer|\[-1\]", str(caught.value))


def test_steps_that_the_host_drives(device: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_kernels_pointwise(monkeypatch)
    x, w = gt.matrix("x"), gt.matrix("w")
    out, _ = gs.scan(lambda row, h, w: gt.tanh(h @ w) + row, x, gt.zeros_like(x[0]), w, name="rnn")
    lookup = type(device.arrays).lookup

    def without_memory(self: Any, name: str) -> Any:
        def fails(*args: Any) -> Any:
            raise MemoryError("out of memory allocating 12 bytes")

        return fails if name == "matmul" else lookup(self, name)

    monkeypatch.setattr(type(device.arrays), "lookup", without_memory)
    f = gs.function([x, w], out, device="cuda")
    for _ in range(2):
        with pytest.raises(gs.DeviceMemoryError, match=r"scan\[rnn\]: .* history of \S+, float64 \(20, 3\): 480 bytes"):
            f(np.ones((20, 3)), np.ones((3, 3)))


def test_a_loop_inside_speaks_for_itself(device: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_kernels_pointwise(monkeypatch)
    x, w = gt.matrix("x"), gt.matrix("w")

    def step(row: Any, w: Any) -> Any:
        inner, _ = gs.scan(lambda s, v: s * 0.5 + v, None, [row @ w], [row], n_steps=5, name="inner")
        return inner[-1]

    out, _ = gs.scan(step, x, None, w, name="outer")
    device.memory = 20
    with pytest.raises(gs.DeviceMemoryError, match=r"^scan\[inner\]"):
        gs.function([x, w], out[-1:], device="cuda")(np.ones((5, 3)), np.ones((3, 3)))


@pytest.mark.parametrize("name", ["cuda", "emulator"])
def test_shared_variables_stay_as_they_were(device: StandIn, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    count, last = gs.shared(0, "count"), gs.shared(np.zeros(3), "last")
    small, large = gt.matrix("small"), gt.matrix("large")
    kept, updates = gs.scan(lambda row, s: (s + row, {count: count + 1}), small, gt.zeros(3))
    lost, _ = gs.scan(lambda row, s: s + row, large, gt.zeros_like(large[0]))
    f = gs.function([small, large], lost, updates={**updates, last: kept[-1]}, device=name)
    f(np.ones((2, 3)), np.ones((2, 3)))
    empty = Emulator.empty

    def limited(self: Any, shape: Any, dtype: str) -> Any:
        if int(np.prod(shape)) > 1000:
            raise MemoryError
        return empty(self, shape, dtype)

    monkeypatch.setattr(Emulator, "empty", limited)
    device.memory = 8000
    with pytest.raises(gs.DeviceMemoryError, match=r"float64 \(100, 40\)"):
        f(np.ones((5, 3)), np.ones((100, 40)))
    assert count.get_value() == 2
    np.testing.assert_array_equal(last.get_value(), [2, 2, 2])
    f(np.ones((4, 3)), np.ones((4, 3)))
    assert count.get_value() == 6


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (16_384_000, "16.4 MB"), (2 * 10**12, "2.0 TB")]
)
def test_numbers_of_bytes(count: int, text: str) -> None:
    assert readable(count) == text
