"""Every workload computes what its plain NumPy reference does, and gradients are gradients."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Workload, in_double, worst_error

by_name = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)


def inputs_of(workload: Workload, dtype: str) -> list[np.ndarray]:
    return workload.make_inputs(np.random.default_rng(11), workload.test, dtype)


def run(workload: Workload, device: str, dtype: str) -> list[np.ndarray]:
    f = workload.build(workload.test, dtype).compile(device)
    return f(*inputs_of(workload, dtype))


def expected(workload: Workload, dtype: str) -> list[np.ndarray]:
    return workload.reference(workload.test, *in_double(inputs_of(workload, dtype)))


@by_name
def test_equals_the_reference(workload):
    assert worst_error(run(workload, "cpu", "float64"), expected(workload, "float64")) < 1e-10


@by_name
def test_float32_is_near_the_reference(workload):
    found = run(workload, "cpu", "float32")
    assert all(a.dtype in ("float32", "int32") for a in found)
    assert worst_error(found, expected(workload, "float32")) <= workload.tolerance


@by_name
@pytest.mark.parametrize("device", ["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_devices_agree_with_the_cpu(workload, device):
    found = run(workload, device, "float32")
    # The last place of exp, log, sin and cos differs between NumPy, the C library and a GPU.
    assert worst_error(found, run(workload, "cpu", "float32")) <= workload.tolerance
