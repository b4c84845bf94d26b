"""Row 1: many lanes, little arithmetic, every value kept: bound by memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import slowest, streamed
from benchmarks.workloads.peers import jax_call, torch_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload


def build(sizes: Sizes, dtype: str) -> Program:
    u, h0 = gt.matrix("u", dtype=dtype), gt.vector("h0", dtype=dtype)
    a, b = gt.vector("a", dtype=dtype), gt.vector("b", dtype=dtype)
    h, _ = gs.scan(lambda u, h, a, b: a * h + b * gt.tanh(u), u, h0, [a, b])
    return Program([u, h0, a, b], [h])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    lanes = sizes["lanes"]
    u, h0 = rng.standard_normal((sizes["steps"], lanes), dtype), rng.standard_normal(lanes, dtype)
    return [u, h0, rng.random(lanes, dtype), rng.standard_normal(lanes, dtype)]


def reference(sizes: Sizes, u: Any, h: Any, a: Any, b: Any) -> Arrays:
    out = np.empty_like(u)
    for t in range(len(u)):
        h = a * h + b * np.tanh(u[t])
        out[t] = h
    return [out]


def floor(sizes: Sizes) -> Floor:
    """Each row of u is read and each value of h written once: 8 bytes a lane and step."""
    return slowest(memory=streamed(8 * sizes["lanes"] * sizes["steps"]))


KERNEL = HandKernel(
    "wide",
    (Array("u"), Array("h0"), Array("a"), Array("b"), Array("out", writes=True), Number("lanes"), Number("steps")),
    """
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float h = h0[i], ai = a[i], bi = b[i];
    for (int t = 0; t < steps; ++t) {
        long long k = (long long)t * lanes + i;
        h = ai * h + bi * tanhf(u[k]);
        out[k] = h;
    }
    """,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    outputs = [((sizes["steps"], sizes["lanes"]), "float32")]
    return by_hand(KERNEL, sizes["lanes"], 256, inputs, outputs, [sizes["lanes"], sizes["steps"]])


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(u: Any, h0: Any, a: Any, b: Any) -> Arrays:
        def step(h: Any, u: Any) -> Any:
            h = a * h + b * jnp.tanh(u)
            return h, h

        return [jax.lax.scan(step, h0, u)[1]]

    return jax_call(run, inputs)


def torch_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import torch

    u, h0, a, b = inputs
    out = torch.empty_like(u)

    def run() -> Arrays:
        h = h0
        for t in range(len(u)):
            h = torch.addcmul(a * h, b, torch.tanh(u[t]), out=out[t])
        return [out]

    return torch_call(run)


WORKLOAD = Workload(
    row=1,
    name="elementwise",
    maths="h = a h + b tanh(u_t), all h kept",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=2**20, steps=1024),
    test=dict(lanes=67, steps=9),
    check=Lanes((1, 0, 0, 0), (1,)),
    tolerance=1e-6,  # some roundings of 2**-24, none of which grows
    peers=(
        Peer("CUDA by hand", "cupy", cupy_peer),
        Peer("jax.lax.scan", "jax", jax_peer),
        Peer("torch, CUDA graph", "torch", torch_peer),
    ),
)
