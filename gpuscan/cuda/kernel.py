"""The text of one kernel and what its parameters are: all a compiler or a launcher needs to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Launcher = Callable[[tuple[int, int, int], tuple[int, int, int], int, Sequence[Any]], None]
"""``launch(grid, block, shared_bytes, arguments)``: run a loaded kernel once."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    Attributes
    ----------
    name : str
        Its name in the kernel's text, and in messages about it.
    dtype : str
        NumPy's name of the element type.
    is_array : bool
        Whether it is an array (``Global<T>`` in the text) or a number passed by value.
    writes : bool
        Whether the kernel writes to it; an array that is only read is ``Global<const T>``.
    alignment : int
        Of how many bytes an array's address is a multiple, where the kernel asks for more than an element does.
    """

    name: str
    dtype: str
    is_array: bool = True
    writes: bool = False
    alignment: int = 1


@dataclass(frozen=True)
class Kernel:
    """A complete CUDA C++ translation unit with one ``extern "C" __global__`` function.

    Attributes
    ----------
    name : str
        Name of the ``__global__`` function.
    source : str
        The whole text, files of ``kernels/`` spliced in; it includes nothing.
    parameters : tuple of Parameter
        In the order of the function's parameters.
    """

    name: str
    source: str
    parameters: tuple[Parameter, ...]


C_TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}
"""CUDA C++ type of each NumPy dtype that generated kernels handle."""
