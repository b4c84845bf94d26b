"""What the operators and methods of variables mean."""

from __future__ import annotations

from typing import Any

from gpuscan.graph import Variable
from gpuscan.graph.operators import MEANING
from gpuscan.tensor import convert, elementwise, indexing, numpy_protocol, products, reduction, shaping


def _astype(x: Variable, dtype: Any) -> Variable:
    return convert.cast(x, dtype)


def install() -> None:
    """Give variables their operators."""
    for row in (
        *("add", "sub", "mul", "true_div", "floor_div", "mod", "power", "neg", "abs"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "invert"),
        *("lt", "le", "gt", "ge", "real", "imag", "conj", "clip", "round"),
    ):
        MEANING[row] = getattr(elementwise, row)
    for name in ("sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "argmax", "argmin"):
        MEANING[name] = getattr(reduction, name)
    for name in (
        *("shape", "size", "length", "unpack"),
        *("reshape", "dimshuffle", "transpose", "flatten", "ravel", "squeeze", "repeat"),
    ):
        MEANING[name] = getattr(shaping, name)
    MEANING.update(
        astype=_astype,
        dot=products.dot,
        matmul=products.matmul,
        index=indexing.index,
        set_subtensor=indexing.set_subtensor,
        inc_subtensor=indexing.inc_subtensor,
        numpy_ufunc=numpy_protocol.numpy_ufunc,
        numpy_function=numpy_protocol.numpy_function,
    )
