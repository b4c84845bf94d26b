"""Row 12: a batch of Kalman filters: the log-likelihood and the filtered means of every series."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads.limits import FLOAT32, slowest, streamed
from benchmarks.workloads.peers import jax_call, torch_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

N, M = 4, 2  # of the state and of an observation
STEP_FLOPS = 650


def filter_step(inverse: Any, log_: Any, y: Any, x: Any, p: Any, total: Any, f: Any, h: Any, q: Any, r: Any) -> Any:
    """Return means, covariances and log-likelihoods after one observation of each series.

    Predict and update (Kalman, 1960), with a leading axis for the series; `inverse` and `log_` are the library's.
    """
    x = x @ f.T
    p = f @ p @ f.T + q
    innovation = y - x @ h.T
    s = h @ p @ h.T + r
    precision = inverse(s)
    gain = p @ h.T @ precision
    x = x + (gain @ innovation[:, :, None])[:, :, 0]
    p = p - gain @ h @ p
    determinant = s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] * s[:, 1, 0]
    distance = (innovation[:, None, :] @ precision @ innovation[:, :, None])[:, 0, 0]
    return x, p, total - (distance + log_(determinant) + M * log(2 * pi)) / 2


def build(sizes: Sizes, dtype: str) -> Program:
    y, p0 = gt.tensor3("y", dtype=dtype), gt.tensor3("p0", dtype=dtype)
    x0, f, h, q, r = (gt.matrix(name, dtype=dtype) for name in ("x0", "f", "h", "q", "r"))

    def step(*values: Any) -> Any:
        return filter_step(gt.linalg.inv, gt.log, *values)

    (x, _, total), _ = gs.scan(step, y, [x0, p0, gt.zeros_like(x0[:, 0])], [f, h, q, r])
    return Program([y, x0, p0, f, h, q, r], [total[-1], x])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    lanes = sizes["lanes"]
    y, x0 = rng.standard_normal((sizes["steps"], lanes, M), dtype), rng.standard_normal((lanes, N), dtype)
    p0 = np.tile(np.eye(N, dtype=dtype), (lanes, 1, 1))
    # Two coordinates, each a place with a speed; places are seen.
    f = np.kron(np.eye(M), [[1, 0.1], [0, 0.95]]).astype(dtype)
    h = np.kron(np.eye(M), [[1, 0]]).astype(dtype)
    q = np.kron(np.eye(M), [[0.02, 0.01], [0.01, 0.1]]).astype(dtype)
    return [y, x0, p0, f, h, q, np.array([[0.5, 0.1], [0.1, 0.4]], dtype)]


def reference(sizes: Sizes, y: Any, x: Any, p: Any, f: Any, h: Any, q: Any, r: Any) -> Arrays:
    total, means = np.zeros(len(x)), np.empty((len(y), *x.shape))
    for t in range(len(y)):
        x, p, total = filter_step(np.linalg.inv, np.log, y[t], x, p, total, f, h, q, r)
        means[t] = x
    return [total, means]


def floor(sizes: Sizes) -> Floor:
    """Some 650 operations a step and series, with what is zero skipped nowhere; y read and the means written once."""
    steps = sizes["lanes"] * sizes["steps"]
    return slowest(arithmetic=STEP_FLOPS * steps / FLOAT32, memory=streamed(4 * (M + N) * steps))


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(y: Any, x: Any, p: Any, *model: Any) -> Arrays:
        def step(carry: Any, y: Any) -> Any:
            carry = filter_step(_inverse(jnp), jnp.log, y, *carry, *model)
            return carry, carry[0]

        (_, _, total), means = jax.lax.scan(step, (x, p, jnp.zeros_like(x[:, 0])), y)
        return [total, means]

    return jax_call(run, inputs)


def torch_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import torch

    y, x0, p0, *model = inputs
    means = torch.empty((len(y), *x0.shape), dtype=y.dtype, device=y.device)

    def run() -> Arrays:
        x, p, total = x0, p0, torch.zeros_like(x0[:, 0])
        for t in range(len(y)):
            x, p, total = filter_step(_inverse(torch), torch.log, y[t], x, p, total, *model)
            means[t].copy_(x)
        return [total, means]

    return torch_call(run)


def _inverse(library: Any) -> Any:
    """Return the inverse of 2 x 2 matrices by hand: libraries factor them, which costs several times as much."""

    def inverse(s: Any) -> Any:
        a, b, c, d = s[:, 0, 0], s[:, 0, 1], s[:, 1, 0], s[:, 1, 1]
        adjugate = library.stack([library.stack([d, -b], -1), library.stack([-c, a], -1)], -2)
        return adjugate / (a * d - b * c)[:, None, None]

    return inverse


WORKLOAD = Workload(
    row=12,
    name="kalman",
    maths="Kalman filters of 4 states and 2 observations",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=65536, steps=500),
    test=dict(lanes=5, steps=4),
    check=Lanes((1, 0, 0, None, None, None, None), (0, 1)),
    tolerance=1e-5,  # a rounding of 2**-24 for each of some operations; the filter forgets old errors
    peers=(Peer("jax.lax.scan", "jax", jax_peer), Peer("torch, CUDA graph", "torch", torch_peer)),
)
