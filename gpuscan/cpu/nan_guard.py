"""The first NaN or infinity that a computation makes, as opposed to those it was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpuscan.graph import Apply, type_of
from gpuscan.tensor.pointwise import Cast, Pointwise


def check_finite(node: Apply, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    """Raise FloatingPointError if an output holds a NaN or an infinity that no input accounts for.

    A NaN accounts for NaNs, and an infinity for infinities: in a pointwise op at its own position, elsewhere anywhere.
    """
    for value in outputs:
        if value.dtype.kind in "fc" and not np.isfinite(value).all():
            _check_made(node, inputs, value)


def _check_made(node: Apply, inputs: Sequence[np.ndarray], value: np.ndarray) -> None:
    for is_bad in (np.isnan, np.isinf):
        bad = is_bad(value)
        for given in inputs:
            if given.dtype.kind in "fc":
                came_in = is_bad(given)
                bad = bad & ~(came_in if isinstance(node.op, Pointwise | Cast) else came_in.any())
        if bad.any():
            position = np.unravel_index(int(bad.argmax()), value.shape)
            at = f" at {[int(i) for i in position]} of a {type_of(value)}" if value.ndim else f", a {type_of(value)}"
            raise FloatingPointError(f"{node.op} made {value[position]}{at} (made at {node.where})")
