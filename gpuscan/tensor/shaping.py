"""Sizes, and everything that moves elements without computing on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Constant, Op, Shape, TensorType, Variable, broadcast_shapes, merge_shapes
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, operands
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.reduction import normalize_axes, normalize_axis

# ---- sizes ----


@final
@dataclass(frozen=True)
class Dim(Op):
    """Size of axis `axis`, an int64 scalar."""

    axis: int

    @property
    def name(self) -> str:
        return f"dim[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (TensorType("int64", ()),)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        return inputs[0].type.shape[self.axis]


@final
@dataclass(frozen=True)
class Stack(Op):
    """Scalars of one dtype as a vector."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (TensorType(promote(*(v.dtype for v in inputs)), (len(inputs),)),)


def dim(x: Variable, axis: int) -> Variable:
    """Return the size of `axis`, a constant where it is known."""
    size = x.type.shape[axis]
    return constant(np.int64(size)) if size is not None else Dim(axis)(x)


def shape(x: Any) -> Variable:
    """Return the sizes of `x`, an int64 vector; its elements may be unpacked and indexed."""
    x = as_tensor_variable(x)
    if x.ndim == 0:
        return constant(np.zeros(0, "int64"))
    return Stack()(*(dim(x, axis) for axis in range(x.ndim)))


def size(x: Any) -> Variable:
    """Return the number of elements of `x`, an int64 scalar."""
    x = as_tensor_variable(x)
    total: Variable = constant(np.int64(1))
    for axis in range(x.ndim):
        total = total * dim(x, axis)
    return total


def as_sizes(shape: Any, what: str) -> list[Variable]:
    """Return a shape (integer, sequence of integers, or integer vector) as int64 scalars.

    Raises
    ------
    DtypeError
        If it holds something other than integers.
    ShapeError
        If it is a vector whose length is not known.
    """
    if isinstance(shape, Variable):
        parts = [shape] if shape.ndim == 0 else list(shape)
    else:
        parts = [as_tensor_variable(s) for s in (shape if isinstance(shape, Sequence | np.ndarray) else [shape])]
    for part in parts:
        if kind(part.dtype) not in "iu" or part.ndim != 0:
            raise DtypeError(f"{what}: sizes must be integers; found {part.name or 'a value'} of type {part.type}")
    return [cast(part, "int64") for part in parts]


def unpack(x: Variable) -> list[Variable]:
    """Return the rows of `x`, whose number must be known."""
    if x.owner is not None and isinstance(x.owner.op, Stack):
        return list(x.owner.inputs)
    return [x[i] for i in range(length(x))]


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


# ---- reshape and broadcast ----


@final
@dataclass(frozen=True)
class Reshape(Op):
    """First input with the sizes that the others give; one of them may be -1 (the rest)."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *sizes = inputs
        shape = [size.known for size in sizes]
        if shape.count(-1) > 1:
            raise ShapeError(f"reshape of {x.type}: only one size can be -1, not those of {tuple(shape)}")
        total = x.type.size
        if -1 in shape:
            position = shape.index(-1)
            others = [n for i, n in enumerate(shape) if i != position]
            shape[position] = _rest(x.type, total, others)
        elif total is not None and None not in shape and _product(shape) != total:
            raise ShapeError(f"reshape of {x.type}, {total} elements, to {tuple(shape)}, {_product(shape)} elements")
        elif total is not None and shape.count(None) == 1 and (rest := _product([n for n in shape if n is not None])):
            shape[shape.index(None)] = total // rest
        return (TensorType(x.dtype, tuple(shape)),)


def _product(sizes: Sequence[int | None]) -> int:
    return int(np.prod([n for n in sizes if n is not None], dtype=np.int64))


def _rest(type_: TensorType, total: int | None, others: Sequence[int | None]) -> int | None:
    if total is None or None in others:
        return None
    if (product := _product(others)) == 0 or total % product:
        raise ShapeError(f"reshape of {type_}: {total} elements do not divide into sizes {tuple(others)} and -1")
    return total // product


@final
@dataclass(frozen=True)
class DimShuffle(Op):
    """Axes reordered: position i of the result is axis ``order[i]``, or new and of size 1 where that is None.

    Axes that `order` leaves out are dropped; their size must be 1.
    """

    order: tuple[int | None, ...]

    @property
    def name(self) -> str:
        return f"dimshuffle[{', '.join('x' if a is None else str(a) for a in self.order)}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        shape = inputs[0].type.shape
        for axis in self.dropped(len(shape)):
            if shape[axis] not in (1, None):
                raise ShapeError(f"axis {axis} of {inputs[0].type} cannot be dropped: its size is {shape[axis]}, not 1")
        return (TensorType(inputs[0].dtype, tuple(1 if a is None else shape[a] for a in self.order)),)

    def dropped(self, ndim: int) -> list[int]:
        """Return the axes of an input of rank `ndim` that are left out."""
        return [axis for axis in range(ndim) if axis not in self.order]


@final
@dataclass(frozen=True)
class BroadcastTo(Op):
    """First input repeated along axes of size 1, and new leading ones, to the sizes that the others give."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *sizes = inputs
        target = tuple(size.known for size in sizes)
        if x.ndim > len(target):
            raise ShapeError(f"{x.type} cannot be broadcast to {len(target)} axes")
        padded = (1,) * (len(target) - x.ndim) + x.type.shape
        for axis, (old, new) in enumerate(zip(padded, target, strict=True)):
            if old not in (1, None) and new is not None and old != new:
                raise ShapeError(f"{x.type} cannot be broadcast to {target}: axis {axis} has size {old}")
        shape = tuple(new if old in (1, None) else old for old, new in zip(padded, target, strict=True))
        return (TensorType(x.dtype, shape),)


def reshape(x: Any, *shape: Any, ndim: int | None = None) -> Variable:
    """Return the elements of `x`, in order, in another shape; one size may be -1.

    Parameters
    ----------
    x : array_like
        What to reshape.
    *shape : int, sequence of int or integer vector
        The new sizes, in one argument or several.
    ndim : int, optional
        Rank of the result; it is known from `shape` and only checked.
    """
    x = as_tensor_variable(x)
    sizes = as_sizes(shape[0] if len(shape) == 1 else shape, "reshape")
    if ndim is not None and ndim != len(sizes):
        raise ShapeError(f"reshape: ndim is {ndim} but there are {len(sizes)} sizes")
    return Reshape()(x, *sizes)


def dimshuffle(x: Any, *order: Any) -> Variable:
    """Return `x` with axes in the given order; ``"x"`` makes a new axis of size 1, an axis left out is dropped."""
    x = as_tensor_variable(x)
    if len(order) == 1 and isinstance(order[0], list | tuple):
        order = tuple(order[0])
    axes = tuple(None if a in ("x", None) else normalize_axis(int(a), x.ndim, "dimshuffle") for a in order)
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
    return dimshuffle(x, *order)


def moveaxis(x: Any, source: int, destination: int) -> Variable:
    """Return `x` with axis `source` moved to position `destination`."""
    x = as_tensor_variable(x)
    order = list(range(x.ndim))
    order.insert(normalize_axis(destination, x.ndim, "moveaxis"), order.pop(normalize_axis(source, x.ndim, "moveaxis")))
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
    x = as_tensor_variable(x)
    if not 1 <= ndim <= max(x.ndim, 1):
        raise ShapeError(f"flatten: ndim must be between 1 and {max(x.ndim, 1)}, not {ndim}")
    return reshape(x, [*(dim(x, axis) for axis in range(ndim - 1)), -1])


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
    count = 1 if isinstance(axis, int | np.integer) else len(axis)
    new = normalize_axes(axis, x.ndim + count, "expand_dims")
    old = iter(range(x.ndim))
    return dimshuffle(x, *("x" if a in new else next(old) for a in range(x.ndim + count)))


def shape_padleft(x: Any, n_ones: int = 1) -> Variable:
    """Return `x` with `n_ones` new leading axes of size 1."""
    x = as_tensor_variable(x)
    if n_ones < 0:
        raise ShapeError(f"{x.type} has {-n_ones} axes more than asked for")
    return dimshuffle(x, *["x"] * n_ones, *range(x.ndim))


def shape_padright(x: Any, n_ones: int = 1) -> Variable:
    """Return `x` with `n_ones` new trailing axes of size 1."""
    x = as_tensor_variable(x)
    return dimshuffle(x, *range(x.ndim), *["x"] * n_ones)


def atleast_1d(x: Any) -> Variable:
    """Return `x` with at least one axis."""
    x = as_tensor_variable(x)
    return x if x.ndim else shape_padleft(x)


def atleast_2d(x: Any) -> Variable:
    """Return `x` with at least two axes, new ones in front."""
    x = as_tensor_variable(x)
    return x if x.ndim >= 2 else shape_padleft(x, 2 - x.ndim)


def broadcast_to(x: Any, shape: Any) -> Variable:
    """Return `x` repeated to `shape`, as NumPy broadcasts."""
    x = as_tensor_variable(x)
    sizes = as_sizes(shape, "broadcast_to")
    if x.ndim == len(sizes) == 0:
        return x
    return BroadcastTo()(x, *sizes)


def broadcast_arrays(*arrays: Any) -> list[Variable]:
    """Return the arrays broadcast against each other."""
    variables = [as_tensor_variable(a) for a in arrays]
    target = broadcast_shape(*variables)
    return [broadcast_to(v, target) for v in variables]


def broadcast_shape(*arrays: Any) -> list[Variable]:
    """Return the sizes that the arrays have when broadcast together, int64 scalars.

    A size that is unknown on both sides is taken to be the larger one; the broadcast itself then checks it.
    """
    variables = [as_tensor_variable(a) for a in arrays]
    known = broadcast_shapes(v.type.shape for v in variables)
    sizes: list[Variable] = []
    for axis in range(-len(known), 0):
        if (size := known[axis]) is not None:
            sizes.append(constant(np.int64(size)))
            continue
        unknown = [dim(v, v.ndim + axis) for v in variables if v.ndim >= -axis and v.type.shape[axis] != 1]
        sizes.append(_larger(unknown))
    return sizes


def _larger(sizes: Sequence[Variable]) -> Variable:
    from gpuscan.tensor import elementwise  # it is imported after this module

    largest = sizes[0]
    for other in sizes[1:]:
        # Of two sizes that broadcast, the one that is not 1 counts; a size of 0 beside 1 too.
        largest = elementwise.switch(elementwise.eq(largest, 1), other, largest)
    return largest


# ---- joining and splitting ----


@final
@dataclass(frozen=True)
class Join(Op):
    """Arrays of one rank joined along axis `axis`."""

    axis: int

    @property
    def name(self) -> str:
        return f"join[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        if len({v.ndim for v in inputs}) != 1:
            listed = ", ".join(str(v.type) for v in inputs)
            raise ShapeError(f"join: arrays must have one rank; found {listed}")
        try:
            shape = list(merge_shapes(self._without_axis(v.type.shape) for v in inputs))
        except ShapeError as error:
            raise ShapeError(f"join along axis {self.axis}: {error}") from None
        sizes = [v.type.shape[self.axis] for v in inputs]
        shape[self.axis] = None if None in sizes else _total(sizes)
        return (TensorType(promote(*(v.dtype for v in inputs)), tuple(shape)),)

    def _without_axis(self, shape: Shape) -> Shape:
        return (*shape[: self.axis], None, *shape[self.axis + 1 :])


def _total(sizes: Sequence[int | None]) -> int:
    return sum(n for n in sizes if n is not None)


def join(axis: int, *arrays: Any) -> Variable:
    """Return the arrays joined along an axis they have."""
    variables = operands(*arrays)
    if not variables:
        raise ShapeError("join: there is nothing to join")
    if variables[0].ndim == 0:
        raise ShapeError("join: scalars have no axis to join along; use stack")
    axis = normalize_axis(axis, variables[0].ndim, "join")
    return Join(axis)(*variables)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Variable:
    """Return the arrays joined along an axis they have."""
    return join(axis, *arrays)


def stack(arrays: Sequence[Any], axis: int = 0) -> Variable:
    """Return arrays of one shape joined along a new axis."""
    variables = operands(*(stack(a) if isinstance(a, list | tuple) else a for a in arrays))
    if not variables:
        raise ShapeError("stack: there is nothing to stack")
    if all(v.ndim == 0 for v in variables):
        common = promote(*(v.dtype for v in variables))
        return Stack()(*(cast(v, common) for v in variables))
    axis = normalize_axis(axis, variables[0].ndim + 1, "stack")
    return join(axis, *(expand_dims(v, axis) for v in variables))


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
    if isinstance(splits, int):
        size = x.type.shape[axis]
        if size is not None and size % splits:
            raise ShapeError(f"split: size {size} of axis {axis} does not divide into {splits} equal parts")
        sizes = [dim(x, axis) // splits] * splits
    elif isinstance(splits, Variable) and n_splits is not None:
        sizes = [splits[i] for i in range(n_splits)]
    else:
        sizes = as_sizes(splits, "split")
    parts, start = [], constant(np.int64(0))
    for size in sizes:
        stop = start + size
        parts.append(x[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return parts


def tile(x: Any, reps: int | Sequence[Any]) -> Variable:
    """Return `x` laid side by side ``reps[i]`` times along each axis i."""
    x = as_tensor_variable(x)
    counts = as_sizes(reps, "tile")
    rank = max(x.ndim, len(counts))
    x = shape_padleft(x, rank - x.ndim)
    counts = [constant(np.int64(1))] * (rank - len(counts)) + counts
    sizes = [dim(x, axis) for axis in range(rank)]
    spread = x.dimshuffle(*(a for axis in range(rank) for a in ("x", axis)))
    repeated = broadcast_to(spread, [n for pair in zip(counts, sizes, strict=True) for n in pair])
    return reshape(repeated, [count * size for count, size in zip(counts, sizes, strict=True)])


@final
@dataclass(frozen=True)
class Repeat(Op):
    """First input with element i along `axis` repeated as often as element i of the second says."""

    axis: int

    @property
    def name(self) -> str:
        return f"repeat[{self.axis}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, counts = inputs
        if counts.ndim != 1 or kind(counts.dtype) not in "iu":
            raise DtypeError(f"repeat: the counts must be an integer or a vector of integers, not {counts.type}")
        shape = list(x.type.shape)
        shape[self.axis] = int(counts.data.sum()) if isinstance(counts, Constant) else None
        return (TensorType(x.dtype, tuple(shape)),)


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
    repeats = as_tensor_variable(repeats)
    if repeats.ndim:
        return Repeat(axis)(x, repeats)
    sizes = [dim(x, a) for a in range(x.ndim)]
    spread = broadcast_to(expand_dims(x, axis + 1), [*sizes[: axis + 1], repeats, *sizes[axis + 1 :]])
    return reshape(spread, [*sizes[:axis], sizes[axis] * cast(repeats, "int64"), *sizes[axis + 1 :]])
