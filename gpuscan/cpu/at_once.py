"""Loops over small rows without a Python step for each: whole arrays, a piece of the loop at a time.

NumPy's work on a small row is mostly the call. Where no step depends on the one before, or on it only through a
recurrence that can be solved for many steps (`recurrence`), the steps of a piece are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np

from gpuscan.config import config
from gpuscan.cpu.recurrence import Recurrence
from gpuscan.errors import LoopError, ShapeError
from gpuscan.graph import Apply, Constant, Graph, Shape, TensorType, Variable, leaves, sorted_nodes
from gpuscan.host import write_function
from gpuscan.host.loops import write_loop
from gpuscan.host.writer import Writer
from gpuscan.loop import Loop, Result, Scan, State, bind_loop, open_loop
from gpuscan.loop.fixed import SURE, is_sure
from gpuscan.tensor.convert import cast, constant
from gpuscan.tensor.elementwise import add, maximum, minimum, mul
from gpuscan.tensor.indexing import index
from gpuscan.tensor.joining import join
from gpuscan.tensor.pointwise import Pointwise, kind, promote
from gpuscan.tensor.reduction import Reduce
from gpuscan.vectorize import Batch

WIDEST = {"recurrence": 64, "map": 512}
"""Elements of the largest value of a step up to which steps are computed together; measured against NumPy's calls."""

FEWEST_STEPS = 32
MOST_WAYS = 256

_Shapes = tuple[Any, ...]
"""A number of steps, and the shapes of a loop's inputs."""

_Way = Callable[["AtOnce", int, Sequence[Any]], Sequence[Any] | None]
"""Runs a number of steps on a loop's inputs, and returns its results."""

PIECE = 2**15
"""Elements of a value in one piece, for all its steps: the values of a piece stay in the processor's cache."""


def write_scan(w: Writer, node: Apply) -> None:
    """Write the statements for a loop: those that run it step by step, and where that can be, a way around them."""
    at_once = AtOnce.of(node)
    if at_once is None:
        write_loop(w, node)
        return
    arguments = ", ".join(w.named(v) for v in node.inputs)
    found = w.fresh()
    w.line(f"{found} = {w.bind(at_once, 'at_once')}({arguments})")
    with w.block(f"if {found} is None:"):
        write_loop(w, node)
        w.line(f"{found} = {''.join(f'{w.array(v)}, ' for v in node.outputs)}")
    w.unpack(node.outputs, f"{found}[0]" if len(node.outputs) == 1 else found)


def _no_gain(at_once: AtOnce, steps: int, sources: Sequence[Any]) -> None:
    """Leave the loop to be run step by step."""


@final
class AtOnce:
    """Runs a loop piece by piece; it answers None for shapes and numbers of steps for which that is no gain."""

    def __init__(self, node: Apply, solved: _Solved) -> None:
        assert isinstance(node.op, Scan)
        self.node = node
        self.op = node.op
        self.loop = solved.loop
        self.order = solved.results
        self.run = write_function(solved.piece()).run
        self.widest = WIDEST["recurrence" if self.loop.states else "map"]
        self.count = len(self.op.results)
        parts = [None if r.kind in ("history", "final") else r.part for r in self.op.results]
        self.parts = parts if any(part is not None for part in parts) else []  # what is kept of results, if not all
        self.first_state = len(self.op.sequences)
        # The sequences whose rows are read, in the order in which they are.
        self.rows = [(k, s.reverse, s.margin) for k, s in enumerate(self.op.sequences) if s.offsets]
        self.ways: dict[_Shapes, _Way] = {}  # functions of this object, which would hold itself by its methods
        self.widths: dict[tuple[Shape, ...], int] = {}

    @classmethod
    def of(cls, node: Apply) -> AtOnce | None:
        """Return what runs the loop of `node`; None if it has to be run step by step."""
        loop = open_loop(node)
        steps, options = loop.length.known, loop.options
        plain = not (options.profile or options.keep_buffers or config.check) and loop.stop is None and loop.results
        if not plain or (steps is not None and steps < FEWEST_STEPS):
            return None
        if any(r.kind == "steps" for r in loop.results) or any(s.depth > 1 for s in loop.states):
            return None
        solved = _Solved(replace(loop, sequences=tuple(s for s in loop.sequences if s.reads)))
        return cls(node, solved) if solved.is_whole else None

    def __call__(self, length: Any, *sources: Any) -> Sequence[Any] | None:
        """Return the loop's results for its inputs."""
        steps = int(length)
        # One look-up decides a call on shapes that were seen before: of a short loop the decision would be most of it.
        key = (steps, *[v.shape for v in sources])
        way = self.ways.get(key)
        if way is None:
            way = self._remembered(key)
        return way(self, steps, sources)

    def _remembered(self, key: _Shapes) -> _Way:
        if len(self.ways) >= MOST_WAYS:
            self.ways.clear()
        way = self.ways[key] = self._way(*key)
        return way

    def _way(self, steps: int, *shapes: Shape) -> _Way:
        """Return how so many steps run on inputs of these shapes."""
        width = self._width(shapes) if steps >= FEWEST_STEPS and self._are_enough(steps, shapes) else 0
        if not 0 < width <= self.widest:
            return _no_gain
        size = max(PIECE // width, FEWEST_STEPS)
        if steps > size:
            return partial(AtOnce._in_pieces, size=size)
        as_they_are = len(self.rows) == self.first_state and not self.parts and self.count == len(self.order)
        if as_they_are and all(not back and shapes[k][0] == steps + margin for k, back, margin in self.rows):
            return AtOnce._unchanged
        return AtOnce._in_one_piece

    def _unchanged(self, steps: int, sources: Sequence[Any]) -> list[Any]:
        return self.run(np.int64(steps), *sources)

    def _in_one_piece(self, steps: int, sources: Sequence[Any]) -> list[Any]:
        rows, fixed = self._taken_apart(sources)
        part = [v[: steps + margin] for v, (_, _, margin) in zip(rows, self.rows, strict=True)]
        results = self.run(np.int64(steps), *part, *fixed)[: self.count]  # what the loop hands out comes first
        if self.parts:
            return [v if p is None else v[p].copy() for v, p in zip(results, self.parts, strict=True)]
        return results

    def _taken_apart(self, sources: Sequence[Any]) -> tuple[list[Any], Sequence[Any]]:
        """Return the sequences whose rows are read, in the order of the steps, and what follows the sequences."""
        rows = [sources[k][::-1] if reverse else sources[k] for k, reverse, _ in self.rows]
        return rows, sources[self.first_state :]

    def _width(self, shapes: Sequence[Shape]) -> int:
        """Return how many elements the largest value of a step has; 0 where the loop itself says what is wrong."""
        key = tuple(s[1:] if i < self.first_state else s for i, s in enumerate(shapes))
        if (width := self.widths.get(key)) is None:
            if len(self.widths) >= MOST_WAYS:
                self.widths.clear()
            width = self.widths[key] = self._measured(key)
        return width

    def _measured(self, shapes: Sequence[Shape]) -> int:
        whole: list[Shape] = [(None, *s) if i < self.first_state else s for i, s in enumerate(shapes)]
        try:
            loop = bind_loop(self.node, whole)
        except LoopError:
            return 0
        values = [v for node in sorted_nodes(loop.outputs, loop.reads) for v in node.outputs]
        reads = [v for s in loop.sequences for v in s.reads.values()] + [
            v for s in loop.states for v in s.reads.values()
        ]
        return max((v.type.size or 0 for v in (*values, *reads)), default=0)

    def _are_enough(self, steps: int, shapes: Sequence[Shape]) -> bool:
        """Whether sequences and initial values have the rows that so many steps need."""
        rows = all((s[0] or 0) >= steps + spec.margin for s, spec in zip(shapes, self.op.sequences, strict=False))
        return rows and all(s[0] for s in shapes[self.first_state : self.first_state + len(self.op.states)])

    def _in_pieces(self, steps: int, sources: Sequence[Any], size: int) -> list[Any]:
        rows, fixed = self._taken_apart(sources)
        states, others = fixed[: len(self.loop.states)], fixed[len(self.loop.states) :]
        margins = [margin for _, _, margin in self.rows]
        wholes: dict[Result, Any] = {}
        for first in range(0, steps, size):
            count = min(size, steps - first)
            part = [v[first : first + count + margin] for v, margin in zip(rows, margins, strict=True)]
            made = dict(zip(self.order, self.run(np.int64(count), *part, *states, *others), strict=True))
            states = [made[Result("final", s.name)] for s in self.loop.states]
            for result, value in made.items():
                if result.is_kept:
                    if result not in wholes:
                        wholes[result] = np.empty((result.count(steps), *value.shape[1:]), value.dtype)
                    to, of = result.places(first, count, steps)
                    wholes[result][to] = value[of]
        wholes.update((Result("final", s.name), v) for s, v in zip(self.loop.states, states, strict=True))
        return [wholes[r] for r in self.op.results]


class _Solved:
    """The values of a step for all steps of a piece together, as far as they can be said."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.length = Variable(TensorType("int64", ()), "n")
        self.batch = Batch((self.length,))
        self.sources = [Variable(_of_any_length(s.source.type), s.name) for s in loop.sequences]
        self.inits = [Variable(_of_any_length(s.init.type), s.name) for s in loop.states]
        self.others = [Variable(n.source.type, n.name) for n in loop.non_sequences]
        self.values = {n.read: v for n, v in zip(loop.non_sequences, self.others, strict=True)}
        for s, source in zip(loop.sequences, self.sources, strict=True):
            for offset, read in s.reads.items():
                first = s.margin - offset if s.reverse else offset  # a piece has the rows that it reads, and no more
                rows = slice(first or None, first - s.margin or None)
                self.values[read] = index(source, rows) if s.margin else source
        self.nodes = sorted_nodes(loop.outputs, loop.reads)
        self.folded: dict[str, Variable] = {}
        self.is_whole = all(isinstance(n.op, SURE) and is_sure(n) for n in self.nodes) and self._solve()

    def _solve(self) -> bool:
        pending = list(zip(self.loop.states, self.inits, strict=True))
        while True:
            try:
                self._compute()
            except (ShapeError, NotImplementedError):
                return False  # a size would differ from step to step
            solved = [(s, init) for s, init in pending if self._solve_state(s, init)]
            pending = [pair for pair in pending if pair not in solved]
            if not solved:
                return not pending

    def _compute(self) -> None:
        """Compute all that follows from what is there."""
        for node in self.nodes:
            if node.outputs[0] not in self.values and all(map(self._is_there, node.inputs)):
                given = {v: self.values[v] for v in node.inputs if v in self.values}
                self.values.update(zip(node.outputs, self.batch.rebuild(node.outputs, given), strict=True))

    def _is_there(self, v: Variable) -> bool:
        return v in self.values or isinstance(v, Constant)

    def _solve_state(self, state: State, init: Variable) -> bool:
        """Add the values of a state before and after each step; return whether they can be said."""
        if not state.reads:
            return self._is_there(state.next)
        if self._is_there(state.next):
            after = self.batch.spread(state.next, self.values.get(state.next, state.next))
            self.values[state.reads[1]] = index(join(0, index(init, slice(None, 1)), after), slice(None, -1))
            return True
        found = _recurrence(state, self._is_there)
        if found is None:
            return False
        kind_, terms = found
        own = {v: self.values[v] for v in leaves(terms, self.values) if v in self.values}
        said = self.batch.rebuild(terms, own)
        rows = [self.batch.align(old, new, state.next.ndim) for old, new in zip(terms, said, strict=True)]
        if kind_ in FOLDS and rows[0].ndim == init.ndim:
            reduced = cast(Reduce(kind_, (0,))(rows[0]), init.dtype)
            self.folded[state.name] = FOLDS[kind_](index(init, slice(None, 1)), reduced)
        whole = Recurrence(kind_)(index(init, 0), self.length, *rows)
        self.values[state.reads[1]] = index(whole, slice(None, -1))
        self.values[state.next] = index(whole, slice(1, None))
        return True

    @property
    def results(self) -> list[Result]:
        """What a piece hands out: what the loop does, and the final values that the next piece starts from."""
        finals = [Result("final", s.name) for s in self.loop.states]
        return list(dict.fromkeys([*self.loop.results, *finals]))

    def piece(self) -> Graph:
        """Return a piece as a function of its number of steps, rows, initial values and non-sequences."""
        outputs = []
        for result in self.results:
            if result.kind == "final" and result.record in self.folded:
                outputs.append(self.folded[result.record])  # what lies between is computed only if something reads it
                continue
            value = self.loop.value_of(result.record)
            rows = self.batch.spread(value, self.values.get(value, value))
            outputs.append(rows if result.is_kept else index(rows, slice(-1, None)))
        return Graph([self.length, *self.sources, *self.inits, *self.others], outputs)


def _of_any_length(type_: TensorType) -> TensorType:
    return TensorType(type_.dtype, (None, *type_.shape[1:]))


# ---- what a state's next value is of its last ----


def _recurrence(state: State, is_there: Callable[[Variable], bool]) -> tuple[str, list[Variable]] | None:
    """Return the kind of a `Recurrence` that a state follows, and its terms; None if it follows none."""
    read, new = state.reads[1], state.next
    if new.dtype in ("bool", "float16") or new.ndim != read.ndim:
        return None
    if new.owner is not None and new.owner.op in (Pointwise("maximum"), Pointwise("minimum")):
        others = [v for v in new.owner.inputs if v is not read]
        if len(others) == 1 and is_there(others[0]):
            return new.owner.op.row[:3], [cast(others[0], new.dtype)]
    linear = _linear(new, read, is_there)
    if linear is None or linear.factor is None:
        return None
    if linear.is_sum and new.dtype in ("float32", "complex64"):
        return None  # of ``h + a * (x - h)`` the factor 1 - a has lost digits of a, which single precision cannot spare
    factor = cast(linear.factor, new.dtype)
    if linear.added is None:
        return None if linear.factor is ONE else ("prod", [factor])
    if linear.factor is ONE:
        return "sum", [linear.added]
    return ("linear", [factor, linear.added]) if kind(new.dtype) in "fc" else None


@dataclass(frozen=True)
class _Linear:
    """``factor * read + added``; None for 0, `ONE` for 1. `is_sum`: the factor is a sum that no step computes."""

    factor: Variable | None
    added: Variable | None
    is_sum: bool = False


FOLDS: dict[str, Callable[..., Variable]] = {"sum": add, "prod": mul, "max": maximum, "min": minimum}
"""How the final value of a recurrence is made of the initial one and the terms of all steps, reduced."""

ONE = constant(np.int8(1))


def _linear(v: Variable, read: Variable, is_there: Callable[[Variable], bool]) -> _Linear | None:
    """Return a value as one that is linear in `read`; None if it is not, or depends on what is not there."""
    if v is read:
        return _Linear(ONE, None)
    if is_there(v):
        return _Linear(None, cast(v, read.dtype)) if promote(v.dtype, read.dtype) == read.dtype else None
    if v.owner is None or not isinstance(v.owner.op, Pointwise) or v.dtype != read.dtype:
        return None
    parts = [_linear(x, read, is_there) for x in v.owner.inputs]
    found = [part for part in parts if part is not None]
    rule = _LINEAR.get(v.owner.op.row)
    return rule(*found) if rule is not None and len(found) == len(parts) else None


def _add(x: _Linear, y: _Linear) -> _Linear:
    is_sum = x.is_sum or y.is_sum or (x.factor is not None and y.factor is not None)
    return _Linear(_sum(x.factor, y.factor), _sum(x.added, y.added), is_sum)


def _sum(a: Variable | None, b: Variable | None) -> Variable | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _neg(x: _Linear) -> _Linear:
    factor, added = (None if v is None else -v for v in (x.factor, x.added))
    return _Linear(factor, added, x.is_sum)


def _mul(x: _Linear, y: _Linear) -> _Linear | None:
    if x.factor is not None:
        x, y = y, x
    if x.factor is not None or x.added is None:
        return None
    by = x.added
    factor, added = (None if v is None else by if v is ONE else v * by for v in (y.factor, y.added))
    return _Linear(factor, added, y.is_sum)


_LINEAR: dict[str, Callable[..., _Linear | None]] = {
    "add": _add,
    "sub": lambda x, y: _add(x, _neg(y)),
    "neg": _neg,
    "mul": _mul,
}
