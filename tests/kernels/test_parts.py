"""Values combined together over the threads of a warp are those combined each by itself, to the last bit."""

from __future__ import annotations

import numpy as np

from gpuscan.cuda.emulator import load
from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.cuda.source import splice

CASES = [(width, count) for width in (2, 4, 32) for count in (1, 2, 3, 8, 13, 40)]


def kernel_of() -> Kernel:
    body = "".join(
        f"""
    {{
        float values[{count}];
        for (int i = 0; i < {count}; ++i) values[i] = x[threadIdx.x * 40 + i];
        gs::across_each<gs::{operation}, {width}, {count}>(values);
        for (int i = 0; i < {count}; ++i) y[({case} * 64 + threadIdx.x) * 40 + i] = values[i];
    }}"""
        for operation in ("Add", "Larger")
        for case, (width, count) in enumerate(CASES, 0 if operation == "Add" else len(CASES))
    )
    text = (
        f'#include "parts.cuh"\nextern "C" __global__ void parts(Global<const float> x, Global<float> y) {{{body}\n}}\n'
    )
    return Kernel("parts", splice(text), (Parameter("x", "float32"), Parameter("y", "float32", writes=True)))


def butterfly(x: np.ndarray, width: int, operation: np.ufunc) -> np.ndarray:
    """Combine the rows of `x`, one a thread, as each value by itself is combined."""
    thread = np.arange(len(x))
    distance = width // 2
    while distance:
        x = operation(x, x[thread ^ distance])
        distance //= 2
    return x


def test_values_are_combined_as_each_by_itself():
    x = np.random.default_rng(0).normal(size=(64, 40)).astype("float32")
    y = np.zeros((2 * len(CASES), 64, 40), "float32")
    load(kernel_of())((1, 1, 1), (64, 1, 1), 0, [x, y])
    for case, (width, count) in enumerate(CASES):
        for found, operation in ((y[case], np.add), (y[len(CASES) + case], np.maximum)):
            np.testing.assert_array_equal(found[:, :count], butterfly(x, width, operation)[:, :count])
