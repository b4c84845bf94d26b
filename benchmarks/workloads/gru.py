"""Row 10: a dense GRU at a size for which cuDNN has no persistent kernel."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads import cells
from benchmarks.workloads.limits import TENSOR_16, slowest
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

STEP = 1.17e-6  # a barrier of a cluster, which holds the matrix and carries a part of the batch, and its products


def build(sizes: Sizes, dtype: str) -> Program:
    x, b = gt.tensor3("x", dtype=dtype), gt.vector("b", dtype=dtype)
    h0, w, u = (gt.matrix(name, dtype=dtype) for name in ("h0", "w", "u"))

    def step(x: Any, h: Any, w: Any, u: Any, b: Any) -> Any:
        return cells.gru(cells.GPUSCAN, sizes["size"], gt.dot(x, w) + b, gt.dot(h, u), h)

    h, _ = gs.scan(step, x, h0, [w, u, b])
    return Program([x, h0, w, u, b], [h])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    batch, size = sizes["batch"], sizes["size"]
    x = rng.standard_normal((sizes["steps"], batch, size), dtype)
    w, u = rng.standard_normal((2, size, 3 * size), dtype) / sqrt(size)
    return [x, rng.standard_normal((batch, size), dtype) / 2, w, u, rng.standard_normal(3 * size, dtype) / 2]


def reference(sizes: Sizes, x: Any, h: Any, w: Any, u: Any, b: Any) -> Arrays:
    out = np.empty_like(x)
    for t in range(len(x)):
        h = cells.gru(cells.NUMPY, sizes["size"], x[t] @ w + b, h @ u, h)
        out[t] = h
    return [out]


def floor(sizes: Sizes) -> Floor:
    """1.17 us a step within clusters that share the batch out among them; the input's product at once, in 16 bits."""
    product = 2 * sizes["steps"] * sizes["batch"] * 3 * sizes["size"] ** 2 / TENSOR_16
    return slowest(chain=STEP * sizes["steps"] + product)


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax

    functions = cells.jax_functions()

    def run(x: Any, h0: Any, w: Any, u: Any, b: Any) -> Arrays:
        def step(h: Any, z: Any) -> Any:
            h = cells.gru(functions, sizes["size"], z, h @ u, h)
            return h, h

        return [jax.lax.scan(step, h0, x @ w + b)[1]]

    return jax_call(run, inputs)


def torch_peer(dtype: str) -> Any:
    def make(sizes: Sizes, inputs: Arrays) -> Any:
        import torch

        kind = getattr(torch, dtype)
        x, h0, w, u, b = (a.to(kind) for a in inputs)
        net = torch.nn.GRU(x.shape[2], h0.shape[1]).to(device=x.device, dtype=kind)
        with torch.no_grad():
            net.weight_ih_l0.copy_(w.T)
            net.weight_hh_l0.copy_(u.T)
            net.bias_ih_l0.copy_(b)
            net.bias_hh_l0.zero_()
        start = h0[None].contiguous()

        def run() -> Arrays:
            with torch.no_grad():
                return [net(x, start)[0]]

        return run

    return make


WORKLOAD = Workload(
    row=10,
    name="gru",
    maths="dense GRU with its input projection",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(batch=128, size=512, steps=512),
    test=dict(batch=3, size=5, steps=4),
    check=Lanes((1, 0, None, None, None), (1,), size="batch"),
    checked_lanes=4,
    tolerance=1e-5,  # sums of `size` products; what one step gets wrong, the gates of the next shrink
    peers=(
        Peer("jax.lax.scan", "jax", jax_peer),
        Peer("torch.nn.GRU, cuDNN", "torch", torch_peer("float32")),
        Peer("torch.nn.GRU, cuDNN, bfloat16", "torch", torch_peer("bfloat16"), "bfloat16"),
    ),
)
