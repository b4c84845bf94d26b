"""`vectorize_graph`: what is replaced by what, and how large the batch is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Variable, broadcast_shapes, merge_shapes
from gpuscan.graph.operators import MEANING
from gpuscan.graph.replace import Replacements, read_replacements
from gpuscan.tensor.convert import constant
from gpuscan.tensor.elementwise import eq, switch
from gpuscan.tensor.shaping import BroadcastTo, dim, dims
from gpuscan.vectorize.batch import Batch, is_batched


def vectorize_graph(outputs: Variable | Sequence[Variable], replace: Replacements) -> Any:
    """Return a graph with batch axes added: see `gpuscan.graph.vectorize_graph`."""
    replacements = read_replacements(replace, "vectorize_graph")
    for old, new in replacements.items():
        _check(old, new)
    batched = {old: new for old, new in replacements.items() if is_batched(old, new)}
    batch = _batch(batched)
    if len(batched) > 1:
        replacements.update({old: _full(batch, old, new) for old, new in batched.items()})
    wanted = [outputs] if isinstance(outputs, Variable) else list(outputs)
    results = batch.rebuild(wanted, replacements)
    return results[0] if isinstance(outputs, Variable) else results


def _check(old: Variable, new: Variable) -> None:
    what = f"vectorize_graph: {old.name or 'a variable'!r} is {old.type}; what replaces it is {new.type}"
    if old.dtype != new.dtype:
        raise DtypeError(f"{what}. Cast it to {old.dtype}")
    if new.ndim < old.ndim:
        raise ShapeError(f"{what}, which has fewer axes; batch axes come in front of its own")
    try:
        merge_shapes([old.type.shape, new.type.shape[new.ndim - old.ndim :]])
    except ShapeError as error:
        raise ShapeError(f"{what}, whose last axes are not its own: {error}") from None


def _batch(batched: dict[Variable, Variable]) -> Batch:
    """Return the batch that the batch axes of all variables broadcast to."""
    extra = {new: new.ndim - old.ndim for old, new in batched.items()}
    try:
        known = broadcast_shapes(new.type.shape[:count] for new, count in extra.items())
    except ShapeError as error:
        raise ShapeError(f"vectorize_graph: batch axes do not fit each other: {error}") from None
    sizes: list[Variable] = []
    for axis, size in enumerate(known):
        # Counted from the last batch axis, as variables may have fewer of them.
        places = [(new, count - len(known) + axis) for new, count in extra.items()]
        unknown = [dim(new, place) for new, place in places if place >= 0 and new.type.shape[place] != 1]
        sizes.append(constant(np.int64(size)) if size is not None else _largest(unknown))
    return Batch(tuple(sizes))


def _largest(sizes: Sequence[Variable]) -> Variable:
    """Return the one of several sizes, equal or 1, that is not 1."""
    chosen = sizes[0]
    for other in sizes[1:]:
        chosen = switch(eq(chosen, 1), other, chosen)
    return chosen


def _full(batch: Batch, old: Variable, new: Variable) -> Variable:
    """Return `new` with all batch axes, of full size."""
    extra = new.ndim - old.ndim
    if new.type.shape[:extra] == batch.shape and None not in batch.shape:
        return new
    return BroadcastTo()(new, *batch.sizes, *dims(new, extra))


MEANING["vectorize_graph"] = vectorize_graph
