"""Row 14: loops that stop by themselves, each lane when it is done: Mandelbrot's set, and cube roots by Newton."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import MANDELBROT, issued, slowest, streamed
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

# ---- Mandelbrot: how many steps until z = z^2 + c leaves the circle of radius 2

SHARE_OF_LIMIT = 0.24  # of `limit` steps a pixel runs, on average over warps


def build(sizes: Sizes, dtype: str) -> Program:
    re, im = gt.vector("re", dtype=dtype), gt.vector("im", dtype=dtype)

    def step(x: Any, y: Any, count: Any, re: Any, im: Any) -> Any:
        x, y = x * x - y * y + re, 2 * x * y + im
        return [x, y, count + 1], gs.until(x * x + y * y > 4)

    def pixel(re: Any, im: Any) -> Any:
        start = [gt.zeros_like(re), gt.zeros_like(im), gt.constant(0, dtype="int32")]
        (_, _, count), _ = gs.scan(step, None, start, [re, im], n_steps=sizes["limit"])
        return count[-1]

    counts, _ = gs.map(pixel, [re, im])
    return Program([re, im], [counts])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    across = np.linspace(-2, 0.6, sizes["width"], dtype=dtype)
    down = np.linspace(-1.3, 1.3, sizes["lanes"] // sizes["width"], dtype=dtype)
    return [np.tile(across, len(down)), np.repeat(down, len(across))]


def reference(sizes: Sizes, re: Any, im: Any) -> Arrays:
    x, y = np.zeros_like(re), np.zeros_like(im)
    counts = np.zeros(len(re), "int32")
    inside = np.ones(len(re), bool)
    for _ in range(sizes["limit"]):
        x, y = np.where(inside, x * x - y * y + re, x), np.where(inside, 2 * x * y + im, y)
        counts += inside
        inside &= x * x + y * y <= 4
    return [counts]


def floor(sizes: Sizes) -> Floor:
    """Eight instructions an iteration, and 240 iterations a pixel of a limit of 1000: 229, were warps not to wait."""
    return slowest(instructions=issued(MANDELBROT * SHARE_OF_LIMIT * sizes["limit"] * sizes["lanes"]))


KERNEL = HandKernel(
    "mandelbrot",
    (Array("re"), Array("im"), Array("counts", "int32", writes=True), Number("lanes"), Number("limit")),
    """
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float a = re[i], b = im[i], x = 0, y = 0;
    int n = 0;
    for (float xx = 0, yy = 0; n < limit && xx + yy <= 4; ++n) {
        y = 2 * x * y + b;
        x = xx - yy + a;
        xx = x * x;
        yy = y * y;
    }
    counts[i] = n;
    """,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    lanes = sizes["lanes"]
    return by_hand(KERNEL, lanes, 256, inputs, [((lanes,), "int32")], [lanes, sizes["limit"]])


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(re: Any, im: Any) -> Arrays:
        def inside(x: Any, y: Any) -> Any:
            return x * x + y * y <= 4

        def step(carry: Any) -> Any:
            n, x, y, counts = carry
            more = inside(x, y)
            new_x, new_y = x * x - y * y + re, 2 * x * y + im
            return n + 1, jnp.where(more, new_x, x), jnp.where(more, new_y, y), counts + more.astype("int32")

        def going(carry: Any) -> Any:
            n, x, y, _ = carry
            return (n < sizes["limit"]) & inside(x, y).any()

        zeros = jnp.zeros_like(re)
        return [jax.lax.while_loop(going, step, (0, zeros, zeros, jnp.zeros(re.shape, "int32")))[3]]

    return jax_call(run, inputs)


# ---- Newton: x = x - (x^3 - a) / (3 x^2) until a step changes x by less than a millionth of it

NEAR = 1e-6
NEWTON_STEPS = 6
NEWTON_STEP = 20  # instructions, a division by a reciprocal and its correction among them


def build_newton(sizes: Sizes, dtype: str) -> Program:
    a = gt.vector("a", dtype=dtype)

    def step(x: Any, a: Any) -> Any:
        moved = x - (x * x * x - a) / (3 * x * x)
        return moved, gs.until(abs(moved - x) <= NEAR * abs(moved))

    def root(a: Any) -> Any:
        x, _ = gs.scan(step, None, gt.maximum(a, 1), a, n_steps=sizes["limit"])
        return x[-1]

    roots, _ = gs.map(root, a)
    return Program([a], [roots])


def make_newton_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    return [0.1 + 10 * rng.random(sizes["lanes"], dtype)]


def newton_reference(sizes: Sizes, a: Any) -> Arrays:
    x, going = np.maximum(a, 1), np.ones(len(a), bool)
    for _ in range(sizes["limit"]):
        moved = np.where(going, x - (x * x * x - a) / (3 * x * x), x)
        going &= np.abs(moved - x) > NEAR * np.abs(moved)
        x = moved
    return [x]


def newton_floor(sizes: Sizes) -> Floor:
    """About six steps of 20 instructions; or one number read and one written."""
    lanes = sizes["lanes"]
    return slowest(instructions=issued(NEWTON_STEPS * NEWTON_STEP * lanes), memory=streamed(8 * lanes))


NEWTON_KERNEL = HandKernel(
    "cube_root",
    (Array("a"), Array("roots", writes=True), Number("lanes"), Number("limit")),
    f"""
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float ai = a[i], x = fmaxf(ai, 1.0f);
    for (int n = 0; n < limit; ++n) {{
        float moved = x - (x * x * x - ai) / (3.0f * x * x);
        bool near = fabsf(moved - x) <= {NEAR}f * fabsf(moved);
        x = moved;
        if (near) break;
    }}
    roots[i] = x;
    """,
)


def cupy_newton_peer(sizes: Sizes, inputs: Arrays) -> Any:
    lanes = sizes["lanes"]
    return by_hand(NEWTON_KERNEL, lanes, 256, inputs, [((lanes,), "float32")], [lanes, sizes["limit"]])


def jax_newton_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(a: Any) -> Arrays:
        def step(carry: Any) -> Any:
            n, x, going = carry
            moved = jnp.where(going, x - (x * x * x - a) / (3 * x * x), x)
            return n + 1, moved, going & (jnp.abs(moved - x) > NEAR * jnp.abs(moved))

        def more(carry: Any) -> Any:
            return (carry[0] < sizes["limit"]) & carry[2].any()

        return [jax.lax.while_loop(more, step, (0, jnp.maximum(a, 1), jnp.ones(a.shape, bool)))[1]]

    return jax_call(run, inputs)


MANDELBROT_SET = Workload(
    row=14,
    name="mandelbrot",
    maths="z = z^2 + c until |z| > 2, counted",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=4096**2, width=4096, limit=1000),
    test=dict(lanes=24, width=6, limit=12),
    check=Lanes((0, 0), (0,)),
    # Next to the set's edge a count hangs on the last bit. Of the pixels that are compared, none is so near.
    tolerance=0.0,
    peers=(Peer("CUDA by hand", "cupy", cupy_peer), Peer("jax.lax.while_loop", "jax", jax_peer)),
)

NEWTON = Workload(
    row=14,
    name="newton",
    maths="cube roots by Newton's method, to a tolerance",
    build=build_newton,
    make_inputs=make_newton_inputs,
    reference=newton_reference,
    floor=newton_floor,
    full=dict(lanes=2**24, limit=100),
    test=dict(lanes=9, limit=50),
    check=Lanes((0,), (0,)),
    checked_lanes=4095,
    tolerance=1e-6,  # a root that is near enough in either precision is off by far less than `NEAR`
    peers=(Peer("CUDA by hand", "cupy", cupy_newton_peer), Peer("jax.lax.while_loop", "jax", jax_newton_peer)),
)
