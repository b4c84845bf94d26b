"""NumPy's own functions on variables: ``np.tanh(x)`` builds graph as `gpuscan.tensor.tanh` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gpuscan.tensor import creation, elementwise, indexing, products, reduction, shaping

UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: elementwise.add,
    np.subtract: elementwise.sub,
    np.multiply: elementwise.mul,
    np.divide: elementwise.true_div,
    np.floor_divide: elementwise.floor_div,
    np.remainder: elementwise.mod,
    np.power: elementwise.power,
    np.negative: elementwise.neg,
    np.absolute: elementwise.abs,
    np.square: elementwise.sqr,
    np.conjugate: elementwise.conj,
    np.equal: elementwise.eq,
    np.not_equal: elementwise.neq,
    np.less: elementwise.lt,
    np.less_equal: elementwise.le,
    np.greater: elementwise.gt,
    np.greater_equal: elementwise.ge,
    np.matmul: products.matmul,
    **{
        getattr(np, name): getattr(elementwise, name)
        for name in (
            *("sign", "sqrt", "cbrt", "reciprocal", "maximum", "minimum", "hypot", "isnan", "isinf", "isfinite"),
            *("logical_and", "logical_or", "logical_xor", "logical_not"),
            *("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"),
            *("floor", "ceil", "trunc", "rint", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp"),
            *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh"),
            *("arcsinh", "arccosh", "arctanh", "deg2rad", "rad2deg"),
        )
    },
}

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: shaping.concatenate,
    np.stack: shaping.stack,
    np.where: elementwise.switch,
    np.clip: elementwise.clip,
    np.round: elementwise.round,
    np.real: elementwise.real,
    np.imag: elementwise.imag,
    np.angle: elementwise.angle,
    np.shape: shaping.shape,
    np.dot: products.dot,
    np.outer: products.outer,
    np.take: indexing.take,
    **{
        getattr(np, name): getattr(reduction, name)
        for name in ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "mean", "var", "std")
    },
    **{
        getattr(np, name): getattr(shaping, name)
        for name in (
            *("reshape", "transpose", "ravel", "squeeze", "expand_dims", "broadcast_to", "moveaxis", "swapaxes"),
            *("tile", "repeat", "split", "atleast_1d", "atleast_2d"),
        )
    },
    **{getattr(np, name): getattr(creation, name) for name in ("zeros_like", "ones_like", "full_like", "empty_like")},
}


def _name(function: Any) -> str:
    return f"numpy.{function.__name__}"


def numpy_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply the gpuscan operation that means `ufunc`.

    Raises
    ------
    TypeError
        If there is none, or if it is called with options (``out``, ``where``, ``dtype``) or as ``reduce`` and the like.
    """
    if method != "__call__" or ufunc not in UFUNCS:
        called = _name(ufunc) + ("" if method == "__call__" else f".{method}")
        raise TypeError(f"{called} is not available for symbolic variables; see gpuscan.tensor for what is")
    if kwargs:
        raise TypeError(f"{_name(ufunc)} on a symbolic variable takes no options; found {', '.join(kwargs)}")
    return UFUNCS[ufunc](*inputs)


def numpy_function(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply the gpuscan function that means NumPy's `function`.

    Raises
    ------
    TypeError
        If there is none.
    """
    if function not in FUNCTIONS:
        raise TypeError(f"{_name(function)} is not available for symbolic variables; see gpuscan.tensor for what is")
    return FUNCTIONS[function](*args, **{name: value for name, value in kwargs.items() if value is not np._NoValue})
