"""Kernels as a person would write them, run through CuPy: what compiled loops are measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.cuda.launch import compile_kernel

# A person writes pointers and __shared__; by these words the tests can run the same text on the emulator, which checks
# arrays, and which has no approximate functions.
PRELUDE = """
#ifdef GPUSCAN_EMULATOR
#define __logf logf
#define __sincosf sincosf
#else
template <class T> using Global = T* __restrict__;
#define GPUSCAN_SHARED(T, name, count) __shared__ T name[count]
#endif
"""

C_TYPES = {"float32": "float", "int32": "int", "uint32": "unsigned int", "int64": "long long"}


@dataclass(frozen=True)
class Array:
    """A parameter that points to device memory."""

    name: str
    dtype: str = "float32"
    writes: bool = False

    def __str__(self) -> str:
        return f"Global<{'' if self.writes else 'const '}{C_TYPES[self.dtype]}> {self.name}"


@dataclass(frozen=True)
class Number:
    """A parameter passed by value."""

    name: str
    dtype: str = "int32"

    def __str__(self) -> str:
        return f"{C_TYPES[self.dtype]} {self.name}"


@dataclass(frozen=True)
class HandKernel:
    """One kernel: its parameters, what its function does, and what stands before it."""

    name: str
    parameters: tuple[Array | Number, ...]
    body: str
    before: str = ""
    qualifiers: str = ""
    prelude: str = PRELUDE

    @property
    def source(self) -> str:
        """The whole text."""
        head = f'extern "C" __global__ void {self.qualifiers} {self.name}({", ".join(map(str, self.parameters))})'
        return f"{self.prelude}{self.before}\n{head} {{{self.body}}}\n"

    def as_kernel(self) -> Kernel:
        """Return it as gpuscan has kernels, for its compilers."""
        parameters = (
            Parameter(p.name, p.dtype, isinstance(p, Array), isinstance(p, Array) and p.writes) for p in self.parameters
        )
        return Kernel(self.name, self.source, tuple(parameters))

    def compile(self) -> Any:
        """Return CuPy's kernel, compiled as CuPy does."""
        import cupy

        return cupy.RawKernel(self.source, self.name)

    def load(self, *, cooperative: bool = False, arch: str | None = None) -> Any:
        """Return CuPy's kernel of a binary that NVRTC made for exactly that architecture, sm_90a for one."""
        import cupy

        arch = arch or f"sm_{cupy.cuda.Device().compute_capability}"
        cubin = compile_kernel(self.as_kernel(), arch).cubin
        return cupy.RawModule(path=str(cubin), enable_cooperative_groups=cooperative).get_function(self.name)


def new_array(shape: tuple[int, ...], dtype: str) -> Any:
    """Return an array in device memory with anything in it."""
    import cupy

    return cupy.empty(shape, dtype)


def by_hand(
    kernel: HandKernel,
    threads: int,
    block: int,
    inputs: Sequence[Any],
    outputs: Sequence[tuple[tuple[int, ...], str]],
    numbers: Sequence[int | float],
) -> Callable[[], list[Any]]:
    """Return a call that launches a kernel on inputs, new outputs and numbers, in this order of its parameters."""
    run = kernel.compile()
    scalars = [np.dtype(p.dtype).type(n) for p, n in zip(kernel.parameters[-len(numbers) :], numbers, strict=True)]
    grid = (-(-threads // block),)

    def call() -> list[Any]:
        made = [new_array(shape, dtype) for shape, dtype in outputs]
        run(grid, (block,), (*inputs, *made, *scalars))
        return made

    return call
