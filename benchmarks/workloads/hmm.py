"""Row 13: the forward algorithm of hidden Markov models, scaled, of a batch of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads.limits import FLOAT32, chained, slowest, streamed
from benchmarks.workloads.peers import jax_call, torch_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

STEP_CLOCKS = 400  # a product of 64 terms spread over a warp, two sums over the states, a division


def build(sizes: Sizes, dtype: str) -> Program:
    likelihood = gt.tensor3("likelihood", dtype=dtype)
    start, transition = gt.matrix("start", dtype=dtype), gt.matrix("transition", dtype=dtype)

    def step(likelihood: Any, alpha: Any, total: Any, transition: Any) -> Any:
        alpha = gt.dot(alpha, transition) * likelihood
        scale = alpha.sum(axis=-1)
        return alpha / scale[:, None], total + gt.log(scale)

    (alpha, total), _ = gs.scan(step, likelihood, [start, gt.zeros_like(start[:, 0])], transition)
    return Program([likelihood, start, transition], [total[-1], alpha[-1]])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    lanes, size = sizes["lanes"], sizes["size"]
    likelihood = rng.random((sizes["steps"], lanes, size), dtype)
    start, transition = rng.random((lanes, size), dtype), rng.random((size, size), dtype)
    return [
        likelihood,
        start / start.sum(axis=-1, keepdims=True),
        transition / transition.sum(axis=-1, keepdims=True),
    ]


def reference(sizes: Sizes, likelihood: Any, alpha: Any, transition: Any) -> Arrays:
    total = np.zeros(len(alpha))
    for row in likelihood:
        alpha = (alpha @ transition) * row
        scale = alpha.sum(-1)
        alpha = alpha / scale[:, None]
        total = total + np.log(scale)
    return [total, alpha]


def floor(sizes: Sizes) -> Floor:
    """The chain of a step, its products' operations, or the likelihoods read once."""
    values = sizes["lanes"] * sizes["size"] * sizes["steps"]
    return slowest(
        chain=chained(STEP_CLOCKS * sizes["steps"]),
        arithmetic=2 * sizes["size"] * values / FLOAT32,
        memory=streamed(4 * values),
    )


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(likelihood: Any, start: Any, transition: Any) -> Arrays:
        def step(carry: Any, row: Any) -> Any:
            alpha = (carry[0] @ transition) * row
            scale = alpha.sum(-1)
            return (alpha / scale[:, None], carry[1] + jnp.log(scale)), None

        alpha, total = jax.lax.scan(step, (start, jnp.zeros_like(start[:, 0])), likelihood)[0]
        return [total, alpha]

    return jax_call(run, inputs)


def torch_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import torch

    likelihood, start, transition = inputs

    def run() -> Arrays:
        alpha, total = start, torch.zeros_like(start[:, 0])
        for t in range(len(likelihood)):
            alpha = (alpha @ transition) * likelihood[t]
            scale = alpha.sum(-1)
            alpha, total = alpha / scale[:, None], total + torch.log(scale)
        return [total, alpha]

    return torch_call(run)


WORKLOAD = Workload(
    row=13,
    name="hmm",
    maths="alpha = (alpha A) * likelihood_t, divided by its sum",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=1024, size=64, steps=1000),
    test=dict(lanes=3, size=5, steps=4),
    check=Lanes((1, 0, None), (0, 0)),
    tolerance=1e-5,  # sums of `size` positive terms, whose errors do not grow
    peers=(Peer("jax.lax.scan", "jax", jax_peer), Peer("torch, CUDA graph", "torch", torch_peer)),
)
