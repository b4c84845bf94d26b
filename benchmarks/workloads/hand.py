"""Kernels as a person would write them, run through CuPy: what compiled loops are measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A person writes pointers; the word leaves the text as it is for a checked array on the emulator.
PRELUDE = "template <class T> using Global = T* __restrict__;\n"

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

    @property
    def source(self) -> str:
        """The text, without what `Global` is."""
        parameters = ", ".join(map(str, self.parameters))
        return (
            f'{self.before}\nextern "C" __global__ void {self.qualifiers} {self.name}({parameters}) {{{self.body}}}\n'
        )

    def compile(self, **options: Any) -> Any:
        """Return CuPy's kernel."""
        import cupy

        return cupy.RawKernel(PRELUDE + self.source, self.name, options=("-std=c++17",), **options)


def by_hand(
    kernel: HandKernel,
    threads: int,
    block: int,
    inputs: Sequence[Any],
    outputs: Sequence[tuple[tuple[int, ...], str]],
    numbers: Sequence[int | float],
) -> Callable[[], list[Any]]:
    """Return a call that launches a kernel on inputs, new outputs and numbers, in this order of its parameters."""
    import cupy

    run = kernel.compile()
    scalars = [np.dtype(p.dtype).type(n) for p, n in zip(kernel.parameters[-len(numbers) :], numbers, strict=True)]
    grid = (-(-threads // block),)

    def call() -> list[Any]:
        made = [cupy.empty(shape, dtype) for shape, dtype in outputs]
        run(grid, (block,), (*inputs, *made, *scalars))
        return made

    return call
