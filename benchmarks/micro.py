"""What the GPU's basic means cost: launches, barriers, hops between SMs, special functions, random words, L2.

Floors and plans are built on such numbers, most of them published for an H100. Kernels are text for NVRTC without
headers; they are compiled without a GPU in the tests, and some run on the emulator there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.events import cupy_times, measured
from benchmarks.hand import Array, HandKernel, Number
from benchmarks.workloads.philox import PHILOX
from gpuscan.cuda.launch import describe_gpu
from gpuscan.cuda.source import splice

WORDS = splice('#include "base.cuh"')
PATIENCE = 1 << 20  # looks at a word, after which a block gives up: a barrier that fails must not hang the GPU
THREADS = 256


@dataclass(frozen=True)
class Measurement:
    """One number, or an answer in words.

    Attributes
    ----------
    name, unit : str
    expected : str
        What facts or computation lead one to expect on an H200.
    run : callable
        Measures it, with CuPy.
    """

    name: str
    unit: str
    expected: str
    run: Callable[[], float | str]


# ---- kernels

PLAIN = HandKernel("empty", (Array("a", writes=True),), "")


def many_arguments(count: int) -> HandKernel:
    """Return a kernel that does nothing with `count` arrays."""
    return HandKernel(f"arguments_{count}", tuple(Array(f"a{i}", writes=True) for i in range(count)), "")


BARRIER = HandKernel(
    "grid_barrier",
    (Array("counter", "uint32", writes=True), Number("steps")),
    f"""
    for (int k = 1; k <= steps; ++k) {{
        bool lost = false;
        __syncthreads();
        if (threadIdx.x == 0) {{
            unsigned int all = (unsigned int)k * gridDim.x;
            int look = 0;
            gpuscan_add_release(&counter[0], 1u);
            while (gpuscan_load_acquire(&counter[0]) < all && ++look < {PATIENCE}) {{ }}
            lost = look == {PATIENCE};
        }}
        if (__syncthreads_or(lost)) {{
            counter[1] = 1u;
            return;
        }}
    }}
    """,
    prelude=WORDS,
)

TAGGED = HandKernel(
    "tagged_words",
    (Array("words", "int64", writes=True), Array("flag", "uint32", writes=True), Number("steps")),
    f"""
    // Every block tells its number of the step, and reads that of all; in two sets of places, so that a fast block does
    // not overwrite what a slow one has not seen.
    for (int k = 1; k <= steps; ++k) {{
        int set = (k & 1) * gridDim.x, look = 0;
        long long word = (long long)k << 32 | blockIdx.x;
        if (threadIdx.x == 0) gpuscan_store_relaxed(&words[set + blockIdx.x], word);
        if (threadIdx.x < gridDim.x) {{
            while (gpuscan_load_relaxed(&words[set + threadIdx.x]) >> 32 != k && ++look < {PATIENCE}) {{ }}
        }}
        if (__syncthreads_or(look == {PATIENCE})) {{
            flag[0] = 1u;
            return;
        }}
    }}
    """,
    prelude=WORDS,
)

PING_PONG = HandKernel(
    "ping_pong",
    (Array("words", "int64", writes=True), Array("flag", "uint32", writes=True), Number("steps")),
    f"""
    // Two blocks; their words are in cache lines of their own.
    int mine = blockIdx.x * 32, other = (1 - blockIdx.x) * 32;
    for (int k = 1; k <= steps; ++k) {{
        int look = 0;
        if (blockIdx.x == 0) gpuscan_store_relaxed(&words[mine], (long long)k);
        while (gpuscan_load_relaxed(&words[other]) < k && ++look < {PATIENCE}) {{ }}
        if (look == {PATIENCE}) {{
            flag[0] = 1u;
            return;
        }}
        if (blockIdx.x == 1) gpuscan_store_relaxed(&words[mine], (long long)k);
    }}
    """,
    prelude=WORDS,
)


def cluster_barrier(size: int, fenced: bool = True) -> HandKernel:
    """Return a kernel of clusters of `size` blocks that do nothing but wait for each other.

    With `fenced` False no memory is ordered by it: what the compiler makes of the other kind holds a fence for the
    whole GPU, and the difference is that fence's price.
    """
    arrive = "release" if fenced else "relaxed"
    return HandKernel(
        f"cluster_barrier_{size}_{arrive}",
        (Array("a", writes=True), Number("steps")),
        f"""
    for (int k = 0; k < steps; ++k) {{
        asm volatile("barrier.cluster.arrive.{arrive}.aligned;" ::: "memory");
        asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
    }}
    """,
        qualifiers=f"__cluster_dims__({size}, 1, 1)",
    )


BLOCK_BARRIER = HandKernel(
    "block_barrier",
    (Array("a", writes=True), Number("steps")),
    """
    for (int k = 0; k < steps; ++k) __syncthreads();
    """,
)

RANDOM_WORDS = HandKernel(
    "random_words",
    (Array("out", "uint32", writes=True), Number("steps")),
    """
    unsigned int i = blockIdx.x * blockDim.x + threadIdx.x, sum = 0;
    for (int k = 0; k < steps; ++k) {
        unsigned int word[4] = {i, 0u, (unsigned int)k, 0u};
        philox(word, 7u, 11u);
        sum ^= word[0] ^ word[1] ^ word[2] ^ word[3];
    }
    out[i] = sum;
    """,
    before=PHILOX,
)


def tangents(name: str, before: str, function: str) -> HandKernel:
    """Return a kernel that takes four hyperbolic tangents a step, none of which waits for another."""
    return HandKernel(
        name,
        (Array("out", writes=True), Number("steps")),
        f"""
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float a = i * 1e-6f, b = a + 0.1f, c = a + 0.2f, d = a + 0.3f;
    for (int k = 0; k < steps; ++k) {{
        a = {function}(a + 0.5f);
        b = {function}(b + 0.5f);
        c = {function}(c + 0.5f);
        d = {function}(d + 0.5f);
    }}
    out[i] = a + b + c + d;
    """,
        before=before,
    )


ACCURATE_TANH = tangents("accurate_tanh", "", "tanhf")
FAST_TANH = tangents(
    "fast_tanh",
    """
__device__ __forceinline__ float fast(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
""",
    "fast",
)

SAME_32_KB = HandKernel(
    "same_32_kb",
    (Array("x", "int64"), Array("out", "int64", writes=True), Number("steps")),
    """
    // 1024 threads read 16 bytes twice: 32 KB, past L1.
    long long sum = 0;
    for (int k = 0; k < steps; ++k) {
        #pragma unroll
        for (int part = 0; part < 2; ++part) {
            long long a, b;
            asm volatile("ld.relaxed.gpu.v2.b64 {%0, %1}, [%2];"
                         : "=l"(a), "=l"(b) : "l"(&x[2 * (part * 1024 + threadIdx.x)]) : "memory");
            sum += a ^ b;
        }
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
    """,
)

# An instruction that only sm_90a has; by itself it changes nothing.
HOPPER_ONLY = HandKernel(
    "hopper_only",
    (Array("out", writes=True),),
    """
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    if (threadIdx.x == 0) out[0] = 1.0f;
    """,
)

KERNELS: tuple[HandKernel, ...] = (
    PLAIN,
    *(many_arguments(count) for count in (8, 16)),
    *(BARRIER, TAGGED, PING_PONG, BLOCK_BARRIER, RANDOM_WORDS, ACCURATE_TANH, FAST_TANH, SAME_32_KB),
    *(cluster_barrier(size) for size in (2, 4, 8, 16)),
    cluster_barrier(8, fenced=False),
)
"""All that compile for sm_90; `HOPPER_ONLY` needs sm_90a."""


# ---- measuring


def sms() -> int:
    return describe_gpu().sms


def filled(count: int, dtype: str) -> Any:
    import cupy

    return cupy.zeros(count, dtype)


def step_time(launch: Callable[[int], Any], steps: int) -> float:
    """Return the seconds of one step of a kernel: twice as many steps take so much longer, launches left out."""
    launch(steps)
    long = measured(partial(launch, 2 * steps), cupy_times, 0.1, most=20)
    return (long - measured(partial(launch, steps), cupy_times, 0.1, most=20)) / steps


def empty_in_graph(nodes: int = 1000) -> float:
    import cupy

    kernel, array = PLAIN.load(), filled(1, "float32")
    kernel((1,), (32,), (array,))  # what is loaded while a graph is captured spoils it
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        for _ in range(nodes):
            kernel((1,), (32,), (array,))
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
        return measured(lambda: graph.launch(stream), cupy_times, 0.1, most=20) / nodes


def empty_on_stream(count: int = 500) -> float:
    kernel, array = PLAIN.load(), filled(1, "float32")

    def launches() -> None:
        for _ in range(count):
            kernel((1,), (32,), (array,))

    launches()
    return measured(launches, cupy_times, 0.1, most=10) / count


def launch_cost(arguments: int, cooperative: bool, count: int = 500) -> float:
    """Return what a launch costs the host."""
    import cupy

    kernel = many_arguments(arguments).load(cooperative=cooperative)
    arrays = tuple(filled(1, "float32") for _ in range(arguments))

    def issue() -> float:
        cupy.cuda.get_current_stream().synchronize()
        start = perf_counter()
        for _ in range(count):
            kernel((1,), (32,), arrays)
        return (perf_counter() - start) / count

    return min(issue() for _ in range(5))


def call_cost(count: int = 200) -> float:
    """Return what a call of a compiled loop costs the host: a loop of a step on 32 lanes."""
    import cupy

    x = gt.fvector("x")
    f = gs.function([x], gs.scan(lambda x: x + 1, None, x, n_steps=1)[0][-1], device="cuda")
    value = filled(32, "float32")
    f(value)
    cupy.cuda.get_current_stream().synchronize()
    start = perf_counter()
    for _ in range(count):
        f(value)
    return (perf_counter() - start) / count


def grid_barrier() -> float:
    blocks = sms()
    kernel, counter = BARRIER.load(cooperative=True), filled(2, "uint32")

    def launch(steps: int) -> None:
        counter.fill(0)
        kernel((blocks,), (THREADS,), (counter, np.int32(steps)))

    return _checked(step_time(launch, 1000), counter[1])


def _words(kernel: HandKernel, blocks: int, block: int, words: int) -> float:
    run, places, flag = kernel.load(cooperative=True), filled(words, "int64"), filled(1, "uint32")

    def launch(steps: int) -> None:
        places.fill(0)
        run((blocks,), (block,), (places, flag, np.int32(steps)))

    return _checked(step_time(launch, 1000), flag[0])


def _checked(seconds: float, flag: Any) -> float:
    if int(flag):
        raise RuntimeError("a block waited in vain and gave up")
    return seconds


def tagged_words() -> float:
    return _words(TAGGED, sms(), THREADS, 2 * sms())


def hop() -> float:
    return _words(PING_PONG, 2, 1, 64) / 2


NON_PORTABLE_CLUSTER = 14  # CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED


def cluster_sync(size: int, fenced: bool = True) -> float:
    import cupy

    kernel, array = cluster_barrier(size, fenced).load(), filled(1, "float32")
    if size > 8:
        cupy.cuda.driver.funcSetAttribute(kernel.kernel.ptr, NON_PORTABLE_CLUSTER, 1)
    return step_time(lambda steps: kernel((size,), (THREADS,), (array, np.int32(steps))), 1000)


def cooperative_clusters() -> str:
    import cupy

    kernel, array = cluster_barrier(4).load(cooperative=True), filled(1, "float32")
    kernel((8,), (THREADS,), (array, np.int32(10)))
    cupy.cuda.get_current_stream().synchronize()
    return "works"


def hopper_instructions() -> str:
    import cupy

    kernel, out = HOPPER_ONLY.load(arch="sm_90a"), filled(1, "float32")
    kernel((1,), (128,), (out,))
    cupy.cuda.get_current_stream().synchronize()
    return "works" if float(out[0]) == 1 else "ran, and did nothing"


def block_barrier(threads: int) -> float:
    kernel, array = BLOCK_BARRIER.load(), filled(1, "float32")
    return step_time(lambda steps: kernel((1,), (threads,), (array, np.int32(steps))), 2000)


def rate(kernel: HandKernel, dtype: str, results: int) -> float:
    """Return results per second of a kernel that makes so many a thread and step."""
    threads = sms() * 8 * THREADS
    run, out = kernel.load(), filled(threads, dtype)
    seconds = step_time(lambda steps: run((threads // THREADS,), (THREADS,), (out, np.int32(steps))), 500)
    return results * threads / seconds


def shared_reads() -> float:
    blocks = sms()
    run, x, out = SAME_32_KB.load(), filled(4096, "int64"), filled(blocks * 1024, "int64")
    seconds = step_time(lambda steps: run((blocks,), (1024,), (x, out, np.int32(steps))), 500)
    return blocks * 32768 / seconds


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("empty kernel in a CUDA graph", "us", "1.0-1.4", lambda: 1e6 * empty_in_graph()),
    Measurement("empty kernel on a stream, CuPy", "us", "2-10", lambda: 1e6 * empty_on_stream()),
    Measurement("launch, 8 arguments, host", "us", "10", lambda: 1e6 * launch_cost(8, False)),
    Measurement("launch, 16 arguments, host", "us", "10", lambda: 1e6 * launch_cost(16, False)),
    Measurement("cooperative launch, 8 arguments, host", "us", "10", lambda: 1e6 * launch_cost(8, True)),
    Measurement("cooperative launch, 16 arguments, host", "us", "10", lambda: 1e6 * launch_cost(16, True)),
    Measurement("call of a compiled loop, host", "us", "", lambda: 1e6 * call_cost()),
    Measurement("grid barrier by hand, all SMs", "us", "0.7", lambda: 1e6 * grid_barrier()),
    Measurement("tagged words, all SMs to all", "us", "0.56-0.65", lambda: 1e6 * tagged_words()),
    Measurement("hop from SM to SM", "us", "0.56", lambda: 1e6 * hop()),
    *(
        Measurement(f"cluster barrier, {n} blocks", "us", expected, lambda n=n: 1e6 * cluster_sync(n))
        for n, expected in ((2, ""), (4, "below 0.51"), (8, "below 0.65"), (16, ""))
    ),
    Measurement("cluster barrier, 8 blocks, no fence", "us", "", lambda: 1e6 * cluster_sync(8, fenced=False)),
    Measurement("__syncthreads, 256 threads", "ns", "20-30", lambda: 1e9 * block_barrier(256)),
    Measurement("__syncthreads, 1024 threads", "ns", "", lambda: 1e9 * block_barrier(1024)),
    Measurement("Philox", "T words/s", "2-3", lambda: rate(RANDOM_WORDS, "uint32", 4) / 1e12),
    Measurement("tanhf", "T/s", "1.8-2.0", lambda: rate(ACCURATE_TANH, "float32", 4) / 1e12),
    Measurement("tanh.approx", "T/s", "4.2", lambda: rate(FAST_TANH, "float32", 4) / 1e12),
    Measurement("all SMs reading the same 32 KB", "TB/s", "", lambda: shared_reads() / 1e12),
    Measurement("cooperative launch with clusters", "", "not known", cooperative_clusters),
    Measurement("sm_90a", "", "works", hopper_instructions),
)


def run_all() -> Iterator[dict[str, Any]]:
    """Yield a record of each measurement; one that fails says why, and the rest goes on."""
    for m in MEASUREMENTS:
        record: dict[str, Any] = {"name": m.name, "unit": m.unit, "expected": m.expected}
        try:
            yield {**record, "value": m.run()}
        except Exception as error:
            yield {**record, "error": f"{type(error).__name__}: {error}"}
