"""`vectorize`: a function of small arrays, applied along the other axes of large ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from gpuscan.errors import ShapeError
from gpuscan.graph import TensorType, Variable
from gpuscan.graph.operators import MEANING
from gpuscan.tensor.convert import as_tensor_variable
from gpuscan.vectorize.graph import vectorize_graph

Axes = list[tuple[str, ...]]

ONE = r"\((?:\w+(?:,\w+)*)?\)"
SIGNATURE = re.compile(rf"(?:{ONE}(?:,{ONE})*)?->{ONE}(?:,{ONE})*")


def vectorize(func: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """Return a function like `func` that takes arrays with more axes: see `gpuscan.tensor.vectorize`."""
    inputs, outputs = (None, None) if signature is None else _parse(signature)

    def vectorized(*arguments: Any) -> Any:
        variables = [as_tensor_variable(a) for a in arguments]
        own: Axes = [()] * len(variables) if inputs is None else inputs
        if len(own) != len(variables):
            raise TypeError(f"vectorize: the signature {signature!r} has {len(own)} inputs; found {len(variables)}")
        _check_sizes(variables, own, signature or "")
        given = [_core(v, len(axes), position) for position, (v, axes) in enumerate(zip(variables, own, strict=True))]
        results = func(*given)
        _check_results(results, outputs, signature or "")
        replaced = vectorize_graph(_listed(results), dict(zip(given, variables, strict=True)))
        return type(results)(replaced) if isinstance(results, list | tuple) else replaced[0]

    return vectorized


def _parse(signature: str) -> tuple[Axes, Axes]:
    text = re.sub(r"\s", "", signature)
    if not SIGNATURE.fullmatch(text):
        raise ValueError(f"vectorize: {signature!r} is no signature; write the last axes as in '(m,n),(n)->(m)'")
    sides = (re.findall(ONE, side) for side in text.split("->"))
    inputs, outputs = ([tuple(re.findall(r"\w+", axes)) for axes in side] for side in sides)
    return inputs, outputs


def _check_sizes(variables: Sequence[Variable], own: Axes, signature: str) -> None:
    """Raise ShapeError if axes of one name have different sizes."""
    sizes: dict[str, int] = {}
    for v, axes in zip(variables, own, strict=True):
        for name, size in zip(axes, v.type.shape[v.ndim - len(axes) :], strict=False):
            if size is not None and sizes.setdefault(name, size) != size:
                raise ShapeError(f"vectorize: axis {name!r} of {signature!r} has sizes {sizes[name]} and {size}")


def _core(variable: Variable, ndim: int, position: int) -> Variable:
    """Return an input that stands for one element of a batch."""
    if variable.ndim < ndim:
        raise ShapeError(f"vectorize: argument {position} is {variable.type}; the function takes its last {ndim} axes")
    return Variable(TensorType(variable.dtype, variable.type.shape[variable.ndim - ndim :]), variable.name)


def _listed(results: Any) -> list[Variable]:
    return [as_tensor_variable(v) for v in (results if isinstance(results, list | tuple) else [results])]


def _check_results(results: Any, outputs: Axes | None, signature: str) -> None:
    if outputs is None:
        return
    found = _listed(results)
    if [v.ndim for v in found] != [len(axes) for axes in outputs]:
        listed = ", ".join(str(v.type) for v in found)
        raise ShapeError(f"vectorize: the function returns {listed}; the signature {signature!r} says otherwise")


MEANING["vectorize"] = vectorize
