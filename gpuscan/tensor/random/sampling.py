"""What samplers draw with: uniforms, normals and rejection over the elements of one draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, final

import numpy as np

from gpuscan.tensor.random.words import Bits, Transform

Attempt = Callable[[int, Any], tuple[Any, Any]]
"""``attempt(number, elements)``: the values that these elements would take, and which of them do take theirs."""

MOST_ATTEMPTS = 1000
"""No sampler here rejects more than half; an element that is rejected so often has a parameter that is not allowed."""


def truth(value: Any) -> bool:
    """Return a boolean of any array module on the host, waiting for the device if it is there."""
    return bool(value.get() if hasattr(value, "get") else value)


# ---- what elements make of a block ----


def _unit(numbers: Any, real: Any) -> Any:
    """Return multiples of 2**-53 in [0, 1), in single precision of 2**-24."""
    if real is np.float32:
        return (numbers >> 40).astype(real) * real(2.0**-24)
    return (numbers >> 11).astype(real) * 2.0**-53


def _positive(numbers: Any, real: Any) -> Any:
    return (numbers | 1).astype(real) * real(2.0**-64)


def _half(numbers: Any, real: Any) -> Any:
    return ((numbers << 1) | 1).astype(real) * real(2.0**-65)


def _sign(numbers: Any, real: Any) -> Any:
    return 1 - 2 * (numbers >> 63).astype(real)


def _normal(xp: Any, first: Any, second: Any, real: Any) -> Any:
    radius = xp.sqrt(-2 * xp.log(_positive(first, real)))
    return radius * xp.cos(real(2 * np.pi) * _unit(second, real))


REALS = (np.float32, np.float64)

NUMBER = (Transform(lambda xp, first, second: first), Transform(lambda xp, first, second: second))
"""The numbers of a block themselves."""


def _of_each(function: Callable[[Any, Any], Any]) -> dict[Any, tuple[Transform, Transform]]:
    """Return for each real type what a function makes of the first and of the second number of a block."""

    def pair(real: Any) -> tuple[Transform, Transform]:
        return (
            Transform(lambda xp, first, second: function(first, real)),
            Transform(lambda xp, first, second: function(second, real)),
        )

    return {real: pair(real) for real in REALS}


UNIT, POSITIVE, HALF, SIGN = (_of_each(function) for function in (_unit, _positive, _half, _sign))
NORMAL = {real: Transform(partial(_normal, real=real)) for real in REALS}


@final
class Sampling:
    """One draw of ``count`` independent elements.

    Parameters
    ----------
    xp : object
        The array module's functions, as attributes.
    bits : Bits
        Where its random numbers come from.
    count : int
        How many elements there are.
    size : tuple of int
        The batch axes of the sample.
    real : type
        What reals are drawn in: ``numpy.float32`` or ``numpy.float64``.
    """

    def __init__(self, xp: Any, bits: Bits, count: int, size: tuple[int, ...], real: Any) -> None:
        self.xp = xp
        self.bits = bits
        self.count = count
        self.size = size
        self.real = real

    def double(self) -> Sampling:
        """Return the same draw with reals in double precision.

        Samplers that reject do so in it for every dtype: where float32 results of two devices differ in the last
        place, one element in some millions would be accepted by one device and rejected by the other.
        """
        if self.real is np.float64:
            return self
        return Sampling(self.xp, self.bits, self.count, self.size, np.float64)

    def _values(self, transform: Transform, block: int, elements: Any) -> Any:
        if elements is None:
            return self.bits.values(transform, block, self.count)
        return self.bits.values_at(transform, block, self.count, elements)

    # ---- numbers of each element, not to be written to; with `elements`, of those only ----

    def number(self, which: int = 0, elements: Any = None) -> Any:
        """Return 64-bit number `which`; a block has two."""
        return self._values(NUMBER[which & 1], which >> 1, elements)

    def uniform(self, which: int = 0, elements: Any = None) -> Any:
        """Return multiples of 2**-53 in [0, 1), in single precision of 2**-24: the same on every device."""
        return self._values(UNIT[self.real][which & 1], which >> 1, elements)

    def positive(self, which: int = 0, elements: Any = None) -> Any:
        """Return uniforms in (0, 1], finer towards 0, so that their logarithms have the whole tail."""
        return self._values(POSITIVE[self.real][which & 1], which >> 1, elements)

    def signed(self, which: int = 0) -> tuple[Any, Any]:
        """Return a sign, 1 or -1, and a uniform in (0, 1/2], finer towards 0."""
        half = which & 1
        sign = self._values(SIGN[self.real][half], which >> 1, None)
        return sign, self._values(HALF[self.real][half], which >> 1, None)

    def normal(self, block: int = 0, elements: Any = None) -> Any:
        """Return standard normals, each from one block.

        G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", Annals of Mathematical
        Statistics 29(2), 610-611, 1958: the cosine branch. Absolute values reach 9.4.
        """
        return self._values(NORMAL[self.real], block, elements)

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
