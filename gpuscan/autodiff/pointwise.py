"""Derivatives of pointwise operations: the gradient column of the table in `gpuscan.tensor.pointwise`.

An entry takes what comes in for the result, the result, and the operands, and returns what goes out for each operand:
the incoming value times the partial derivative, None where the result does not depend on an operand continuously.
Forward mode uses the same entries, since they are linear in what comes in. They stand here and not in the rows
themselves because they are written in functions that stand on the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import MISSING, Missing
from gpuscan.graph import Variable
from gpuscan.tensor.pointwise import Pointwise

Entry = Callable[..., tuple[Variable | Missing | None, ...]]


def _power(g: Variable, y: Variable, base: Variable, exponent: Variable) -> tuple[Variable, Variable]:
    # x ** 0 is constant also at x = 0, where x ** -1 is not finite: there another base stands in, so that no
    # derivative of any order multiplies 0 by infinity. y log(x) has the limit 0 at x = 0.
    safe = gt.switch(gt.eq(base, 0) & gt.eq(exponent, 0), 1, base)
    by_exponent = gt.switch(base > 0, y * gt.log(gt.switch(base > 0, base, 1)), 0)
    return g * (exponent * safe ** (exponent - 1)), g * by_exponent


def _logaddexp(g: Variable, y: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    # Equal infinities, as logarithms of probabilities 0 are, have no difference; they share.
    distance = gt.switch(gt.isinf(a) & gt.eq(a, b), 0, a - b)
    return g * gt.sigmoid(distance), g * gt.sigmoid(-distance)


def _zero(g: Variable, y: Variable, *operands: Variable) -> tuple[Variable, ...]:
    """Piecewise constant: the derivative is 0 wherever there is one."""
    return tuple(gt.zeros_like(g) for _ in operands)


def _none(g: Variable, y: Variable, *operands: Variable) -> tuple[None, ...]:
    """Integers and booleans come out: nothing depends on an operand continuously."""
    return tuple(None for _ in operands)


GRADIENTS: dict[str, Entry | None] = {
    # arithmetic
    "add": lambda g, y, a, b: (g, g),
    "sub": lambda g, y, a, b: (g, -g),
    "mul": lambda g, y, a, b: (g * b, g * a),
    "true_div": lambda g, y, a, b: (g / b, -g * y / b),
    "floor_div": _zero,
    "mod": lambda g, y, a, b: (g, -g * (a // b)),
    "power": _power,
    "neg": lambda g, y, a: (-g,),
    "abs": lambda g, y, a: (g * gt.sign(a),),
    "sign": _zero,
    "sqr": lambda g, y, a: (g * (2 * a),),
    "sqrt": lambda g, y, a: (g / (2 * y),),
    "cbrt": lambda g, y, a: (g / (3 * y * y),),
    "reciprocal": lambda g, y, a: (-g * y * y,),
    # Of two equal operands the first is the one chosen.
    "maximum": lambda g, y, a, b: (gt.switch(a >= b, g, 0), gt.switch(a >= b, 0, g)),
    "minimum": lambda g, y, a, b: (gt.switch(a <= b, g, 0), gt.switch(a <= b, 0, g)),
    "clip": lambda g, y, a, low, high: (
        gt.switch((a >= low) & (a <= high), g, 0),
        gt.switch((a < low) & (low <= high), g, 0),
        gt.switch(gt.maximum(a, low) > high, g, 0),
    ),
    "hypot": lambda g, y, a, b: (g * a / y, g * b / y),
    # comparison and logic
    **dict.fromkeys(("eq", "neq", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"), _none),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not"), _none),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"), _none),
    "switch": lambda g, y, c, a, b: (None, gt.switch(c, g, 0), gt.switch(c, 0, g)),
    # rounding
    **dict.fromkeys(("floor", "ceil", "trunc", "rint"), _zero),
    # exponentials and logarithms
    "exp": lambda g, y, a: (g * y,),
    "exp2": lambda g, y, a: (g * y * math.log(2),),
    "expm1": lambda g, y, a: (g * (y + 1),),
    "log": lambda g, y, a: (g / a,),
    "log2": lambda g, y, a: (g / (a * math.log(2)),),
    "log10": lambda g, y, a: (g / (a * math.log(10)),),
    "log1p": lambda g, y, a: (g / (1 + a),),
    "logaddexp": _logaddexp,
    # trigonometric and hyperbolic
    "sin": lambda g, y, a: (g * gt.cos(a),),
    "cos": lambda g, y, a: (-g * gt.sin(a),),
    "tan": lambda g, y, a: (g * (1 + y * y),),
    "arcsin": lambda g, y, a: (g / gt.sqrt(1 - a * a),),
    "arccos": lambda g, y, a: (-g / gt.sqrt(1 - a * a),),
    "arctan": lambda g, y, a: (g / (1 + a * a),),
    "arctan2": lambda g, y, a, b: (g * b / (a * a + b * b), -g * a / (a * a + b * b)),
    "sinh": lambda g, y, a: (g * gt.cosh(a),),
    "cosh": lambda g, y, a: (g * gt.sinh(a),),
    "tanh": lambda g, y, a: (g * (1 - y * y),),
    "arcsinh": lambda g, y, a: (g / gt.sqrt(a * a + 1),),
    "arccosh": lambda g, y, a: (g / gt.sqrt(a * a - 1),),
    "arctanh": lambda g, y, a: (g / (1 - a * a),),
    "deg2rad": lambda g, y, a: (g * (math.pi / 180),),
    "rad2deg": lambda g, y, a: (g * (180 / math.pi),),
    # special functions
    "sigmoid": lambda g, y, a: (g * y * (1 - y),),
    "softplus": lambda g, y, a: (g * gt.sigmoid(a),),
    "erf": lambda g, y, a: (g * (2 / math.sqrt(math.pi)) * gt.exp(-a * a),),
    "erfc": lambda g, y, a: (g * (-2 / math.sqrt(math.pi)) * gt.exp(-a * a),),
    "gammaln": lambda g, y, a: (g * gt.digamma(a),),
    "digamma": lambda g, y, a: (g * gt.polygamma(1, a),),
    "erfcx": lambda g, y, a: (g * (2 * a * y - 2 / math.sqrt(math.pi)),),
    "erfinv": lambda g, y, a: (g * (math.sqrt(math.pi) / 2) * gt.exp(y * y),),
    "ndtr": lambda g, y, a: (g * gt.exp(-a * a / 2) / math.sqrt(2 * math.pi),),
    "ndtri": lambda g, y, a: (g * math.sqrt(2 * math.pi) * gt.exp(y * y / 2),),
    "gamma": lambda g, y, a: (g * y * gt.digamma(a),),
    # The derivative by the shape has no short form.
    "gammainc": lambda g, y, a, x: (MISSING, g * gt.exp((a - 1) * gt.log(x) - x - gt.gammaln(a))),
    "gammaincc": lambda g, y, a, x: (MISSING, -g * gt.exp((a - 1) * gt.log(x) - x - gt.gammaln(a))),
    "betaln": lambda g, y, a, b: (
        g * (gt.digamma(a) - gt.digamma(a + b)),
        g * (gt.digamma(b) - gt.digamma(a + b)),
    ),
    "i0": lambda g, y, a: (g * gt.i1(a),),
    "i1": lambda g, y, a: (g * (gt.i0(a) - gt.switch(gt.eq(a, 0), 0.5, y / gt.switch(gt.eq(a, 0), 1, a))),),
    "log1mexp": lambda g, y, a: (-g / gt.expm1(-a),),
    "polygamma": lambda g, y, n, a: (None, g * Pointwise("polygamma")(n + 1, a)),  # n is whole
    # complex numbers: of real operands, as nothing is differentiated through complex ones
    "real": lambda g, y, a: (g,),
    "imag": _zero,
    "conj": lambda g, y, a: (g,),
    "angle": _zero,
}
"""For each row of the table its derivative; None where there is none, with the reason beside it."""
