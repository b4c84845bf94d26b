"""The kernels of the micro-measurements compile for the GPU they are meant for; those that can, run on the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import micro
from gpuscan.cuda import emulator
from gpuscan.cuda.launch import compile_kernel


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
