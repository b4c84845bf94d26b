"""Row 5: Gibbs chains of two correlated normals, their draws made in the loop."""

from __future__ import annotations

from math import sqrt
from typing import Any

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads.limits import FOUR_NORMALS_AND_STEPS, SPECIAL, issued, slowest
from benchmarks.workloads.noise import SEED, normals, state
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

RHO = 0.8
SCALE = sqrt(1 - RHO * RHO)


def build(sizes: Sizes, dtype: str) -> Program:
    x0, y0 = gt.vector("x0", dtype=dtype), gt.vector("y0", dtype=dtype)

    def sweep(x: gs.Variable, y: gs.Variable, rng: gs.Variable) -> Any:
        rng, noise = rng.normal(size=x.shape, dtype=dtype)
        x = RHO * y + SCALE * noise
        rng, noise = rng.normal(size=y.shape, dtype=dtype)
        return x, RHO * x + SCALE * noise, rng

    (x, y, _), _ = gs.scan(sweep, None, [x0, y0, state()], n_steps=sizes["steps"])
    return Program([x0, y0], [x[-1], y[-1]])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    return [rng.standard_normal(sizes["lanes"], dtype), rng.standard_normal(sizes["lanes"], dtype)]


def reference(sizes: Sizes, x: Any, y: Any) -> Arrays:
    for z_x, z_y in normals(sizes["steps"], 2, len(x), "float64"):
        x = RHO * y + SCALE * z_x
        y = RHO * x + SCALE * z_y
    return [x, y]


def floor(sizes: Sizes) -> Floor:
    """Four normals and four steps of arithmetic are 111 instructions, eight of them special functions."""
    draws = 2 * sizes["lanes"] * sizes["steps"]
    return slowest(instructions=issued(FOUR_NORMALS_AND_STEPS / 4 * draws), special=2 * draws / SPECIAL)


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax

    def run(x: Any, y: Any) -> Arrays:
        def sweep(carry: Any, key: Any) -> Any:
            _, y = carry
            for_x, for_y = jax.random.split(key)
            x = RHO * y + SCALE * jax.random.normal(for_x, y.shape)
            return (x, RHO * x + SCALE * jax.random.normal(for_y, x.shape)), None

        keys = jax.random.split(jax.random.key(SEED), sizes["steps"])
        return list(jax.lax.scan(sweep, (x, y), keys)[0])

    return jax_call(run, inputs)


WORKLOAD = Workload(
    row=5,
    name="gibbs",
    maths="x from N(rho y, 1 - rho^2), then y from N(rho x, 1 - rho^2)",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=2**17, steps=10_000),
    test=dict(lanes=37, steps=6),
    check=Lanes((0, 0), (0, 0), anywhere=False),
    tolerance=5e-6,  # normals are the same to 4 units in the last place, and rho shrinks what came before
    peers=(Peer("jax.lax.scan, threefry", "jax", jax_peer, same_draws=False),),
)
