"""Several products of one value become one wide product, as those of the gates of an LSTM or a GRU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Loop, open_loop
from gpuscan.loop.fixed import Outside
from gpuscan.rewrite.bodies import change_loops, readers_of, reopened
from gpuscan.tensor.elementwise import eq, switch
from gpuscan.tensor.indexing import index
from gpuscan.tensor.joining import join
from gpuscan.tensor.pointwise import Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.shaping import BroadcastTo, dim


def widen_products(graph: Graph) -> Graph | None:
    """Multiply a value of a step by several matrices at once that no step changes, and take the results apart.

    The matrices are joined by their columns; `hoist_invariants` takes the join out of the loop. What is done to all of
    the results alike is done before they are taken apart: of gates ``x @ W_i + h @ U_i + b_i`` the sums too, and one
    call of ``sigmoid`` for those that have one. The user's matrices stay as they are.
    """
    return change_loops(graph, _widened, widen_products.__name__)


def _widened(node: Apply) -> Sequence[Variable] | None:
    loop, changed = open_loop(node), False
    while (wider := _widen_one(loop)) is not None:
        loop, changed = wider, True
    return reopened(node, loop).outputs if changed else None


def _widen_one(loop: Loop) -> Loop | None:
    """Return the loop with one group of products made one, the smallest: larger ones may be added to it in part."""
    body = _Body(loop)
    groups = sorted((g for g in body.groups if len(g.products) > 1), key=lambda g: len(g.products))
    return loop.replaced(body.replacements(groups[0])) if groups else None


@dataclass(frozen=True)
class _Group:
    """Products of one value with several matrices: from the left, or if `is_left` from the right."""

    shared: Variable
    is_left: bool
    products: dict[Variable, Variable]  # with the matrix of each


class _Body:
    """The products of a step, and what reads them."""

    def __init__(self, loop: Loop) -> None:
        self.outside = Outside(loop)
        self.readers = readers_of(loop.outputs, loop.reads)
        found: dict[Any, dict[Variable, Variable]] = {}
        for node in self.outside.nodes:
            is_product = isinstance(node.op, MatMul) and node in self.outside.asked
            if is_product and (key := self._key(node)) is not None:
                matrix = node.inputs[0 if key[1] else 1]
                found.setdefault(key, {})[node.outputs[0]] = matrix
        self.groups = [_Group(key[0], key[1], products) for key, products in found.items()]

    def _key(self, node: Apply) -> tuple[Variable, bool, str] | None:
        """Return what products that can become one have in common."""
        a, b = node.inputs
        fixed = [self.outside.is_fixed(v) for v in (a, b)]
        if fixed == [False, True] and b.ndim == 2:
            return a, False, b.dtype
        if fixed == [True, False] and a.ndim == 2 and b.ndim == 1:
            return b, True, a.dtype
        return None

    def replacements(self, group: _Group) -> dict[Variable, Variable]:
        """Return for values of the step, from the products on, parts of wide ones to use in their place."""
        lanes = list(group.products)
        wide: _Wide = _Product(group.shared, group.is_left, [group.products[v] for v in lanes])
        while (grown := self._grow(wide, lanes)) is not None:
            wide, lanes = grown
        lasts = {lane: self._unary(lane) for lane in lanes}
        order = sorted(range(len(lanes)), key=lambda i: [*map(str, lasts.values())].index(str(lasts[lanes[i]])))
        wide, lanes = wide.ordered(order), [lanes[i] for i in order]
        widths = [_broadcast(wide.widths(i)) for i in range(len(lanes))]
        return _taken_apart(wide.build(widths), lanes, widths, lasts)

    def _unary(self, lane: Variable) -> Apply | None:
        """Return the node that alone reads a value, if it is of one operand."""
        node = self._only_reader(lane)
        return node if node is not None and len(node.inputs) == 1 else None

    def _only_reader(self, v: Variable) -> Apply | None:
        nodes = self.readers[v]
        return nodes[0] if len(nodes) == 1 and nodes[0] is not None and isinstance(nodes[0].op, Pointwise) else None

    def _grow(self, wide: _Wide, lanes: list[Variable]) -> tuple[_Wide, list[Variable]] | None:
        """Return a wide value, and what its lanes are, after what is done to all lanes alike; None if nothing is."""
        found = [self._only_reader(v) for v in lanes]
        nodes = [node for node in found if node is not None]
        if len(set(nodes)) < len(lanes) or len({node.op for node in nodes}) > 1:
            return None
        places = {node.inputs.index(v) for node, v in zip(nodes, lanes, strict=True)}
        outputs = [node.outputs[0] for node in nodes]
        if len(places) > 1 or any(v.ndim != lanes[0].ndim for v in outputs):
            return None
        operands: list[_Wide] = []
        for place in range(len(nodes[0].inputs)):
            operand = wide if place in places else self._operand([node.inputs[place] for node in nodes])
            if operand is None:
                return None
            operands.append(operand)
        return _Pointwise(nodes[0].op, operands), outputs

    def _operand(self, values: list[Variable]) -> _Wide | None:
        """Return one wide value for values that meet one lane each."""
        if len(set(values)) == 1 and (values[0].ndim == 0 or values[0].type.shape[-1] == 1):
            return _Shared(values[0])
        if all(self.outside.is_fixed(v) and v.ndim == 1 for v in values) and len({v.dtype for v in values}) == 1:
            return _Vectors(values)
        alone = len(set(values)) == len(values) and all(self._only_reader(v) is not None for v in values)
        for group in self.groups if alone else ():
            if all(v in group.products for v in values):
                return _Product(group.shared, group.is_left, [group.products[v] for v in values])
        return None


def _taken_apart(
    whole: Variable, lanes: Sequence[Variable], widths: Sequence[Variable], lasts: dict[Variable, Apply | None]
) -> dict[Variable, Variable]:
    """Return the parts of `whole` in place of `lanes`; one op over neighbours that have it in common comes first."""
    ends = [widths[0]]
    for width in widths[1:]:
        ends.append(ends[-1] + width)
    starts = [None, *ends[:-1]]
    parts: dict[Variable, Variable] = {}
    at = 0
    while at < len(lanes):
        node, stop = lasts[lanes[at]], at + 1
        while node is not None and stop < len(lanes) and (other := lasts[lanes[stop]]) and other.op == node.op:
            stop += 1
        if node is None or stop == at + 1:
            parts[lanes[at]] = _part(whole, starts[at], ends[at])
        else:
            done = node.op(_part(whole, starts[at], ends[stop - 1]))
            first = starts[at]
            for i in range(at, stop):
                begin, end = (v if v is None or first is None else v - first for v in (starts[i], ends[i]))
                last = lasts[lanes[i]]
                assert last is not None
                parts[last.outputs[0]] = _part(done, None if i == at else begin, end)
        at = stop
    for old, new in parts.items():
        new.name = old.name
    return parts


def _part(whole: Variable, start: Variable | None, stop: Variable | None) -> Variable:
    bounds = [v if v is None or v.known is None else v.known for v in (start, stop)]
    return index(whole, (..., slice(*bounds)))


def _broadcast(sizes: Sequence[Variable]) -> Variable:
    """Return the size that axes of these sizes broadcast to."""
    known = [size for size in sizes if size.known not in (None, 1)]
    if known:
        return known[0]
    result = sizes[0]
    for size in sizes[1:]:
        result = switch(eq(result, 1), size, result)
    return result


# ---- wide values ----


class _Wide(ABC):
    """A value with lanes side by side along its last axis."""

    @abstractmethod
    def ordered(self, order: Sequence[int]) -> _Wide:
        """Return it with its lanes in another order."""

    @abstractmethod
    def widths(self, lane: int) -> list[Variable]:
        """Return the sizes along the last axis that broadcast to the lane's width."""

    @abstractmethod
    def build(self, widths: Sequence[Variable]) -> Variable:
        """Return it as a value, its lanes of these widths."""


@final
@dataclass(frozen=True)
class _Product(_Wide):
    shared: Variable
    is_left: bool
    matrices: list[Variable]

    def ordered(self, order: Sequence[int]) -> _Wide:
        return replace(self, matrices=[self.matrices[i] for i in order])

    def widths(self, lane: int) -> list[Variable]:
        return [dim(self.matrices[lane], 0 if self.is_left else 1)]

    def build(self, widths: Sequence[Variable]) -> Variable:
        # A column that stands for many is repeated before the product as well as after it.
        if self.is_left:
            full = [_spread(m, [width, dim(m, 1)]) for m, width in zip(self.matrices, widths, strict=True)]
            return MatMul()(join(0, *full), self.shared)
        full = [_spread(m, [dim(m, 0), width]) for m, width in zip(self.matrices, widths, strict=True)]
        return MatMul()(self.shared, join(1, *full))


@final
@dataclass(frozen=True)
class _Vectors(_Wide):
    values: list[Variable]

    def ordered(self, order: Sequence[int]) -> _Wide:
        return _Vectors([self.values[i] for i in order])

    def widths(self, lane: int) -> list[Variable]:
        return [dim(self.values[lane], 0)]

    def build(self, widths: Sequence[Variable]) -> Variable:
        return join(0, *(_spread(v, [width]) for v, width in zip(self.values, widths, strict=True)))


@final
@dataclass(frozen=True)
class _Shared(_Wide):
    value: Variable

    def ordered(self, order: Sequence[int]) -> _Wide:
        return self

    def widths(self, lane: int) -> list[Variable]:
        return []

    def build(self, widths: Sequence[Variable]) -> Variable:
        return self.value


@final
@dataclass(frozen=True)
class _Pointwise(_Wide):
    op: Any
    operands: list[_Wide]

    def ordered(self, order: Sequence[int]) -> _Wide:
        return _Pointwise(self.op, [v.ordered(order) for v in self.operands])

    def widths(self, lane: int) -> list[Variable]:
        return [size for v in self.operands for size in v.widths(lane)]

    def build(self, widths: Sequence[Variable]) -> Variable:
        result: Variable = self.op(*(v.build(widths) for v in self.operands))
        return result


def _spread(v: Variable, sizes: Sequence[Variable]) -> Variable:
    """Return `v` broadcast to sizes, itself if it is known to have them."""
    if all(_is_same(own, size) for own, size in zip(_dims(v), sizes, strict=True)):
        return v
    return BroadcastTo()(v, *sizes)


def _is_same(a: Variable, b: Variable) -> bool:
    return a is b or (a.known is not None and a.known == b.known)


def _dims(v: Variable) -> list[Variable]:
    return [dim(v, axis) for axis in range(v.ndim)]
