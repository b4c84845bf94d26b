"""Row 17: back-propagation through time, truncated: a tanh net's weight gradient, summed up segment by segment."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads.limits import TENSOR_16, slowest
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Peer, Program, Sizes, Workload

STEP = 1.2e-6  # forwards and backwards: two chains of products on the 16 SMs that hold the matrix


def build(sizes: Sizes, dtype: str) -> Program:
    """Within a segment the gradient goes through all steps; the state that a segment starts from counts as constant."""
    x = gt.tensor4("x", dtype=dtype)
    h0, u = gt.matrix("h0", dtype=dtype), gt.matrix("u", dtype=dtype)

    def segment(x: Any, h: Any, d_u: Any, u: Any) -> Any:
        states, _ = gs.scan(lambda x, h, u: gt.tanh(x + gt.dot(h, u)), x, h, u)
        loss = (states**2).sum() / 2
        return [states[-1], d_u + gs.grad(loss, u)]

    (h, d_u), _ = gs.scan(segment, x, [h0, gt.zeros_like(u)], u)
    return Program([x, h0, u], [h[-1], d_u[-1]])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    segments, k, batch, size = sizes["segments"], sizes["k"], sizes["batch"], sizes["size"]
    x = rng.standard_normal((segments, k, batch, size), dtype)
    return [
        x,
        rng.standard_normal((batch, size), dtype) / 2,
        rng.standard_normal((size, size), dtype) / (2 * sqrt(size)),
    ]


def reference(sizes: Sizes, x: Any, h: Any, u: Any) -> Arrays:
    total = np.zeros_like(u)
    for rows in x:
        states = [h]
        for row in rows:
            states.append(np.tanh(row + states[-1] @ u))
        owed = np.zeros_like(h)
        for t in reversed(range(len(rows))):
            d_z = (states[t + 1] + owed) * (1 - states[t + 1] ** 2)
            total += states[t].T @ d_z
            owed = d_z @ u.T
        h = states[-1]
    return [h, total]


def floor(sizes: Sizes) -> Floor:
    """The chain of steps, forwards and backwards; or the operations of three products a step, in 16 bits."""
    steps = sizes["segments"] * sizes["k"]
    products = 3 * 2 * sizes["batch"] * sizes["size"] ** 2 * steps / TENSOR_16
    return slowest(chain=STEP * steps, products=products)


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(x: Any, h0: Any, u: Any) -> Arrays:
        def loss(u: Any, h: Any, rows: Any) -> Any:
            def step(h: Any, x: Any) -> Any:
                h = jnp.tanh(x + h @ u)
                return h, h

            last, states = jax.lax.scan(step, h, rows)
            return (states**2).sum() / 2, last

        def segment(carry: Any, rows: Any) -> Any:
            h, d_u = carry
            (_, last), more = jax.value_and_grad(loss, has_aux=True)(u, h, rows)
            return (last, d_u + more), None

        return list(jax.lax.scan(segment, (h0, jnp.zeros_like(u)), x)[0])

    return jax_call(run, inputs)


def torch_peer(dtype: str) -> Any:
    """cuDNN projects its input; here by the identity."""

    def make(sizes: Sizes, inputs: Arrays) -> Any:
        import torch

        kind = getattr(torch, dtype)
        x, h0, u = (a.to(kind) for a in inputs)
        net = torch.nn.RNN(x.shape[3], h0.shape[1], bias=False).to(device=x.device, dtype=kind)
        with torch.no_grad():
            net.weight_ih_l0.copy_(torch.eye(x.shape[3], dtype=kind, device=x.device))
            net.weight_hh_l0.copy_(u.T)

        def run() -> Arrays:
            h, total = h0[None].contiguous(), torch.zeros_like(u)
            for rows in x:
                states, last = net(rows, h)
                (more,) = torch.autograd.grad((states**2).sum() / 2, [net.weight_hh_l0])
                h, total = last.detach(), total + more.T
            return [h[0], total]

        return run

    return make


WORKLOAD = Workload(
    row=17,
    name="truncated_bptt",
    maths="tanh net, gradient of each 64 steps, summed inside the loop",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(segments=64, k=64, batch=256, size=256),
    test=dict(segments=2, k=3, batch=3, size=4),
    check=dict(segments=3, k=64, batch=256, size=256),
    tolerance=1e-5,  # sums over batch and time, whose terms cancel in part
    peers=(
        Peer("jax.lax.scan", "jax", jax_peer),
        Peer("torch.nn.RNN, cuDNN", "torch", torch_peer("float32")),
        Peer("torch.nn.RNN, cuDNN, bfloat16", "torch", torch_peer("bfloat16"), "bfloat16"),
    ),
)
