"""Products on tensor cores: where the instructions find their operands, and what rounding costs."""

from __future__ import annotations

import numpy as np
import pytest

from gpuscan.cuda.emulator import load
from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.cuda.launch import compile_kernel
from gpuscan.cuda.source import splice
from tests.kernels.rounding import rounded

KINDS = {"tf32": ("gs::Tf32", 10), "bf16": ("gs::Bf16", 7)}
"""C++ type, and bits of the mantissa that are stored."""

PRODUCTS = [
    ((16, 16, 8), (1, 1, 1), True),
    ((8, 32, 16), (2, 1, 2), False),
    ((5, 20, 20), (3, 2, 1), True),
    ((33, 50, 40), (2, 1, 2), False),
    ((16, 128, 24), (3, 2, 1), True),
]
"""Rows, terms and columns, some of which end inside a tile; division by terms, columns and rows; what holds weights."""


def product(kind: str, shape: tuple[int, int, int], division: tuple[int, int, int], held: bool) -> Kernel:
    """Return a kernel of one product by a block of one warp more than are needed, its operands shared."""
    rows, terms, columns = shape
    sizes = ", ".join(map(str, (rows, terms, -(-columns // 8), *division)))
    threads = 32 * (int(np.prod(division)) + 1)
    multiply = (
        "unsigned int all[T::held]; tiles.hold(all, right); tiles.multiply_held(left, all, sums);"
        if held
        else "tiles.multiply_with(left, right, sums);"
    )
    start = 4 * (-(-rows * terms // 4))
    after = 4 * (-(-(start + terms * columns) // 4))
    text = f"""
#include "mma.cuh"
extern "C" __global__ void product(Global<const float> a, Global<const float> b, Global<float> c) {{
    using T = gs::Tiles<{KINDS[kind][0]}, {sizes}>;
    GPUSCAN_DYNAMIC_SHARED_AT(float, x, 0, {rows * terms});
    GPUSCAN_DYNAMIC_SHARED_AT(float, y, {4 * start}, {terms * columns});
    GPUSCAN_DYNAMIC_SHARED_AT(float, sums, {4 * after}, T::size);
    for (int i = threadIdx.x; i < {rows * terms}; i += {threads}) x[i] = a[i];
    for (int i = threadIdx.x; i < {terms * columns}; i += {threads}) y[i] = b[i];
    __syncthreads();
    auto const left = [&](int i, int r) {{
        return gs::four<{terms}>(r, [&](int k) {{ return float(x[i * {terms} + k]); }});
    }};
    auto const right = [&](int r, int j) {{ return j < {columns} ? float(y[r * {columns} + j]) : 0.0f; }};
    T const tiles(threadIdx.x / 32);
    {multiply}
    __syncthreads();
    for (int i = threadIdx.x; i < {rows * columns}; i += {threads})
        c[i] = T::element(sums, i / {columns}, i % {columns});
}}
"""
    parameters = (Parameter("a", "float32"), Parameter("b", "float32"), Parameter("c", "float32", writes=True))
    return Kernel("product", splice(text), parameters)


def multiplied(kind: str, division: tuple[int, int, int], held: bool, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (rows, terms), columns = a.shape, b.shape[1]
    c = np.zeros((rows, columns), "float32")
    threads = 32 * (int(np.prod(division)) + 1)
    shared = 4 * (rows * terms + terms * columns + division[0] * rows * (columns + 8)) + 64
    kernel = product(kind, (rows, terms, columns), division, held)
    load(kernel)((1, 1, 1), (threads, 1, 1), shared, [np.ascontiguousarray(a), np.ascontiguousarray(b), c])
    return c


@pytest.mark.parametrize("kind", KINDS)
def test_every_element_meets_its_own_terms(kind: str) -> None:
    """Whole numbers up to 256 are exact in both types, and products with a permutation tell where each one went."""
    rng = np.random.default_rng(0)
    codes = np.arange(256, dtype="float32").reshape(16, 16)
    chosen = np.eye(16, dtype="float32")[rng.permutation(16)][:, :8]
    np.testing.assert_array_equal(multiplied(kind, (1, 1, 1), True, codes, chosen), codes @ chosen)
    codes = np.arange(128, dtype="float32").reshape(16, 8)
    chosen = np.eye(16, dtype="float32")[rng.permutation(16)]
    np.testing.assert_array_equal(multiplied(kind, (1, 1, 1), False, chosen, codes), chosen @ codes)


FRAGMENTS = """
#include "mma.cuh"
extern "C" __global__ void tf32(Global<const float> a, Global<const float> b, Global<float> c) {
    int const g = threadIdx.x / 4, t = threadIdx.x % 4;
    float sums[4] = {};
    {
        unsigned int const x[4] = {gpuscan_tf32(a[g * 8 + t]), gpuscan_tf32(a[(g + 8) * 8 + t]),
                                   gpuscan_tf32(a[g * 8 + t + 4]), gpuscan_tf32(a[(g + 8) * 8 + t + 4])};
        unsigned int const y[2] = {gpuscan_tf32(b[t * 8 + g]), gpuscan_tf32(b[(t + 4) * 8 + g])};
        gpuscan_mma_tf32(sums, x, y);
    }
    for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}
extern "C" __global__ void bf16(Global<const float> a, Global<const float> b, Global<float> c) {
    int const g = threadIdx.x / 4, t = threadIdx.x % 4;
    float sums[4] = {};
    unsigned int x[4], y[2];
    for (int i = 0; i < 4; ++i) {
        int const first = (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
        x[i] = gpuscan_bf16_pair(a[first], a[first + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        int const first = (2 * t + i * 8) * 8 + g;
        y[i] = gpuscan_bf16_pair(b[first], b[first + 8]);
    }
    gpuscan_mma_bf16(sums, x, y);
    for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}
"""


@pytest.mark.parametrize(("kind", "terms"), [("tf32", 8), ("bf16", 16)])
def test_fragments_lie_as_ptx_says(kind: str, terms: int) -> None:
    """The tables of mma.m16n8k8 for tf32 and of mma.m16n8k16 for bf16, not permuted as `Tiles` does it."""
    parameters = (Parameter("a", "float32"), Parameter("b", "float32"), Parameter("c", "float32", writes=True))
    kernel = Kernel(kind, splice(FRAGMENTS), parameters)
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-20, 20, shape).astype("float32") for shape in ((16, terms), (terms, 8)))
    c = np.zeros((16, 8), "float32")
    load(kernel)((1, 1, 1), (32, 1, 1), 0, [a, b, c])
    np.testing.assert_array_equal(c, a @ b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "division", "held"), PRODUCTS)
def test_products(kind: str, shape: tuple[int, int, int], division: tuple[int, int, int], held: bool) -> None:
    rows, terms, columns = shape
    rng = np.random.default_rng(rows)
    a, b = (rng.standard_normal(s).astype("float32") for s in ((rows, terms), (terms, columns)))
    found = multiplied(kind, division, held, a, b)
    exact = rounded(a, kind).astype("float64") @ rounded(b, kind).astype("float64")
    # Products of rounded operands are exact in a float; adding them rounds as often as there are terms.
    np.testing.assert_allclose(found, exact, atol=terms * 2**-24 * np.abs(exact).max() * 4)
    # Each operand is off by half a unit of its last place at most.
    allowed = (2.0 ** -KINDS[kind][1]) * (np.abs(a) @ np.abs(b))
    assert (np.abs(found - a.astype("float64") @ b) <= allowed * 1.01).all()
    assert (found != a @ b).any()


def test_what_is_no_number_stays_so() -> None:
    for kind in KINDS:
        a = np.zeros((16, 16), "float32")
        a[0, 0], a[1, 1], a[2, 2], a[3, 3] = np.nan, np.inf, -np.inf, np.float32(1 + 2.0**-12)
        found = multiplied(kind, (1, 1, 1), True, a, np.ones((16, 8), "float32"))
        assert np.isnan(found[0]).all()
        assert (found[1] == np.inf).all()
        assert (found[2] == -np.inf).all()
        assert (found[3] == 1).all()
        assert not found[4:].any()


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_cuda(arch: str, kind: str) -> None:
    nvrtc = pytest.importorskip("cupy", reason="CuPy is in the extra `nvrtc`").cuda.nvrtc
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"no NVRTC: {error}")
    for held in (False, True):
        assert "warning" not in compile_kernel(product(kind, (33, 50, 40), (2, 1, 2), held), arch).log
