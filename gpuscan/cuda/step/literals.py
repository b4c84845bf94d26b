"""Values that are written into the text as numbers."""

from __future__ import annotations

from gpuscan.graph import Constant, Variable


def is_literal(variable: Variable) -> bool:
    """Whether a value is written into the text as a number."""
    return variable.known is not None or (isinstance(variable, Constant) and variable.data.size == 1)
