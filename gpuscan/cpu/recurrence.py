"""Recurrences of all steps at once: running sums, products and extremes, and ``h = a * h + b``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.graph import Apply, Op, TensorType, Variable
from gpuscan.host.rules import rule
from gpuscan.host.writer import Writer

ACCUMULATE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
KINDS = ("linear", *ACCUMULATE)


@final
@dataclass(frozen=True)
class Recurrence(Op):
    """Values of a state before every step and after the last.

    Inputs are the initial value, the number of steps n, and of each step what is added (`kind` "sum"), multiplied by
    ("prod") or compared with ("max", "min"); for "linear", ``h = a * h + b``, a and then b. These broadcast to n rows.
    The output has n + 1 rows, the initial value first.
    """

    kind: str

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        init = inputs[0]
        return (TensorType(init.dtype, (None, *init.type.shape)),)


@rule(Recurrence)
def _recurrence(w: Writer, op: Recurrence, node: Apply) -> str:
    w.namespace["recurrence"] = recurrence
    return f"recurrence({op.kind!r}, {', '.join(w.values(node.inputs))})"


def recurrence(kind: str, init: Any, steps: int, *terms: Any) -> np.ndarray:
    """Return what `Recurrence` stands for, each step rounded as in a loop over them."""
    init = np.asarray(init)
    if kind == "linear":
        return _linear(init, int(steps), *terms)
    values = np.empty((int(steps) + 1, *init.shape), init.dtype)
    values[0], values[1:] = init, terms[0]
    return ACCUMULATE[kind].accumulate(values, axis=0, dtype=init.dtype, out=values)


def _linear(init: np.ndarray, steps: int, a: Any, b: Any) -> np.ndarray:
    """Solve ``h[k + 1] - a[k] h[k] = b[k]``, a triangular system of two diagonals, for each lane.

    BLAS's ``tbsv`` (Dongarra et al., "An extended set of Fortran basic linear algebra subprograms", 1988) substitutes
    forwards: it computes what the loop computes in the same order, so it is as safe, and overflows where that does.
    """
    lanes = np.empty((init.size, steps + 1), init.dtype)
    diagonals = np.zeros((2, steps + 1), init.dtype, order="F")
    from scipy.linalg.blas import get_blas_funcs  # late: it would double the time that importing gpuscan takes

    (solve,) = get_blas_funcs(("tbsv",), (lanes,))
    row = (steps, *init.shape)
    factors = np.broadcast_to(a, row).reshape(steps, -1)
    lanes[:, 0], lanes[:, 1:] = init.reshape(-1), np.broadcast_to(b, row).reshape(steps, -1).T
    for lane, factor in zip(lanes, factors.T, strict=True):
        np.negative(factor, out=diagonals[1, :-1])
        solve(1, diagonals, lane, lower=1, diag=1, overwrite_x=1)
    return np.ascontiguousarray(lanes.T).reshape(steps + 1, *init.shape)
