"""The programs of the seed documents, as graphs with values to call them with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt


@dataclass(frozen=True)
class Program:
    """What `gpuscan.function` is given, and what the function is called with."""

    inputs: list[gs.Variable]
    outputs: Any
    values: list[Any]
    updates: dict[gs.SharedVariable, gs.Variable] = field(default_factory=dict)


def elementwise_product() -> Program:
    a, b = gt.vector("vector1"), gt.vector("vector2")
    out, _ = gs.scan(lambda a, b: a * b, [a, b])
    return Program([a, b], out, [np.arange(5.0), np.arange(1.0, 6.0)])


def linear_layer() -> Program:
    X, W, b = gt.matrix("X"), gt.matrix("W"), gt.vector("b")
    out, _ = gs.scan(lambda v, W, b: gt.dot(v, W) + b, X, non_sequences=[W, b])
    return Program([X, W, b], out, [np.arange(-3.0, 3).reshape(3, 2), np.eye(2), np.arange(2.0)])


def cumulative_sum() -> Program:
    M, s = gt.matrix("M"), gt.vector("s")
    out, _ = gs.scan(lambda row, total: row + total, M, s)
    return Program([M, s], out, [np.arange(9.0).reshape(3, 3), np.zeros(3)])


def fibonacci() -> Program:
    f_init = gt.fvector()

    def step(f_minus2, f_minus1):
        new_f = f_minus2 + f_minus1
        return new_f, new_f / f_minus1

    out, _ = gs.scan(step, outputs_info=[{"initial": f_init, "taps": [-2, -1]}, None], n_steps=10)
    return Program([f_init], out, [[1, 1]])


def polynomial() -> Program:
    coefficients, x = gt.vector("coefficients"), gt.scalar("x")
    out, _ = gs.scan(lambda c, power, x: c * x**power, [coefficients, gt.arange(10000)], non_sequences=x)
    return Program([coefficients, x], out.sum(), [np.array([1.0, 0.0, 2.0]), 3])


def polynomial_summed_inside() -> Program:
    coefficients, x = gt.vector("coefficients"), gt.scalar("x")
    sequences = [coefficients, gt.arange(10000)]
    out, _ = gs.scan(lambda c, power, total, x: total + c * x**power, sequences, gt.zeros(()), x)
    return Program([coefficients, x], out[-1], [np.array([1.0, 0.0, 2.0]), 3])


def power() -> Program:
    k, A = gt.iscalar("k"), gt.vector("A")
    out, _ = gs.scan(lambda prior, A: prior * A, outputs_info=gt.ones_like(A), non_sequences=A, n_steps=k)
    return Program([A, k], out[-1], [range(10), 4])


def triangular_numbers() -> Program:
    up_to = gt.iscalar("up_to")
    out, _ = gs.scan(lambda i, total: total + i, gt.arange(up_to), np.int64(0))
    return Program([up_to], out, [15])


def set_values() -> Program:
    location, values, model = gt.imatrix("location"), gt.vector("values"), gt.matrix("output_model")

    def step(at, value, model):
        zeros = gt.zeros_like(model)
        return gt.set_subtensor(zeros[at[0], at[1]], value)

    out, _ = gs.scan(step, [location, values], non_sequences=model)
    at = np.array([[1, 1], [2, 3]], "int32")
    return Program([location, values, model], out, [at, np.array([42.0, 50.0]), np.zeros((5, 5))])


def shared_update() -> Program:
    a = gs.shared(1, name="a")
    _, updates = gs.scan(lambda: {a: a + 1}, n_steps=10)
    return Program([], [a + 1, updates[a] + 1], [], updates)


def powers_of_two() -> Program:
    limit = gt.scalar("max_value")
    out, _ = gs.scan(
        lambda old, limit: (old * 2, gs.until(old * 2 > limit)), None, gt.constant(1.0), limit, n_steps=1024
    )
    return Program([limit], out, [45])


def recurrent_network() -> Program:
    names = ["W", "W_in_1", "W_in_2", "W_feedback", "W_out"]
    weights = [gt.matrix(name) for name in names]
    u, x0, y0 = gt.matrix("u"), gt.matrix("x0"), gt.vector("y0")

    def step(u4, u0, x3, x1, y1, W, W_in_1, W_in_2, W_feedback, W_out):
        x = gt.tanh(gt.dot(x1, W) + gt.dot(u0, W_in_1) + gt.dot(u4, W_in_2) + gt.dot(y1, W_feedback))
        return x, gt.dot(x3, W_out)

    out, _ = gs.scan(step, {"input": u, "taps": [-4, 0]}, [{"initial": x0, "taps": [-3, -1]}, y0], weights)
    rng = np.random.default_rng(0)
    shapes = [(9, 2), (3, 3), (1,), (3, 3), (2, 3), (2, 3), (1, 3), (3, 1)]
    return Program([u, x0, y0, *weights], out, [rng.normal(size=shape) for shape in shapes])


PROGRAMS: dict[str, Callable[[], Program]] = {
    "elementwise product": elementwise_product,
    "linear layer": linear_layer,
    "cumulative sum": cumulative_sum,
    "Fibonacci": fibonacci,
    "polynomial": polynomial,
    "polynomial, summed inside": polynomial_summed_inside,
    "power": power,
    "triangular numbers": triangular_numbers,
    "set values": set_values,
    "shared update": shared_update,
    "powers of two, until": powers_of_two,
    "recurrent network": recurrent_network,
}
