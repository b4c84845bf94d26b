"""Pointwise operations: one row of a table each.

A row says what the operation is called, which dtypes it computes in and returns, how NumPy says it and how CUDA C++
says it. Nothing else in gpuscan names a pointwise operation, except to treat it in a way of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, TensorType, Variable, broadcast_shapes

Dtypes = tuple[str, ...]
Rule = Callable[[Dtypes], tuple[Dtypes, str]]
"""From the dtypes of the operands to the dtypes they are converted to, and the dtype of the result."""


@cache
def promote(*dtypes: str) -> str:
    """Return the dtype that NumPy computes in when arrays of these dtypes meet."""
    return np.result_type(*map(np.dtype, dtypes)).name


@cache
def kind(dtype: str) -> str:
    """Return NumPy's kind letter: b(ool), i(nt), u(nsigned), f(loat), c(omplex)."""
    return np.dtype(dtype).kind


def real_part_dtype(dtype: str) -> str:
    """Return the dtype of the real part of a number of this dtype."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def _same(dtypes: Dtypes) -> tuple[Dtypes, str]:
    common = promote(*dtypes)
    return (common,) * len(dtypes), common


def _counted(dtypes: Dtypes) -> tuple[Dtypes, str]:
    # As NumPy does where it has no loop for booleans.
    common = promote(*dtypes)
    common = "int8" if common == "bool" else common
    return (common,) * len(dtypes), common


def _number(dtypes: Dtypes) -> tuple[Dtypes, str]:
    if (common := promote(*dtypes)) == "bool":
        raise DtypeError("booleans have no sign and no difference; cast them to an integer, or use ^ or ~")
    return (common,) * len(dtypes), common


def _float(dtypes: Dtypes) -> tuple[Dtypes, str]:
    common = promote(*dtypes)
    if kind(common) not in "fc":
        raise DtypeError(f"is computed in floating point; cast {common} to a float dtype first")
    return (common,) * len(dtypes), common


def _real_float(dtypes: Dtypes) -> tuple[Dtypes, str]:
    operands, common = _float(dtypes)
    if kind(common) == "c":
        raise DtypeError(f"is not defined for {common}")
    return operands, common


def _compare(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return _same(dtypes)[0], "bool"


def _order(dtypes: Dtypes) -> tuple[Dtypes, str]:
    operands, common = _same(dtypes)
    if kind(common) == "c":
        raise DtypeError(f"complex numbers have no order; {common} cannot be compared in size")
    return operands, common


def _order_counted(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return _counted(_order(dtypes)[0])


def _compare_order(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return _order(dtypes)[0], "bool"


def _logic(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return ("bool",) * len(dtypes), "bool"


def _bits(dtypes: Dtypes) -> tuple[Dtypes, str]:
    operands, common = _same(dtypes)
    if kind(common) not in "biu":
        raise DtypeError(f"works on the bits of integers and booleans, not on {common}")
    return operands, common


def _integer(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return _counted(_bits(dtypes)[0])


def _classify(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return tuple(d if kind(d) in "fc" else "float64" for d in dtypes), "bool"


def _choose(dtypes: Dtypes) -> tuple[Dtypes, str]:
    common = promote(*dtypes[1:])
    return ("bool", common, common), common


def _magnitude(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return dtypes, real_part_dtype(dtypes[0])


def _direction(dtypes: Dtypes) -> tuple[Dtypes, str]:
    return _magnitude(_float(dtypes)[0])


FLOAT_RULES = (_float, _real_float, _direction)
"""The rules of what is computed in floating point only."""


@dataclass(frozen=True)
class Row:
    """One pointwise operation.

    Attributes
    ----------
    arity : int
        Number of operands.
    rule : callable
        Its dtypes.
    numpy : str
        Python expression over the operands ``{0}``, ``{1}``, ...; names are functions of NumPy or scipy.special, which
        CuPy has too.
    c : str
        CUDA C++ expression over operands already converted; ``gs::`` names are in
        ``kernels/pointwise.cuh`` and ``kernels/special.cuh``.
    doc : str
        What it computes.
    integer : callable, optional
        Its value on Python ints, for operations that occur in sizes; None where it has none.
    """

    arity: int
    rule: Rule
    numpy: str
    c: str
    doc: str
    integer: Callable[..., int | None] | None = None


POINTWISE: dict[str, Row] = {
    # arithmetic
    "add": Row(2, _same, "{0} + {1}", "{0} + {1}", "Sum.", lambda a, b: a + b),
    "sub": Row(2, _number, "{0} - {1}", "{0} - {1}", "Difference.", lambda a, b: a - b),
    "mul": Row(2, _same, "{0} * {1}", "{0} * {1}", "Product.", lambda a, b: a * b),
    "true_div": Row(2, _float, "{0} / {1}", "{0} / {1}", "Quotient; of integers it is a float."),
    "floor_div": Row(2, _order_counted, "{0} // {1}", "gs::floor_div({0}, {1})", "Quotient rounded down.",
                     lambda a, b: a // b if b else 0),
    "mod": Row(2, _order_counted, "{0} % {1}", "gs::mod({0}, {1})", "Remainder, with the divisor's sign.",
               lambda a, b: a % b if b else 0),
    "power": Row(2, _counted, "{0} ** {1}", "gs::power({0}, {1})", "First to the power of the second.",
                 lambda a, b: a**b if 0 <= b < 64 else None),
    "neg": Row(1, _number, "-{0}", "-{0}", "Negative.", lambda a: -a),
    "abs": Row(1, _magnitude, "abs({0})", "gs::absolute({0})", "Absolute value.", lambda a: abs(a)),
    "sign": Row(1, _number, "sign({0})", "gs::sign({0})", "-1, 0 or 1; NaN for NaN.", lambda a: (a > 0) - (a < 0)),
    "sqr": Row(1, _counted, "square({0})", "{0} * {0}", "Square.", lambda a: a * a),
    "sqrt": Row(1, _float, "sqrt({0})", "sqrt({0})", "Square root."),
    "cbrt": Row(1, _real_float, "cbrt({0})", "cbrt({0})", "Cube root."),
    "reciprocal": Row(1, _float, "1 / {0}", "1 / {0}", "One divided by it."),
    "maximum": Row(2, _order, "maximum({0}, {1})", "gs::maximum({0}, {1})", "Larger of two; NaN if one is.",
                   lambda a, b: max(a, b)),
    "minimum": Row(2, _order, "minimum({0}, {1})", "gs::minimum({0}, {1})", "Smaller of two; NaN if one is.",
                   lambda a, b: min(a, b)),
    "clip": Row(3, _order, "minimum(maximum({0}, {1}), {2})", "gs::minimum(gs::maximum({0}, {1}), {2})",
                "First, held between the second and the third.", lambda a, low, high: min(max(a, low), high)),
    "hypot": Row(2, _real_float, "hypot({0}, {1})", "hypot({0}, {1})", "Length of the hypotenuse."),
    # comparison and logic
    "eq": Row(2, _compare, "{0} == {1}", "{0} == {1}", "Whether they are equal.", lambda a, b: a == b),
    "neq": Row(2, _compare, "{0} != {1}", "{0} != {1}", "Whether they differ.", lambda a, b: a != b),
    "lt": Row(2, _compare_order, "{0} < {1}", "{0} < {1}", "Whether the first is smaller.", lambda a, b: a < b),
    "le": Row(2, _compare_order, "{0} <= {1}", "{0} <= {1}", "Whether the first is smaller or equal.",
             lambda a, b: a <= b),
    "gt": Row(2, _compare_order, "{0} > {1}", "{0} > {1}", "Whether the first is larger.", lambda a, b: a > b),
    "ge": Row(2, _compare_order, "{0} >= {1}", "{0} >= {1}", "Whether the first is larger or equal.",
             lambda a, b: a >= b),
    "isnan": Row(1, _classify, "isnan({0})", "gs::is_nan({0})", "Whether it is NaN."),
    "isinf": Row(1, _classify, "isinf({0})", "gs::is_inf({0})", "Whether it is infinite."),
    "isfinite": Row(1, _classify, "isfinite({0})", "gs::is_finite({0})", "Whether it is neither infinite nor NaN."),
    "logical_and": Row(2, _logic, "logical_and({0}, {1})", "{0} && {1}", "Whether both are true (not zero).",
                       lambda a, b: a != 0 and b != 0),
    "logical_or": Row(2, _logic, "logical_or({0}, {1})", "{0} || {1}", "Whether one is true (not zero).",
                      lambda a, b: a != 0 or b != 0),
    "logical_xor": Row(2, _logic, "logical_xor({0}, {1})", "{0} != {1}", "Whether exactly one is true (not zero)."),
    "logical_not": Row(1, _logic, "logical_not({0})", "!{0}", "Whether it is false (zero).", lambda a: a == 0),
    "bitwise_and": Row(2, _bits, "{0} & {1}", "{0} & {1}", "And of each bit."),
    "bitwise_or": Row(2, _bits, "{0} | {1}", "{0} | {1}", "Or of each bit."),
    "bitwise_xor": Row(2, _bits, "{0} ^ {1}", "{0} ^ {1}", "Exclusive or of each bit."),
    "invert": Row(1, _bits, "invert({0})", "gs::invert({0})", "Each bit turned over; not, for booleans."),
    "left_shift": Row(2, _integer, "left_shift({0}, {1})", "gs::left_shift({0}, {1})", "Bits moved up."),
    "right_shift": Row(2, _integer, "right_shift({0}, {1})", "gs::right_shift({0}, {1})", "Bits moved down."),
    "switch": Row(3, _choose, "where({0}, {1}, {2})", "{0} ? {1} : {2}", "Second where the first holds, else third.",
                  lambda condition, a, b: a if condition else b),
    # rounding
    "floor": Row(1, _real_float, "floor({0})", "floor({0})", "Largest integer not above it."),
    "ceil": Row(1, _real_float, "ceil({0})", "ceil({0})", "Smallest integer not below it."),
    "trunc": Row(1, _real_float, "trunc({0})", "trunc({0})", "Nearest integer towards zero."),
    "rint": Row(1, _real_float, "rint({0})", "rint({0})", "Nearest integer, halves to even."),
    # exponentials and logarithms
    "exp": Row(1, _float, "exp({0})", "exp({0})", "Exponential."),
    "exp2": Row(1, _real_float, "exp2({0})", "exp2({0})", "Two to its power."),
    "expm1": Row(1, _real_float, "expm1({0})", "expm1({0})", "exp(x) - 1, accurate near 0."),
    "log": Row(1, _float, "log({0})", "log({0})", "Natural logarithm."),
    "log2": Row(1, _real_float, "log2({0})", "log2({0})", "Logarithm to base 2."),
    "log10": Row(1, _real_float, "log10({0})", "log10({0})", "Logarithm to base 10."),
    "log1p": Row(1, _real_float, "log1p({0})", "log1p({0})", "log(1 + x), accurate near 0."),
    "logaddexp": Row(2, _real_float, "logaddexp({0}, {1})", "gs::logaddexp({0}, {1})", "log(exp(x) + exp(y)), safely."),
    # trigonometric and hyperbolic
    "sin": Row(1, _float, "sin({0})", "sin({0})", "Sine."),
    "cos": Row(1, _float, "cos({0})", "cos({0})", "Cosine."),
    "tan": Row(1, _float, "tan({0})", "tan({0})", "Tangent."),
    "arcsin": Row(1, _float, "arcsin({0})", "asin({0})", "Inverse sine."),
    "arccos": Row(1, _float, "arccos({0})", "acos({0})", "Inverse cosine."),
    "arctan": Row(1, _float, "arctan({0})", "atan({0})", "Inverse tangent."),
    "arctan2": Row(2, _real_float, "arctan2({0}, {1})", "atan2({0}, {1})", "Angle of the point (second, first)."),
    "sinh": Row(1, _float, "sinh({0})", "sinh({0})", "Hyperbolic sine."),
    "cosh": Row(1, _float, "cosh({0})", "cosh({0})", "Hyperbolic cosine."),
    "tanh": Row(1, _float, "tanh({0})", "tanh({0})", "Hyperbolic tangent."),
    "arcsinh": Row(1, _float, "arcsinh({0})", "asinh({0})", "Inverse hyperbolic sine."),
    "arccosh": Row(1, _float, "arccosh({0})", "acosh({0})", "Inverse hyperbolic cosine."),
    "arctanh": Row(1, _float, "arctanh({0})", "atanh({0})", "Inverse hyperbolic tangent."),
    "deg2rad": Row(1, _real_float, "deg2rad({0})", "gs::deg2rad({0})", "Degrees as radians."),
    "rad2deg": Row(1, _real_float, "rad2deg({0})", "gs::rad2deg({0})", "Radians as degrees."),
    # special functions
    "sigmoid": Row(1, _real_float, "1 / (1 + exp(-{0}))", "gs::sigmoid({0})", "1 / (1 + exp(-x))."),
    "softplus": Row(1, _real_float, "logaddexp({0}, 0)", "gs::softplus({0})", "log(1 + exp(x)), safely."),
    "erf": Row(1, _real_float, "erf({0})", "erf({0})", "Error function."),
    "erfc": Row(1, _real_float, "erfc({0})", "erfc({0})", "1 - erf(x), accurate for large x."),
    "gammaln": Row(1, _real_float, "gammaln({0})", "gs::gammaln({0})", "Logarithm of the absolute gamma function."),
    "digamma": Row(1, _real_float, "digamma({0})", "gs::digamma({0})", "Derivative of gammaln."),
    "erfcx": Row(1, _real_float, "erfcx({0})", "erfcx({0})", "exp(x * x) * erfc(x), in range for large x."),
    "erfinv": Row(1, _real_float, "erfinv({0})", "erfinv({0})", "Inverse of erf."),
    "ndtr": Row(1, _real_float, "ndtr({0})", "normcdf({0})", "Distribution function of the normal distribution."),
    "ndtri": Row(1, _real_float, "ndtri({0})", "gs::ndtri({0})", "Quantile of the normal distribution."),
    "gamma": Row(1, _real_float, "gamma({0})", "gs::gamma({0})", "Gamma function."),
    "gammainc": Row(2, _real_float, "gammainc({0}, {1})", "gs::gammainc({0}, {1})",
                    "Regularised lower incomplete gamma function: of shape a the distribution function at x."),
    "gammaincc": Row(2, _real_float, "gammaincc({0}, {1})", "gs::gammaincc({0}, {1})",
                     "1 - gammainc(a, x), accurate where that is small."),
    "betaln": Row(2, _real_float, "betaln({0}, {1})", "gs::betaln({0}, {1})", "Logarithm of the beta function."),
    "i0": Row(1, _real_float, "i0({0})", "cyl_bessel_i0({0})", "Modified Bessel function of order 0."),
    "i1": Row(1, _real_float, "i1({0})", "cyl_bessel_i1({0})", "Modified Bessel function of order 1."),
    "log1mexp": Row(1, _real_float, "log1mexp({0})", "gs::log1mexp({0})", "log(1 - exp(x)), accurate for all x < 0."),
    "polygamma": Row(2, _real_float, "(-1.0) ** ({0} + 1) * gamma({0} + 1) * zeta({0} + 1, {1})",
                     "gs::polygamma({0}, {1})", "Derivative of digamma of positive whole order."),
    # complex numbers
    "real": Row(1, _magnitude, "{0}.real", "gs::real({0})", "Real part."),
    "imag": Row(1, _magnitude, "{0}.imag", "gs::imag({0})", "Imaginary part."),
    "conj": Row(1, _counted, "conjugate({0})", "gs::conj({0})", "Complex conjugate."),
    "angle": Row(1, _direction, "angle({0})", "gs::angle({0})", "Angle in the complex plane."),
}  # fmt: skip


@final
@dataclass(frozen=True)
class Pointwise(Op):
    """Row `row` of the table applied to each element; operands broadcast as in NumPy."""

    row: str

    @property
    def name(self) -> str:
        return self.row

    @property
    def spec(self) -> Row:
        """The row of the table."""
        return POINTWISE[self.row]

    def dtypes(self, inputs: Sequence[Variable]) -> tuple[Dtypes, str]:
        """Return the dtypes that the operands are converted to, and the result's."""
        return self.spec.rule(tuple(v.dtype for v in inputs))

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        if len(inputs) != self.spec.arity:
            raise ShapeError(f"{self.row} takes {self.spec.arity} operands, not {len(inputs)}")
        try:
            dtype = self.dtypes(inputs)[1]
            shape = broadcast_shapes(v.type.shape for v in inputs)
        except (DtypeError, ShapeError) as error:
            operands = ", ".join(f"{v.name or 'operand'}: {v.type}" for v in inputs)
            raise type(error)(f"{self.row}({operands}): {error}") from None
        return (TensorType(dtype, shape),)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        values = [v.known for v in inputs if v.known is not None]
        if self.spec.integer is None or len(values) != len(inputs):
            return None
        return _held(self.spec.integer(*values), self.dtypes(inputs)[1])


def _held(value: int | None, dtype: str) -> int | None:
    """Return `value` if a number of type `dtype` can have it; beyond that range arithmetic wraps around."""
    if value is None or kind(dtype) not in "biu":
        return None
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return int(value) if low <= value <= high else None


@final
@dataclass(frozen=True)
class Cast(Op):
    """Each element converted to `dtype`, as ``ndarray.astype`` does."""

    dtype: str

    @property
    def name(self) -> str:
        return f"cast[{self.dtype}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        type_ = inputs[0].type
        if kind(type_.dtype) == "c" and kind(self.dtype) not in "bc":
            raise DtypeError(
                f"cast of {type_} to {self.dtype}: use real(x), imag(x), abs(x) or angle(x) to say which part"
            )
        return (type_.with_dtype(self.dtype),)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        value = inputs[0].known
        return int(value != 0) if value is not None and self.dtype == "bool" else _held(value, self.dtype)
