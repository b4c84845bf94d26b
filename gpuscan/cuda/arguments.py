"""A kernel's arguments, checked before a launch.

A launch passes an array's address whatever its dtype and strides, and a number in whatever size it has: what does not
fit would be read as garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.errors import KernelError


class MisfitError(Exception):
    """Why an argument does not fit its parameter."""


def bind_arguments(
    kernel: Kernel, arguments: Sequence[Any], check_array: Callable[[Parameter, Any], None]
) -> tuple[Any, ...]:
    """Check a kernel's arguments and convert its numbers.

    Parameters
    ----------
    kernel : Kernel
        Whose arguments they are.
    arguments : sequence
        Arrays and numbers, in the order of ``kernel.parameters``.
    check_array : callable
        Raises MisfitError for an array that this launcher cannot pass on.

    Returns
    -------
    tuple
        The arrays as they are, the numbers as NumPy scalars of exactly the parameters' types.

    Raises
    ------
    KernelError
        If an argument does not fit, naming the parameter, what it needs and what was given.
    """
    if len(arguments) != len(kernel.parameters):
        names = ", ".join(parameter.name for parameter in kernel.parameters)
        raise KernelError(
            f"kernel {kernel.name!r} takes {len(kernel.parameters)} arguments ({names}), not {len(arguments)}"
        )
    bound = []
    for parameter, value in zip(kernel.parameters, arguments, strict=True):
        try:
            if parameter.is_array:
                check_array(parameter, value)
                bound.append(value)
            else:
                bound.append(_number(parameter, value))
        except MisfitError as misfit:
            raise KernelError(f"kernel {kernel.name!r}, parameter {parameter.name!r}: {misfit}") from None
    return tuple(bound)


def check_layout(parameter: Parameter, value: Any, address: int, alignment: int) -> None:
    """Raise MisfitError unless an array has the parameter's dtype, is C-contiguous and lies at an aligned address.

    `alignment` is what its elements need; the parameter may need more.
    """
    if value.dtype != parameter.dtype:
        raise MisfitError(f"needs {parameter.dtype}, not {value.dtype}")
    if not value.flags.c_contiguous:
        raise MisfitError(f"needs a C-contiguous array, not one of shape {value.shape} with strides {value.strides}")
    alignment = max(alignment, parameter.alignment)
    if address % alignment and value.size:
        raise MisfitError(f"needs an address that is a multiple of {alignment}, not {address:#x}")


def _number(parameter: Parameter, value: Any) -> Any:
    dtype = np.dtype(parameter.dtype)
    if type(value) is dtype.type:
        return value
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        # NumPy checks the range of Python's numbers; its own it wraps around.
        value = value.item()
    if not isinstance(value, int | float):
        raise MisfitError(f"needs one number of type {dtype}, not {value!r}")
    try:
        number = dtype.type(value)
        # A float parameter takes the nearest value that its type has; any other must hold the number exactly.
        fits = dtype.kind == "f" or number == value
    except (OverflowError, ValueError):  # out of range; not a number
        fits = False
    if not fits:
        raise MisfitError(f"needs a number that {dtype} can hold, not {value!r}")
    return number
