"""What workloads are measured against computes the same: else a ratio of times would say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.hand import HandKernel
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import in_double, worst_error
from gpuscan.cuda import emulator

SIXTEEN_BITS = 0.03


def peers(library: str) -> pytest.MarkDecorator:
    pairs = [(w, p) for w in WORKLOADS for p in w.peers if p.library == library]
    return pytest.mark.parametrize(("workload", "peer"), pairs, ids=[f"{w.name}: {p.name}" for w, p in pairs])


def check(workload, peer, convert, to_numpy):
    inputs = workload.make_inputs(np.random.default_rng(11), workload.test, "float32")
    found = [to_numpy(a) for a in peer.make(workload.test, [convert(a) for a in inputs])()]
    expected = workload.reference(workload.test, *in_double(inputs))
    if not peer.same_draws:
        assert [a.shape for a in found] == [a.shape for a in expected]
        return
    limit = max(workload.tolerance, 1e-6) if peer.dtype == "float32" else SIXTEEN_BITS
    assert worst_error(found, expected) <= limit


@peers("jax")
def test_jax(workload, peer):
    jnp = pytest.importorskip("jax.numpy")
    check(workload, peer, jnp.asarray, np.asarray)


@peers("torch")
def test_torch(workload, peer):
    torch = pytest.importorskip("torch")
    check(workload, peer, torch.as_tensor, lambda a: a.float().numpy())


class Emulated:
    """A kernel by hand with the call of CuPy's `RawKernel`, on the emulator."""

    def __init__(self, kernel: HandKernel) -> None:
        self.launch = emulator.load(kernel.as_kernel())

    def __call__(self, grid, block, arguments):
        self.launch((*grid, 1, 1), (*block, 1, 1), 0, list(arguments))


@peers("cupy")
def test_by_hand(workload, peer, monkeypatch):
    monkeypatch.setattr(HandKernel, "compile", lambda kernel: Emulated(kernel))
    monkeypatch.setattr("benchmarks.hand.new_array", np.empty)
    check(workload, peer, np.asarray, np.asarray)
