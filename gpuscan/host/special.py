"""Special functions that an array module lacks, or has in a worse form than another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

LOG_2 = 0.6931471805599453


def log1mexp(x: Any) -> Any:
    """Return ``log(1 - exp(x))`` of NumPy's or CuPy's arrays, accurate for small and for large `x`.

    Maechler, "Accurately computing log(1 - exp(-|a|))", 2012, has the two forms and where they meet.
    """
    close_to_0 = x > -LOG_2
    with np.errstate(all="ignore"):
        near = np.log(-np.expm1(x))
        far = np.log1p(-np.exp(x))
    return np.where(close_to_0, near, far)[()]


def float_mod(a: Any, b: Any) -> Any:
    """Return the remainder of floats as NumPy has it, of NumPy's or CuPy's arrays.

    CuPy's own is ``a - floor(a / b) * b``: off by a whole `b` where the quotient rounds up to an integer, as of 1 and
    0.1, and NaN for an infinite `b`.
    """
    with np.errstate(all="ignore"):
        rest = np.fmod(a, b)
        return np.where(rest != 0, np.where(_rounds_down(rest, b), rest + b, rest), np.copysign(rest, b))[()]


def float_floor_div(a: Any, b: Any) -> Any:
    """Return the quotient of floats rounded down as NumPy has it, of NumPy's or CuPy's arrays."""
    with np.errstate(all="ignore"):
        rest = np.fmod(a, b)
        exact = (a - rest) / b - _rounds_down(rest, b)  # an integer but for its rounding
        below = np.floor(exact)
        whole = np.where(exact == 0, np.copysign(exact, a / b), below + (exact - below > 0.5))
        return np.where(b == 0, a / b, whole)[()].astype(rest.dtype)


def _rounds_down(rest: Any, b: Any) -> Any:
    """Whether the quotient, of which C leaves this rest, is one less when it is rounded down."""
    return (rest != 0) & ((rest < 0) != (b < 0))


def _bessel(name: str) -> Callable[[Any], Any]:
    def bessel(x: Any) -> Any:
        import scipy.special  # slow to import

        return getattr(scipy.special, name)(x)

    return bessel


# numpy.i0 is of float64 alone, and slow.
SPECIAL = {
    "log1mexp": log1mexp,
    "float_mod": float_mod,
    "float_floor_div": float_floor_div,
    "i0": _bessel("i0"),
}
