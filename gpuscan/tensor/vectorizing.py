"""`vectorize`: what it means is handed down by the layer that knows loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuscan.graph.operators import MEANING


def vectorize(func: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """Return a function like `func` that takes arrays with more axes, as ``numpy.vectorize`` does.

    Parameters
    ----------
    func : callable
        Takes and returns variables. It is called once, with variables for one element of the batch.
    signature : str, optional
        Which last axes of each argument `func` takes and returns, as ``"(m,n),(n)->(m)"``. Without it, `func` is a
        function of scalars.

    Returns
    -------
    callable
        Takes arrays whose other axes, the batch's, broadcast; returns what `func` returns, for all elements. A loop
        that `func` builds stays one loop: see `gpuscan.graph.vectorize_graph` for what cannot be done.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuscan.tensor as gt
    >>> centred = gt.vectorize(lambda row: row - row.mean(), "(n)->(n)")
    >>> centred(np.array([[1.0, 3.0], [5.0, 9.0]])).eval()
    array([[-1.,  1.],
           [-2.,  2.]])
    """
    vectorized: Callable[..., Any] = MEANING["vectorize"](func, signature)
    return vectorized
