"""Elements chosen along an axis, by their positions or for their size."""

from __future__ import annotations

from operator import index as as_index
from typing import Any

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor.convert import as_tensor_variable
from gpuscan.tensor.creation import arange
from gpuscan.tensor.indexing import index
from gpuscan.tensor.layout import dimshuffle, flatten
from gpuscan.tensor.moving import flip
from gpuscan.tensor.ordering import argsort, sort
from gpuscan.tensor.pointwise import kind
from gpuscan.tensor.shaping import dim, normalize_axis


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Variable:
    """Return the elements of `x` at `indices` along an axis, where each vector along it has positions of its own.

    Parameters
    ----------
    x : array_like
        Where they are.
    indices : array_like
        Their positions along the axis, as from `argsort` and `argmax` with ``keepdims``. It has as many axes as `x`,
        of which the others broadcast.
    axis : int or None
        The axis; with None `x` is flattened, and `indices` is a vector.

    Returns
    -------
    Variable
        Of the shape of `indices`, with the other axes broadcast.

    Raises
    ------
    DtypeError
        If `indices` are not integers.
    ShapeError
        If the two have not equally many axes, or the others do not broadcast.
    """
    x, indices = as_tensor_variable(x), as_tensor_variable(indices)
    x, axis = (flatten(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, "take_along_axis"))
    if kind(indices.dtype) not in "iu":
        raise DtypeError(f"take_along_axis: indices must be integers; {indices.name or 'they'} are {indices.type}")
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis: indices are {indices.type} and {x.name or 'the array'} is {x.type}; they must have "
            "equally many axes. Use take for the same positions everywhere."
        )
    own = [dimshuffle(arange(dim(x, i)), *(0 if a == i else "x" for a in range(x.ndim))) for i in range(x.ndim)]
    return index(x, tuple(indices if i == axis else positions for i, positions in enumerate(own)))


def topk(x: Any, kth: int, axis: int | None = -1) -> Variable:
    """Return the largest or the smallest elements along an axis.

    Parameters
    ----------
    x : array_like
        Real numbers, of which NaN counts as the largest.
    kth : int
        How many of the largest, or if it is negative of the smallest.
    axis : int or None
        The axis; with None `x` is flattened.

    Returns
    -------
    Variable
        Of the dtype of `x`; the largest in descending order, the smallest in ascending order.

    Raises
    ------
    TypeError
        If `kth` is no integer, or symbolic.
    ShapeError
        If it is 0, or known to be more than there are elements along the axis.
    """
    x, axis, count = _chosen("topk", x, kth, axis)
    return index(sort(x, axis), (*(slice(None),) * axis, _ends(count)))


def argtopk(x: Any, kth: int, axis: int | None = -1) -> Variable:
    """Return the positions of the elements that `topk` returns, int64; of equal ones the first come first.

    The arguments and errors are those of `topk`.
    """
    x, axis, count = _chosen("argtopk", x, kth, axis)
    before = (slice(None),) * axis
    if count < 0:
        return index(argsort(x, axis), (*before, _ends(count)))
    # Sorted from its end, so that equal elements, read from the largest down, are in the order they have.
    order = argsort(flip(x, axis), axis)
    return dim(x, axis) - 1 - index(order, (*before, _ends(count)))


def _chosen(what: str, x: Any, kth: int, axis: int | None) -> tuple[Variable, int, int]:
    try:
        count = as_index(kth)
    except TypeError:
        raise TypeError(
            f"{what}: kth must be an integer known while the graph is built, as it decides a size; found {kth!r}"
        ) from None
    x = as_tensor_variable(x)
    x, axis = (flatten(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim, what))
    size = x.type.shape[axis]
    if count == 0 or (size is not None and abs(count) > size):
        raise ShapeError(
            f"{what}: kth is {count}; along axis {axis} of {x.name or 'the array'}, {x.type}, it must be at least 1 "
            f"and at most {'its size' if size is None else size}, or the negative of such a number"
        )
    return x, axis, count


def _ends(count: int) -> slice:
    """Return which elements in ascending order are the `count` largest or smallest."""
    return slice(None, -count - 1, -1) if count > 0 else slice(None, -count)
