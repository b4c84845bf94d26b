"""Row 11: a small tanh net on a large batch."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads.limits import FLOAT32, slowest, streamed
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload


def build(sizes: Sizes, dtype: str) -> Program:
    x = gt.tensor3("x", dtype=dtype)
    h0, u = gt.matrix("h0", dtype=dtype), gt.matrix("u", dtype=dtype)
    h, _ = gs.scan(lambda x, h, u: gt.tanh(x + gt.dot(h, u)), x, h0, u)
    return Program([x, h0, u], [h])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    batch, size = sizes["batch"], sizes["size"]
    x = rng.standard_normal((sizes["steps"], batch, size), dtype)
    u = rng.standard_normal((size, size), dtype) / sqrt(size)
    return [x, rng.standard_normal((batch, size), dtype) / 2, u]


def reference(sizes: Sizes, x: Any, h: Any, u: Any) -> Arrays:
    out = np.empty_like(x)
    for t in range(len(x)):
        h = np.tanh(x[t] + h @ u)
        out[t] = h
    return [out]


def floor(sizes: Sizes) -> Floor:
    """The product's multiplications and additions in float32; x read and h written once."""
    values = sizes["batch"] * sizes["size"] * sizes["steps"]
    return slowest(arithmetic=2 * sizes["size"] * values / FLOAT32, memory=streamed(8 * values))


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(x: Any, h0: Any, u: Any) -> Arrays:
        def step(h: Any, x: Any) -> Any:
            h = jnp.tanh(x + h @ u)
            return h, h

        return [jax.lax.scan(step, h0, x)[1]]

    return jax_call(run, inputs)


def torch_peer(sizes: Sizes, inputs: Arrays) -> Any:
    """cuDNN projects its input; here by the identity."""
    import torch

    x, h0, u = inputs
    net = torch.nn.RNN(x.shape[2], h0.shape[1], bias=False).to(device=x.device, dtype=x.dtype)
    with torch.no_grad():
        net.weight_ih_l0.copy_(torch.eye(x.shape[2], dtype=x.dtype, device=x.device))
        net.weight_hh_l0.copy_(u.T)
    start = h0[None].contiguous()

    def run() -> Arrays:
        with torch.no_grad():
            return [net(x, start)[0]]

    return run


WORKLOAD = Workload(
    row=11,
    name="rnn",
    maths="h = tanh(x_t + h U), x projected",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(batch=4096, size=64, steps=512),
    test=dict(batch=3, size=5, steps=4),
    check=Lanes((1, 0, None), (1,), size="batch"),
    checked_lanes=8,
    tolerance=1e-5,  # sums of `size` products, and a net that neither shrinks nor enlarges them much
    peers=(Peer("jax.lax.scan", "jax", jax_peer), Peer("torch.nn.RNN, cuDNN", "torch", torch_peer)),
)
