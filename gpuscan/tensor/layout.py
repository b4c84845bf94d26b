"""The same elements under other axes: what users call to reshape, transpose and broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph import Variable, broadcast_shapes
from gpuscan.tensor import elementwise
from gpuscan.tensor.convert import as_tensor_variable, constant
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Reshape, dim, dims, normalize_axes, normalize_axis
from gpuscan.tensor.sizes import as_sizes, product


def reshape(x: Any, *shape: Any, ndim: int | None = None) -> Variable:
    """Return the elements of `x`, in order, in another shape; one size may be -1.

    Parameters
    ----------
    x : array_like
        What to reshape.
    *shape : int, sequence of int or integer vector
        The new sizes, in one argument or several.
    ndim : int, optional
        Rank of the result, needed where `shape` is a vector whose length is not known.
    """
    x = as_tensor_variable(x)
    return Reshape()(x, *as_sizes(shape[0] if len(shape) == 1 else shape, "reshape", ndim=ndim, rest=True))


def dimshuffle(x: Any, *order: Any) -> Variable:
    """Return `x` with axes in the given order; ``"x"`` makes a new axis of size 1, an axis left out is dropped."""
    x = as_tensor_variable(x)
    if len(order) == 1 and isinstance(order[0], list | tuple):
        order = tuple(order[0])
    axes = tuple(None if a in ("x", None) else normalize_axis(a, x.ndim, "dimshuffle") for a in order)
    used = [a for a in axes if a is not None]
    if len(set(used)) != len(used):
        raise ShapeError(f"dimshuffle{order} uses an axis twice")
    return x if axes == tuple(range(x.ndim)) else DimShuffle(axes)(x)


def transpose(x: Any, *axes: Any) -> Variable:
    """Return `x` with its axes in the given order, reversed if none is given."""
    x = as_tensor_variable(x)
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], list | tuple)):
        axes = tuple(axes[0] or ())
    order = axes or tuple(reversed(range(x.ndim)))
    if len(order) != x.ndim:
        raise ShapeError(f"transpose: {len(order)} axes named for an array of {x.ndim}")
    return dimshuffle(x, *(normalize_axis(a, x.ndim, "transpose") for a in order))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Variable:
    """Return `x` with the axes `source` moved to the positions `destination`; the others keep their order."""
    x = as_tensor_variable(x)
    sources, destinations = (
        [normalize_axis(a, x.ndim, "moveaxis") for a in (axes if isinstance(axes, Sequence) else [axes])]
        for axes in (source, destination)
    )
    if len(set(sources)) != len(sources) or len(set(destinations)) != len(sources) or len(destinations) != len(sources):
        raise ShapeError(f"moveaxis: {source} and {destination} must name equally many different axes")
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for position, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(position, axis)
    return dimshuffle(x, *order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """Return `x` with two axes exchanged."""
    x = as_tensor_variable(x)
    order = list(range(x.ndim))
    a, b = normalize_axis(axis1, x.ndim, "swapaxes"), normalize_axis(axis2, x.ndim, "swapaxes")
    order[a], order[b] = order[b], order[a]
    return dimshuffle(x, *order)


def flatten(x: Any, ndim: int = 1) -> Variable:
    """Return `x` with all axes from number ``ndim - 1`` on joined into one."""
    variable = as_tensor_variable(x)
    if not 1 <= ndim <= max(variable.ndim, 1):
        raise ShapeError(f"flatten: ndim must be between 1 and {max(variable.ndim, 1)}, not {ndim}")
    if ndim == variable.ndim:
        return variable
    if ndim == 1:
        return reshape(variable, -1)
    # Not -1 beside other sizes: it would be any number where one of those is 0.
    return Reshape()(variable, *dims(variable, 0, ndim - 1), product(dims(variable, ndim - 1)))


def ravel(x: Any) -> Variable:
    """Return the elements of `x` as a vector."""
    return flatten(x)


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """Return `x` without axes of size 1: those of `axis`, or all that are known to be."""
    x = as_tensor_variable(x)
    if axis is None:
        dropped = tuple(a for a, size in enumerate(x.type.shape) if size == 1)
    else:
        dropped = normalize_axes(axis, x.ndim, "squeeze")
    return dimshuffle(x, *(a for a in range(x.ndim) if a not in dropped))


def expand_dims(x: Any, axis: int | Sequence[int]) -> Variable:
    """Return `x` with new axes of size 1 at the positions `axis` of the result."""
    x = as_tensor_variable(x)
    ndim = x.ndim + (len(axis) if isinstance(axis, Sequence) else 1)
    return restore_axes(x, normalize_axes(axis, ndim, "expand_dims"), ndim)


def restore_axes(x: Variable, axes: Sequence[int], ndim: int) -> Variable:
    """Return `x` with axes of size 1 put in at `axes`, so that it has `ndim` axes."""
    kept = iter(range(x.ndim))
    return dimshuffle(x, *("x" if axis in axes else next(kept) for axis in range(ndim)))


def shape_padleft(x: Any, n_ones: int = 1) -> Variable:
    """Return `x` with `n_ones` new leading axes of size 1."""
    x = as_tensor_variable(x)
    if n_ones < 0:
        raise ShapeError(f"{x.type} has {-n_ones} axes more than asked for")
    return dimshuffle(x, *["x"] * n_ones, *range(x.ndim))


def shape_padright(x: Any, n_ones: int = 1) -> Variable:
    """Return `x` with `n_ones` new trailing axes of size 1."""
    x = as_tensor_variable(x)
    if n_ones < 0:
        raise ShapeError(f"{x.type} has {-n_ones} axes more than asked for")
    return dimshuffle(x, *range(x.ndim), *["x"] * n_ones)


def shape_padaxis(x: Any, axis: int) -> Variable:
    """Return `x` with one new axis of size 1, which is axis `axis` of the result.

    Raises
    ------
    ShapeError
        If the result has no such axis.
    """
    x = as_tensor_variable(x)
    return restore_axes(x, [normalize_axis(axis, x.ndim + 1, "shape_padaxis")], x.ndim + 1)


def atleast_1d(x: Any) -> Variable:
    """Return `x` with at least one axis."""
    x = as_tensor_variable(x)
    return x if x.ndim else shape_padleft(x)


def atleast_2d(x: Any) -> Variable:
    """Return `x` with at least two axes, new ones in front."""
    x = as_tensor_variable(x)
    return x if x.ndim >= 2 else shape_padleft(x, 2 - x.ndim)


def atleast_3d(x: Any) -> Variable:
    """Return `x` with at least three axes: a vector is put along the second, a matrix along the first two."""
    x = as_tensor_variable(x)
    return x if x.ndim >= 3 else shape_padright(atleast_2d(x))


def broadcast_to(x: Any, shape: Any) -> Variable:
    """Return `x` repeated to `shape`, as NumPy broadcasts."""
    x = as_tensor_variable(x)
    sizes = as_sizes(shape, "broadcast_to")
    return BroadcastTo()(x, *sizes) if sizes or x.ndim else x


def broadcast_arrays(*arrays: Any) -> list[Variable]:
    """Return the arrays broadcast against each other."""
    variables = [as_tensor_variable(a) for a in arrays]
    target = broadcast_shape(*variables)
    return [broadcast_to(v, target) for v in variables]


def broadcast_shape(*arrays: Any) -> list[Variable]:
    """Return the sizes that the arrays have when broadcast together, int64 scalars.

    Of several sizes unknown until run time the first that is not 1 is taken; the broadcast itself then checks it.
    """
    variables = [as_tensor_variable(a) for a in arrays]
    known = broadcast_shapes(v.type.shape for v in variables)
    sizes: list[Variable] = []
    for axis in range(-len(known), 0):
        if (size := known[axis]) is not None:
            sizes.append(constant(np.int64(size)))
            continue
        unknown = [dim(v, axis) for v in variables if v.ndim >= -axis and v.type.shape[axis] != 1]
        sizes.append(_not_one(unknown))
    return sizes


def _not_one(sizes: Sequence[Variable]) -> Variable:
    chosen = sizes[0]
    for other in sizes[1:]:
        chosen = elementwise.switch(elementwise.eq(chosen, 1), other, chosen)
    return chosen
