"""Public data that the demo, the documentation and the tests use."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["nile"]


def nile() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Annual flow of the Nile at Aswan, 1871 to 1970.

    Returns
    -------
    years : ndarray of float64, shape (100,)
        1871, 1872, ..., 1970.
    flow : ndarray of float64, shape (100,)
        Volume of the year, in 10^8 m^3.

    References
    ----------
    .. [1] G. W. Cobb, "The problem of the Nile: conditional solution to a changepoint problem", Biometrika 65(2),
       243-251, 1978.
    .. [2] J. Durbin and S. J. Koopman, "Time Series Analysis by State Space Methods", 2nd edition, Oxford University
       Press, 2012, chapter 2.
    """
    with files(__name__).joinpath("nile.csv").open(encoding="utf-8") as lines:
        years, flow = np.loadtxt(lines, delimiter=",", skiprows=1, unpack=True)
    return years, flow
