"""Row 16: dynamic time warping of many pairs of series: by anti-diagonals, and as a loop in a loop.

D[i, j] = |x_i - y_j| + min(D[i-1, j], D[i, j-1], D[i-1, j-1]), and the distance of a pair is the last cell. What stands
above the matrix or left of it is infinite, but for the corner D[-1, -1] = 0, where paths start.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.hand import Array, HandKernel, Number, by_hand
from benchmarks.workloads.limits import DTW_CELL, issued, slowest
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

FULL = dict(lanes=4096, size=1024)
TEST = dict(lanes=3, size=5)


def build(sizes: Sizes, dtype: str) -> Program:
    """Step k computes the cells of i + j = k; cell (i, k - i) stands at place i + 1, what is above it at place 0.

    The window holds y_(k-i) at place i and moves by one place a step; infinite where there is no such column.
    """
    x, y = gt.matrix("x", dtype=dtype), gt.matrix("y", dtype=dtype)
    edge = gt.full_like(x[:, :1], np.inf)
    outside = gt.full_like(x, np.inf)

    def step(y_k: Any, before_last: Any, last: Any, window: Any, x: Any, edge: Any) -> Any:
        window = gt.concatenate([y_k[:, None], window[:, :-1]], axis=1)
        best = gt.minimum(gt.minimum(last[:, 1:], last[:, :-1]), before_last[:, :-1])
        return gt.concatenate([edge, abs(x - window) + best], axis=1), window

    columns = gt.concatenate([y.T, gt.full_like(y.T[1:], np.inf)])
    corner, nothing = (gt.concatenate([first, outside], axis=1) for first in (gt.zeros_like(edge), edge))
    first_two = dict(initial=gt.stack([corner, nothing]), taps=[-2, -1])
    (d, _), _ = gs.scan(step, columns, [first_two, outside], [x, edge])
    return Program([x, y], [d[-1][:, -1]])


def build_nested(sizes: Sizes, dtype: str) -> Program:
    """A step is a row of the matrix, of all pairs, and in it a step is a cell; place j + 1 of a row is its cell j."""
    x, y = gt.matrix("x", dtype=dtype), gt.matrix("y", dtype=dtype)
    edge = gt.full_like(x[:, 0], np.inf)

    def cell(y_j: Any, diagonal: Any, above: Any, left: Any, x_i: Any) -> Any:
        return abs(x_i - y_j) + gt.minimum(gt.minimum(above, left), diagonal)

    def row(x_i: Any, above: Any, columns: Any, edge: Any) -> Any:
        cells, _ = gs.scan(cell, [columns, dict(input=above, taps=[0, 1])], edge, x_i)
        return gt.concatenate([edge[None], cells])

    first = gt.concatenate([gt.zeros_like(edge)[None], gt.full_like(y.T, np.inf)])
    d, _ = gs.scan(row, x.T, first, [y.T, edge])
    return Program([x, y], [d[-1][-1]])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    shape = (sizes["lanes"], sizes["size"])
    return [rng.standard_normal(shape, dtype), rng.standard_normal(shape, dtype)]


def reference(sizes: Sizes, x: Any, y: Any) -> Arrays:
    """Row by row. D[i, j] = c_j + min(m_j, D[i, j-1]), with m_j the lesser of the cells above, is a running minimum
    of m - C + c, where C are the running sums of c.
    """
    row = np.full((len(x), y.shape[1] + 1), np.inf)
    row[:, 0] = 0
    for i in range(x.shape[1]):
        cost = np.abs(x[:, i : i + 1] - y)
        sums = np.cumsum(cost, axis=1)
        above = np.minimum(row[:, 1:], row[:, :-1])
        row[:, 1:] = np.minimum.accumulate(above - sums + cost, axis=1) + sums
        row[:, 0] = np.inf
    return [row[:, -1]]


def floor(sizes: Sizes) -> Floor:
    """Seven instructions a cell."""
    return slowest(instructions=issued(DTW_CELL * sizes["lanes"] * sizes["size"] ** 2))


# A block a pair and a thread a row of the matrix; diagonals go round in three arrays.
KERNEL = HandKernel(
    "warping",
    (Array("x"), Array("y"), Array("out", writes=True), Number("lanes"), Number("size")),
    """
    GPUSCAN_SHARED(float, d, 3 * 1025);
    int pair = blockIdx.x, i = threadIdx.x;
    float xi = x[pair * size + i];
    for (int k = 0; k < 3; ++k) {
        d[k * 1025 + i + 1] = 1e30f;
        if (i == 0) d[k * 1025] = k == 1 ? 0.0f : 1e30f;
    }
    __syncthreads();
    for (int k = 0; k < 2 * size - 1; ++k) {
        int j = k - i, now = k % 3 * 1025, last = (k + 2) % 3 * 1025, before = (k + 1) % 3 * 1025;
        float found = 1e30f;
        if (j >= 0 && j < size) {
            found = fabsf(xi - y[pair * size + j]) + fminf(fminf(d[last + i + 1], d[last + i]), d[before + i]);
        }
        d[now + i + 1] = found;
        if (i == 0) d[now] = 1e30f;
        __syncthreads();
    }
    if (i == size - 1) out[pair] = d[(2 * size - 2) % 3 * 1025 + i + 1];
    """,
)


def cupy_peer(sizes: Sizes, inputs: Arrays) -> Any:
    lanes, size = sizes["lanes"], sizes["size"]
    return by_hand(KERNEL, lanes * size, size, inputs, [((lanes,), "float32")], [lanes, size])


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax
    import jax.numpy as jnp

    def run(x: Any, y: Any) -> Arrays:
        lanes, size = x.shape
        edge, outside = jnp.full((lanes, 1), jnp.inf), jnp.full((lanes, size), jnp.inf)

        def step(carry: Any, y_k: Any) -> Any:
            before_last, last, window = carry
            window = jnp.concatenate([y_k[:, None], window[:, :-1]], axis=1)
            best = jnp.minimum(jnp.minimum(last[:, 1:], last[:, :-1]), before_last[:, :-1])
            return (last, jnp.concatenate([edge, jnp.abs(x - window) + best], axis=1), window), None

        corner = jnp.concatenate([jnp.zeros((lanes, 1)), outside], axis=1)
        start = (corner, jnp.concatenate([edge, outside], axis=1), outside)
        columns = jnp.concatenate([y.T, jnp.full((size - 1, lanes), jnp.inf)])
        return [jax.lax.scan(step, start, columns)[0][1][:, -1]]

    return jax_call(run, inputs)


def _workload(name: str, maths: str, build: Any) -> Workload:
    return Workload(
        row=16,
        name=name,
        maths=maths,
        build=build,
        make_inputs=make_inputs,
        reference=reference,
        floor=floor,
        full=FULL,
        test=TEST,
        check=Lanes((0, 0), (0,)),
        checked_lanes=16,
        tolerance=1e-5,  # a path adds up to two thousand positive numbers
        peers=(Peer("CUDA by hand", "cupy", cupy_peer), Peer("jax.lax.scan", "jax", jax_peer)),
    )


DIAGONALS = _workload("dtw", "dynamic time warping by anti-diagonals", build)
NESTED = _workload("dtw_nested", "dynamic time warping, a loop of cells in a loop of rows", build_nested)
