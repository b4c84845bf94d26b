"""Powers by small whole numbers as products: a power costs a logarithm and an exponential.

Results differ from the power's by roundings. Powers of a half become square roots, which differ in one number: the
power of minus infinity is infinity, its square root NaN.
"""

from __future__ import annotations

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.rewrite.matching import Rules, as_result, filled, rewrite_nodes, uniform
from gpuscan.tensor.pointwise import Pointwise, kind

LARGEST = 8
"""Powers up to this, positive or negative, become products: three at most."""


def small_powers(graph: Graph) -> Graph | None:
    """Replace ``x ** n`` for a whole number n by products of x, for a negative one of 1 / x, and ``x ** 0.5``."""
    return rewrite_nodes(graph, RULES)


def _power(node: Apply) -> Variable | None:
    base, exponent = node.inputs
    dtype, value = node.outputs[0].dtype, uniform(exponent)
    if value is None or kind(dtype) == "c" or kind(base.dtype) == "b":
        return None
    n = float(value)
    if n == 0:
        return filled(1, node)
    whole = n.is_integer() and abs(n) <= LARGEST and (n > 0 or kind(dtype) == "f")
    if not whole and (abs(n) != 0.5 or kind(dtype) != "f"):
        return None
    # Converted first: what an int8 is squared to may need the int64 of the exponent.
    x = as_result(base, node)
    if x is None:
        return None
    if not whole:
        root = Pointwise("sqrt")(x)
        return root if n > 0 else Pointwise("reciprocal")(root)
    # The inverse before the product, which would leave the range where the result does not.
    return _product(x if n > 0 else Pointwise("reciprocal")(x), int(abs(n)))


def _product(x: Variable, n: int) -> Variable:
    """Return the product of n factors x, by squaring."""
    if n == 1:
        return x
    half = _product(x, n // 2)
    square = Pointwise("sqr")(half)
    return Pointwise("mul")(square, x) if n % 2 else square


def _square(node: Apply) -> Variable | None:
    """Read ``x * x`` as a square, which reads its operand once."""
    a, b = node.inputs
    return Pointwise("sqr")(a) if a is b and kind(a.dtype) in "fiu" else None


RULES: Rules = {"power": [_power], "mul": [_square]}
