"""What one H200 permits: the constants that floors are computed from.

Measured where so marked, else from the data sheet, from instruction counts of compiled kernels for sm_90, or from
published measurements of the H100, whose SMs are the same.
"""

from __future__ import annotations

from benchmarks.workloads.workload import Floor

SMS = 132
CLOCK = 1.98e9  # measured after load
COPY = 4.3e12  # bytes per second read and written, measured
FLOAT32 = 67e12  # operations per second
TENSOR_16 = 790e12  # the same of products of 16-bit matrices, measured with cuBLAS
ISSUE = SMS * 128 * CLOCK  # instructions of lanes per second
SPECIAL = SMS * 16 * CLOCK  # ex2, lg2, rcp, rsq, sin and their like per second
HOP = 0.65e-6  # from a store on one SM to a load that sees it on another

# Instructions a step takes, counted in sm_90's code.
TANH = 17
LORENZ_RK4 = 60
FOUR_NORMALS_AND_STEPS = 111
MANDELBROT = 8
DTW_CELL = 7


def slowest(**seconds: float) -> Floor:
    """Return the floor of work that is bound by several things at once: the longest of these times."""
    bound = max(seconds, key=seconds.__getitem__)
    return Floor(seconds[bound], bound)


def streamed(count: float) -> float:
    """Return the seconds that so many bytes take through device memory."""
    return count / COPY


def issued(instructions: float) -> float:
    """Return the seconds that so many instructions of single lanes take to issue."""
    return instructions / ISSUE


def chained(clocks: float) -> float:
    """Return the seconds that so many clocks take, one after another."""
    return clocks / CLOCK
