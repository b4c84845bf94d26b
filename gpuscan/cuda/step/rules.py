"""How each op is written: one rule an op, the same for every team."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from gpuscan.cuda.expressions import convert, expression, number, sample
from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.reports import Failure
from gpuscan.cuda.step.alignment import same_axes
from gpuscan.cuda.step.folds import fold, fold_over
from gpuscan.cuda.step.groups import Group
from gpuscan.cuda.step.positions import Position, flat, minus, spread, unravel
from gpuscan.cuda.step.room import Appended, AtEnd
from gpuscan.cuda.step.values import View
from gpuscan.cuda.step.writer import RefusalError, Writer
from gpuscan.graph import Apply, RuleTable, Variable
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.guards import Assert, SpecifyShape, assertion_text
from gpuscan.tensor.pointwise import Cast, Pointwise, kind
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Join, Reshape, Stack

Rule = Callable[[Writer, Any, Apply], None]
"""Writes a node and says where its results are."""

RULES: RuleTable[Rule] = RuleTable()
rule = RULES.rule


# ---- one element from one element of each operand ----


@rule(Pointwise, Cast)
def _pointwise(w: Writer, op: Pointwise | Cast, node: Apply) -> None:
    output = node.outputs[0]
    w.compute(output, lambda at: expression(node, [w.broadcast(v, at) for v in node.inputs]))


@rule(Draw)
def _draw(w: Writer, op: Draw, node: Apply) -> None:
    following, drawn = node.outputs
    state, _, parameters = op.split(node.inputs)
    w.compute(following, lambda at: f"gs::advanced({w.read_one(state)})")

    def element(at: Position) -> str:
        operands = [w.read_one(state), *(w.broadcast(v, at) for v in parameters)]
        return sample(node, operands, w.number(drawn, at))

    w.compute(drawn, element)


# ---- the same elements at other positions ----


@rule(BroadcastTo)
def _broadcast_to(w: Writer, op: BroadcastTo, node: Apply) -> None:
    x, output = node.inputs[0], node.outputs[0]
    w.values[output] = View(lambda at: w.broadcast(x, at))


@rule(SpecifyShape)
def _specify_shape(w: Writer, op: SpecifyShape, node: Apply) -> None:
    if any(size.known is None for size in node.inputs[1:]):
        raise RefusalError(f"{op}: the size promised depends on values (made at {node.where})")
    w.values[node.outputs[0]] = View(lambda at: w.read(node.inputs[0], at))


@rule(Barrier)
def _barrier(w: Writer, op: Barrier, node: Apply) -> None:
    w.values[node.outputs[0]] = View(lambda at: w.read(node.inputs[0], at))


@rule(Assert)
def _assert(w: Writer, op: Assert, node: Apply) -> None:
    """Report a step and a lane where a condition does not hold; the value goes on, and the host raises later."""
    value, *conditions = node.inputs
    report = w.report(Failure(AssertionError, assertion_text(op.message, str(node.where))))
    for condition in conditions:
        _check(w, condition, report)
    w.values[node.outputs[0]] = View(lambda at: w.read(value, at))


def _check(w: Writer, condition: Variable, report: str) -> None:
    shape, space = w.shape(condition), w.space(condition)
    if not space:
        w.line(f"if (!({w.alone(lambda: w.read_one(condition))})) {report}")
        return

    def write(group: Group) -> None:
        group.inside.append(f"if (!({w.read(condition, spread(group.names, shape))})) {report}")

    w.within(space, write)


@rule(DimShuffle)
def _dimshuffle(w: Writer, op: DimShuffle, node: Apply) -> None:
    x = node.inputs[0]

    def element(at: Position) -> str:
        own = ["0"] * x.ndim
        for position, axis in enumerate(op.order):
            if axis is not None:
                own[axis] = at[position]
        return w.read(x, tuple(own))

    w.values[node.outputs[0]] = View(element)


@rule(Reshape)
def _reshape(w: Writer, op: Reshape, node: Apply) -> None:
    x, output = node.inputs[0], node.outputs[0]
    old, new = (tuple(n or 0 for n in v.type.shape) for v in (x, output))
    same = dict(same_axes(old, new))
    split = tuple(n for axis, n in enumerate(old) if axis not in same)
    joined = [axis for axis in range(output.ndim) if axis not in same.values()]

    def element(at: Position) -> str:
        whole = w.coordinates(output, at)
        number = flat(tuple(whole[axis] for axis in joined), [new[axis] for axis in joined])
        others = iter(unravel(number, split))
        return w.read(x, tuple(at[same[axis]] if axis in same else next(others) for axis in range(x.ndim)))

    w.values[output] = View(element)


@rule(AtEnd)
def _at_end(w: Writer, op: AtEnd, node: Apply) -> None:
    x, count = node.inputs
    size = x.type.shape[op.axis]

    def element(at: Position) -> str:
        moved = f"{at[op.axis]} - ({size} - {w.read_one(count)})"
        return w.read(x, (*at[: op.axis], f"gs::wrapped({moved}, {size})", *at[op.axis + 1 :]))

    w.values[node.outputs[0]] = View(element)


@rule(Join)
def _join(w: Writer, op: Join, node: Apply) -> None:
    w.compute(node.outputs[0], lambda at: _joined(w, op, node, at))


@rule(Appended)
def _appended(w: Writer, op: Appended, node: Apply) -> None:
    w.values[node.outputs[0]] = View(lambda at: _joined(w, op, node, at))


def _joined(w: Writer, op: Join | Appended, node: Apply, at: Position) -> str:
    output = node.outputs[0]
    along, start, texts = w.coordinates(output, at)[op.axis], 0, []
    for v in node.inputs:
        size = v.type.shape[op.axis] or 0
        own = (*at[: op.axis], _minus(along, start), *at[op.axis + 1 :])
        start += size
        if size:
            texts.append((f"{along} < {start}", convert(w.read(v, own), v.dtype, output.dtype)))
    text = texts[-1][1]
    for condition, before in reversed(texts[:-1]):
        text = f"({condition} ? {before} : {text})"
    return text


def _minus(index: str, start: int) -> str:
    """Return the text of a position less a start; before the start it is never read, and 0 here."""
    if index.isdigit():
        return str(max(int(index) - start, 0))
    return f"({index} - {start})" if start else index


@rule(Stack)
def _stack(w: Writer, op: Stack, node: Apply) -> None:
    output = node.outputs[0]

    def element(at: Position) -> str:
        at = w.coordinates(output, at)
        texts = [convert(w.read_one(v), v.dtype, output.dtype) for v in node.inputs]
        if at[0].isdigit():
            return texts[int(at[0])]
        text = texts[-1]
        for i in range(len(texts) - 2, -1, -1):
            text = f"({at[0]} == {i} ? {texts[i]} : {text})"
        return text

    w.compute(output, element)


# ---- elements that follow from their position ----


@rule(Arange)
def _arange(w: Writer, op: Arange, node: Apply) -> None:
    start, _, step = node.inputs
    output = node.outputs[0]
    c_type = C_TYPES[output.dtype]

    def element(at: Position) -> str:
        (i,) = w.coordinates(output, at)
        return f"({c_type})({w.read_one(start)} + ({c_type})({i}) * {w.read_one(step)})"

    w.values[output] = View(element)


@rule(Eye)
def _eye(w: Writer, op: Eye, node: Apply) -> None:
    output = node.outputs[0]

    def element(at: Position) -> str:
        i, j = w.coordinates(output, at)
        return f"({C_TYPES[op.dtype]})({minus(j, i)} == {w.read_one(node.inputs[2])})"

    w.values[output] = View(element)


# ---- sums and the like ----

OPERATIONS = {"sum": "Add", "prod": "Multiply", "max": "Larger", "min": "Smaller", "any": "Either", "all": "Both"}


def _nothing(which: str, dtype: str) -> str:
    """Return what a reduction of no elements gives, or what changes no result."""
    if which in ("sum", "any"):
        return number(0, dtype)
    if which in ("prod", "all"):
        return number(1, dtype)
    if dtype == "bool":
        return number(which == "min", dtype)
    if kind(dtype) == "f":
        return f"({'-' if which == 'max' else ''}gs::infinity<{C_TYPES[dtype]}>())"
    return f"gs::{'lowest' if which == 'max' else 'highest'}<{C_TYPES[dtype]}>()"


@rule(Reduce)
def _reduce(w: Writer, op: Reduce, node: Apply) -> None:
    x, output = node.inputs[0], node.outputs[0]
    if op.kind in ("argmax", "argmin"):
        _position(w, op, node)
        return
    _combine(w, x, output, op.axes, op.kind, lambda text: convert(text, x.dtype, output.dtype))


def _combine(
    w: Writer, x: Variable, output: Variable, axes: Sequence[int], which: str, term: Callable[[str], str]
) -> None:
    """Reduce axes of `x`, all of them or some."""
    shape = w.shape(x)
    operation, start = OPERATIONS[which], _nothing(which, output.dtype)
    if not w.space(output):
        fold_over(w, output, shape, operation, start, lambda at: term(w.read(x, at)))
        return
    reduced = tuple(shape[axis] for axis in axes)

    def element(at: Position, r: str) -> str:
        return term(w.read(x, merged(at, unravel(r, reduced), axes, x.ndim)))

    fold(w, output, prod(reduced), operation, start, element)


def merged(at: Position, inner: Position, axes: Sequence[int], ndim: int) -> Position:
    """Return a position with `inner` along `axes` and `at` along the others."""
    outer, along = iter(at), dict(zip(axes, inner, strict=True))
    return tuple(along[axis] if axis in along else next(outer) for axis in range(ndim))


@rule(SumTo)
def _sum_to(w: Writer, op: SumTo, node: Apply) -> None:
    x, output = node.inputs[0], node.outputs[0]
    extra = x.ndim - output.ndim
    axes = [axis for axis in range(x.ndim) if axis < extra or x.type.shape[axis] != output.type.shape[axis - extra]]
    if not axes:
        w.values[output] = View(lambda at: w.read(x, at))
        return
    shape = w.shape(x)
    if not w.space(output):
        fold_over(w, output, shape, "Add", number(0, x.dtype), lambda at: w.read(x, at))
        return
    reduced = tuple(shape[axis] for axis in axes)

    def element(at: Position, r: str) -> str:
        kept = [i for axis, i in enumerate(at) if axis + extra not in axes]
        return w.read(x, merged(tuple(kept), unravel(r, reduced), axes, x.ndim))

    fold(w, output, prod(reduced), "Add", number(0, x.dtype), element)


def _position(w: Writer, op: Reduce, node: Apply) -> None:
    """Write argmax or argmin: the smallest position where the element is the extreme one."""
    x, output = node.inputs[0], node.outputs[0]
    which = op.kind.removeprefix("arg")
    extreme = w.like((node, "extreme"), output, x.dtype)
    _combine(w, x, extreme, op.axes, which, lambda text: text)
    (axis,) = op.axes
    c_type = C_TYPES[x.dtype]

    def term(at: Position) -> str:
        best = w.read(extreme, (*at[:axis], *at[axis + 1 :]))
        found = f"gs::same<{c_type}>({w.read(x, at)}, {best})"
        return f"({found} ? (long long)({at[axis]}) : gs::highest<long long>())"

    if not w.space(output):
        fold_over(w, output, w.shape(x), "Smaller", "gs::highest<long long>()", term)
    else:
        size = w.shape(x)[axis]
        fold(w, output, size, "Smaller", "gs::highest<long long>()", lambda at, r: term((*at[:axis], r, *at[axis:])))
