"""NumPy's own functions on variables: ``np.tanh(x)`` builds graph as `gpuscan.tensor.tanh` does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gpuscan.graph import Variable
from gpuscan.tensor import (
    contraction,
    convolution,
    creation,
    cumulative,
    diagonals,
    elementwise,
    grids,
    indexing,
    joining,
    layout,
    linalg,
    moving,
    ordering,
    padding,
    products,
    reduction,
    selection,
    sizes,
    statistics,
    vectors,
)
from gpuscan.tensor.convert import as_tensor_variable

UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: elementwise.add,
    np.subtract: elementwise.sub,
    np.multiply: elementwise.mul,
    np.divide: elementwise.true_div,
    np.floor_divide: elementwise.floor_div,
    np.remainder: elementwise.mod,
    np.divmod: lambda a, b: (elementwise.floor_div(a, b), elementwise.mod(a, b)),
    np.power: elementwise.power,
    np.negative: elementwise.neg,
    np.positive: as_tensor_variable,
    np.absolute: elementwise.abs,
    np.square: elementwise.sqr,
    np.conjugate: elementwise.conj,
    np.degrees: elementwise.rad2deg,
    np.radians: elementwise.deg2rad,
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
            *(
                "sign",
                "sqrt",
                "cbrt",
                "reciprocal",
                "maximum",
                "minimum",
                "fmax",
                "fmin",
                "hypot",
                "isnan",
                "isinf",
                "isfinite",
            ),
            *("logical_and", "logical_or", "logical_xor", "logical_not"),
            *("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"),
            *("floor", "ceil", "trunc", "rint", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp"),
            *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh"),
            *("arcsinh", "arccosh", "arctanh", "deg2rad", "rad2deg"),
        )
    },
    # NumPy has some of them since 2.2.
    **{getattr(np, name): getattr(vectors, name) for name in ("vecdot", "matvec", "vecmat") if hasattr(np, name)},
}

SCIPY_UFUNCS = {
    "expit": elementwise.sigmoid,
    "logit": elementwise.logit,
    "erf": elementwise.erf,
    "erfc": elementwise.erfc,
    "gammaln": elementwise.gammaln,
    "psi": elementwise.digamma,
    **{
        name: getattr(elementwise, name)
        for name in (*("erfcx", "erfinv", "ndtr", "ndtri", "gamma", "gammainc", "gammaincc", "betaln", "i0", "i1"),)
    },
}
"""By name: importing scipy.special takes longer than all of gpuscan."""


def _reshape(x: Any, shape: Any) -> Variable:
    return layout.reshape(x, shape)


def _transpose(x: Any, axes: Any = None) -> Variable:
    return layout.transpose(x, axes)


def _split(x: Any, splits: Any, axis: int = 0) -> list[Variable]:
    if isinstance(splits, int | np.integer):
        return joining.split(x, splits, axis=axis)
    return joining.split_at(x, splits, axis)


def _cholesky(x: Any, *, upper: bool = False) -> Variable:
    return linalg.cholesky(x, lower=not upper)


def _ndim(x: Variable) -> int:
    return x.ndim


FUNCTIONS: dict[Any, tuple[Callable[..., Any], str]] = {
    np.shape: (sizes.shape, "x"),
    np.size: (sizes.size, "x"),
    np.ndim: (_ndim, "x"),
    np.copy: (as_tensor_variable, "x order"),
    np.where: (elementwise.switch, ""),
    np.clip: (elementwise.clip, "x min max out"),
    np.round: (elementwise.round, "x decimals out"),
    np.around: (elementwise.round, "x decimals out"),
    np.real: (elementwise.real, ""),
    np.imag: (elementwise.imag, ""),
    np.angle: (elementwise.angle, ""),
    np.isclose: (elementwise.isclose, "a b rtol atol equal_nan"),
    np.allclose: (reduction.allclose, "a b rtol atol equal_nan"),
    np.sum: (reduction.sum, "x axis dtype out keepdims"),
    np.prod: (reduction.prod, "x axis dtype out keepdims"),
    np.max: (reduction.max, "x axis out keepdims"),
    np.amax: (reduction.max, "x axis out keepdims"),
    np.min: (reduction.min, "x axis out keepdims"),
    np.amin: (reduction.min, "x axis out keepdims"),
    np.ptp: (reduction.ptp, "x axis out keepdims"),
    np.count_nonzero: (reduction.count_nonzero, "x axis keepdims"),
    np.any: (reduction.any, "x axis out keepdims"),
    np.all: (reduction.all, "x axis out keepdims"),
    np.argmax: (reduction.argmax, "x axis out"),
    np.argmin: (reduction.argmin, "x axis out"),
    np.mean: (reduction.mean, "x axis dtype out keepdims"),
    np.var: (reduction.var, "x axis dtype out ddof keepdims"),
    np.std: (reduction.std, "x axis dtype out ddof keepdims"),
    np.median: (statistics.median, "x axis out overwrite_input keepdims"),
    np.cov: (statistics.cov, "m y rowvar bias ddof fweights aweights dtype"),
    np.nan_to_num: (elementwise.nan_to_num, "x copy nan posinf neginf"),
    np.dot: (products.dot, "a b out"),
    np.outer: (products.outer, "a b out"),
    np.inner: (vectors.inner, ""),
    np.vdot: (vectors.vdot, ""),
    np.cross: (vectors.cross, "a b axisa axisb axisc axis"),
    np.convolve: (convolution.convolve, "a v mode"),
    np.kron: (products.kron, ""),
    np.tensordot: (products.tensordot, ""),
    np.einsum: (contraction.einsum, ""),
    np.cumsum: (cumulative.cumsum, "x axis dtype out"),
    np.cumprod: (cumulative.cumprod, "x axis dtype out"),
    np.diff: (cumulative.diff, "x n axis"),
    np.sort: (ordering.sort, "x axis kind order stable"),
    np.argsort: (ordering.argsort, "x axis kind order stable"),
    np.searchsorted: (ordering.searchsorted, "x v side sorter"),
    np.diag: (diagonals.diag, "x k"),
    np.diagonal: (diagonals.diagonal, "x offset axis1 axis2"),
    np.trace: (diagonals.trace, "x offset axis1 axis2 dtype out"),
    np.tril: (diagonals.tril, "x k"),
    np.triu: (diagonals.triu, "x k"),
    np.linalg.inv: (linalg.inv, ""),
    np.linalg.pinv: (linalg.pinv, ""),
    np.linalg.solve: (linalg.solve, ""),
    np.linalg.cholesky: (_cholesky, ""),
    np.linalg.det: (linalg.det, ""),
    np.linalg.slogdet: (linalg.slogdet, ""),
    np.linalg.eigh: (linalg.eigh, ""),
    np.linalg.svd: (linalg.svd, ""),
    np.linalg.qr: (linalg.qr, ""),
    np.linalg.norm: (linalg.norm, ""),
    np.linalg.matrix_power: (linalg.matrix_power, ""),
    np.take_along_axis: (selection.take_along_axis, "x indices axis"),
    np.roll: (moving.roll, "x shift axis"),
    np.flip: (moving.flip, "x axis"),
    np.flipud: (moving.flipud, "x"),
    np.fliplr: (moving.fliplr, "x"),
    np.pad: (padding.pad, "x pad_width mode constant_values"),
    np.take: (indexing.take, "x indices axis out mode"),
    np.reshape: (_reshape, "x shape order"),
    np.ravel: (layout.ravel, "x order"),
    np.transpose: (_transpose, "x axes"),
    np.moveaxis: (layout.moveaxis, "x source destination"),
    np.swapaxes: (layout.swapaxes, "x axis1 axis2"),
    np.squeeze: (layout.squeeze, "x axis"),
    np.expand_dims: (layout.expand_dims, "x axis"),
    np.atleast_1d: (layout.atleast_1d, ""),
    np.atleast_2d: (layout.atleast_2d, ""),
    np.atleast_3d: (layout.atleast_3d, ""),
    np.broadcast_to: (layout.broadcast_to, "x shape subok"),
    np.broadcast_arrays: (layout.broadcast_arrays, ""),
    np.concatenate: (joining.concatenate, "arrays axis out"),
    np.vstack: (joining.vstack, "arrays"),
    np.hstack: (joining.hstack, "arrays"),
    np.dstack: (joining.dstack, "arrays"),
    np.stack: (joining.stack, "arrays axis out"),
    np.split: (_split, "x splits axis"),
    np.tile: (joining.tile, "x reps"),
    np.repeat: (joining.repeat, "x repeats axis"),
    np.linspace: (grids.linspace, "start stop num endpoint retstep dtype axis"),
    np.logspace: (grids.logspace, "start stop num endpoint base dtype axis"),
    np.geomspace: (grids.geomspace, "start stop num endpoint dtype axis"),
    np.meshgrid: (grids.meshgrid, ""),
    np.zeros_like: (creation.zeros_like, "x dtype order subok"),
    np.ones_like: (creation.ones_like, "x dtype order subok"),
    np.empty_like: (creation.empty_like, "x dtype order subok"),
    np.full_like: (creation.full_like, "x fill_value dtype order subok"),
}
"""What means NumPy's function, and NumPy's order of the arguments in our names (empty: passed on as they are)."""

RENAMED = {
    "a": "x",
    "ary": "x",
    "A": "x",
    "m": "x",
    "arr": "x",
    "array": "x",
    "tup": "arrays",
    "a_min": "min",
    "a_max": "max",
    "indices_or_sections": "splits",
}
WITHOUT_EFFECT = {
    "out": None,
    "order": "C",
    "subok": True,
    "mode": "raise",
    "dtype": None,
    "copy": None,
    "stable": True,
}
"""Values of NumPy's options that ask for nothing special."""


def _called(function: Any, method: str = "__call__") -> str:
    # Universal functions do not know their module.
    module = getattr(function, "__module__", None) or ("numpy" if hasattr(np, function.__name__) else "scipy.special")
    return f"{module}.{function.__name__}{'' if method == '__call__' else '.' + method}"


def numpy_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply the gpuscan operation that means `ufunc`.

    Raises
    ------
    TypeError
        If there is none, or if it is called with options (``out``, ``where``, ``dtype``) or as ``reduce`` and the like.
    """
    meaning = UFUNCS.get(ufunc) or SCIPY_UFUNCS.get(ufunc.__name__)
    if method != "__call__" or meaning is None:
        raise TypeError(
            f"{_called(ufunc, method)} is not available for symbolic variables; see gpuscan.tensor for what is"
        )
    if kwargs:
        raise TypeError(f"{_called(ufunc)} on a symbolic variable takes no options; found {', '.join(kwargs)}")
    return meaning(*inputs)


def numpy_function(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply the gpuscan function that means NumPy's `function`.

    Raises
    ------
    TypeError
        If there is none, or it is called with an option that has no meaning for variables.
    """
    if function not in FUNCTIONS:
        raise TypeError(f"{_called(function)} is not available for symbolic variables; see gpuscan.tensor for what is")
    meaning, order = FUNCTIONS[function]
    names = order.split()
    renamed = {name if name in names else RENAMED.get(name, name): value for name, value in kwargs.items()}
    if not names:
        return meaning(*args, **renamed)
    given = {**dict(zip(names, args, strict=False)), **renamed}
    options = {name: value for name, value in given.items() if not _is_default(name, value)}
    try:
        inspect.signature(meaning).bind(**options)
    except TypeError as error:
        raise TypeError(f"{_called(function)} on a symbolic variable: {error}") from None
    return meaning(**options)


def _is_default(name: str, value: Any) -> bool:
    if value is np._NoValue:
        return True
    return name in WITHOUT_EFFECT and (value is None or isinstance(value, str | bool)) and value == WITHOUT_EFFECT[name]
