"""Sums over time of products become one product after the loop, as the gradients of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpuscan.graph import Apply, Graph, Variable
from gpuscan.loop import Emit, Loop, Result, State, open_loop
from gpuscan.loop.fixed import Outside
from gpuscan.loop.names import value_name
from gpuscan.rewrite.bodies import (
    change_loops,
    has_enough_rows,
    has_fixed_size,
    may_be_total,
    names_of,
    readers_of,
    reopened,
    rows_read,
)
from gpuscan.rewrite.drop_unread import drop_records, drop_unread
from gpuscan.rewrite.stacks import may_stack
from gpuscan.tensor.convert import cast
from gpuscan.tensor.indexing import index
from gpuscan.tensor.layout import expand_dims
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import DimShuffle, Reshape, dim
from gpuscan.tensor.sizes import product


def sum_after(graph: Graph) -> Graph | None:
    """Replace a state that only adds up products of two matrices, or outer products of vectors, by what it multiplies.

    Of ``total + a_t.T @ b_t`` the rows a_t and b_t are stacked, if they are not at hand as a sequence or a history, and
    multiplied once after the loop. Inside, the whole of ``total`` would be read and written at every step. A state that
    adds up values which the loop stacks all the same, as the gradient of a bias does, becomes one sum after the loop;
    other sums are best left where they are: they need no memory, and what they add up is read but once.

    Left as they are: states whose stacks would take more than `MOST_BYTES`; states that something else reads, or of
    which more than the final value is; float16, which may not hold what is between.
    """
    # A history that nothing reads is not at hand: it is about to go.
    return change_loops(drop_unread(graph) or graph, _changed, sum_after.__name__)


def _changed(node: Apply) -> Sequence[Variable] | None:
    loop = open_loop(node)
    totals = _totals(loop)
    if not totals:
        return None
    stacks = _Stacks(loop)
    products = {t.state.name: t for t in totals if stacks.takes(t, only_at_hand=False)}
    stacks.stack([v for t in products.values() for v in stacks.missing(t)])
    plain = {t.state.name: t for t in totals if t.state.name not in products and stacks.takes(t, only_at_hand=True)}
    leaving = {**products, **plain}
    if not leaving:
        return None
    kept = tuple(r for r in loop.results if r.record not in leaving)
    wanted = tuple(dict.fromkeys((*kept, *stacks.results)))
    if not wanted and not has_enough_rows(loop):
        return None  # the loop goes, and with it what would say that a sequence is too short
    smaller = replace(
        loop,
        states=tuple(s for s in loop.states if s.name not in leaving),
        emits=(*loop.emits, *stacks.emits),
        results=wanted,
    )
    made = dict(zip(wanted, reopened(node, drop_records(smaller)).outputs, strict=True))
    sums = _Sums(stacks, made)
    finals = {name: sums.final(total) for name, total in leaving.items()}
    return [finals[r.record] if r.record in finals else made[r] for r in loop.results]


# ---- which states ----


@dataclass(frozen=True)
class _Total:
    """A state that is what it was and the sum of `terms`."""

    state: State
    terms: list[Variable]


def _totals(loop: Loop) -> list[_Total]:
    """Return the states of which nothing but their sum is read."""
    readers = readers_of(loop.outputs, loop.reads)
    totals = []
    for state in loop.states:
        if not may_be_total(loop, state, readers):
            continue
        read = state.reads[1]
        terms = list(_terms(state.next, readers))
        if terms.count(read) == 1 and len(terms) > 1 and all(v.dtype == state.next.dtype for v in terms):
            terms.remove(read)
            totals.append(_Total(state, terms))
    return totals


def _terms(total: Variable, readers: dict[Variable, list[Apply | None]]) -> Iterator[Variable]:
    """Yield what is added up in a value that nothing else reads."""
    stack = [total]
    while stack:
        v = stack.pop()
        if v.owner is not None and v.owner.op == Pointwise("add") and len(readers[v]) == 1:
            stack.extend(v.owner.inputs)
        else:
            yield v


def _factors(v: Variable) -> tuple[Variable, Variable] | None:
    """Return what a value is a product of, as matrices' rows or vectors; None if it is no sum of products over time."""
    if v.owner is None:
        return None
    op, inputs = v.owner.op, v.owner.inputs
    if isinstance(op, MatMul) and inputs[0].ndim == inputs[1].ndim == 2:
        return inputs[0], inputs[1]
    if op == Pointwise("mul") and v.ndim == 2:
        for a, b in (inputs, inputs[::-1]):
            column, row = _unshuffled(a, (0, None)), _unshuffled(b, (None, 0))
            row = b if b.ndim == 1 else row
            if column is not None and row is not None:
                return column, row
    return None


def _unshuffled(v: Variable, order: tuple[int | None, ...]) -> Variable | None:
    """Return what a value is with its axes in this order."""
    return v.owner.inputs[0] if v.owner is not None and v.owner.op == DimShuffle(order) else None


# ---- what there is of all steps ----


class _Stacks:
    """The values of which all steps' are outside of a loop: at hand already, or to be stacked."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.outside = Outside(loop)
        self.names = names_of(loop)
        self.emits: list[Emit] = []
        self.records = {e.value: e.name for e in loop.emits} | {s.next: s.name for s in loop.states}
        self.at_hand = {
            loop.value_of(r.record) for r in loop.results if r.kind == "history" and r.record in self.records.values()
        }
        self.rows = {} if loop.stop is not None else self._rows()
        # With a stop condition rows are not taken from sequences, which may have more of them than steps ran.
        self.at_hand |= set(self.rows)

    def _rows(self) -> dict[Variable, tuple[Variable, bool]]:
        return {
            v: (rows_read(self.loop, s, offset), s.reverse)
            for s in self.loop.sequences
            for offset, v in s.reads.items()
        }

    @property
    def results(self) -> list[Result]:
        """The histories that are asked for."""
        # In the order of the records, which is the same in every process: kernels are cached by their text.
        return [Result("history", name) for v, name in self.records.items() if v in self.at_hand]

    def takes(self, total: _Total, only_at_hand: bool) -> bool:
        """Whether the sum of each term can be said outside; without `only_at_hand`, after stacking what is missing."""
        if only_at_hand:
            return all(self._at_hand_below(v) in self.records for v in total.terms)
        products = [self._product_below(v) is not None for v in total.terms]
        if not any(products):
            return False
        if not all(p or self._at_hand_below(v) is not None for p, v in zip(products, total.terms, strict=True)):
            return False
        stacked = self.missing(total)
        return all(has_fixed_size(self.loop, v, self.outside) and may_stack(self.loop, v) for v in stacked)

    def _linear(self, v: Variable) -> Variable | None:
        """Return what a value is a sum, another arrangement or another precision of."""
        if v.owner is None or not isinstance(v.owner.op, Reduce | SumTo | DimShuffle | Cast):
            return None
        if isinstance(v.owner.op, Cast):
            (x,) = v.owner.inputs
            return x if kind(x.dtype) == kind(v.dtype) == "f" else None
        if isinstance(v.owner.op, Reduce) and v.owner.op.kind != "sum":
            return None
        x, *sizes = v.owner.inputs
        return x if x.dtype == v.dtype and all(map(self.outside.is_fixed, sizes)) else None

    def _product_below(self, v: Variable) -> Variable | None:
        current: Variable | None = v
        while current is not None and _factors(current) is None:
            current = self._linear(current)
        return current

    def _at_hand_below(self, v: Variable) -> Variable | None:
        current: Variable | None = v
        while current is not None and current not in self.at_hand:
            current = self._linear(current)
        return current

    def missing(self, total: _Total) -> list[Variable]:
        """Return the values that would have to be stacked."""
        factors = [f for v in total.terms if (p := self._product_below(v)) is not None for f in _factors(p) or ()]
        return [base for f in factors if (base := self.base(f)) not in self.at_hand]

    def base(self, v: Variable) -> Variable:
        """Return the value whose stack that of `v` is a view of."""
        while v not in self.at_hand and v.owner is not None and not isinstance(v.owner.op, Reduce):
            below = self._linear(v)
            if below is None:
                break
            v = below
        return v

    def stack(self, values: Sequence[Variable]) -> None:
        """Have values stacked."""
        for v in dict.fromkeys(values):
            if v not in self.records:
                name = self.names.unique(value_name(v, "value"))
                self.emits.append(Emit(name, v))
                self.records[v] = name
            self.at_hand.add(v)


# ---- the sums, outside of the loop ----


class _Sums:
    """Sums over time of terms, said outside of a loop that hands out the stacks.

    Parameters
    ----------
    stacks : _Stacks
        What is stacked.
    made : mapping of Result to Variable
        What the loop hands out.
    """

    def __init__(self, stacks: _Stacks, made: Mapping[Result, Variable]) -> None:
        self.stacks = stacks
        self.say = stacks.outside.say
        self.made = made

    def final(self, total: _Total) -> Variable:
        """Return the final value of a state, with an axis in front."""
        result = total.state.init
        for v in total.terms:
            result = result + expand_dims(self._sum(v), 0)
        return result

    def _sum(self, v: Variable) -> Variable:
        """Return the sum over time of a term."""
        if v in self.stacks.at_hand:
            return cast(Reduce("sum", (0,))(self._whole(v)[0]), v.dtype)
        if (factors := _factors(v)) is not None:
            return self._product(*factors)
        assert v.owner is not None
        op, (x, *sizes) = v.owner.op, v.owner.inputs
        if x not in self.stacks.at_hand or isinstance(op, DimShuffle | Cast):
            return op(self._sum(x), *map(self.say, sizes))
        whole = self._whole(x)[0]
        if isinstance(op, Reduce):
            return cast(Reduce("sum", (0, *(a + 1 for a in op.axes)))(whole), v.dtype)
        return op(whole, *map(self.say, sizes))

    def _product(self, a: Variable, b: Variable) -> Variable:
        # One order of the rows for both sides: that of a sequence, if there is one that is read backwards.
        reverse = any(self._is_backwards(v) for v in (a, b))
        right = self._ordered(b, reverse)
        if a.ndim == 1:
            return MatMul()(DimShuffle((1, 0))(self._ordered(a, reverse)), right)
        right = Reshape()(right, product([dim(right, 0), dim(right, 1)]), dim(right, 2))
        if (columns := _unshuffled(a, (1, 0))) is not None:
            left = self._ordered(columns, reverse)
            left = Reshape()(left, product([dim(left, 0), dim(left, 1)]), dim(left, 2))
            return MatMul()(DimShuffle((1, 0))(left), right)
        left = DimShuffle((1, 0, 2))(self._ordered(a, reverse))
        return MatMul()(Reshape()(left, dim(left, 0), product([dim(left, 1), dim(left, 2)])), right)

    def _is_backwards(self, v: Variable) -> bool:
        base = self.stacks.base(v)
        return base in self.stacks.rows and self.stacks.rows[base][1]

    def _ordered(self, v: Variable, reverse: bool) -> Variable:
        whole, is_reverse = self._whole(v)
        return whole if is_reverse is reverse else index(whole, slice(None, None, -1))

    def _whole(self, v: Variable) -> tuple[Variable, bool]:
        """Return the values of all steps, and whether the last step's comes first."""
        if v in self.stacks.rows:
            return self.stacks.rows[v]
        if v in self.stacks.at_hand:
            return self.made[Result("history", self.stacks.records[v])], False
        assert v.owner is not None
        op, (x, *sizes) = v.owner.op, v.owner.inputs
        whole, reverse = self._whole(x)
        if isinstance(op, DimShuffle):
            return DimShuffle((0, *(None if a is None else a + 1 for a in op.order)))(whole), reverse
        if isinstance(op, Cast):
            return op(whole), reverse
        return op(whole, dim(whole, 0), *map(self.say, sizes)), reverse
