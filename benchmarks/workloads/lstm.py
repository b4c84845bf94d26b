"""Row 9: a dense LSTM, its input projection in the step, forwards and with the gradient of its weights."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads import cells
from benchmarks.workloads.limits import HOP, TENSOR_16, slowest
from benchmarks.workloads.peers import jax_call
from benchmarks.workloads.workload import Arrays, Floor, Lanes, Peer, Program, Sizes, Workload

FULL = dict(batch=16, size=768, steps=1024)
TEST = dict(batch=3, size=5, steps=4)
CHECK = dict(batch=16, size=768, steps=48)

READ_H = 0.2e-6  # reading a batch of 16 of h, or of the gates' derivatives, from L2 into every SM
MATHS = 0.25e-6  # the share of one SM in the products, and the gates
BACKWARD_STEP = 1.7e-6  # four times as much to read as forwards


def lstm(sizes: Sizes, x: Any, h0: Any, c0: Any, w: Any, u: Any, b: Any) -> Any:
    def step(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> Any:
        return cells.lstm(cells.GPUSCAN, sizes["size"], gt.dot(x, w) + gt.dot(h, u) + b, c)

    (h, _), _ = gs.scan(step, x, [h0, c0], [w, u, b])
    return h


def variables(dtype: str) -> list[gs.Variable]:
    return [
        gt.tensor3("x", dtype=dtype),
        *(gt.matrix(name, dtype=dtype) for name in ("h0", "c0", "w", "u")),
        gt.vector("b", dtype=dtype),
    ]


def build(sizes: Sizes, dtype: str) -> Program:
    inputs = variables(dtype)
    return Program(inputs, [lstm(sizes, *inputs)])


def build_gradient(sizes: Sizes, dtype: str) -> Program:
    inputs, d_h = variables(dtype), gt.tensor3("d_h", dtype=dtype)
    h = lstm(sizes, *inputs)
    return Program([*inputs, d_h], [h, *gs.pullback(h, inputs[3:], d_h)])


def make_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    batch, size = sizes["batch"], sizes["size"]
    x = rng.standard_normal((sizes["steps"], batch, size), dtype)
    h0, c0 = rng.standard_normal((2, batch, size), dtype) / 2
    w, u = rng.standard_normal((2, size, 4 * size), dtype) / sqrt(size)
    return [x, h0, c0, w, u, rng.standard_normal(4 * size, dtype) / 2]


def make_gradient_inputs(rng: Any, sizes: Sizes, dtype: str) -> Arrays:
    d_h = rng.standard_normal((sizes["steps"], sizes["batch"], sizes["size"]), dtype)
    return [*make_inputs(rng, sizes, dtype), d_h]


def reference(sizes: Sizes, x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> Arrays:
    out = np.empty_like(x)
    for t in range(len(x)):
        h, c = cells.lstm(cells.NUMPY, sizes["size"], x[t] @ w + h @ u + b, c)
        out[t] = h
    return [out]


def gradient_reference(sizes: Sizes, x: Any, h0: Any, c0: Any, w: Any, u: Any, b: Any, d_h: Any) -> Arrays:
    size, f = sizes["size"], cells.NUMPY
    h, c, z = [h0], [c0], []
    for row in x:
        z.append(row @ w + h[-1] @ u + b)
        after = cells.lstm(f, size, z[-1], c[-1])
        h.append(after[0])
        c.append(after[1])
    d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    owed_h, owed_c = np.zeros_like(h0), np.zeros_like(c0)
    for t in reversed(range(len(x))):
        i, forget, g, o = (z[t][..., k * size : (k + 1) * size] for k in range(4))
        i, forget, g, o = f.sigmoid(i), f.sigmoid(forget), f.tanh(g), f.sigmoid(o)
        d = d_h[t] + owed_h
        d_c = owed_c + d * o * (1 - f.tanh(c[t + 1]) ** 2)
        d_i, d_f = d_c * g * i * (1 - i), d_c * c[t] * forget * (1 - forget)
        d_g, d_o = d_c * i * (1 - g * g), d * f.tanh(c[t + 1]) * o * (1 - o)
        d_z = np.concatenate([d_i, d_f, d_g, d_o], axis=-1)
        d_w += x[t].T @ d_z
        d_u += h[t].T @ d_z
        d_b += d_z.sum(0)
        owed_h, owed_c = d_z @ u.T, d_c * forget
    return [np.stack(h[1:]), d_w, d_u, d_b]


def _product(sizes: Sizes) -> float:
    """Return the seconds of one product of all rows with a matrix of four gates, in 16 bits."""
    return 2 * sizes["steps"] * sizes["batch"] * 4 * sizes["size"] ** 2 / TENSOR_16


def floor(sizes: Sizes) -> Floor:
    """A hop between SMs, reading h and a share of the products each step; the input's product at once.

    For sizes like those of the row: 16-bit weights spread over the SMs' registers and shared memory.
    """
    return slowest(chain=(HOP + READ_H + MATHS) * sizes["steps"] + _product(sizes))


def gradient_floor(sizes: Sizes) -> Floor:
    """Forwards, then 1.7 us a step, as four times as much is read; the gradients of both matrices at once."""
    return slowest(chain=floor(sizes).seconds + BACKWARD_STEP * sizes["steps"] + 2 * _product(sizes))


def _jax_lstm(sizes: Sizes, x: Any, h0: Any, c0: Any, w: Any, u: Any, b: Any) -> Any:
    import jax

    functions = cells.jax_functions()

    def step(carry: Any, z: Any) -> Any:
        h, c = cells.lstm(functions, sizes["size"], z + carry[0] @ u, carry[1])
        return (h, c), h

    return jax.lax.scan(step, (h0, c0), x @ w + b)[1]


def jax_peer(sizes: Sizes, inputs: Arrays) -> Any:
    return jax_call(lambda *inputs: [_jax_lstm(sizes, *inputs)], inputs)


def jax_gradient_peer(sizes: Sizes, inputs: Arrays) -> Any:
    def run(x: Any, h0: Any, c0: Any, w: Any, u: Any, b: Any, d_h: Any) -> Arrays:
        import jax

        h, pull = jax.vjp(lambda w, u, b: _jax_lstm(sizes, x, h0, c0, w, u, b), w, u, b)
        return [h, *pull(d_h)]

    return jax_call(run, inputs)


def torch_lstm(inputs: Arrays, dtype: str) -> tuple[Any, Any, tuple[Any, Any]]:
    """Return ``nn.LSTM`` with the workload's weights, the input, and h0 with c0."""
    import torch

    kind = getattr(torch, dtype)
    x, h0, c0, w, u, b = (a.to(kind) for a in inputs[:6])
    net = torch.nn.LSTM(x.shape[2], h0.shape[1]).to(device=x.device, dtype=kind)
    with torch.no_grad():
        net.weight_ih_l0.copy_(w.T)
        net.weight_hh_l0.copy_(u.T)
        net.bias_ih_l0.copy_(b)
        net.bias_hh_l0.zero_()
    return net, x, (h0[None].contiguous(), c0[None].contiguous())


def torch_peer(dtype: str) -> Any:
    def make(sizes: Sizes, inputs: Arrays) -> Any:
        import torch

        net, x, start = torch_lstm(inputs, dtype)

        def run() -> Arrays:
            with torch.no_grad():
                return [net(x, start)[0]]

        return run

    return make


def torch_gradient_peer(dtype: str) -> Any:
    def make(sizes: Sizes, inputs: Arrays) -> Any:
        import torch

        net, x, start = torch_lstm(inputs, dtype)
        d_h = inputs[6].to(x.dtype)
        weights = [net.weight_ih_l0, net.weight_hh_l0, net.bias_ih_l0]

        def run() -> Arrays:
            h = net(x, start)[0]
            d_w, d_u, d_b = torch.autograd.grad(h, weights, d_h)
            return [h.detach(), d_w.T, d_u.T, d_b]

        return run

    return make


FORWARD = Workload(
    row=9,
    name="lstm",
    maths="dense LSTM with its input projection",
    build=build,
    make_inputs=make_inputs,
    reference=reference,
    floor=floor,
    full=FULL,
    test=TEST,
    check=Lanes((1, 0, 0, None, None, None), (1,), size="batch"),
    checked_lanes=2,
    tolerance=1e-5,  # sums of `size` products; what one step gets wrong, the gates of the next shrink
    peers=(
        Peer("jax.lax.scan", "jax", jax_peer),
        Peer("torch.nn.LSTM, cuDNN", "torch", torch_peer("float32")),
        Peer("torch.nn.LSTM, cuDNN, float16", "torch", torch_peer("float16"), "float16"),
    ),
)

GRADIENT = Workload(
    row=9,
    name="lstm_gradient",
    maths="dense LSTM, and the gradient by its weights",
    build=build_gradient,
    make_inputs=make_gradient_inputs,
    reference=gradient_reference,
    floor=gradient_floor,
    full=FULL,
    test=TEST,
    check=CHECK,
    tolerance=2e-5,  # as forwards; the gradients' sums over batch and time are longer
    peers=(
        Peer("jax.lax.scan", "jax", jax_gradient_peer),
        Peer("torch.nn.LSTM, cuDNN", "torch", torch_gradient_peer("float32")),
        Peer("torch.nn.LSTM, cuDNN, float16", "torch", torch_gradient_peer("float16"), "float16"),
    ),
)
