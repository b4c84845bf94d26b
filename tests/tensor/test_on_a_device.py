"""Whole-array work on a GPU: one call of the array module an op, no value crossing to the host that need not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from tests.cuda.stand_in import StandIn
from tests.tensor import test_numpy_protocol, test_operators, test_programs, test_sizes
from tests.tensor.agree import as_list, inputs_for, same

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.5]])
V = np.array([0.5, 2.0, -1.0])
K = np.array([2, 0, 1])

CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    **{f"numpy {i}": (call, (X,)) for i, call in enumerate(test_numpy_protocol.CALLS)},
    **{f"method {i}": (call, (X,)) for i, call in enumerate(test_operators.METHODS)},
    **{f"operator {i}": (call, (V, V + 3)) for i, call in enumerate(test_operators.FLOATS)},
    **{f"integer operator {i}": (call, (K, K + 1)) for i, call in enumerate(test_operators.WHOLE)},
    **{f"step {i}": (call, (np.ones((3, 3, 3)),)) for i, call in enumerate(test_programs.STEPS)},
    **{
        f"shape {name}": (lambda x, f=f: gt.zeros(f(x)), (np.ones((2, 3, 4)),)) for name, f in test_sizes.SHAPES.items()
    },
    "gathered rows": (lambda x, k: [x[:, k], x[k[1:] - 1, k[:2]]], (X, K)),
    "position from an array": (lambda x, k: [x[k[2] - 1], x[0, : k[0]], k[k[0]]], (X, K)),
    "a mask": (lambda x: [x[x > 0], x[x[:, 0] > 1]], (X,)),
    "written": (lambda x, k: [x[0].set(1), x[:, k].inc(x), x[x > 0].set(0), x[0, k[1]].set(k[0])], (X, K)),
    "repeated positions": (lambda x, k: x[[0, 0, 1]].inc(1), (X, K)),
    "counts": (lambda x, k: gt.repeat(x, k, axis=1), (X, K)),
    "numbers up to a value": (lambda x, k: [gt.arange(k[0]), gt.arange(x.shape[0]), gt.zeros(k[0])], (X, K)),
    "eye": (lambda x, k: [gt.eye(x.shape[0], k=1), gt.eye(3, 3, k[0])], (X, K)),
    "scalars": (lambda x: [x.sum() + 1, gt.switch(x.sum() > 0, 1, 2.5), x.size * 2, x.sum().astype("int8")], (X,)),
    "stacked": (lambda x: [gt.stack([x[0, 0], 2, x.sum()]), gt.stack([x.size, 3]), gt.zeros_like(x[0, 0])], (X,)),
    "rank 0": (lambda x: [x[:1, :1].reshape(()), x[0, 1].dimshuffle("x"), x[:1, 0].squeeze(0), x[0, 0][...]], (X,)),
    "truth of complex numbers": (
        lambda z: [gt.logical_and(z, z.real), gt.logical_or(z, 0), gt.logical_xor(z, z), gt.logical_not(z), z.any()],
        (np.array([0, 1j, 2 - 1j, complex(0, np.nan)]),),
    ),
    "quotients and rests": (
        lambda x, v: [x // 0.1, x % 0.1, 1.0 // v, 1.0 % v, x // v, x % v, x.astype("float32") % np.inf, v % -0.1],
        (np.arange(-3, 3).reshape(2, 3) * 1.0, np.array([0.1, -0.3, 0.7])),
    ),
    "dot": (lambda x, v: [x @ v, gt.dot(v, v), gt.outer(v, v), x.dot(x.T)], (X, V)),
    "no rows": (lambda x: [x.sum(0), x.any(), x.reshape((-1, 3)), gt.concatenate([x, x])], (np.zeros((0, 3)),)),
}


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.cuda)])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU, or what refuses whatever a GPU's arrays refuse."""
    if request.param == "stand-in":
        monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: StandIn())
        monkeypatch.setattr("gpuscan.cuda.launch.gpu_count", lambda: 1)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("case", CASES)
def test_the_same_as_on_the_cpu(case: str) -> None:
    build, values = CASES[case]
    inputs = inputs_for(values)
    outputs = [gt.as_tensor_variable(v) for v in as_list(build(*inputs))]
    on_cpu = gs.function(inputs, outputs, device="cpu", on_unused_input="ignore")(*values)
    on_gpu = gs.function(inputs, outputs, device="cuda", on_unused_input="ignore")(*values)
    for found, expected in zip(on_gpu, on_cpu, strict=True):
        assert isinstance(found, np.ndarray)
        same(found, expected)
