"""Row 15: a loop in a loop: implicit Euler steps, each solved by a fixed number of fixed-point iterations."""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import SPECIAL, TANH, issued, slowest
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

DT = 0.1


def build(sizes: Sizes, dtype: str) -> Program:
    x0, a, b = (gt.vector(name, dtype=dtype) for name in ("x0", "a", "b"))

    def closer(y: Any, x: Any, a: Any, b: Any) -> Any:
        return x + DT * gt.tanh(a * y + b)

    def step(x: Any, a: Any, b: Any) -> Any:
        y, _ = gs.scan(closer, None, x, [x, a, b], n_steps=sizes["inner"])
        return y[-1]

    x, _ = gs.scan(step, None, x0, [a, b], n_steps=sizes["steps"])
    return Program([x0, a, b], [x[-1]])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    lanes = sizes["lanes"]
    return [rng.standard_normal(lanes, dtype), -0.5 - rng.random(lanes, dtype), rng.standard_normal(lanes, dtype)]


def reference(sizes: Sizes, x: Any, a: Any, b: Any) -> Arrays:
    for _ in range(sizes["steps"]):
        y = x
        for _ in range(sizes["inner"]):
            y = x + DT * np.tanh(a * y + b)
        x = y
    return [x]


def floor(sizes: Sizes) -> Floor:
    """An accurate tanh is some 17 instructions, two of them special functions; three more are around it."""
    iterations = sizes["lanes"] * sizes["steps"] * sizes["inner"]
    return slowest(instructions=issued((TANH + 3) * iterations), special=2 * iterations / SPECIAL)


KERNEL = HandKernel(
    "implicit_euler",
    (Array("x0"), Array("a"), Array("b"), Array("out", writes=True), Number("lanes"), Number("steps"), Number("inner")),
    f"""
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= lanes) return;
    float x = x0[i], ai = a[i], bi = b[i];
    for (int t = 0; t < steps; ++t) {{
        float y = x;
        for (int k = 0; k < inner; ++k) y = x + {DT}f * tanhf(ai * y + bi);
        x = y;
    }}
    out[i] = x;
    """,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    numbers = [sizes["lanes"], sizes["steps"], sizes["inner"]]
    return by_hand(KERNEL, sizes["lanes"], 256, inputs, [((sizes["lanes"],), "float32")], numbers)


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(x: Any, a: Any, b: Any) -> Arrays:
        def step(_: Any, x: Any) -> Any:
            return jax.lax.fori_loop(0, sizes["inner"], lambda _, y: x + DT * jnp.tanh(a * y + b), x)

        return [jax.lax.fori_loop(0, sizes["steps"], step, x)]

    return jax_call(run, inputs)


WORKLOAD = Workload(
    row=15,
    name="implicit_euler",
    maths="x = y of y = x + dt tanh(a y + b), by iteration",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(lanes=2**18, steps=1000, inner=20),
    test=dict(lanes=5, steps=3, inner=4),
    check=Lanes((0, 0, 0), (0,)),
    tolerance=1e-5,  # the equation tends to a fixed point, and with it what was rounded before
    peers=(Peer("CUDA by hand", "cupy", cupy_peer), Peer("jax.lax.fori_loop", "jax", jax_peer)),
)
