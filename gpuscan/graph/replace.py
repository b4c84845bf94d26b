"""Graphs with some of their variables replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph.operators import MEANING
from gpuscan.graph.traversal import substitute
from gpuscan.graph.types import merge_shapes
from gpuscan.graph.variable import Variable

Replacements = Mapping[Variable, Any] | Iterable[tuple[Variable, Any]]


@overload
def clone_replace(output: Variable, replace: Replacements | None = None) -> Variable: ...
@overload
def clone_replace(output: Sequence[Variable], replace: Replacements | None = None) -> list[Variable]: ...


def clone_replace(
    output: Variable | Sequence[Variable], replace: Replacements | None = None
) -> Variable | list[Variable]:
    """Return a graph with other variables in place of some of it; the graph itself stays as it is.

    Parameters
    ----------
    output : Variable or sequence of Variable
        What the graph computes.
    replace : mapping or pairs, optional
        For each variable of the graph what to use in its place: a variable, a number or an array.

    Returns
    -------
    Variable or list of Variable
        What is computed then, one variable or a list as `output` is.

    Raises
    ------
    DtypeError, ShapeError
        If something has another dtype, rank or fixed size than what it replaces.
    """
    replacements = read_replacements(replace, "clone_replace")
    for old, new in replacements.items():
        _check_fits(old, new)
    if isinstance(output, Variable):
        return substitute([output], replacements)[0]
    return substitute(output, replacements)


def read_replacements(replace: Replacements | None, what: str) -> dict[Variable, Variable]:
    """Return replacements as a dictionary of variables.

    Raises
    ------
    TypeError
        If they are not for variables.
    """
    pairs = list(replace.items() if isinstance(replace, Mapping) else replace or ())
    for old, _ in pairs:
        if not isinstance(old, Variable):
            raise TypeError(f"{what}: what is replaced must be a variable; found {old!r}")
    return {old: MEANING["as_tensor_variable"](new, dtype=_weak(old, new)) for old, new in pairs}


def _weak(old: Variable, new: Any) -> str | None:
    """Return the dtype of `old` for Python's own numbers, which have none."""
    return old.dtype if type(new) in (bool, int, float, complex) else None


def _check_fits(old: Variable, new: Variable) -> None:
    what = (
        f"clone_replace: {old.name or 'a variable'!r} is {old.type}; {new.name or 'what replaces it'!r} is {new.type}"
    )
    if old.dtype != new.dtype:
        raise DtypeError(f"{what}. Cast it to {old.dtype}")
    try:
        merge_shapes([old.type.shape, new.type.shape])
    except ShapeError as error:
        raise ShapeError(f"{what}: {error}") from None


def vectorize_graph(outputs: Variable | Sequence[Variable], replace: Replacements) -> Any:
    """Return a graph with batch axes added: every value that depends on a replaced variable gets them in front.

    Parameters
    ----------
    outputs : Variable or sequence of Variable
        What the graph computes for one element of the batch.
    replace : mapping or pairs
        For each input (or other variable) of the graph a variable with the same axes and further ones, the batch's, in
        front. Batch axes of several broadcast as NumPy's do; a variable may also be replaced by one without any.

    Returns
    -------
    Variable or list of Variable
        What is computed for all elements of the batch, one variable or a list as `outputs` is.

    Raises
    ------
    ShapeError
        If a size would differ from one element of the batch to another.
    LoopError
        If a loop's number of steps, or its stop condition, would.
    NotImplementedError
        Naming an op that has no rule for it.

    Notes
    -----
    Loops stay loops: the batch axes come after time inside them. A branch whose condition differs from one element to
    another becomes a ``switch``: both sides are then computed.
    """
    return MEANING["vectorize_graph"](outputs, replace)
