"""Row 3: a linear recurrence with coefficients for every step, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import slowest, streamed
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

FULL = dict(lanes=8 * 1536, steps=65536)
TEST = dict(lanes=5, steps=40)


def recurrence(a: gs.Variable, b: gs.Variable) -> gs.Variable:
    h, _ = gs.scan(lambda a, b, h: a * h + b, [a, b], gt.zeros_like(a[0]))
    return h


def build(sizes: Sizes, dtype: str) -> Program:
    a, b = gt.matrix("a", dtype=dtype), gt.matrix("b", dtype=dtype)
    return Program([a, b], [recurrence(a, b)])


def build_gradient(sizes: Sizes, dtype: str) -> Program:
    a, b, d_h = (gt.matrix(name, dtype=dtype) for name in ("a", "b", "d_h"))
    h = recurrence(a, b)
    return Program([a, b, d_h], [h, *gs.pullback(h, [a, b], d_h)])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    shape = (sizes["steps"], sizes["lanes"])
    return [rng.random(shape, dtype), rng.standard_normal(shape, dtype)]


def make_gradient_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    return [*make_inputs(rng, sizes, dtype), rng.standard_normal((sizes["steps"], sizes["lanes"]), dtype)]


def reference(sizes: Sizes, a: Any, b: Any) -> Arrays:
    out = np.empty_like(a)
    h = np.zeros_like(a[0])
    for t in range(len(a)):
        h = a[t] * h + b[t]
        out[t] = h
    return [out]


def gradient_reference(sizes: Sizes, a: Any, b: Any, d_h: Any) -> Arrays:
    (h,) = reference(sizes, a, b)
    d_a, d_b = np.empty_like(a), np.empty_like(b)
    owed = np.zeros_like(a[0])
    for t in reversed(range(len(a))):
        d = d_h[t] + owed
        d_a[t] = d * h[t - 1] if t else 0
        d_b[t] = d
        owed = d * a[t]
    return [h, d_a, d_b]


def floor(sizes: Sizes) -> Floor:
    """a and b are read and h is written once: 12 bytes a lane and step."""
    return slowest(memory=streamed(12 * sizes["lanes"] * sizes["steps"]))


def gradient_floor(sizes: Sizes) -> Floor:
    """Forwards as in `floor`; backwards a, h and dh are read and da and db written: 20 bytes more."""
    return slowest(memory=streamed(32 * sizes["lanes"] * sizes["steps"]))


KERNEL = HandKernel(
    "linear_recurrence",
    (Array("a"), Array("b"), Array("out", writes=True), Number("lanes"), Number("steps")),
    """
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float h = 0;
    #pragma unroll 8
    for (int t = 0; t < steps; ++t) {
        long long k = (long long)t * lanes + i;
        h = a[k] * h + b[k];
        out[k] = h;
    }
    """,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    outputs = [((sizes["steps"], sizes["lanes"]), "float32")]
    return by_hand(KERNEL, sizes["lanes"], 64, inputs, outputs, [sizes["lanes"], sizes["steps"]])


def _jax_loop(a: Any, b: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def step(h: Any, row: Any) -> Any:
        h = row[0] * h + row[1]
        return h, h

    return jax.lax.scan(step, jnp.zeros_like(a[0]), (a, b))[1]


def _jax_parallel(a: Any, b: Any) -> Any:
    import jax

    return jax.lax.associative_scan(lambda x, y: (y[0] * x[0], y[0] * x[1] + y[1]), (a, b))[1]


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    return jax_call(lambda a, b: [_jax_loop(a, b)], inputs)


def jax_parallel_peer(sizes: Sizes, inputs: Arrays) -> Any:
    return jax_call(lambda a, b: [_jax_parallel(a, b)], inputs)


def jax_gradient(loop: Any, inputs: Arrays) -> Any:
    def run(a: Any, b: Any, d_h: Any) -> Arrays:
        import jax

        h, pull = jax.vjp(loop, a, b)
        return [h, *pull(d_h)]

    return jax_call(run, inputs)


def jax_gradient_peer(sizes: Sizes, inputs: Arrays) -> Any:
    return jax_gradient(_jax_loop, inputs)


def jax_parallel_gradient_peer(sizes: Sizes, inputs: Arrays) -> Any:
    return jax_gradient(_jax_parallel, inputs)


FORWARD = Workload(
    row=3,
    name="linear_recurrence",
    maths="h = a_t h + b_t",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=FULL,
    test=TEST,
    check=Lanes((1, 1), (1,)),
    tolerance=1e-6,  # some roundings of 2**-24, which shrink as a_t < 1
    peers=(
        Peer("CUDA by hand", "cupy", cupy_peer),
        Peer("jax.lax.scan", "jax", jax_peer),
        Peer("jax.lax.associative_scan", "jax", jax_parallel_peer),
    ),
)

GRADIENT = Workload(
    row=3,
    name="linear_recurrence_gradient",
    maths="h = a_t h + b_t, and the gradient by a and b",
    build=build_gradient,
    make_inputs=make_gradient_inputs,
    reference=gradient_reference,
    floor=gradient_floor,
    full=FULL,
    test=TEST,
    check=Lanes((1, 1, 1), (1, 1, 1)),
    tolerance=1e-6,  # as forwards
    peers=(
        Peer("jax.lax.scan", "jax", jax_gradient_peer),
        Peer("jax.lax.associative_scan", "jax", jax_parallel_gradient_peer),
    ),
)
