"""Row 6: paths of stochastic differential equations: geometric Brownian motion, and Heston's model."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import FOUR_NORMALS_AND_STEPS, SPECIAL, issued, slowest
from benchmarks.workloads.noise import SEED, normals, state
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.philox import PHILOX
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

DT = 1 / 1024
MU, SIGMA = 0.05, 0.2
KAPPA, THETA, XI, RHO = 1.5, 0.04, 0.3, -0.7  # of Heston's variance: reversion, mean, volatility, correlation

FULL = dict(lanes=2**20, steps=1024)
TEST = dict(lanes=37, steps=6)


# ---- geometric Brownian motion: dS = mu S dt + sigma S dW, in the logarithm


def build(sizes: Sizes, dtype: str) -> Program:
    log_s = gt.vector("log_s", dtype=dtype)

    def step(log_s: gs.Variable, rng: gs.Variable) -> Any:
        rng, z = rng.normal(size=log_s.shape, dtype=dtype)
        return log_s + (MU - SIGMA**2 / 2) * DT + SIGMA * sqrt(DT) * z, rng

    (path, _), _ = gs.scan(step, None, [log_s, state()], n_steps=sizes["steps"])
    return Program([log_s], [gt.exp(path[-1])])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    return [0.1 * rng.standard_normal(sizes["lanes"], dtype)]


def reference(sizes: Sizes, log_s: Any) -> Arrays:
    for (z,) in normals(sizes["steps"], 1, len(log_s), "float64"):
        log_s = log_s + (MU - SIGMA**2 / 2) * DT + SIGMA * sqrt(DT) * z
    return [np.exp(log_s)]


def floor(sizes: Sizes) -> Floor:
    """Four normals and the steps they serve are 111 instructions, eight of them special functions."""
    steps = sizes["lanes"] * sizes["steps"]
    return slowest(instructions=issued(FOUR_NORMALS_AND_STEPS / 4 * steps), special=2 * steps / SPECIAL)


# Four steps a Philox block, which is what the floor counts.
KERNEL = HandKernel(
    "brownian",
    (Array("log_s"), Array("out", writes=True), Number("lanes"), Number("steps")),
    f"""
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float x = log_s[i];
    for (int t = 0; t < steps; t += 4) {{
        unsigned int word[4] = {{(unsigned int)i, 0u, (unsigned int)t, 0u}};
        philox(word, {SEED}u, 0u);
        #pragma unroll
        for (int pair = 0; pair < 4; pair += 2) {{
            float radius = sqrtf(-2.0f * __logf((word[pair] + 0.5f) * 2.3283064e-10f));
            float sine, cosine;
            __sincosf(word[pair + 1] * 1.4629181e-9f, &sine, &cosine);
            if (t + pair < steps) x += {(MU - SIGMA**2 / 2) * DT:.9e}f + {SIGMA * sqrt(DT):.9e}f * radius * cosine;
            if (t + pair + 1 < steps) x += {(MU - SIGMA**2 / 2) * DT:.9e}f + {SIGMA * sqrt(DT):.9e}f * radius * sine;
        }}
    }}
    out[i] = expf(x);
    """,
    before=PHILOX,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    return by_hand(
        KERNEL, sizes["lanes"], 256, inputs, [((sizes["lanes"],), "float32")], [sizes["lanes"], sizes["steps"]]
    )


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(log_s: Any) -> Arrays:
        def step(log_s: Any, key: Any) -> Any:
            return log_s + (MU - SIGMA**2 / 2) * DT + SIGMA * sqrt(DT) * jax.random.normal(key, log_s.shape), None

        keys = jax.random.split(jax.random.key(SEED), sizes["steps"])
        return [jnp.exp(jax.lax.scan(step, log_s, keys)[0])]

    return jax_call(run, inputs)


# ---- Heston: the variance v follows a square-root process; Euler steps with full truncation (Lord, Koekkoek and van
# Dijk, 2010): where v is below zero, it counts as zero.


def heston_step(positive: Any, root: Any, log_s: Any, v: Any, z_v: Any, z: Any) -> Any:
    """Return the next logarithm and variance; `positive` and `root` are the library's max(., 0) and square root."""
    v_plus = positive(v)
    deviation = root(v_plus) * sqrt(DT)
    z_s = RHO * z_v + sqrt(1 - RHO * RHO) * z
    log_s = log_s + (MU - v_plus / 2) * DT + deviation * z_s
    return log_s, v + KAPPA * (THETA - v_plus) * DT + XI * deviation * z_v


def build_heston(sizes: Sizes, dtype: str) -> Program:
    log_s, v = gt.vector("log_s", dtype=dtype), gt.vector("v", dtype=dtype)

    def step(log_s: gs.Variable, v: gs.Variable, rng: gs.Variable) -> Any:
        rng, z_v = rng.normal(size=log_s.shape, dtype=dtype)
        rng, z = rng.normal(size=log_s.shape, dtype=dtype)
        return *heston_step(lambda v: gt.maximum(v, 0), gt.sqrt, log_s, v, z_v, z), rng

    (path, variance, _), _ = gs.scan(step, None, [log_s, v, state()], n_steps=sizes["steps"])
    return Program([log_s, v], [gt.exp(path[-1]), variance[-1]])


def make_heston_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    lanes = sizes["lanes"]
    return [0.1 * rng.standard_normal(lanes, dtype), THETA * (0.5 + rng.random(lanes, dtype))]


def heston_reference(sizes: Sizes, log_s: Any, v: Any) -> Arrays:
    for z_v, z in normals(sizes["steps"], 2, len(v), "float64"):
        log_s, v = heston_step(lambda v: np.maximum(v, 0), np.sqrt, log_s, v, z_v, z)
    return [np.exp(log_s), v]


def heston_floor(sizes: Sizes) -> Floor:
    """Two normals a step, at 111 / 4 instructions each, and some 13 of arithmetic more; a root is special too."""
    steps = sizes["lanes"] * sizes["steps"]
    instructions = 2 * FOUR_NORMALS_AND_STEPS / 4 + 13
    return slowest(instructions=issued(instructions * steps), special=5 * steps / SPECIAL)


def jax_heston_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(log_s: Any, v: Any) -> Arrays:
        def step(carry: Any, key: Any) -> Any:
            log_s, v = carry
            z_v, z = jax.random.normal(key, (2, *v.shape))
            return heston_step(lambda v: jnp.maximum(v, 0), jnp.sqrt, log_s, v, z_v, z), None

        keys = jax.random.split(jax.random.key(SEED), sizes["steps"])
        log_s, v = jax.lax.scan(step, (log_s, v), keys)[0]
        return [jnp.exp(log_s), v]

    return jax_call(run, inputs)


GBM = Workload(
    row=6,
    name="gbm",
    maths="log S += (mu - sigma^2 / 2) dt + sigma sqrt(dt) z",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=FULL,
    test=TEST,
    check=Lanes((0,), (0,), anywhere=False),
    tolerance=1e-5,  # a rounding of 2**-24 a step; of a thousand steps some thirty times that
    peers=(
        Peer("CUDA by hand", "cupy", cupy_peer, same_draws=False),
        Peer("jax.lax.scan, threefry", "jax", jax_peer, same_draws=False),
    ),
)

HESTON = Workload(
    row=6,
    name="heston",
    maths="Heston's model, Euler steps with full truncation",
    build=build_heston,
    make_inputs=make_heston_inputs,
    reference=heston_reference,
    floor=heston_floor,
    full=FULL,
    test=TEST,
    check=Lanes((0, 0), (0, 0), anywhere=False),
    tolerance=3e-5,  # as for GBM; near zero the root makes large differences of small ones
    peers=(Peer("jax.lax.scan, threefry", "jax", jax_heston_peer, same_draws=False),),
)
