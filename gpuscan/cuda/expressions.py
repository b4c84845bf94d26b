"""Values and operations of a step as CUDA C++ text."""

from __future__ import annotations

import math

import numpy as np

from gpuscan.cuda.kernel import C_TYPES
from gpuscan.graph import Apply, Constant, Variable
from gpuscan.tensor.guards import SpecifyShape
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle


def literal(variable: Variable) -> str:
    """Return the text of a number that is known when the text is written."""
    if isinstance(variable, Constant):
        return number(variable.data.reshape(()).item(), variable.dtype)
    assert variable.known is not None
    return number(variable.known, variable.dtype)


def number(value: float, dtype: str) -> str:
    """Return the CUDA C++ literal of a number of type `dtype`."""
    c_type = C_TYPES[dtype]
    if dtype == "bool":
        return "true" if value else "false"
    if dtype.startswith("float"):
        return _float(float(value), dtype)
    if value == np.iinfo(dtype).min != 0:
        return f"({c_type})(-{int(np.iinfo(dtype).max)}ll - 1)"  # its absolute value has no literal
    suffix = "ull" if dtype == "uint64" else "ll"
    text = f"{int(value)}{suffix}"
    return text if dtype in ("int64", "uint64") else f"({c_type}){text}"


def _float(value: float, dtype: str) -> str:
    c_type = C_TYPES[dtype]
    if math.isnan(value):
        return f"gs::not_a_number<{c_type}>()"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}gs::infinity<{c_type}>()"
    text = repr(float(np.float32(value))) if dtype == "float32" else repr(value)
    text = text if any(c in text for c in ".en") else f"{text}.0"
    return f"({text}f)" if dtype == "float32" else f"({text})" if value < 0 else text


def convert(text: str, source: str, target: str) -> str:
    """Return `text`, of type `source`, converted to type `target`."""
    if source == target:
        return text
    if target == "bool":
        return f"({text} != {number(0, source)})"
    return f"({C_TYPES[target]})({text})"


def expression(node: Apply, operands: list[str]) -> str:
    """Return the expression that computes a node of a pointwise step from its operands' texts."""
    op, output = node.op, node.outputs[0]
    if isinstance(op, Cast):
        return convert(operands[0], node.inputs[0].dtype, output.dtype)
    if isinstance(op, DimShuffle | BroadcastTo | SpecifyShape | SumTo):
        return operands[0]
    assert isinstance(op, Pointwise)
    dtypes, _ = op.dtypes(node.inputs)
    converted = [convert(text, v.dtype, dtype) for text, v, dtype in zip(operands, node.inputs, dtypes, strict=True)]
    return op.spec.c.format(*converted)


def sample(node: Apply, operands: list[str], element: str) -> str:
    """Return the expression that draws one element of a sample.

    Parameters
    ----------
    node : Apply
        The draw.
    operands : list of str
        Texts of the state and of the parameters.
    element : str
        Which element.
    """
    op, dtype = node.op, node.outputs[1].dtype
    assert isinstance(op, Draw) and op.spec.c is not None
    state, *parameters = operands
    of_sample = {"T": C_TYPES[dtype], "state": state, "element": element}
    text = op.spec.c.format(*(f"({p})" for p in parameters), **of_sample)
    return text if op.spec.kind == "real" else f"({C_TYPES[dtype]})({text})"


def state_literal(constant: Constant) -> str:
    """Return the text of a random state that is known when the text is written."""
    key, draws = constant.data.tolist()
    return f"{STATE_TYPE}{{{key}ull, {draws}ull}}"


STATE_TYPE = "gs::RandomState"
"""CUDA C++ type of random states, in ``kernels/philox.cuh``."""
