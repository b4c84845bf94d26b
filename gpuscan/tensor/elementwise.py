"""What users call for pointwise operations. The operations themselves are the table in `pointwise`."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError
from gpuscan.graph import Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.pointwise import FLOAT_RULES, POINTWISE, Pointwise, Row, kind, promote


def apply(row: str, *values: Any) -> Variable:
    """Return operation `row` of the table applied to `values`; integers become floatX where it computes in floats."""
    variables = operands(*values)
    if POINTWISE[row].rule in FLOAT_RULES and kind(promote(*(v.dtype for v in variables))) in "biu":
        variables = [cast(v, config.floatX) for v in variables]
    return Pointwise(row)(*variables)


def _function(row: str) -> Callable[..., Variable]:
    spec: Row = POINTWISE[row]

    def function(*values: Any) -> Variable:
        if len(values) != spec.arity:
            raise TypeError(f"{row}() takes {spec.arity} arguments, not {len(values)}")
        return apply(row, *values)

    function.__name__ = function.__qualname__ = row
    function.__doc__ = f"{spec.doc} Pointwise, with NumPy's broadcasting."
    return function


def _unless(kinds: str, row: str) -> Callable[[Any], Variable]:
    """Return the function of `row` that gives back what it gets where that is of one of the kinds `kinds`."""

    def function(x: Any) -> Variable:
        x = as_tensor_variable(x)
        return x if kind(x.dtype) in kinds else apply(row, x)

    function.__name__ = function.__qualname__ = row
    function.__doc__ = (
        f"{POINTWISE[row].doc} Pointwise; {'integers' if 'i' in kinds else 'real numbers'} stay as they are."
    )
    return function


add = _function("add")
sub = _function("sub")
mul = _function("mul")
true_div = _function("true_div")
floor_div = _function("floor_div")
mod = _function("mod")
power = _function("power")
neg = _function("neg")
abs = _function("abs")
sign = _function("sign")
sqr = _function("sqr")
sqrt = _function("sqrt")
cbrt = _function("cbrt")
reciprocal = _function("reciprocal")
maximum = _function("maximum")
minimum = _function("minimum")
hypot = _function("hypot")
eq = _function("eq")
neq = _function("neq")
lt = _function("lt")
le = _function("le")
gt = _function("gt")
ge = _function("ge")
isnan = _function("isnan")
isinf = _function("isinf")
isfinite = _function("isfinite")
logical_and = _function("logical_and")
logical_or = _function("logical_or")
logical_xor = _function("logical_xor")
logical_not = _function("logical_not")
bitwise_and = _function("bitwise_and")
bitwise_or = _function("bitwise_or")
bitwise_xor = _function("bitwise_xor")
invert = _function("invert")
left_shift = _function("left_shift")
right_shift = _function("right_shift")
switch = _function("switch")
exp = _function("exp")
exp2 = _function("exp2")
expm1 = _function("expm1")
log = _function("log")
log2 = _function("log2")
log10 = _function("log10")
log1p = _function("log1p")
logaddexp = _function("logaddexp")
sin = _function("sin")
cos = _function("cos")
tan = _function("tan")
arcsin = _function("arcsin")
arccos = _function("arccos")
arctan = _function("arctan")
arctan2 = _function("arctan2")
sinh = _function("sinh")
cosh = _function("cosh")
tanh = _function("tanh")
arcsinh = _function("arcsinh")
arccosh = _function("arccosh")
arctanh = _function("arctanh")
deg2rad = _function("deg2rad")
rad2deg = _function("rad2deg")
sigmoid = _function("sigmoid")
softplus = _function("softplus")
erf = _function("erf")
erfc = _function("erfc")
gammaln = _function("gammaln")
digamma = _function("digamma")
erfcx = _function("erfcx")
erfinv = _function("erfinv")
ndtr = _function("ndtr")
ndtri = _function("ndtri")
gamma = _function("gamma")
gammainc = _function("gammainc")
gammaincc = _function("gammaincc")
betaln = _function("betaln")
i0 = _function("i0")
i1 = _function("i1")
log1mexp = _function("log1mexp")
imag = _function("imag")
angle = _function("angle")
floor = _unless("biu", "floor")
ceil = _unless("biu", "ceil")
trunc = _unless("biu", "trunc")
rint = _unless("biu", "rint")
real = _unless("biuf", "real")
conj = _unless("biuf", "conj")

# Other names for them, NumPy's and Theano's.
where = switch
absolute = abs
square = sqr
sgn = sign
inv = reciprocal
divide = true_div
int_div = floor_div
subtract = sub
multiply = mul
negative = neg
not_equal = neq
pow = power
and_ = bitwise_and
or_ = bitwise_or
xor = bitwise_xor
psi = digamma


def clip(x: Any, min: Any = None, max: Any = None) -> Variable:
    """Return `x` held between `min` and `max`; None leaves a side open."""
    if min is None and max is None:
        return as_tensor_variable(x)
    if min is None:
        return apply("minimum", x, max)
    if max is None:
        return apply("maximum", x, min)
    variables = operands(x, min, max)
    # Promoting the first two and then the third can end elsewhere than promoting all three.
    common = promote(*(v.dtype for v in variables))
    return Pointwise("clip")(*(cast(v, common) for v in variables))


def polygamma(n: Any, x: Any) -> Variable:
    """Return the derivative of order `n` of digamma at `x`; of order 0 that is digamma itself.

    Parameters
    ----------
    n : int or integer variable
        The order; a variable must be positive.
    x : array_like
        Real numbers.
    """
    n, x = as_tensor_variable(n), as_tensor_variable(x)
    if kind(n.dtype) not in "iu":
        raise DtypeError(f"polygamma: the order must be an integer; found {n.type}")
    if n.known is not None and n.known < 0:
        raise ValueError(f"polygamma: the order must not be negative; found {n.known}")
    x = cast(x, config.floatX) if kind(x.dtype) in "biu" else x
    return digamma(x) if n.known == 0 else Pointwise("polygamma")(cast(n, x.dtype), x)


def round(x: Any, decimals: int = 0) -> Variable:
    """Return `x` rounded to `decimals` decimals, halves to even, as NumPy does."""
    x = as_tensor_variable(x)
    if decimals == 0 or (kind(x.dtype) in "biu" and decimals > 0):
        return rint(x)
    scale = 10.0 ** builtins.abs(decimals)
    rounded = rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale
    return cast(rounded, x.dtype)


def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Variable:
    """Return where ``abs(a - b) <= atol + rtol * abs(b)``; infinities are close to themselves."""
    x, y = operands(a, b)
    if kind(promote(x.dtype, y.dtype)) in "biu":
        x, y = cast(x, config.floatX), cast(y, config.floatX)
    close = or_(and_(le(abs(x - y), atol + rtol * abs(y)), isfinite(y)), eq(x, y))
    return or_(close, and_(isnan(x), isnan(y))) if equal_nan else close


def fmax(x1: Any, x2: Any) -> Variable:
    """Return the larger of two numbers, the other one where one is NaN. Pointwise, with NumPy's broadcasting."""
    x1, x2 = operands(x1, x2)
    return switch(or_(ge(x1, x2), isnan(x2)), x1, x2)


def fmin(x1: Any, x2: Any) -> Variable:
    """Return the smaller of two numbers, the other one where one is NaN. Pointwise, with NumPy's broadcasting."""
    x1, x2 = operands(x1, x2)
    return switch(or_(le(x1, x2), isnan(x2)), x1, x2)


def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Variable:
    """Return `x` with numbers in place of NaN and infinities; integers stay as they are.

    Parameters
    ----------
    x : array_like
        Values; of complex ones both parts are treated.
    nan : scalar
        What NaN becomes.
    posinf, neginf : scalar, optional
        What infinity and minus infinity become: by default the largest number of the dtype and its negative.

    Returns
    -------
    Variable
        Of the shape and dtype of `x`.
    """
    values = as_tensor_variable(x)
    if kind(values.dtype) == "c":
        return add(nan_to_num(real(x), nan, posinf, neginf), 1j * nan_to_num(imag(x), nan, posinf, neginf))
    if kind(values.dtype) != "f":
        return values
    largest = float(np.finfo(values.dtype).max)
    above, below = (largest if posinf is None else posinf), (-largest if neginf is None else neginf)
    number, high, low = (cast(value, values.dtype) for value in (nan, above, below))
    return switch(isnan(values), number, switch(isinf(values), switch(gt(values, 0), high, low), values))


def relu(x: Any, alpha: Any = 0) -> Variable:
    """Return `x` where it is positive and ``alpha * x`` elsewhere.

    Parameters
    ----------
    x : array_like
        Real numbers.
    alpha : scalar or array_like
        Slope below 0: 0 for the rectified linear unit, a small number for a leaky one, an array for one of each.

    Returns
    -------
    Variable
        Its derivative at 0 is `alpha`.
    """
    x = as_tensor_variable(x)
    if isinstance(alpha, builtins.int | builtins.float) and alpha == 0:
        return switch(le(x, 0), cast(0, x.dtype), x)
    return switch(gt(x, 0), x, alpha * x)


def logit(x: Any) -> Variable:
    """Return ``log(x / (1 - x))``, the inverse of `sigmoid`. Pointwise; integers become floatX."""
    x = as_tensor_variable(x)
    x = cast(x, config.floatX) if kind(x.dtype) in "biu" else x
    return log(x / (1 - x))
