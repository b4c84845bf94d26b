"""What the operators and methods of variables mean."""

from __future__ import annotations

from functools import partial
from typing import Any

from gpuscan.graph import Variable
from gpuscan.graph.operators import MEANING, STATE_METHODS
from gpuscan.tensor import (
    convert,
    cumulative,
    diagonals,
    elementwise,
    indexing,
    joining,
    layout,
    numpy_protocol,
    ordering,
    products,
    reduction,
    sizes,
)
from gpuscan.tensor.random.functions import FUNCTIONS, draw_method

METHODS: dict[Any, tuple[str, ...]] = {
    elementwise: (
        *("add", "sub", "mul", "true_div", "floor_div", "mod", "power", "neg", "abs"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "invert"),
        *("lt", "le", "gt", "ge", "real", "imag", "conj", "clip", "round"),
    ),
    reduction: ("sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "argmax", "argmin"),
    cumulative: ("cumsum", "cumprod"),
    ordering: ("sort", "argsort"),
    diagonals: ("diagonal", "trace"),
    sizes: ("shape", "size", "length", "unpack"),
    layout: ("reshape", "dimshuffle", "transpose", "swapaxes", "flatten", "ravel", "squeeze"),
    joining: ("repeat",),
    indexing: ("index", "set_subtensor", "inc_subtensor", "take"),
    products: ("dot", "matmul"),
    numpy_protocol: ("numpy_ufunc", "numpy_function"),
}
"""Which module says what an operator or method means."""


def _astype(x: Variable, dtype: Any) -> Variable:
    return convert.cast(x, dtype)


def install() -> None:
    """Give variables their operators."""
    for module, names in METHODS.items():
        MEANING.update({name: getattr(module, name) for name in names})
    MEANING["astype"] = _astype
    MEANING["as_tensor_variable"] = convert.as_tensor_variable
    STATE_METHODS.update({name: partial(draw_method, name=name) for name in FUNCTIONS})
