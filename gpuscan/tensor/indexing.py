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
from gpuscan.graph import Constant, Op, Shape, TensorType, Variable, broadcast_shapes
from gpuscan.tensor.convert import as_tensor_variable, cast, constant, operands
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.shaping import Dim, DimShuffle, Reshape, Stack, normalize_axis


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

    @property
    def bounds(self) -> tuple[Bound, Bound, Bound]:
        """Its start, stop and step."""
        return self.start, self.stop, self.step

    def as_slice(self, slots: Sequence[int | None] = ()) -> slice | None:
        """Return it with its slots filled; None if one of them is not known."""
        given = iter(slots)
        filled = [next(given, None) if isinstance(bound, Slot) else bound for bound in self.bounds]
        return slice(*filled) if len(slots) == slots_of(self) and None not in slots else None

    def __str__(self) -> str:
        start, stop, step = ("" if b is None else str(b) for b in self.bounds)
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
        return sum(bound is SLOT for bound in item.bounds)
    return int(isinstance(item, Gather | Mask))


def axes_of(item: Item) -> int:
    """Return how many axes of the array an item consumes."""
    return item.ndim if isinstance(item, Mask) else 0 if isinstance(item, New) else 1


def with_slots(pattern: Pattern, slots: Sequence[Any]) -> Iterator[tuple[Item, list[Any]]]:
    """Yield each item with those of `slots` that belong to it."""
    rest = iter(slots)
    for item in pattern:
        yield item, [next(rest) for _ in range(slots_of(item))]


def with_known_slots(pattern: Pattern, slots: Sequence[Variable]) -> tuple[Pattern, list[Variable]]:
    """Return a pattern with the integers that are known in it, and the slots that are left."""
    items: list[Item] = []
    left: list[Variable] = []
    for item, inputs in with_slots(pattern, slots):
        given = iter(inputs)
        if isinstance(item, At):
            item = At(_known_or_slot(item.position, given, left))
        elif isinstance(item, Range):
            item = Range(*(_known_or_slot(bound, given, left) for bound in item.bounds))
        left += given
        items.append(item)
    return tuple(items), left


def _known_or_slot(bound: Bound, given: Iterator[Variable], left: list[Variable]) -> Any:
    if not isinstance(bound, Slot):
        return bound
    slot = next(given)
    if slot.known is None:
        left.append(slot)
    return SLOT if slot.known is None else slot.known


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
    ellipses = [position for position, entry in enumerate(raw) if entry is Ellipsis]
    if len(ellipses) > 1:
        raise ShapeError("an index can have only one ellipsis (...)")
    parsed = [_parse_item(entry) for entry in raw if entry is not Ellipsis]
    items = [item for item, _ in parsed]
    consumed = sum(map(axes_of, items))
    if consumed > x.ndim:
        raise ShapeError(f"too many indices: {consumed} for {x.name or 'an array'} of type {x.type}")
    position = ellipses[0] if ellipses else len(items)
    before, between, after = items[:position], [Range()] * (x.ndim - consumed), items[position:]
    if not between and _names_positions(before) and _names_positions(after) and _is_advanced(items):
        # NumPy takes the two sides as apart, which no other index says.
        raise ShapeError("an ellipsis (...) that stands for no axis, between integers and arrays; leave it out")
    return (*before, *between, *after), [slot for _, slots in parsed for slot in slots]


def _names_positions(items: Sequence[Item]) -> bool:
    return any(isinstance(item, At | Gather | Mask) for item in items)


def _is_advanced(items: Sequence[Item]) -> bool:
    return any(isinstance(item, Gather | Mask) for item in items)


def _parse_item(entry: Any) -> tuple[Item, list[Variable]]:
    if entry is None:
        return New(), []
    if isinstance(entry, slice):
        bounds = [_parse_bound(b) for b in (entry.start, entry.stop, entry.step)]
        if bounds[2] == 0:
            raise ShapeError("the step of a slice must not be 0")
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


def _check(x: Variable, pattern: Pattern, slots: Sequence[Variable]) -> None:
    """Raise ShapeError for constant positions outside a known size, and masks of another size than their axes."""
    axis = 0
    for item, inputs in with_slots(pattern, slots):
        sizes = x.type.shape[axis : axis + axes_of(item)]
        wrong = ""
        if isinstance(item, Mask) and not _may_be(inputs[0].type.shape, sizes):
            wrong = f"a mask of type {inputs[0].type} does not fit"
        elif isinstance(item, At | Gather) and sizes[0] is not None:
            outside = [p for p in _positions(item, inputs) if not -sizes[0] <= p < sizes[0]]
            wrong = f"index {outside[0]} is outside" if outside else ""
        if wrong:
            raise ShapeError(f"{wrong} axis {axis} of {x.name or 'an array'}: {x.type}")
        axis += axes_of(item)


def _positions(item: At | Gather, slots: Sequence[Variable]) -> list[int]:
    """Return the extremes of the positions that an item names, as far as they are known."""
    if isinstance(item, At):
        position = item.position if isinstance(item.position, int) else slots[0].known
        return [] if position is None else [position]
    data = slots[0].data if isinstance(slots[0], Constant) else np.zeros(0)
    return [int(data.min()), int(data.max())] if data.size else []


def _may_be(shape: Shape, other: Shape) -> bool:
    """Whether two shapes of one rank can turn out to be the same."""
    return all(None in (a, b) or a == b for a, b in zip(shape, other, strict=True))


# ---- the shape that an index gives ----


def result_shape(shape: Shape, pattern: Pattern, slots: Sequence[Variable]) -> Shape:
    """Return the shape of an array of shape `shape` indexed by `pattern`, by NumPy's rules for mixed indices."""
    parts: list[Shape] = []
    advanced: list[int] = []
    gathered: list[Shape] = []
    is_advanced = _is_advanced(pattern)
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
                gathered.append(_gathered_shape(item, inputs))
        axis += axes_of(item)
    if advanced:
        adjacent = advanced[-1] - advanced[0] == len(advanced) - 1
        parts.insert(advanced[0] if adjacent else 0, broadcast_shapes(gathered))
    return tuple(size for part in parts for size in part)


def _gathered_shape(item: At | Gather | Mask, slots: Sequence[Variable]) -> Shape:
    if isinstance(item, Mask):
        return (int(np.count_nonzero(slots[0].data)) if isinstance(slots[0], Constant) else None,)
    return slots[0].type.shape if slots else ()


def _range_size(size: int | None, item: Range, slots: Sequence[Variable]) -> int | None:
    if item == Range():
        return size
    fixed = item.as_slice([slot.known for slot in slots])
    if size is None or fixed is None:
        return None
    if fixed.step == 0:
        raise ShapeError("the step of a slice must not be 0")
    return len(range(*fixed.indices(size)))


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
        _check(x, self.pattern, slots)
        return (TensorType(x.dtype, result_shape(x.type.shape, self.pattern, slots)),)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        x, item = inputs[0], self.pattern[0] if self.pattern else New()
        if x.ndim != 1 or not isinstance(item, At) or not isinstance(item.position, int):
            return None
        if isinstance(x, Constant):
            return constant(x.data[item.position]).known
        return x.owner.inputs[item.position].known if x.owner and isinstance(x.owner.op, Stack) else None


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
        _check(x, self.pattern, slots)
        part = TensorType(x.dtype, result_shape(x.type.shape, self.pattern, slots))
        if not _fits(value.type.shape, part.shape):
            called = "inc_subtensor" if self.accumulate else "set_subtensor"
            raise ShapeError(
                f"{called}: a value of {value.type} does not fit a part of {part} of {x.name or 'an array'} of {x.type}"
            )
        return (x.type,)


def _fits(value: Shape, part: Shape) -> bool:
    """Whether a value of shape `value` can broadcast to a part of shape `part`."""
    pairs = zip(value[::-1], part[::-1], strict=False)
    return len(value) <= len(part) and all(v in (1, None, p) or p is None for v, p in pairs)


# ---- what users call ----


def index(x: Any, item: Any) -> Variable:
    """Return ``x[item]``: basic and advanced indexing as in NumPy, with symbolic integers, slices and arrays."""
    x = as_tensor_variable(x)
    pattern, slots = parse(x, item)
    # Always a node, also for x[:], as set_subtensor finds in it which array to write to.
    part = Index(pattern)(x, *slots)
    sizes = _part_of_shape(x, pattern)
    return part if sizes is None else sizes


def _part_of_shape(x: Variable, pattern: Pattern) -> Variable | None:
    """Return ``x.shape[i]`` and ``x.shape[i:j]`` as the sizes that they are."""
    sizes = x.owner.inputs if x.owner is not None and isinstance(x.owner.op, Stack) else ()
    if not sizes or not all(isinstance(v, Constant) or (v.owner and isinstance(v.owner.op, Dim)) for v in sizes):
        return None
    item = pattern[-1]
    if isinstance(item, At) and isinstance(item.position, int):
        return sizes[item.position]
    if isinstance(item, Range) and (fixed := item.as_slice()) and sizes[fixed]:
        return Stack()(*sizes[fixed])
    return None


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
    return WriteIndex(part.owner.op.pattern, accumulate)(x, _without_leading(cast(value, x.dtype), part.ndim), *slots)


def _without_leading(value: Variable, ndim: int) -> Variable:
    """Return `value` without the leading axes of size 1 that it has beyond rank `ndim`."""
    extra = value.ndim - ndim
    if extra <= 0 or any(size not in (1, None) for size in value.type.shape[:extra]):
        return value
    return DimShuffle(tuple(range(extra, value.ndim)))(value)


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
        return index(Reshape()(x, constant(np.int64(-1))), indices)
    return index(x, (slice(None),) * normalize_axis(axis, x.ndim, "take") + (indices,))
