"""Row 8: an LSTM of many small heads, whose recurrent matrix has a block for each: bound by the chain of steps."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads import cells
from benchmarks.workloads.limits import TENSOR_16, chained, slowest, streamed
from benchmarks.workloads.peers import jax_call, torch_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

STEP_CLOCKS = 350  # reading h from shared memory, a chain of products, two levels of gates, a barrier of a block


def build(sizes: Sizes, dtype: str) -> Program:
    x, r = gt.tensor4("x", dtype=dtype), gt.tensor3("r", dtype=dtype)
    h0, c0 = gt.tensor3("h0", dtype=dtype), gt.tensor3("c0", dtype=dtype)

    def step(x: Any, h: Any, c: Any, r: Any) -> Any:
        return cells.lstm(cells.GPUSCAN, sizes["size"], x + gt.matmul(h, r), c)

    (h, _), _ = gs.scan(step, x, [h0, c0], r)
    return Program([x, h0, c0, r], [h])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    heads, batch, size = sizes["heads"], sizes["batch"], sizes["size"]
    x = rng.standard_normal((sizes["steps"], heads, batch, 4 * size), dtype)
    h0, c0 = rng.standard_normal((2, heads, batch, size), dtype) / 2
    return [x, h0, c0, rng.standard_normal((heads, size, 4 * size), dtype) / sqrt(size)]


def reference(sizes: Sizes, x: Any, h: Any, c: Any, r: Any) -> Arrays:
    out = np.empty((len(x), *h.shape))
    for t in range(len(x)):
        h, c = cells.lstm(cells.NUMPY, sizes["size"], x[t] + h @ r, c)
        out[t] = h
    return [out]


def floor(sizes: Sizes) -> Floor:
    """A step is a chain of about 350 clocks on one SM; a head and part of the batch are one block's, with no barrier
    between blocks. Products in 16 bits are far below that.
    """
    cells_ = sizes["heads"] * sizes["batch"] * sizes["steps"]
    return slowest(
        chain=chained(STEP_CLOCKS * sizes["steps"]),
        products=8 * cells_ * sizes["size"] ** 2 / TENSOR_16,
        memory=streamed(2 * 5 * cells_ * sizes["size"]),
    )


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import jax

    functions = cells.jax_functions()

    def run(x: Any, h0: Any, c0: Any, r: Any) -> Arrays:
        def step(carry: Any, x: Any) -> Any:
            h, c = cells.lstm(functions, sizes["size"], x + carry[0] @ r, carry[1])
            return (h, c), h

        return [jax.lax.scan(step, (h0, c0), x)[1]]

    return jax_call(run, inputs)


def torch_peer(sizes: Sizes, inputs: Arrays) -> Any:
    import torch

    x, h0, c0, r = inputs
    functions = cells.Functions(torch.tanh, torch.sigmoid)
    out = torch.empty((len(x), *h0.shape), dtype=x.dtype, device=x.device)

    def run() -> Arrays:
        h, c = h0, c0
        for t in range(len(x)):
            h, c = cells.lstm(functions, sizes["size"], torch.baddbmm(x[t], h, r), c)
            out[t].copy_(h)
        return [out]

    return torch_call(run)


WORKLOAD = Workload(
    row=8,
    name="lstm_heads",
    maths="LSTM of 12 heads of 64, their inputs projected",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=dict(heads=12, batch=16, size=64, steps=1024),
    test=dict(heads=2, batch=3, size=4, steps=4),
    check=Lanes((2, 1, 1, None), (2,), size="batch"),
    checked_lanes=2,
    tolerance=1e-5,  # sums of `size` products; what one step gets wrong, the gates of the next shrink
    peers=(Peer("jax.lax.scan", "jax", jax_peer), Peer("torch, CUDA graph", "torch", torch_peer)),
)
