"""The kernels of the micro-measurements compile for the GPU they are meant for; those that can, run on the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import micro
from benchmarks.workloads import diffusions
from gpuscan.cuda import emulator
from gpuscan.cuda.launch import compile_kernel
from gpuscan.tensor.random.philox import philox4x32


@pytest.mark.nvrtc
@pytest.mark.parametrize("kernel", micro.KERNELS, ids=lambda k: k.name)
def test_compiles(kernel):
    pytest.importorskip("cupy")
    assert "error" not in compile_kernel(kernel.as_kernel(), "sm_90").log


@pytest.mark.nvrtc
def test_hopper_only_compiles():
    pytest.importorskip("cupy")
    compile_kernel(micro.HOPPER_ONLY.as_kernel(), "sm_90a")


def run(kernel, grid, block, *arguments):
    emulator.load(kernel.as_kernel(), cooperative=True)((grid, 1, 1), (block, 1, 1), 0, arguments)


def test_grid_barrier():
    counter = np.zeros(2, "uint32")
    run(micro.BARRIER, 3, 32, counter, 5)
    assert counter.tolist() == [15, 0]


def test_tagged_words():
    words, flag = np.zeros(6, "int64"), np.zeros(1, "uint32")
    run(micro.TAGGED, 3, 32, words, flag, 5)
    assert (words >> 32).tolist() == [4] * 3 + [5] * 3
    assert not flag


def test_ping_pong():
    words, flag = np.zeros(64, "int64"), np.zeros(1, "uint32")
    run(micro.PING_PONG, 2, 1, words, flag, 5)
    assert words[[0, 32]].tolist() == [5, 5]
    assert not flag


def test_random_words_are_philox():
    out = np.zeros(64, "uint32")
    run(micro.RANDOM_WORDS, 2, 32, out, 3)
    element, zero = np.arange(64, dtype="uint64"), np.zeros(64, "uint64")
    expected = np.zeros(64, "uint64")
    for k in range(3):
        for word in philox4x32((element, zero, zero + np.uint64(k), zero), (7, 11)):
            expected ^= word
    assert np.array_equal(out, expected)


def test_brownian_motion_by_hand_has_its_moments():
    lanes, steps = 4096, 16
    start, out = np.zeros(lanes, "float32"), np.empty(lanes, "float32")
    run(diffusions.KERNEL, lanes // 256, 256, start, out, lanes, steps)
    path = np.log(out.astype("float64"))
    variance = diffusions.SIGMA**2 * diffusions.DT * steps
    assert abs(path.var() / variance - 1) < 4 * np.sqrt(2 / lanes)
    mean = (diffusions.MU - diffusions.SIGMA**2 / 2) * diffusions.DT * steps
    assert abs(path.mean() - mean) < 4 * np.sqrt(variance / lanes)
