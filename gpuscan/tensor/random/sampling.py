"""What samplers draw with: uniforms, normals and rejection over the elements of one draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np

from gpuscan.tensor.random.words import Bits

Attempt = Callable[[int, Any], tuple[Any, Any]]
"""``attempt(number, elements)``: the values that these elements would take, and which of them do take theirs."""

MOST_ATTEMPTS = 1000
"""No sampler here rejects more than half; an element that is rejected so often has a parameter that is not allowed."""


def truth(value: Any) -> bool:
    """Return a boolean of any array module on the host, waiting for the device if it is there."""
    return bool(value.get() if hasattr(value, "get") else value)


@final
class Sampling:
    """One draw of ``count`` independent elements.

    Parameters
    ----------
    xp : object
        The array module's functions, as attributes.
    bits : Bits
        Where its random bits come from.
    count : int
        How many elements there are.
    size : sequence of int
        The batch axes of the sample.
    dtype : str
        The sample's dtype.
    """

    def __init__(self, xp: Any, bits: Bits, count: int, size: Sequence[int], dtype: str) -> None:
        self.xp = xp
        self.bits = bits
        self.count = count
        self.size = tuple(size)
        self.dtype = np.dtype(dtype)
        self.real = self.dtype if dtype == "float32" else np.dtype("float64")

    def double(self) -> Sampling:
        """Return the same draw with reals in double precision.

        Samplers that reject do so in it for every dtype: where float32 results of two devices differ in the last
        place, one element in some millions would be accepted by one device and rejected by the other.
        """
        return Sampling(self.xp, self.bits, self.count, self.size, "float64")

    # ---- numbers of each element; with `elements`, of those only ----

    def number(self, which: int = 0, elements: Any = None) -> Any:
        """Return 64-bit number `which`."""
        if elements is None:
            return self.bits.numbers(which, self.count)
        return self.bits.numbers_at(which, self.count, elements)

    def uniform(self, which: int = 0, elements: Any = None) -> Any:
        """Return multiples of 2**-53 in [0, 1), in single precision of 2**-24: the same on every device."""
        number = self.number(which, elements)
        if self.real == np.float32:
            return (number >> 40).astype(np.float32) * np.float32(2.0**-24)
        return (number >> 11).astype(np.float64) * 2.0**-53

    def positive(self, which: int = 0, elements: Any = None) -> Any:
        """Return uniforms in (0, 1], finer towards 0, so that their logarithms have the whole tail."""
        scale = np.float32(2.0**-64) if self.real == np.float32 else 2.0**-64
        return (self.number(which, elements) | 1).astype(self.real) * scale

    def signed(self, which: int = 0, elements: Any = None) -> tuple[Any, Any]:
        """Return a sign, 1 or -1, and a uniform in (0, 1/2] that is the finer the nearer it is to 0."""
        number = self.number(which, elements)
        scale = np.float32(2.0**-65) if self.real == np.float32 else 2.0**-65
        sign = 1 - 2 * (number >> 63).astype(self.real)
        return sign, ((number << 1) | 1).astype(self.real) * scale

    def normal(self, block: int = 0, elements: Any = None) -> Any:
        """Return standard normals, each from one block.

        G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", Annals of Mathematical
        Statistics 29(2), 610-611, 1958: the cosine branch. Absolute values reach 9.4.
        """
        xp = self.xp
        radius = xp.sqrt(-2 * xp.log(self.positive(2 * block, elements)))
        return radius * xp.cos(self.real.type(2 * np.pi) * self.uniform(2 * block + 1, elements))

    # ---- rejection ----

    def accepted(self, attempt: Attempt, elements: Any = None) -> Any:
        """Return the first value of each element that `attempt` accepts; NaN where it never does."""
        xp = self.xp
        elements = xp.arange(self.count) if elements is None else elements
        result = xp.full(elements.shape, np.nan)
        pending = xp.arange(elements.shape[0])
        for number in range(MOST_ATTEMPTS):
            if not pending.shape[0]:
                break
            value, good = attempt(number, elements[pending])
            good = good | (value != value)  # NaN: a parameter that is not allowed, where nobody could check it
            result[pending[good]] = value[good]
            pending = pending[~good]
        return result


def as_double(parameter: Any) -> Any:
    """Return a parameter in double precision."""
    return parameter.astype(np.float64)


def at(parameter: Any, elements: Any) -> Any:
    """Return a parameter's values for some elements; a scalar is the same for all."""
    return parameter[elements] if parameter.ndim else parameter
