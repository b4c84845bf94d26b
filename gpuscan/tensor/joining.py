"""Arrays joined, split and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, operands
from gpuscan.tensor.indexing import index
from gpuscan.tensor.layout import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    dimshuffle,
    expand_dims,
    flatten,
    shape_padleft,
)
from gpuscan.tensor.pointwise import promote
from gpuscan.tensor.shaping import Join, Repeat, Reshape, Stack, dim, dims, normalize_axis
from gpuscan.tensor.sizes import as_sizes, product


def join(axis: int, *arrays: Any) -> Variable:
    """Return the arrays joined along an axis they have."""
    variables = operands(*arrays)
    if not variables:
        raise ShapeError("join: there is nothing to join")
    if variables[0].ndim == 0:
        raise ShapeError("join: scalars have no axis to join along; use stack")
    return Join(normalize_axis(axis, variables[0].ndim, "join"))(*variables)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Variable:
    """Return the arrays joined along an axis they have; with None flattened ones."""
    return join(0, *map(flatten, arrays)) if axis is None else join(axis, *arrays)


def stack(arrays: Sequence[Any], axis: int = 0) -> Variable:
    """Return arrays of one shape joined along a new axis."""
    variables = operands(*(stack(a) if isinstance(a, list | tuple) else a for a in arrays))
    if not variables:
        raise ShapeError("stack: there is nothing to stack")
    if len({v.ndim for v in variables}) != 1:
        raise ShapeError(f"stack: arrays must have one shape; found {', '.join(str(v.type) for v in variables)}")
    axis = normalize_axis(axis, variables[0].ndim + 1, "stack")
    if variables[0].ndim:
        return Join(axis)(*(expand_dims(v, axis) for v in variables))
    common = promote(*(v.dtype for v in variables))
    return Stack()(*(cast(v, common) for v in variables))


def vstack(arrays: Sequence[Any]) -> Variable:
    """Return arrays joined along the first axis; vectors are rows, scalars rows of one element.

    Raises
    ------
    ShapeError
        If there are none, or their other sizes differ.
    """
    return concatenate([atleast_2d(x) for x in operands(*arrays)])


def hstack(arrays: Sequence[Any]) -> Variable:
    """Return arrays joined along the second axis, vectors and scalars along their only one.

    Raises
    ------
    ShapeError
        If there are none, or their other sizes differ.
    """
    parts = [atleast_1d(x) for x in operands(*arrays)]
    return concatenate(parts, axis=0 if not parts or parts[0].ndim == 1 else 1)


def dstack(arrays: Sequence[Any]) -> Variable:
    """Return arrays joined along the third axis, which those of fewer get as by `atleast_3d`.

    Raises
    ------
    ShapeError
        If there are none, or their other sizes differ.
    """
    return concatenate([atleast_3d(x) for x in operands(*arrays)], axis=2)


def split(x: Any, splits: Any, n_splits: int | None = None, axis: int = 0) -> list[Variable]:
    """Return parts of `x` along `axis`.

    Parameters
    ----------
    x : array_like
        What to split.
    splits : int or sequence of int or integer vector
        Number of equal parts, or the size of each.
    n_splits : int, optional
        Number of parts, where `splits` is a vector whose length is not known.
    axis : int
        Axis to split along.
    """
    x = as_tensor_variable(x)
    axis = normalize_axis(axis, x.ndim, "split")
    if isinstance(splits, int | np.integer):
        return _split_equally(x, int(splits), axis)
    sizes = as_sizes(splits, "split", ndim=n_splits)
    known = [size.known for size in sizes if size.known is not None]
    if len(known) == len(sizes) and x.type.shape[axis] not in (None, sum(known)):
        raise ShapeError(f"split: sizes {known} do not add up to the {x.type.shape[axis]} elements along axis {axis}")
    bounds: list[Variable] = [constant(np.int64(0))]
    for size in sizes:
        bounds.append(bounds[-1] + size)
    return _between(x, bounds, axis)


def split_at(x: Any, positions: Sequence[Any], axis: int = 0) -> list[Variable]:
    """Return the parts of `x` along `axis` before, between and after `positions`, as ``numpy.split`` with a list."""
    x = as_tensor_variable(x)
    axis = normalize_axis(axis, x.ndim, "split")
    return _between(x, [None, *positions, None], axis)


def _between(x: Variable, bounds: Sequence[Any], axis: int) -> list[Variable]:
    before = (slice(None),) * axis
    return [index(x, (*before, slice(a, b))) for a, b in pairwise(bounds)]


def _split_equally(x: Variable, count: int, axis: int) -> list[Variable]:
    size = x.type.shape[axis]
    if count < 1 or (size is not None and size % count):
        raise ShapeError(f"split: {x.type} does not divide into {count} equal parts along axis {axis}")
    # By a reshape, which refuses at run time a size that does not divide.
    each = elementwise.floor_div(dim(x, axis), count)
    parts = Reshape()(x, *dims(x, 0, axis), constant(np.int64(count)), each, *dims(x, axis + 1))
    return [index(parts, (*(slice(None),) * axis, i)) for i in range(count)]


def tile(x: Any, reps: Any) -> Variable:
    """Return `x` laid side by side ``reps[i]`` times along each axis i."""
    x = as_tensor_variable(x)
    counts = as_sizes(reps, "tile")
    rank = max(x.ndim, len(counts))
    x = shape_padleft(x, rank - x.ndim)
    counts = [constant(np.int64(1))] * (rank - len(counts)) + counts
    sizes = dims(x)
    spread = dimshuffle(x, *(a for axis in range(rank) for a in ("x", axis)))
    repeated = broadcast_to(spread, [n for pair in zip(counts, sizes, strict=True) for n in pair])
    return Reshape()(repeated, *(product(pair) for pair in zip(counts, sizes, strict=True)))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Return `x` with each element along `axis` (None: of the flattened array) repeated.

    Parameters
    ----------
    x : array_like
        What to repeat.
    repeats : int, integer scalar or integer vector
        How often; a vector has a count for each element along `axis`.
    axis : int, optional
        Axis to repeat along.
    """
    x = as_tensor_variable(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = normalize_axis(axis, x.ndim, "repeat")
    counts = as_tensor_variable(repeats)
    if counts.ndim and counts.type.shape != (1,):
        return Repeat(axis)(x, counts)
    (count,) = as_sizes(counts, "repeat")
    before, size, after = dims(x, 0, axis), dim(x, axis), dims(x, axis + 1)
    spread = broadcast_to(expand_dims(x, axis + 1), [*before, size, count, *after])
    return Reshape()(spread, *before, product([size, count]), *after)
