"""Rows of the pointwise table as NumPy functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from gpuscan.host.arrays import NUMPY
from gpuscan.host.writer import WORD_BEFORE_CALL
from gpuscan.tensor.pointwise import POINTWISE


@cache
def row_function(row: str) -> Callable[..., Any]:
    """Return an operation of the table as a function of arrays of the dtypes that it computes in."""
    spec = POINTWISE[row]
    operands = [f"operand_{i}" for i in range(spec.arity)]
    text = spec.numpy.format(*operands)
    names = {name: NUMPY.lookup(name) for name in WORD_BEFORE_CALL.findall(text)}
    function: Callable[..., Any] = eval(f"lambda {', '.join(operands)}: {text}", names)  # the table's own text
    return function
