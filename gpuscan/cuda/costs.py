"""What a step costs, estimated before anything runs: a table of constants, and sums made of them.

The estimates choose between teams that differ by factors. They say nothing about ten percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpuscan.cuda.gpu import GPU
from gpuscan.graph import Apply, Constant, Variable, sorted_nodes
from gpuscan.loop import Loop, Scan
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.shaping import DimShuffle

# ---- constants. Seconds unless a name says otherwise; of a Hopper SM where they differ between GPUs.

GRAPH_NODE = 1.3e-6
"""From one kernel of a CUDA graph to the next: 1.24 to 1.40 us on an H100 (flash-vla's measured constants)."""

STREAM_LAUNCH = 10e-6
"""One CuPy call that launches a kernel: 9.9 us is the published median of a ``RawKernel``."""

GRID_BARRIER = 0.7e-6
"""All blocks wait for all, by hand. ``cooperative_groups`` takes 1.09 us on an H100; one hop is the lower limit."""

GRID_HOP = 0.65e-6
"""From a store on one SM to a load on another that sees it: 0.56 us, 0.65 us by an atomic, on an H100 (flash-vla)."""

LOOK_BACK = 14e-9
"""From a tile to the next that goes on with its state, of many under way: `prefix_tiling`."""

BLOCK_BARRIER = 25e-9
"""``__syncthreads()``: 20 to 30 ns."""

WARP_SHUFFLE_CLOCKS = 24
"""From one shuffle of a warp to one that depends on it."""

L2_LATENCY_CLOCKS = 250
"""A load that the L2 cache answers: 200 to 270 clocks."""

DRAM_LATENCY_CLOCKS = 650
"""A load from device memory: 500 to 800 clocks."""

L2_PORT_BYTES = 64
"""What one SM takes from the L2 cache in a clock."""

L2_BYTES = 21
"""The same where all SMs read different lines: half of the 5120 bytes a clock of the A100's white paper, shared out."""

SHARED_BYTES = 128
"""What one SM reads from its shared memory in a clock (CUDA C++ Programming Guide: 32 banks of 4 bytes)."""

FMA_LANES = {75: 64, 80: 64, 86: 128, 89: 128, 90: 128, 100: 128, 120: 128}
"""float32 multiply-adds of one SM in a clock, by compute capability (CUDA C++ Programming Guide, "Throughput")."""

FLOAT64_LANES = {80: 32, 90: 64, 100: 64}
"""The same in float64; 2 where none are named."""

SPECIAL_LANES = 16
"""Special functions of one SM in a clock, of every GPU so far: ex2, lg2, rcp, rsq, sin, cos, tanh.approx."""

TENSOR_FLOPS = {75: 1024, 80: 2048, 86: 1024, 89: 1024, 90: 4096, 100: 8192, 120: 1024}
"""float16 operations (a multiply-add is two) of one SM's tensor cores in a clock (NVIDIA's white papers)."""

LIBRARY_SHARE = 0.74
"""Of its tensor cores' peak what cuBLAS reaches in a large product: 790 TFLOP/s of an H200's 1070, measured."""

MMA_SHARE = 0.63
"""Of that what a kernel reaches with ``mma.sync`` on Hopper and later; wgmma would reach all (flash-vla)."""

FMA_SHARE = 0.6
"""Of the multiply-add units' peak what a kernel's own products reach: loads of operands take issue slots. Assumed."""

REGISTER_SHARE = 0.6
"""Of the register file what may hold weights: accumulators and addresses take the rest."""

SPECIALS = {
    "exp": 1, "expm1": 2, "log": 1, "log1p": 2, "log2": 1, "exp2": 1, "sqrt": 1, "sin": 1, "cos": 1, "tan": 3,
    "tanh": 2, "sinh": 2, "cosh": 2, "sigmoid": 2, "softplus": 2, "power": 2, "true_div": 1, "reciprocal": 1,
}  # fmt: skip
"""Special-function instructions in a float32 pointwise operation, as NVRTC compiles it for sm_90 (rounded up)."""


# ---- what a step does


@dataclass(frozen=True)
class StepWork:
    """What one step of a loop does, counted on its nodes.

    Attributes
    ----------
    flops : int
        Operations of matrix products, two for a multiply-add.
    dtype : str
        Of those products.
    weight_bytes : int
        Operands of products that are the same at every step.
    exchanged_bytes : int
        The other operands of products: what every block needs of what the others computed.
    row_bytes : int
        Rows of sequences read from device memory, and rows of results written there.
    elements, specials : int
        Elements of pointwise results, and special functions among them.
    operations : int
        Nodes that are array operations where the host drives.
    """

    flops: int = 0
    dtype: str = "float32"
    weight_bytes: int = 0
    exchanged_bytes: int = 0
    row_bytes: int = 0
    elements: int = 0
    specials: int = 0
    operations: int = 0


def step_work(loop: Loop) -> StepWork:
    """Count what a step of `loop` does.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps. A size that is not known counts as 1.
    """
    nodes = sorted_nodes(loop.outputs, loop.reads)
    products = [node for node in nodes if isinstance(node.op, MatMul)]
    pointwise = [node for node in nodes if isinstance(node.op, Pointwise | Cast)]
    fixed = {n.read for n in loop.non_sequences}
    operands = {_origin(v) for node in products for v in node.inputs}
    weights = {v for v in operands if v in fixed or isinstance(v, Constant)}
    rows = [v for s in loop.sequences for v in s.reads.values()]
    kept = [loop.value_of(r.record) for r in loop.results if r.kind == "history"]
    return StepWork(
        flops=sum(_flops(node) for node in products),
        dtype=products[0].outputs[0].dtype if products else "float32",
        weight_bytes=sum(_bytes(v) for v in weights),
        exchanged_bytes=sum(_bytes(v) for v in operands - weights - set(rows)),
        row_bytes=sum(_bytes(v) for v in [*rows, *kept]),
        elements=sum(_size(node.outputs[0]) for node in pointwise),
        specials=sum(specials_of(node) for node in pointwise),
        operations=sum(not isinstance(node.op, DimShuffle | Scan) for node in nodes),
    )


def _origin(variable: Variable) -> Variable:
    """Return what `variable` is a transposed or converted form of."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle | Cast):
        variable = variable.owner.inputs[0]
    return variable


def _flops(product: Apply) -> int:
    return 2 * _size(product.outputs[0]) * (product.inputs[0].type.shape[-1] or 1)


def specials_of(node: Apply) -> int:
    """Return the special-function instructions of a pointwise operation, of all elements together."""
    each = SPECIALS.get(node.op.row, 0) if isinstance(node.op, Pointwise) else 0
    return each * _size(node.outputs[0])


def _size(variable: Variable) -> int:
    return int(np.prod([n or 1 for n in variable.type.shape], dtype=np.int64))


def _bytes(variable: Variable) -> int:
    return _size(variable) * np.dtype(variable.dtype).itemsize


# ---- what a GPU does in a second


def on_chip_bytes(gpu: GPU) -> int:
    """Return how many bytes of weights all SMs together hold, in shared memory and registers."""
    return int(gpu.sms * (gpu.shared_per_block + REGISTER_SHARE * 4 * gpu.registers_per_sm))


def product_rate(gpu: GPU, dtype: str, *, library: bool) -> float:
    """Return operations of a large matrix product in a second.

    Parameters
    ----------
    gpu : GPU
    dtype : str
        Of the operands. float32 is computed in float32, not in TF32, as NumPy does it.
    library : bool
        Whether cuBLAS computes it, or a kernel's own ``mma.sync`` and multiply-adds.
    """
    clocks = gpu.sms * gpu.clock_ghz * 1e9
    if dtype in ("float16", "bfloat16"):
        share = LIBRARY_SHARE if library or gpu.capability < 90 else LIBRARY_SHARE * MMA_SHARE
        return clocks * _known(TENSOR_FLOPS, gpu.capability, 1024) * share
    share = 1.0 if library else FMA_SHARE
    if dtype == "float64":
        tensor = 2 if library and gpu.capability in (80, 90) else 1
        return clocks * 2 * tensor * _known(FLOAT64_LANES, gpu.capability, 2) * share
    return clocks * 2 * _known(FMA_LANES, gpu.capability, 128) * share


def _known(table: dict[int, int], capability: int, otherwise: int) -> int:
    """Return the entry of a GPU; of one without an entry, that of the newest before it in its generation."""
    older = [known for known in table if known <= capability and known // 10 == capability // 10]
    return table[max(older)] if older else otherwise


# ---- what a step takes


def grid_seconds(work: StepWork, gpu: GPU) -> float:
    """Estimate a step carried by the whole grid in one kernel.

    Weights stay on chip as far as they fit and the rest is read at every step; what the blocks computed goes to all
    of them through the L2 cache, one hop later. Loading weights, multiplying and pointwise work overlap; the hop and
    the exchange do not.
    """
    clocks = gpu.clock_ghz * 1e9
    held = min(work.weight_bytes, on_chip_bytes(gpu))
    cached = work.weight_bytes <= gpu.l2_bytes
    outside = gpu.sms * L2_BYTES * clocks if cached else gpu.bandwidth_gbs * 1e9
    busy = max(
        held / (gpu.sms * SHARED_BYTES * clocks),
        (work.weight_bytes - held) / outside,
        work.flops / product_rate(gpu, work.dtype, library=False),
    )
    exchange = work.exchanged_bytes / (L2_PORT_BYTES * clocks)
    return GRID_HOP + exchange + busy + _around(work, gpu)


def host_seconds(work: StepWork, gpu: GPU, *, recorded: bool = True) -> float:
    """Estimate a step driven from the host, an array operation a node; `recorded`: replayed from a CUDA graph."""
    launch = GRAPH_NODE if recorded else STREAM_LAUNCH
    traffic = (work.weight_bytes + work.exchanged_bytes) / _reach(work.weight_bytes, gpu)
    products = max(work.flops / product_rate(gpu, work.dtype, library=True), traffic)
    # Each pointwise operation reads about two arrays and writes one, of which the L2 cache keeps the small ones.
    moved = 3 * work.elements * np.dtype("float32").itemsize
    return work.operations * launch + products + moved / _reach(moved, gpu) + _around(work, gpu)


def _reach(size: int, gpu: GPU) -> float:
    """Return the bytes a second at which data is read that was used a step ago."""
    rate = gpu.sms * L2_BYTES * gpu.clock_ghz * 1e9
    return rate if size <= gpu.l2_bytes else gpu.bandwidth_gbs * 1e9


def _around(work: StepWork, gpu: GPU) -> float:
    """Return the seconds of what both ways have: rows through device memory beside special functions."""
    specials = work.specials / (gpu.sms * SPECIAL_LANES * gpu.clock_ghz * 1e9)
    return max(work.row_bytes / (gpu.bandwidth_gbs * 1e9), specials)


def cheaper_team(work: StepWork, gpu: GPU, *, recorded: bool = True) -> str:
    """Return which of ``grid`` and ``host`` takes less time for a step, by the estimates."""
    return "grid" if grid_seconds(work, gpu) <= host_seconds(work, gpu, recorded=recorded) else "host"
