"""Row 7: an ensemble of trajectories of Lorenz's equations, by the classical Runge-Kutta method."""

from __future__ import annotations

from typing import Any

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import LORENZ_RK4, issued, slowest
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

SIGMA, BETA, DT = 10.0, 8 / 3, 0.001


def slope(x: Any, y: Any, z: Any, rho: Any) -> tuple[Any, Any, Any]:
    return SIGMA * (y - x), x * (rho - z) - y, x * y - BETA * z


def step(x: Any, y: Any, z: Any, rho: Any) -> tuple[Any, Any, Any]:
    """Return the point a step of time later. Only arithmetic, so it is a step in any library."""

    def moved(by: float, k: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        return x + by * k[0], y + by * k[1], z + by * k[2]

    k1 = slope(x, y, z, rho)
    k2 = slope(*moved(DT / 2, k1), rho)
    k3 = slope(*moved(DT / 2, k2), rho)
    k4 = slope(*moved(DT, k3), rho)
    mean = tuple(a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True))
    return moved(DT / 6, (mean[0], mean[1], mean[2]))


def build(sizes: Sizes, dtype: str) -> Program:
    x, y, z, rho = (gt.vector(name, dtype=dtype) for name in ("x", "y", "z", "rho"))
    path, _ = gs.scan(step, None, [x, y, z], rho, n_steps=sizes["steps"])
    return Program([x, y, z, rho], [p[-1] for p in path])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    lanes = sizes["lanes"]
    return [*(1 + rng.random(lanes, dtype) for _ in range(3)), 28 * rng.random(lanes, dtype)]


def reference(sizes: Sizes, x: Any, y: Any, z: Any, rho: Any) -> Arrays:
    for _ in range(sizes["steps"]):
        x, y, z = step(x, y, z, rho)
    return [x, y, z]


def floor(sizes: Sizes) -> Floor:
    """60 instructions a step, 56 of them arithmetic."""
    return slowest(instructions=issued(LORENZ_RK4 * sizes["lanes"] * sizes["steps"]))


KERNEL = HandKernel(
    "lorenz",
    (
        *(Array(name) for name in ("x0", "y0", "z0", "rho0")),
        *(Array(name, writes=True) for name in ("x1", "y1", "z1")),
        Number("lanes"),
        Number("steps"),
    ),
    f"""
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float x = x0[i], y = y0[i], z = z0[i], rho = rho0[i];
    for (int t = 0; t < steps; ++t) {{
        float ax = {SIGMA}f * (y - x), ay = x * (rho - z) - y, az = x * y - {BETA}f * z;
        float u = x + {DT / 2}f * ax, v = y + {DT / 2}f * ay, w = z + {DT / 2}f * az;
        float bx = {SIGMA}f * (v - u), by = u * (rho - w) - v, bz = u * v - {BETA}f * w;
        u = x + {DT / 2}f * bx, v = y + {DT / 2}f * by, w = z + {DT / 2}f * bz;
        float cx = {SIGMA}f * (v - u), cy = u * (rho - w) - v, cz = u * v - {BETA}f * w;
        u = x + {DT}f * cx, v = y + {DT}f * cy, w = z + {DT}f * cz;
        float dx = {SIGMA}f * (v - u), dy = u * (rho - w) - v, dz = u * v - {BETA}f * w;
        x += {DT / 6:.9e}f * (ax + 2 * bx + 2 * cx + dx);
        y += {DT / 6:.9e}f * (ay + 2 * by + 2 * cy + dy);
        z += {DT / 6:.9e}f * (az + 2 * bz + 2 * cz + dz);
    }}
    x1[i] = x;
    y1[i] = y;
    z1[i] = z;
    """,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    outputs = [((sizes["lanes"],), "float32")] * 3
    return by_hand(KERNEL, sizes["lanes"], 256, inputs, outputs, [sizes["lanes"], sizes["steps"]])


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax

    def run(x: Any, y: Any, z: Any, rho: Any) -> Arrays:
        return list(jax.lax.fori_loop(0, sizes["steps"], lambda _, point: step(*point, rho), (x, y, z)))

    return jax_call(run, inputs)


WORKLOAD = Workload(
    row=7,
    name="lorenz",
    maths="x' = s (y - x), y' = x (r - z) - y, z' = x y - b z; Runge-Kutta of order 4",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=2**20, steps=1000),
    test=dict(lanes=37, steps=5),
    check=Lanes((0, 0, 0, 0), (0, 0, 0)),
    tolerance=3e-5,  # roundings of 2**-24, which the equations enlarge by about e in a unit of time
    peers=(Peer("CUDA by hand", "cupy", cupy_peer), Peer("jax.lax.fori_loop", "jax", jax_peer)),
)
