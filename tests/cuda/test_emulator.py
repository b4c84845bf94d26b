"""The emulator runs what NVRTC compiles, and says what a GPU does not."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from gpuscan.config import config
from gpuscan.cuda import emulator
from gpuscan.cuda.cache import DiskCache
from gpuscan.cuda.emulator import EmulatedKernel, find_compiler, load
from gpuscan.cuda.kernel import C_TYPES, Kernel, Parameter
from gpuscan.cuda.launch import compile_cubin
from gpuscan.cuda.source import splice
from gpuscan.errors import KernelError

try:
    find_compiler()
except KernelError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with config.change_flags(cache_dir=folder):
        yield folder


def make(name, parameters, text):
    """A kernel whose text is the body of its function, or all of it.

    Parameters are written "float32 x[], float32 y[] out, int32 n".
    """
    records = []
    for written in filter(None, parameters.split(", ")):
        dtype, word, *out = written.split()
        records.append(Parameter(word.removesuffix("[]"), dtype, is_array=word.endswith("[]"), writes=bool(out)))
    if "__global__" not in text:
        text = f'extern "C" __global__ void {name}({", ".join(map(declaration, records))}) {{{text}}}\n'
    return Kernel(name, splice(f'#include "base.cuh"\n{text}'), tuple(records))


def declaration(parameter):
    c_type = C_TYPES[parameter.dtype]
    if not parameter.is_array:
        return f"{c_type} {parameter.name}"
    return f"Global<{'' if parameter.writes else 'const '}{c_type}> {parameter.name}"


def line_of(kernel, mark):
    """The line of a kernel's text that ends with ``// mark``."""
    lines = kernel.source.splitlines()
    (found,) = [i for i, line in enumerate(lines, 1) if line.endswith(f"// {mark}")]
    return f"{kernel.name}.cu:{found}"


def run(kernel, *arguments, grid=1, block=1, shared_bytes=0, cooperative=False):
    def sizes(size):
        return (*np.atleast_1d(size).tolist(), 1, 1)[:3]

    load(kernel, cooperative=cooperative)(sizes(grid), sizes(block), shared_bytes, arguments)


def message_of(kernel, *arguments, **launch):
    with pytest.raises(KernelError) as caught:
        run(kernel, *arguments, **launch)
    message, path = re.fullmatch(r"kernel '\w+': (.*)\nThe kernel's text: (.*)", str(caught.value)).groups()
    assert Path(path).read_text() == kernel.source
    return message


# ---- Kernels that are right; each also compiles with NVRTC.

SAXPY = make(
    "saxpy", "float32 x[], float32 y[] out, float32 a, int32 n",
    """
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    y[i] = a * x[i] + y[i];
""")  # fmt: skip


def test_pointwise_with_threads_to_spare():
    x, y = np.random.default_rng(0).standard_normal((2, 1000), "float32")
    expected = np.float32(0.3) * x + y
    run(SAXPY, x, y, 0.3, 1000, grid=4, block=256)
    np.testing.assert_array_equal(y, expected)  # rounded twice, as NumPy does


BLOCK_SUM = make(
    "block_sum", "float64 x[], float64 y[] out",
    """
    GPUSCAN_SHARED(double, partial, 128);
    int i = threadIdx.x;
    partial[i] = x[blockIdx.x * 128 + i];
    for (int half = 64; half > 0; half /= 2) {
        __syncthreads();
        if (i < half) partial[i] += partial[i + half];
    }
    if (i == 0) y[blockIdx.x] = partial[0];
""")  # fmt: skip


def test_block_reduction():
    x, y = np.arange(384.0), np.zeros(3)
    run(BLOCK_SUM, x, y, grid=3, block=128)
    np.testing.assert_array_equal(y, x.reshape(3, 128).sum(1))


DYNAMIC = make(
    "dynamic", "int32 x[], float64 y[] out",
    """
    int i = threadIdx.x, n = blockDim.x;
    GPUSCAN_DYNAMIC_SHARED(int, all);
    GPUSCAN_DYNAMIC_SHARED_AT(double, squares, 4 * n, n);
    Shared<int> mine = all + i;
    mine[0] = x[i];
    squares[i] = static_cast<double>(x[i]) * x[i];
    __syncthreads();
    y[i] = all[n - 1 - i] + squares[(i + 1) % n];
""")  # fmt: skip


def test_dynamic_shared_memory():
    x, y = np.arange(64, dtype="int32"), np.zeros(64)
    run(DYNAMIC, x, y, block=64, shared_bytes=64 * 12)
    np.testing.assert_array_equal(y, x[::-1] + np.roll(x, -1).astype(float) ** 2)


WARP_SUM = make(
    "warp_sum", "float32 x[], float32 y[] out, int64 last[] out",
    """
    float value = x[blockIdx.x * blockDim.x + threadIdx.x];
    long long id = threadIdx.x;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffff, value, step);
    id = __shfl_sync(0xffffffff, id, 31);
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / warpSize;
    if (threadIdx.x % warpSize == 0) { y[warp] = value; last[warp] = id; }
""")  # fmt: skip


def test_warp_reduction():
    x, y, last = np.arange(192, dtype="float32"), np.zeros(6, "float32"), np.zeros(6, "int64")
    run(WARP_SUM, x, y, last, grid=2, block=96)
    np.testing.assert_array_equal(y, x.reshape(6, 32).sum(1))
    np.testing.assert_array_equal(last, [31, 63, 95] * 2)


SHUFFLES = make(
    "shuffles", "int32 y[] out",
    """
    int lane = threadIdx.x;
    y[lane] = __shfl_up_sync(0xffffffff, lane, 1);
    y[32 + lane] = __shfl_down_sync(0xffffffff, lane, 1, 8);
    y[64 + lane] = __shfl_xor_sync(0xffffffff, lane, 5);
    y[96 + lane] = __shfl_sync(0xffffffff, lane, 9, 8);
    y[128 + lane] = __ballot_sync(0xffffffff, lane % 3 == 0);
    y[160 + lane] = __any_sync(0xffffffff, lane == 7) + 2 * __all_sync(0xffffffff, lane < 31);
    // Halves of a warp on their own, then together.
    unsigned int half = lane < 16 ? 0x0000ffff : 0xffff0000;
    int sum = lane;
    for (int flip = 8; flip > 0; flip /= 2) sum += __shfl_xor_sync(half, sum, flip);
    __syncwarp();
    y[192 + lane] = sum + 1000 * __shfl_xor_sync(0xffffffff, sum, 16);
""")  # fmt: skip


def test_shuffles_and_votes():
    y = np.zeros((7, 32), "int32")
    run(SHUFFLES, y, block=32)
    lane = np.arange(32)
    np.testing.assert_array_equal(y[0], np.maximum(lane - 1, 0))
    np.testing.assert_array_equal(y[1], np.where(lane % 8 == 7, lane, lane + 1))
    np.testing.assert_array_equal(y[2], lane ^ 5)
    np.testing.assert_array_equal(y[3], lane // 8 * 8 + 1)
    np.testing.assert_array_equal(y[4], np.full(32, sum(1 << i for i in range(0, 32, 3))).astype("int32"))
    np.testing.assert_array_equal(y[5], 1)
    np.testing.assert_array_equal(y[6], np.where(lane < 16, 120 + 376_000, 376 + 120_000))


VOTES = make(
    "votes", "int32 y[] out",
    """
    int i = threadIdx.x;
    int odd = __syncthreads_count(i % 2), any = __syncthreads_or(i == 70), all = __syncthreads_and(i < 90);
    y[i] = odd + 1000 * any + 2000 * all;
""")  # fmt: skip


def test_votes_of_a_block():
    y = np.zeros(91, "int32")
    run(VOTES, y, block=91)
    np.testing.assert_array_equal(y, 1045)


SHAPE = make(
    "shape", "int32 y[] out",
    """
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    y[block * (blockDim.x * blockDim.y * blockDim.z) + thread] = 1000 * blockIdx.z + 100 * blockIdx.x + threadIdx.z;
""")  # fmt: skip


def test_three_dimensions():
    y = np.zeros((2, 3, 2, 4, 2, 3), "int32")
    run(SHAPE, y, grid=(2, 3, 2), block=(3, 2, 4))
    z, _, x, tz, _, _ = np.indices(y.shape)
    np.testing.assert_array_equal(y, 1000 * z + 100 * x + tz)


GRID_BARRIER = make(
    "ring", "float32 h[] out, uint32 arrived[] out, int32 steps",
    """
    // Each step, each block's threads read what the other blocks wrote in the step before.
    int n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int t = 0; t < steps; ++t) {
        float next = gpuscan_load_relaxed(h + (t % 2 * n + (i + blockDim.x) % n)) + 1.0f;
        gpuscan_store_relaxed(h + ((t + 1) % 2 * n + i), next);
        __syncthreads();
        if (threadIdx.x == 0) {
            gpuscan_add_release(arrived, 1u);
            while (gpuscan_load_acquire(arrived) < (t + 1) * gridDim.x) gpuscan_pause();
        }
        __syncthreads();
    }
""")  # fmt: skip


def test_grid_barrier():
    h, arrived = np.arange(2 * 4 * 32, dtype="float32").reshape(2, 128), np.zeros(1, "uint32")
    expected = np.roll(h[0], -5 * 32) + 5
    run(GRID_BARRIER, h, arrived, 5, grid=4, block=32, cooperative=True)
    assert arrived[0] == 20
    np.testing.assert_array_equal(h[1], expected)


SPIN_WITHOUT_PAUSE = make(
    "spin", "uint32 lock[] out, int32 count[] out",
    """
    while (atomicCAS(lock, 0u, 1u) != 0) {}
    __threadfence();
    count[0] = count[0] + 1;
    __threadfence();
    atomicExch(lock, 0u);
    while (gpuscan_load_acquire(lock + 1) + atomicAdd(lock + 1, 0u) == 0 && blockIdx.x) {}
    if (blockIdx.x == 0 && threadIdx.x == 0) gpuscan_store_release(lock + 1, 7u);
""")  # fmt: skip


def test_polling_without_pause_lets_others_go_on():
    lock, count = np.zeros(2, "uint32"), np.zeros(1, "int32")
    run(SPIN_WITHOUT_PAUSE, lock, count, grid=3, block=3, cooperative=True)
    assert count[0] == 9
    np.testing.assert_array_equal(lock, [0, 7])


TAGGED = make(
    "tagged", "uint64 words[] out, float32 y[] out, int32 steps",
    """
    // State through words that carry the number of their step; no barrier between blocks.
    int me = blockIdx.x, next = (me + 1) % gridDim.x, n = gridDim.x;
    float state = me;
    for (int t = 1; t <= steps; ++t) {
        unsigned long long word = static_cast<unsigned long long>(t) << 32 | __float_as_uint(state);
        gpuscan_store_relaxed(words + (t % 2 * n + me), word);
        do { word = gpuscan_load_relaxed(words + (t % 2 * n + next)); } while (word >> 32 != t);
        state = 0.5f * state + __uint_as_float(static_cast<unsigned int>(word));
    }
    y[me] = state;
""")  # fmt: skip


def test_tagged_words():
    words, y, state = np.zeros(6, "uint64"), np.zeros(3, "float32"), np.arange(3, dtype="float32")
    for _ in range(20):
        state = np.float32(0.5) * state + np.roll(state, -1)
    run(TAGGED, words, y, 20, grid=3, cooperative=True)
    np.testing.assert_array_equal(y, state)


ATOMICS = make(
    "atomics", "float64 total[] out, int32 extremes[] out, uint32 bits[] out",
    """
    GPUSCAN_SHARED(int, count, 2);
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x < 2) count[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(total, 0.5 * i);
    atomicMax(extremes, i);
    atomicMin(&extremes[1], -i);
    atomicOr(bits, 1u << (i % 32));
    atomicAdd(&count[i % 2], 1);
    __syncthreads();
    if (threadIdx.x == 0) extremes[2 + blockIdx.x] = count[0] * 100 + count[1];
""")  # fmt: skip


def test_atomics():
    total, extremes, bits = np.zeros(1), np.zeros(4, "int32"), np.zeros(1, "uint32")
    run(ATOMICS, total, extremes, bits, grid=2, block=11)
    assert total[0] == 0.5 * sum(range(22))
    np.testing.assert_array_equal(extremes, [21, -21, 605, 506])
    assert bits[0] == 2**22 - 1


VECTORS = make(
    "vectors", "float32 x[], float32 y[] out",
    """
    int i = threadIdx.x;
    float4 v = gpuscan_load_vector<float4>(x + 4 * i);
    GPUSCAN_SHARED(float, tile, 64);
    gpuscan_store_vector(tile + 2 * i, make_float2(v.x + v.y, v.z + v.w));
    __syncthreads();
    float2 w = gpuscan_load_vector<float2>(tile + 2 * ((i + 1) % 32));
    gpuscan_store_vector(y + 2 * i, w);
""")  # fmt: skip


def test_vector_loads_and_stores():
    x, y = np.arange(128, dtype="float32"), np.zeros(64, "float32")
    run(VECTORS, x, y, block=32)
    np.testing.assert_array_equal(y, np.roll(x.reshape(64, 2).sum(1), -2))


PHILOX_ROUND = make(
    "philox", "uint32 counters[], uint32 y[] out, uint32 low_key, uint32 high_key",
    """
    int i = threadIdx.x;
    unsigned int a = counters[4 * i], b = counters[4 * i + 1], c = counters[4 * i + 2], d = counters[4 * i + 3];
    for (int round = 0; round < 10; ++round) {
        unsigned int high_a = __umulhi(0xD2511F53u, a), low_a = 0xD2511F53u * a;
        unsigned int high_c = __umulhi(0xCD9E8D57u, c), low_c = 0xCD9E8D57u * c;
        a = high_c ^ b ^ low_key;
        c = high_a ^ d ^ high_key;
        b = low_c;
        d = low_a;
        low_key += 0x9E3779B9u;
        high_key += 0xBB67AE85u;
    }
    y[4 * i] = a; y[4 * i + 1] = b; y[4 * i + 2] = c; y[4 * i + 3] = d;
""")  # fmt: skip


def test_integer_arithmetic_of_philox():
    # The known answers that Salmon et al. (2011) publish with Random123 for Philox4x32-10.
    ones = 0xFFFFFFFF
    for counter, key, answer in [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ones,) * 4, (ones, ones), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ]:
        y = np.zeros(4, "uint32")
        run(PHILOX_ROUND, np.array(counter, "uint32"), y, *key)
        assert tuple(y.tolist()) == answer


INTEGERS = make(
    "integers", "int64 y[] out",
    """
    y[0] = __mul64hi(-5000000000000000000LL, 7000000000000000000LL);
    y[1] = static_cast<long long>(__umul64hi(0xFFFFFFFFFFFFFFFFULL, 3));
    y[2] = __popc(0xF0F0u) + 100 * __clz(1) + 10000 * __ffs(8) + 1000000LL * __popcll(~0ULL);
    y[3] = __brev(1u);
    y[4] = __float_as_int(1.0f) + __float_as_int(__int_as_float(2));
    y[5] = __double_as_longlong(__longlong_as_double(1234567890123LL));
    y[6] = min(3, -4) + max(5u, 7u) + min(2LL, 9LL) + abs(-6) + max(-1, 3u) * 0 + static_cast<int>(max(1.5f, -2.0));
    int big = 2147483647 - static_cast<int>(blockIdx.x);
    y[7] = big + 1 + static_cast<int>(y[0] & 0);
    y[8] = __funnelshift_l(0x80000000u, 1u, 1);
    y[9] = clamp_to_byte(300);
""")  # fmt: skip
INTEGERS = Kernel(
    INTEGERS.name,
    "__device__ __forceinline__ int clamp_to_byte(int x) { return min(max(x, 0), 255); }\n" + INTEGERS.source,
    INTEGERS.parameters,
)


def test_integer_functions():
    y = np.zeros(10, "int64")
    run(INTEGERS, y)
    expected = [
        -5000000000000000000 * 7000000000000000000 >> 64, 2, 8 + 3100 + 40000 + 64000000, 2**31, 0x3F800000 + 2,
        1234567890123, -4 + 7 + 2 + 6 + 1, -(2**31), 3, 255,
    ]  # fmt: skip
    np.testing.assert_array_equal(y, expected)


# CUDA C++ -> the same in Python
FUNCTIONS = {
    "sqrt(x)": np.sqrt, "rsqrt(x)": lambda x: 1 / np.sqrt(x), "cbrt(x)": np.cbrt, "rcbrt(x)": lambda x: 1 / np.cbrt(x),
    "exp(x)": np.exp, "exp2(x)": np.exp2, "exp10(x)": lambda x: 10**x, "expm1(x)": np.expm1,
    "log(x)": np.log, "log2(x)": np.log2, "log10(x)": np.log10, "log1p(x)": np.log1p,
    "sin(x)": np.sin, "cos(x)": np.cos, "tan(x)": np.tan, "atan(x)": np.arctan,
    "asin(x / 4)": lambda x: np.arcsin(x / 4),
    "acos(x / 4)": lambda x: np.arccos(x / 4), "sinh(x)": np.sinh, "cosh(x)": np.cosh, "tanh(x)": np.tanh,
    "asinh(x)": np.arcsinh, "acosh(1 + x)": lambda x: np.arccosh(1 + x), "atanh(x / 4)": lambda x: np.arctanh(x / 4),
    "sinpi(x)": lambda x: np.sin(np.pi * x), "cospi(x)": lambda x: np.cos(np.pi * x),
    "erf(x)": special.erf, "erfc(x)": special.erfc, "erfcx(x)": special.erfcx,
    "erfcx(40 * x)": lambda x: special.erfcx(40 * x),
    "erfinv(x / 4)": lambda x: special.erfinv(x / 4), "erfcinv(x / 2)": lambda x: special.erfcinv(x / 2),
    "normcdf(x)": special.ndtr, "normcdfinv(x / 4)": lambda x: special.ndtri(x / 4),
    "lgamma(x)": special.gammaln, "tgamma(x)": special.gamma, "j0(x)": special.j0, "y1(x)": special.y1,
    "pow(x, x)": lambda x: x**x, "atan2(x, -x)": lambda x: np.arctan2(x, -x), "hypot(x, x)": lambda x: np.hypot(x, x),
    "fmod(x, real(0.375))": lambda x: np.fmod(x, 0.375), "copysign(x, -x)": np.negative,
    "fma(x, x, x)": lambda x: x * x + x,
    "floor(x)": np.floor, "ceil(x)": np.ceil, "rint(x)": np.rint, "trunc(x)": np.trunc,
    "round(x)": lambda x: np.floor(x + 0.5),
    "ldexp(x, 3)": lambda x: 8 * x, "fabs(-x)": np.abs, "abs(-x)": np.abs, "max(x, -x)": np.abs,
    "fmin(x, -x)": np.negative,
    "isnan(x) + isfinite(x) + signbit(-x)": lambda x: np.full_like(x, 2),
}  # fmt: skip


def functions_kernel(dtype):
    c_type = C_TYPES[dtype]
    lines = "".join(f"    y[{i} * n + i] = {text};\n" for i, text in enumerate(FUNCTIONS))
    return make(
        f"functions_{dtype}", f"{dtype} xs[], {dtype} y[] out, int32 n",
        f"\n    typedef {c_type} real;\n    int i = threadIdx.x;\n    real x = xs[i];\n{lines}",
    )  # fmt: skip


FUNCTION_KERNELS = {dtype: functions_kernel(dtype) for dtype in ("float32", "float64")}


@pytest.mark.parametrize("dtype", FUNCTION_KERNELS)
def test_functions(dtype):
    x = np.array([0.11, 0.7, 1.3, 1.9, 3.2], dtype)
    y = np.zeros((len(FUNCTIONS), len(x)), dtype)
    run(FUNCTION_KERNELS[dtype], x, y, len(x), block=len(x))
    tolerance = {"float32": 5e-6, "float64": 1e-13}[dtype]
    for (text, reference), row in zip(FUNCTIONS.items(), y, strict=True):
        np.testing.assert_allclose(row, reference(x.astype("float64")), rtol=tolerance, atol=tolerance, err_msg=text)


TEMPLATES = make(
    "templates", "float32 x[], float32 y[] out",
    """
// A skeleton and a step, as kernels/ has them.
struct Add {
    Global<const float> x;
    float amount;
    __device__ float operator()(int i) const { return x[i] + amount; }
};

template <class Step>
__device__ void each(Step const& step, Global<float> y, Shared<float> tile) {
    int i = threadIdx.x;
    tile[i] = step(i);
    __syncthreads();
    y[i] = tile[blockDim.x - 1 - i];
}

template <int N>
__device__ __noinline__ float own_tile(float value) {
    GPUSCAN_SHARED(float, tile, N);
    __syncthreads();
    tile[threadIdx.x] = value;
    __syncthreads();
    return tile[(threadIdx.x + 1) % N];
}

extern "C" __global__ void __launch_bounds__(64) templates(Global<const float> x, Global<float> y) {
    GPUSCAN_SHARED(float, tile, 64);
    each(Add{x, 1.0f}, y, tile);
    y[threadIdx.x] = own_tile<64>(own_tile<64>(y[threadIdx.x])) + own_tile<64>(0.0f);
}
""")  # fmt: skip


def test_templates_and_functions():
    x, y = np.arange(64, dtype="float32"), np.zeros(64, "float32")
    run(TEMPLATES, x, y, block=64)
    np.testing.assert_array_equal(y, np.roll((x + 1)[::-1], -2))


DTYPES = make(
    "dtypes",
    "bool b[], int8 i8[], uint8 u8[], int16 i16[], uint16 u16[], uint64 u64[], float64 y[] out, bool c, int64 n",
    "\n    y[0] = 0.0 + b[1] + i8[1] + u8[1] + i16[1] + u16[1] + u64[1] + c + n;\n",
)  # fmt: skip


def test_every_dtype():
    arrays = [np.array([0, 1]).astype(p.dtype) for p in DTYPES.parameters[:6]]
    y = np.zeros(1)
    run(DTYPES, *arrays, y, True, -(2**40))
    assert y[0] == 7 - 2**40


VALID = [
    SAXPY, BLOCK_SUM, DYNAMIC, WARP_SUM, SHUFFLES, VOTES, SHAPE, GRID_BARRIER, SPIN_WITHOUT_PAUSE, TAGGED, ATOMICS,
    VECTORS, PHILOX_ROUND, INTEGERS, *FUNCTION_KERNELS.values(), TEMPLATES, DTYPES,
]  # fmt: skip


@pytest.mark.nvrtc
@pytest.mark.parametrize("kernel", VALID, ids=lambda kernel: kernel.name)
def test_kernels_are_cuda(kernel):
    nvrtc = pytest.importorskip("cupy", reason="CuPy is in the extra `nvrtc`").cuda.nvrtc
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"no NVRTC: {error}")
    assert compile_cubin(kernel, "sm_80")[:4] == b"\x7fELF"


# ---- Kernels that are wrong, and what is said about them.


def test_read_out_of_bounds():
    kernel = make("beyond", "float32 x[], float32 y[] out", """
    int i = threadIdx.x + 8 * blockIdx.x;
    y[i] = 1.0f
        + x[i + 1];  // here
""")  # fmt: skip
    message = message_of(kernel, np.zeros(16, "float32"), np.zeros(16, "float32"), grid=2, block=8)
    assert message == (
        "index 16 is out of bounds of the array parameter 'x', which has 16 elements; "
        f"at {line_of(kernel, 'here')}, thread (7, 0, 0) of block (1, 0, 0)"
    )


def test_write_out_of_bounds():
    y = np.arange(12, dtype="float32")
    kernel = make("beyond", "float32 y[] out", "\n    y[threadIdx.x] = -1.0f;\n")
    message = message_of(kernel, y[:8], block=10)
    assert message.startswith(
        "index 8 is out of bounds of the array parameter 'y', which has 8 elements; at beyond.cu:"
    )
    assert message.endswith("thread (8, 0, 0) of block (0, 0, 0)")
    np.testing.assert_array_equal(y, [-1] * 8 + [8, 9, 10, 11])


@pytest.mark.parametrize("index", ["-1", "static_cast<long long>(threadIdx.x) - 1", "threadIdx.x - 1u", "(y + 2)[-3]"])
def test_negative_index(index):
    text = index if "y" in index else f"y[{index}]"
    message = message_of(make("before", "int32 y[] out", f"\n    {text} = 0;\n"), np.zeros(4, "int32"))
    wanted = 4294967295 if "u" in index.rpartition("1")[2] else -1
    assert message.startswith(f"index {wanted} is out of bounds of the array parameter 'y', which has 4 elements")
    assert ("(index -3 after a shift by 2)" in message) == ("(y + 2)" in index)


def test_shifted_array_reaches_all_of_the_array():
    y = np.zeros(4, "int32")
    run(make("shifted", "int32 y[] out", "\n    Global<int> z = y + 2; z[-2] = 1; z[1] = 2; (z - 1)[0] = 3;\n"), y)
    np.testing.assert_array_equal(y, [1, 3, 0, 2])


@pytest.mark.parametrize(
    "use",
    ["atomicAdd(y + 4, 1)", "gpuscan_load_acquire(y + 4)", "gpuscan_store_release(y + 4, 1)", "__ldg(y + 4)",
     "gpuscan_load_vector<int2>(y + 3)", "__stcg(&y[4], 1)"],
)  # fmt: skip
def test_every_way_to_memory_is_checked(use):
    kernel = make("beyond", "int32 y[] out", f"\n    {use};  // here\n")
    message = message_of(kernel, np.zeros(4, "int32"))
    assert message.startswith("index 4 is out of bounds of the array parameter 'y', which has 4 elements")
    assert f"at {line_of(kernel, 'here')}, thread" in message


def test_misaligned_vector():
    kernel = make(
        "misaligned", "float64 y[] out", "\n    gpuscan_store_vector(y + threadIdx.x, make_double2(1.0, 2.0));\n"
    )
    y = np.zeros(9)
    y = y[(y.ctypes.data // 8) % 2 :]
    assert "a vector of 16 bytes at index 1 of 'y' does not lie on a multiple of its size" in message_of(
        kernel, y, block=2
    )


def test_shared_array_out_of_bounds():
    kernel = make("beyond", "", "\n    GPUSCAN_SHARED(float, tile, 32);\n    tile[threadIdx.x] = 0.0f;  // here\n")
    assert message_of(kernel, block=64) == (
        "index 32 is out of bounds of the shared array 'tile', which has 32 elements; "
        f"at {line_of(kernel, 'here')}, thread (32, 0, 0) of block (0, 0, 0)"
    )


def test_own_array_out_of_bounds():
    kernel = make("beyond", "int32 n, int32 y[] out", """
    int own[4] = {};
    for (int i = 0; i < n; ++i) own[i] = i;  // here
    y[0] = own[0];
""")  # fmt: skip
    run(kernel, 4, np.zeros(1, "int32"))
    message = message_of(kernel, 5, np.zeros(1, "int32"))
    assert message.startswith("index 4 is out of bounds of an array of the thread's own")
    assert line_of(kernel, "here") in message


def test_unwritten_shared_memory():
    kernel = make("unwritten", "float32 y[] out", """
    GPUSCAN_SHARED(float, tile, 32);
    if (threadIdx.x != 5 || blockIdx.x == 0) tile[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = tile[31 - threadIdx.x];  // here
""")  # fmt: skip
    run(kernel, np.zeros(32, "float32"), block=32)
    assert message_of(kernel, np.zeros(32, "float32"), grid=2, block=32) == (
        "element 5 of the shared array 'tile' is read, but no thread of the block has written it; "
        f"at {line_of(kernel, 'here')}, thread (26, 0, 0) of block (1, 0, 0)"
    )


@pytest.mark.parametrize("use", ["all[threadIdx.x] += 1;", "float x = all[0];", "atomicAdd(&all[0], 1.0f);"])
def test_unwritten_dynamic_shared_memory(use):
    message = message_of(
        make("unwritten", "", f"\n    GPUSCAN_DYNAMIC_SHARED(float, all);\n    {use}\n"), shared_bytes=8
    )
    assert message.startswith("element 0 of the shared array 'all' is read, but no thread of the block has written it")


def test_dynamic_shared_memory_that_the_launch_does_not_give():
    kernel = make("greedy", "", "\n    GPUSCAN_DYNAMIC_SHARED_AT(double, tail, 64, 8);\n    tail[0] = 0.0;\n")
    run(kernel, shared_bytes=128)
    message = message_of(kernel, shared_bytes=120)
    assert "'tail' takes 8 elements of 8 bytes from byte 64 on; the launch gave 120 bytes" in message
    kernel = make("beyond", "", "\n    GPUSCAN_DYNAMIC_SHARED(float, all);\n    all[threadIdx.x] = 0.0f;\n")
    assert "index 3 is out of bounds of the shared array 'all', which has 3 elements" in message_of(
        kernel, block=4, shared_bytes=15
    )


def test_too_much_static_shared_memory():
    kernel = make("greedy", "", "\n    GPUSCAN_SHARED(double, big, 6145);\n    big[0] = 0.0;\n")
    assert "over 48 KiB" in message_of(kernel)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("tile[0] = i; ", "element 0 of the shared array 'tile' is written by one thread and written by another"),
        ("tile[i] = i; int x = tile[(i + 63) % 64]; y[i] = x;", "read by one thread and written by another"),
        ("int x = tile[(i + 1) % 64]; tile[i] = x + i;", "written by one thread and read by another"),
        ("tile[i] = i; __syncwarp(); int x = tile[i ^ 32]; y[i] = x;", "read by one thread and written by another"),
    ],
)  # fmt: skip
def test_race_in_shared_memory(body, message):
    body = f"GPUSCAN_SHARED(int, tile, 64); int i = threadIdx.x; tile[i] = -1; __syncthreads(); {body}"
    said = message_of(make("race", "int32 y[] out", f"\n    {body}\n"), np.zeros(64, "int32"), block=64)
    assert re.search(rf"{message}, thread \(\d+, 0, 0\) at line \d+, with no barrier between them; at race.cu:", said)


@pytest.mark.parametrize(
    "body",
    [
        "tile[0] = 5; __syncthreads(); y[i] = tile[0];",  # all write the same
        "tile[i] = i; __syncwarp(); y[i] = tile[i ^ 1]; __syncwarp(); tile[i ^ 2] = 1; __syncwarp();"
        " y[i] = tile[i ^ 3];",
        "if (i == 0) { tile[1] = 3; gpuscan_store_release(tile + 0, 1); } else"
        " { while (gpuscan_load_acquire(tile + 0) != 1) gpuscan_pause(); y[i] = tile[1]; }",
        "atomicAdd(tile + 2, 1); if (i == 7) y[i] = atomicMax(&tile[2], 0);",
    ],
)
def test_no_race_in_shared_memory(body):
    body = f"GPUSCAN_SHARED(int, tile, 64); int i = threadIdx.x; tile[i] = 0; __syncthreads(); {body}"
    run(make("orderly", "int32 y[] out", f"\n    {body}\n"), np.zeros(64, "int32"), grid=2, block=64)


def test_barrier_after_some_left():
    kernel = make("early", "float32 y[] out, int32 n", """
    if (threadIdx.x >= n) return;
    y[threadIdx.x] = 0.0f;
    __syncthreads();  // here
""")  # fmt: skip
    run(kernel, np.zeros(64, "float32"), 64, block=64)
    assert message_of(kernel, np.zeros(64, "float32"), 62, grid=3, block=64) == (
        "not every thread of block (0, 0, 0) reaches the same barrier: of 64 threads, "
        f"62 wait at the barrier {line_of(kernel, 'here')} (first: thread (0, 0, 0)); "
        "2 left the kernel (first: thread (62, 0, 0))"
    )


@pytest.mark.parametrize("cooperative", [False, True])
def test_threads_at_different_barriers(cooperative):
    kernel = make("apart", "", """
    if (threadIdx.x < 10)
        __syncthreads();  // one
    else
        __syncthreads();  // two
""")  # fmt: skip
    assert message_of(kernel, grid=2, block=32, cooperative=cooperative) == (
        "not every thread of block (0, 0, 0) reaches the same barrier: of 32 threads, "
        f"10 wait at the barrier {line_of(kernel, 'one')} (first: thread (0, 0, 0)); "
        f"22 wait at the barrier {line_of(kernel, 'two')} (first: thread (10, 0, 0))"
    )


def test_barrier_in_one_block_while_another_polls():
    kernel = make("apart", "uint32 flag[] out", """
    if (blockIdx.x == 0) { while (gpuscan_load_acquire(flag) == 0) gpuscan_pause(); return; }
    if (threadIdx.x == 3) return;
    __syncthreads();
""")  # fmt: skip
    message = message_of(kernel, np.zeros(1, "uint32"), grid=2, block=4, cooperative=True)
    assert message.startswith("not every thread of block (1, 0, 0) reaches the same barrier: of 4 threads, 3 wait at")


def test_warp_operation_that_a_lane_misses():
    kernel = make("missed", "", """
    if (threadIdx.x < 8) __syncwarp();  // warp
    else __syncthreads();  // block
""")  # fmt: skip
    assert message_of(kernel, block=32) == (
        "the kernel is stuck, every thread waits for another: in block (0, 0, 0) of 32 threads, "
        f"8 wait at __syncwarp {line_of(kernel, 'warp')} with mask 0xffffffff (first: thread (0, 0, 0)); "
        f"24 wait at the barrier {line_of(kernel, 'block')} (first: thread (8, 0, 0))"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("__shfl_xor_sync(0xffffffff, 1.0f, 16);",
         "a shuffle reads lane 20, which does not take part (mask 0xffffffff, lanes present 0x000fffff); at absent"),
        ("if (threadIdx.x < 3) return; __shfl_sync(0xffffffff, 1.0f, 2);", "a shuffle reads lane 2, which does not"),
        ("__shfl_sync(0x3ff, 1.0f, 2);", "lane 10 calls a warp operation whose mask 0x000003ff does not name it"),
    ],
)  # fmt: skip
def test_lanes_that_do_not_take_part(body, message):
    assert message_of(make("absent", "", f"\n    {body}\n"), block=20).startswith(message)


def test_kernel_that_waits_for_ever():
    kernel = make(
        "forever", "uint32 flag[] out", "\n    while (gpuscan_load_acquire(flag) != 1) gpuscan_pause();  // here\n"
    )
    message = message_of(kernel, np.zeros(1, "uint32"), grid=2, block=2)
    assert message == (
        "the kernel is stuck, every thread waits for another: in block (0, 0, 0) of 2 threads, "
        f"2 poll at {line_of(kernel, 'here')} (first: thread (0, 0, 0)). "
        "The launch is not cooperative, so later blocks begin only when this one has ended"
    )
    assert "not cooperative" not in message_of(kernel, np.zeros(1, "uint32"), grid=2, cooperative=True)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("7 / n", "an integer is divided by zero, or its quotient is out of range"),
        ("7 % n", "an integer is divided by zero, or its quotient is out of range"),
        ("(-2147483647 - 1) / (n - 1)", "an integer is divided by zero, or its quotient is out of range"),
        ("1 << (n + 32)", "an integer is shifted by a negative number or by its number of bits or more"),
        ("1 << (n - 1)", "an integer is shifted by a negative number or by its number of bits or more"),
    ],
)
def test_integer_arithmetic_that_processors_disagree_on(expression, message):
    kernel = make("arithmetic", "int32 n, int32 y[] out", f"\n    y[0] = {expression};  // here\n")
    assert message_of(kernel, 0, np.zeros(1, "int32")) == (
        f"{message}; at {line_of(kernel, 'here')}, thread (0, 0, 0) of block (0, 0, 0)"
    )


def test_assertion_and_trap():
    kernel = make("wrong", "int32 n", "\n    assert(n == 1);\n    __trap();\n")
    assert message_of(kernel, 0).startswith("assertion failed: n == 1; at wrong.cu:")
    assert message_of(kernel, 1).startswith("the kernel called __trap(); at wrong.cu:")


def test_stack_overflow():
    kernel = make("deep", "int32 n, int32 y[] out", """
__device__ __noinline__ int descend(int n, int* above) {
    int own[1000];
    for (int i = 0; i < 1000; ++i) own[i] = above[0] + 1;
    return n ? descend(n - 1, own) + own[n % 1000] : own[0];
}
extern "C" __global__ void deep(int n, Global<int> y) {
    int own[1] = {0};
    y[threadIdx.x] = descend(n, own);
}
""")  # fmt: skip
    run(kernel, 10, np.zeros(2, "int32"), block=2)
    assert "needs a larger stack than the emulator's 262144 bytes" in message_of(
        kernel, 66, np.zeros(2, "int32"), block=2
    )


def test_after_a_failure_the_kernel_still_runs():
    y = np.zeros(64, "float32")
    message_of(SAXPY, y[:8], y, 1.0, 64, block=64)
    run(SAXPY, y + 1, y, 1.0, 64, block=64)
    np.testing.assert_array_equal(y, 1)


# ---- Arguments and sizes.


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.zeros(4), "parameter 'x': needs float32, not float64"),
        (0, np.zeros(4, ">f4"), "parameter 'x': needs float32, not >f4"),
        (0, np.zeros(8, "float32")[::2], "parameter 'x': needs a C-contiguous array, not one of shape (4,) with"),
        (1, np.broadcast_to(np.float32(0), 4), "parameter 'y': needs a C-contiguous array"),
        (0, [0.0] * 4, "parameter 'x': needs a NumPy array, not builtins.list"),
        (0, np.frombuffer(bytearray(17), "float32", 4, 1), "parameter 'x': needs an address that is a multiple of 4"),
        (1, np.frombuffer(bytes(16), "float32"), "parameter 'y': is written by the kernel, and the array is read-only"),
        (2, "1", "parameter 'a': needs one number of type float32, not '1'"),
        (2, np.zeros(1), "parameter 'a': needs one number of type float32, not array([0.])"),
        (3, 2**31, "parameter 'n': needs a number that int32 can hold, not 2147483648"),
        (3, 1.5, "parameter 'n': needs a number that int32 can hold, not 1.5"),
    ],
)  # fmt: skip
def test_argument_that_does_not_fit(position, value, message):
    arguments = [np.zeros(4, "float32"), np.zeros(4, "float32"), 1.0, 4]
    arguments[position] = value
    with pytest.raises(KernelError, match=re.escape(f"kernel 'saxpy', {message}")):
        run(SAXPY, *arguments, block=4)


def test_arguments_that_fit_in_other_types():
    y = np.zeros((2, 2), "float32")
    readonly = np.frombuffer(np.ones(4, "float32").tobytes(), "float32")
    run(SAXPY, readonly, y, np.float64(0.1), np.array(4, "int64"), block=4)
    np.testing.assert_array_equal(y, np.float32(0.1))
    run(SAXPY, readonly, y, 1, np.uint8(0), block=4)
    run(SAXPY, np.zeros(0, "float32"), np.zeros(0, "float32"), True, 0, block=4)


def test_number_of_arguments():
    with pytest.raises(KernelError, match=r"kernel 'saxpy' takes 4 arguments \(x, y, a, n\), not 2"):
        run(SAXPY, np.zeros(4, "float32"), np.zeros(4, "float32"))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"block": 1025}, "cannot run in blocks of (1025, 1, 1) threads"),
        ({"block": (1, 1, 65)}, "cannot run in blocks of (1, 1, 65) threads"),
        ({"block": 0}, "cannot run in blocks of (0, 1, 1) threads"),
        ({"grid": (1, 65536)}, "cannot run in a grid of (1, 65536, 1) blocks"),
        ({"grid": -1}, "cannot run in a grid of (-1, 1, 1) blocks"),
        ({"shared_bytes": -1}, "cannot have -1 bytes of shared memory"),
    ],
)
def test_sizes_that_cuda_refuses(sizes, message):
    with pytest.raises(KernelError, match=re.escape(message)):
        run(make("nothing", "", ""), **sizes)


def test_grid_without_blocks_runs_nothing():
    run(make("trap", "", "__trap();"), grid=0)


# ---- The compiler and the cache.


def test_compiled_kernel_is_found_again(tmp_path, monkeypatch):
    load(SAXPY, cache=DiskCache(tmp_path))
    monkeypatch.setattr(emulator, "_compile", lambda *_: pytest.fail("was compiled again"))
    kernel = load(SAXPY, cache=DiskCache(tmp_path))
    assert isinstance(kernel, EmulatedKernel)
    kernel((1, 1, 1), (1, 1, 1), 0, [np.zeros(1, "float32"), np.zeros(1, "float32"), 1.0, 1])


def test_damaged_library_is_compiled_again(tmp_path):
    kernel = make("damaged", "int32 y[] out", "\n    y[0] = 5;\n")
    load(kernel, cache=DiskCache(tmp_path))
    (library,) = tmp_path.rglob("*.so")
    truncated = library.read_bytes()[:-100]
    library.unlink()  # not written to in place: this process has it mapped
    library.write_bytes(truncated)
    y = np.zeros(1, "int32")
    load(kernel, cache=DiskCache(tmp_path))((1, 1, 1), (1, 1, 1), 0, [y])
    assert y[0] == 5


def test_what_all_kernels_use_is_compiled_once(tmp_path, monkeypatch):
    built = []
    build = emulator._build
    monkeypatch.setattr(emulator, "_build", lambda *a: (built.append(a[-1]), build(*a))[1])
    for value in (1, 2):
        y = np.zeros(1, "int32")
        kernel = make(f"constant{value}", "int32 y[] out", f"\n    y[0] = {value};\n")
        load(kernel, cache=DiskCache(tmp_path))((1, 1, 1), (1, 1, 1), 0, [y])
        assert y[0] == value
    assert len(list(tmp_path.rglob("*.o"))) == 1
    assert len(built) == 3


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(KernelError) as caught:
        load(SAXPY)
    for part in ("needs a C++ compiler", "c++, g++, clang++ on PATH", "apt-get install g++", "CXX", "device='cpu'"):
        assert part in str(caught.value)
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(KernelError, match="it looked for CXX, which is 'no-such-compiler'"):
        load(SAXPY)


def test_compiler_that_does_not_run(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(KernelError, match="does not tell its version"):
        load(SAXPY)


def test_compiler_that_cannot_compile_the_emulator(monkeypatch, tmp_path):
    compiler = tmp_path / "old compiler"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exec echo 1.0\necho "emulator.cc:1:1: error: too new"\nexit 1\n'
    )
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", f"'{compiler}'")
    with pytest.raises(KernelError, match=r"cannot compile the emulator: emulator\.cc:1:1: error: too new") as caught:
        load(SAXPY, cache=DiskCache(tmp_path / "cache"))
    log = Path(str(caught.value).rpartition("The compiler's log: ")[2])
    assert "too new" in log.read_text()


def test_compiler_named_by_cxx(monkeypatch, tmp_path):
    (compiler,) = find_compiler()[:1]
    link = tmp_path / "my compiler"
    link.symlink_to(compiler)
    monkeypatch.setenv("CXX", f"'{link}' -DGIVEN=7")
    assert find_compiler() == (str(link), "-DGIVEN=7")
    y = np.zeros(1, "int32")
    run(make("given", "int32 y[] out", "\n    y[0] = GIVEN;\n"), y)
    assert y[0] == 7


@pytest.mark.parametrize(
    "body",
    ["undeclared = 1;", "__shared__ float tile[4];", "GPUSCAN_SHARED(float, tile, 4); auto x = tile[0]; y[0] = x;",
     "double big[20000]; for (int i = 0; i < 20000; ++i) big[i] = y[0]; y[0] = big[threadIdx.x];"],
)  # fmt: skip
def test_text_that_does_not_compile(body):
    kernel = make("broken", "float32 y[] out", f"\n    {body}  // here\n")
    with pytest.raises(KernelError) as caught:
        load(kernel)
    first, source, log = re.fullmatch(
        r"the C\+\+ compiler .* cannot compile kernel 'broken' for the emulator: (.*)\n"
        r"The kernel's text: (.*)\nThe compiler's log: (.*)", str(caught.value),
    ).groups()  # fmt: skip
    assert re.match(r"(\./)?broken\.cu:\d+:\d+: error: ", first)
    assert Path(source).read_text() == kernel.source
    assert first in Path(log).read_text()


@pytest.mark.parametrize("fails", [False, True])
def test_launches_from_two_threads_at_once(fails):
    kernel = load(BLOCK_SUM)
    steps = make("steps", "int32 y[] out, int32 n", """
    GPUSCAN_SHARED(int, tile, 64);
    int i = threadIdx.x;
    tile[i] = 0;
    for (int t = 0; t < n; ++t) {
        __syncthreads();
        int other = tile[(i + 1) % 64];
        __syncthreads();
        tile[i] = other + 1;
    }
    y[i] = tile[i];
    if (i == 63) y[64] = 0;
""")  # fmt: skip
    slow = load(steps)

    def work(i):
        x, y = np.arange(384.0) + i, np.zeros(3)
        kernel((3, 1, 1), (128, 1, 1), 0, [x, y])
        np.testing.assert_array_equal(y, x.reshape(3, 128).sum(1))
        counts = np.zeros(64 if fails else 65, "int32")
        try:
            slow((1, 1, 1), (64, 1, 1), 0, [counts, 200])
        except KernelError as error:
            assert fails and "index 64 is out of bounds" in str(error)
        np.testing.assert_array_equal(counts[:64], 200)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(32)))


def test_messages_name_a_source_file_even_without_a_cache(tmp_path):
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        kernel = load(SAXPY, cache=cache)
    with pytest.raises(KernelError, match="The kernel's text: "):
        kernel((1, 1, 1), (8, 1, 1), 0, [np.zeros(4, "float32"), np.zeros(4, "float32"), 1.0, 8])


def test_what_a_kernel_relies_on_is_checked():
    text = "gpuscan_assume_aligned<16>(x); gpuscan_assume_multiple<4>(n); x[threadIdx.x] = n;"
    kernel = load(make("k", "float32 x[] out, int32 n", text))
    room = np.zeros(12, "float32")
    first = next(i for i in range(4) if room[i:].ctypes.data % 16 == 0)
    kernel((1, 1, 1), (2, 1, 1), 0, [room[first:], 8])
    assert (room[first : first + 2] == 8).all()
    with pytest.raises(KernelError, match="16 bytes at index 0 of 'x'"):
        kernel((1, 1, 1), (2, 1, 1), 0, [room[first + 1 :], 8])
    with pytest.raises(KernelError, match="10 is no multiple of 4"):
        kernel((1, 1, 1), (2, 1, 1), 0, [room[first:], 10])


def test_an_array_lies_where_its_parameter_asks():
    parameters = (Parameter("x", "float32", alignment=16),)
    kernel = load(
        Kernel("k", splice('#include "base.cuh"\nextern "C" __global__ void k(Global<const float> x) {}\n'), parameters)
    )
    room = np.zeros(8, "float32")
    kernel((1, 1, 1), (1, 1, 1), 0, [room[next(i for i in range(4) if room[i:].ctypes.data % 16 == 0) :]])
    with pytest.raises(KernelError, match="'x': needs an address that is a multiple of 16"):
        kernel((1, 1, 1), (1, 1, 1), 0, [room[next(i for i in range(4) if room[i:].ctypes.data % 16) :]])
