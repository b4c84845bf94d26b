"""Reading and functionally writing parts of arrays, with NumPy's rules.

An index is kept as a `pattern`, one item per axis or new axis, in which constants stand as they are and everything
symbolic is `SLOT`: a further input of the node, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, Shape, TensorType, Variable, broadcast_shapes
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import Stack


class Slot:
    """A symbolic part of an index; there is one, `SLOT`."""

    def __repr__(self) -> str:
        return "?"

    def __reduce__(self) -> str:
        return "SLOT"


SLOT = Slot()
Bound = int | Slot | None


@dataclass(frozen=True)
class At:
    """One position along an axis, which goes."""

    position: int | Slot

    def __str__(self) -> str:
        return str(self.position)


@dataclass(frozen=True)
class Range:
    """A slice of an axis, which stays."""

    start: Bound = None
    stop: Bound = None
    step: Bound = None

    def __str__(self) -> str:
        start, stop, step = ("" if b is None else str(b) for b in (self.start, self.stop, self.step))
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


@dataclass(frozen=True)
class New:
    """A new axis of size 1."""

    def __str__(self) -> str:
        return "new"


@dataclass(frozen=True)
class Gather:
    """Positions along an axis given by an integer array of `ndim` axes; always a slot."""

    ndim: int

    def __str__(self) -> str:
        return "gather"


@dataclass(frozen=True)
class Mask:
    """The positions where a boolean array of `ndim` axes is true, along as many axes; always a slot."""

    ndim: int

    def __str__(self) -> str:
        return "mask"


Item = At | Range | New | Gather | Mask
Pattern = tuple[Item, ...]


def slots_of(item: Item) -> int:
    """Return how many inputs an item takes."""
    if isinstance(item, At):
        return int(item.position is SLOT)
    if isinstance(item, Range):
        return sum(bound is SLOT for bound in (item.start, item.stop, item.step))
    return int(isinstance(item, Gather | Mask))


def axes_of(item: Item) -> int:
    """Return how many axes of the array an item consumes."""
    return item.ndim if isinstance(item, Mask) else 0 if isinstance(item, New) else 1


def with_slots(pattern: Pattern, slots: Sequence[Any]) -> Iterator[tuple[Item, list[Any]]]:
    """Yield each item with those of `slots` that belong to it."""
    rest = iter(slots)
    for item in pattern:
        yield item, [next(rest) for _ in range(slots_of(item))]


# ---- reading the user's index ----


def parse(x: Variable, index: Any) -> tuple[Pattern, list[Variable]]:
    """Return the pattern and the symbolic parts of ``x[index]``.

    Raises
    ------
    ShapeError
        If there are more items than axes, more than one ellipsis, or a constant position outside a known size.
    DtypeError
        If something other than integers, slices, None, ..., integer and boolean arrays is used.
    """
    raw = list(index) if isinstance(index, tuple) else [index]
    if sum(item is Ellipsis for item in raw) > 1:
        raise ShapeError("an index can have only one ellipsis (...)")
    items, slots = [], []
    for entry in raw:
        if entry is Ellipsis:
            items.append(entry)
        else:
            item, found = _parse_item(entry)
            items.append(item)
            slots.extend(found)
    pattern = _fill(x, items)
    _check_positions(x, pattern)
    return pattern, slots


def _parse_item(entry: Any) -> tuple[Item, list[Variable]]:
    if entry is None:
        return New(), []
    if isinstance(entry, slice):
        bounds = [_parse_bound(b) for b in (entry.start, entry.stop, entry.step)]
        item = Range(*(b if isinstance(b, int | None) else SLOT for b in bounds))
        return item, [b for b in bounds if isinstance(b, Variable)]
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool):
        return At(int(entry)), []
    if isinstance(entry, str | float):
        raise DtypeError(f"{entry!r} cannot be used as an index; use integers, slices, None, ... or arrays of integers")
    variable = as_tensor_variable(np.asarray(entry, dtype="int64") if isinstance(entry, list) and not entry else entry)
    if variable.dtype == "bool":
        return Mask(variable.ndim), [variable]
    if kind(variable.dtype) not in "iu":
        raise DtypeError(f"an index must be of integers or booleans; {variable.name or 'it'} is {variable.type}")
    return (Gather(variable.ndim) if variable.ndim else At(SLOT)), [variable]


def _parse_bound(bound: Any) -> int | Variable | None:
    if bound is None:
        return None
    if isinstance(bound, int | np.integer):
        return int(bound)
    variable = as_tensor_variable(bound)
    if variable.ndim or kind(variable.dtype) not in "iu":
        raise DtypeError(f"bounds of a slice must be integer scalars; {variable.name or 'one'} is {variable.type}")
    return variable


def _fill(x: Variable, items: list[Any]) -> Pattern:
    consumed = sum(axes_of(item) for item in items if item is not Ellipsis)
    if consumed > x.ndim:
        raise ShapeError(f"too many indices: {consumed} for {x.name or 'an array'} of type {x.type}")
    filler = [Range()] * (x.ndim - consumed)
    position = items.index(Ellipsis) if Ellipsis in items else len(items)
    return tuple(items[:position] + filler + items[position + 1 :])


def _check_positions(x: Variable, pattern: Pattern) -> None:
    axis = 0
    for item in pattern:
        if isinstance(item, At) and isinstance(item.position, int):
            size = x.type.shape[axis]
            if size is not None and not -size <= item.position < size:
                raise ShapeError(f"index {item.position} is outside axis {axis} of {x.name or 'an array'}: {x.type}")
        axis += axes_of(item)


# ---- the shape that an index gives ----


def result_shape(shape: Shape, pattern: Pattern, slots: Sequence[Variable]) -> Shape:
    """Return the shape of an array of shape `shape` indexed by `pattern`, by NumPy's rules for mixed indices."""
    parts: list[Shape] = []
    advanced: list[int] = []
    gathered: list[Shape] = []
    is_advanced = any(isinstance(item, Gather | Mask) for item in pattern)
    axis = 0
    for position, (item, inputs) in enumerate(with_slots(pattern, slots)):
        if isinstance(item, New):
            parts.append((1,))
        elif isinstance(item, Range):
            parts.append((_range_size(shape[axis], item, inputs),))
        else:
            parts.append(())
            if is_advanced:
                advanced.append(position)
                gathered.append((None,) if isinstance(item, Mask) else inputs[0].type.shape if inputs else ())
        axis += axes_of(item)
    if advanced:
        adjacent = advanced[-1] - advanced[0] == len(advanced) - 1
        parts.insert(advanced[0] if adjacent else 0, broadcast_shapes(gathered))
    return tuple(size for part in parts for size in part)


def _range_size(size: int | None, item: Range, inputs: list[Variable]) -> int | None:
    if item == Range():
        return size
    symbolic = iter(inputs)
    bounds = [next(symbolic).known if b is SLOT else b for b in (item.start, item.stop, item.step)]
    unknown = any(b is None and given is SLOT for b, given in zip(bounds, (item.start, item.stop, item.step)))
    if size is None or unknown:
        return None
    return len(range(*slice(*bounds).indices(size)))


# ---- the ops ----


@final
@dataclass(frozen=True)
class Index(Op):
    """First input indexed by `pattern`, whose slots the other inputs fill."""

    pattern: Pattern

    @property
    def name(self) -> str:
        return f"index[{', '.join(map(str, self.pattern))}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *slots = inputs
        _check_positions(x, self.pattern)
        return (TensorType(x.dtype, result_shape(x.type.shape, self.pattern, slots)),)


@final
@dataclass(frozen=True)
class WriteIndex(Op):
    """First input with the part at `pattern` replaced by the second, or with the second added to it.

    Where positions repeat, the last value written stays, and all values added count.
    """

    pattern: Pattern
    accumulate: bool

    @property
    def name(self) -> str:
        return f"{'inc' if self.accumulate else 'set'}[{', '.join(map(str, self.pattern))}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, value, *slots = inputs
        part = result_shape(x.type.shape, self.pattern, slots)
        extra = value.type.shape[: max(value.ndim - len(part), 0)]
        try:
            fits = len(broadcast_shapes([part, value.type.shape])) == len(part) or all(n in (1, None) for n in extra)
            grows = any(
                p == 1 and v not in (1, None) for p, v in zip(part[::-1], value.type.shape[::-1], strict=False)
            )
        except ShapeError:
            fits, grows = False, False
        if not fits or grows:
            raise ShapeError(f"{self.name}: a value of {value.type} does not fit a part of shape {part} of {x.type}")
        return (x.type,)


# ---- what users call ----


def index(x: Any, item: Any) -> Variable:
    """Return ``x[item]``: basic and advanced indexing as in NumPy, with symbolic integers, slices and arrays."""
    x = as_tensor_variable(x)
    pattern, slots = parse(x, item)
    if all(part == Range() for part in pattern):
        return x
    if x.owner is not None and isinstance(x.owner.op, Stack) and isinstance(pattern[0], At):
        if isinstance(position := pattern[0].position, int):
            return x.owner.inputs[position]  # an element of a shape stays the size it is
    return Index(pattern)(x, *slots)


def _write(part: Any, value: Any, accumulate: bool, called: str) -> Variable:
    if not isinstance(part, Variable) or part.owner is None or not isinstance(part.owner.op, Index):
        raise TypeError(f"{called} needs a part of an array, as in {called}(x[i], value) or x[i].set(value)")
    x, *slots = part.owner.inputs
    value = operands(x, value)[1]
    if promote(x.dtype, value.dtype) != x.dtype:
        raise DtypeError(
            f"{called}: a value of {value.type} does not fit into {x.name or 'an array'} of {x.type} without loss; "
            f"cast the value to {x.dtype}, or the array to {promote(x.dtype, value.dtype)}"
        )
    return WriteIndex(part.owner.op.pattern, accumulate)(x, cast(value, x.dtype), *slots)


def set_subtensor(part: Any, value: Any) -> Variable:
    """Return ``x`` with ``part = x[item]`` replaced by `value`; ``x`` itself stays as it is.

    Raises
    ------
    TypeError
        If `part` is not made by indexing.
    DtypeError
        If the value's dtype does not fit the array's without loss.
    ShapeError
        If the value does not broadcast to the part.
    """
    return _write(part, value, False, "set_subtensor")


def inc_subtensor(part: Any, value: Any) -> Variable:
    """Return ``x`` with `value` added to ``part = x[item]``, repeated positions counted each time.

    Raises
    ------
    TypeError, DtypeError, ShapeError
        As for `set_subtensor`.
    """
    return _write(part, value, True, "inc_subtensor")


def take(x: Any, indices: Any, axis: int | None = None) -> Variable:
    """Return the elements of `x` at `indices` along `axis` (None: of the flattened array)."""
    x = as_tensor_variable(x)
    if axis is None:
        return index(x.flatten(), indices)
    return index(x, (slice(None),) * (axis % max(x.ndim, 1)) + (indices,))


