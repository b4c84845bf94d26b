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


def _bessel(name: str) -> Callable[[Any], Any]:
    def bessel(x: Any) -> Any:
        import scipy.special  # slow to import

        return getattr(scipy.special, name)(x)

    return bessel


# numpy.i0 is of float64 alone, and slow.
SPECIAL = {"log1mexp": log1mexp, "i0": _bessel("i0")}
