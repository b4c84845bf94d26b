"""Sizes of arrays, and shapes that users give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Constant, Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, constant
from gpuscan.tensor.indexing import Index, Range, index
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.shaping import Join, Stack, dims

MOST_AXES = 32  # NumPy's arrays have at most 64


def shape(x: Any) -> Variable:
    """Return the sizes of `x`, an int64 vector; its elements may be unpacked and indexed."""
    x = as_tensor_variable(x)
    return Stack()(*dims(x)) if x.ndim else constant(np.zeros(0, "int64"))


def size(x: Any) -> Variable:
    """Return the number of elements of `x`, an int64 scalar."""
    return product(dims(as_tensor_variable(x)))


def product(sizes: Sequence[Variable]) -> Variable:
    """Return the product of int64 scalars, 1 if there are none."""
    total: Variable = constant(np.int64(1))
    for size in sizes:
        total = size if total.known == 1 else Pointwise("mul")(total, size)
    return constant(np.int64(total.known)) if total.known is not None else total


def as_sizes(shape: Any, what: str, *, ndim: int | None = None, rest: bool = False) -> list[Variable]:
    """Return a shape (integer, sequence of integers, or integer vector) as int64 scalars.

    Parameters
    ----------
    shape : int, sequence of int or integer vector
        The sizes.
    what : str
        The public function, for messages.
    ndim : int, optional
        How many sizes there must be, where it is given.
    rest : bool
        Whether a size may be -1.

    Raises
    ------
    DtypeError
        If it holds something other than integers.
    ShapeError
        If a size is negative, or their number is not known or not `ndim`.
    """
    parts = _parts(shape, what, ndim)
    if ndim is not None and ndim != len(parts):
        raise ShapeError(f"{what}: ndim is {ndim} but there are {len(parts)} sizes")
    for part in parts:
        if kind(part.dtype) not in "iu" or part.ndim != 0:
            raise DtypeError(f"{what}: sizes must be integers; found {part.name or 'a value'} of type {part.type}")
        if part.known is not None and part.known < (-1 if rest else 0):
            raise ShapeError(f"{what}: sizes must not be negative; found {part.known}")
    return [cast(part, "int64") for part in parts]


def _parts(shape: Any, what: str, ndim: int | None) -> list[Variable]:
    if not isinstance(shape, Variable):
        return [as_tensor_variable(s) for s in (shape if isinstance(shape, Sequence | np.ndarray) else [shape])]
    if shape.ndim == 0:
        return [shape]
    count = shape.type.shape[0] if ndim is None else ndim
    if count is None:
        raise ShapeError(f"{what}: the number of sizes in {shape!r} is not known; a result's rank must be")
    return elements(shape) or [index(shape, i) for i in range(count)]


def plain(number: Variable) -> Variable | int:
    """Return an integer scalar, as a Python integer where its value is known."""
    return number if number.known is None else number.known


def unpack(x: Variable) -> list[Variable]:
    """Return the rows of `x`, whose number must be known."""
    return [index(x, i) for i in range(length(x))]


def length(x: Variable) -> int:
    """Return the size of the first axis, which must be known."""
    if x.ndim == 0:
        raise TypeError(f"{x!r} is a scalar; it has no length")
    if (size := x.type.shape[0]) is None:
        raise TypeError(
            f"the length of {x!r} is not known while the graph is built, so it cannot be iterated or unpacked; "
            "use gpuscan.scan to loop over it, or x.shape[0] for its length"
        )
    return size


def elements(vector: Variable, depth: int = 8) -> list[Variable] | None:
    """Return scalars that equal the elements of a vector, where the way it was made shows them.

    Those of ``x.shape[1:] * 2`` are ``x.shape[1] * 2`` and so on. So a shape that is computed as a vector says as much
    about a type as one that is computed size by size.

    Parameters
    ----------
    vector : Variable
        Of rank 1.
    depth : int
        How many ops to look through.
    """
    node, count = vector.owner, vector.type.shape[0]
    if count is None or count > MOST_AXES:
        return None
    if isinstance(vector, Constant):
        return [constant(value) for value in vector.data]
    if node is None or depth == 0:
        return None
    if isinstance(node.op, Stack):
        return list(node.inputs)
    if isinstance(node.op, Index):
        item, source = node.op.pattern[0], node.inputs[0]
        is_slice = len(node.inputs) == source.ndim == 1 and isinstance(item, Range)
        parts = elements(source, depth - 1) if is_slice else None
        fixed = item.as_slice() if isinstance(item, Range) else None
        return None if parts is None or fixed is None else parts[fixed]
    if not isinstance(node.op, Cast | Pointwise | Join):
        return None
    operands = [elements(v, depth - 1) if v.ndim else [v] for v in node.inputs]
    known = [parts for parts in operands if parts is not None]
    if len(known) < len(operands):
        return None
    if isinstance(node.op, Join):
        return [cast(part, vector.dtype) for parts in known for part in parts]
    columns = zip(*(parts * count if len(parts) == 1 else parts for parts in known), strict=True)
    return [node.op(*column) for column in columns]
