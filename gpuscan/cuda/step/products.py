"""Products of matrices: sums of products of elements, with the fixed side held where it is needed."""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan.cuda.expressions import convert, number
from gpuscan.cuda.step.elements import C_BYTES, registers_of
from gpuscan.cuda.step.folds import fold, fold_over
from gpuscan.cuda.step.groups import terms_at_once
from gpuscan.cuda.step.positions import Position, plus, times
from gpuscan.cuda.step.registers import registers_for_weights
from gpuscan.cuda.step.resident import (
    MOST_WRITTEN_OUT,
    Columns,
    is_fixed,
    own_columns,
    record_of,
)
from gpuscan.cuda.step.rules import rule
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import write_product
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.products import MatMul


@rule(MatMul)
def _matmul(w: Writer, op: MatMul, node: Apply) -> None:
    if node in w.on_tensor_cores:
        write_product(w, node)
        return
    (a, b), output = node.inputs, node.outputs[0]
    inner = w.shape(a)[-1]
    held = _hold_columns(w, a, b, output, inner)
    operation, sign = ("Either", "&&") if output.dtype == "bool" else ("Add", "*")

    def term(at: Position, r: str) -> str:
        core = (a.ndim > 1) + (b.ndim > 1)
        batch, rest = at[: output.ndim - core], list(at[output.ndim - core :])
        row = [rest.pop(0)] if a.ndim > 1 else []
        left = _batched(w, a, batch, (*row, r))
        right = held or _batched(w, b, batch, (r, *rest))
        x, y = (convert(text, v.dtype, output.dtype) for text, v in ((left, a), (right, b)))
        return f"{x} {sign} {y}"

    start = number(0, output.dtype)
    if not w.space(output):
        fold_over(w, output, (inner,), operation, start, lambda at: term(("0",) * output.ndim, at[0]))
    else:
        fold(w, output, inner, operation, start, term)
        if held and w.group is not None:
            w.group.numbered = w.group.vector == 1
            w.group.unrolled |= held.startswith("w_")


def _batched(w: Writer, v: Variable, batch: Position, core: Sequence[str]) -> str:
    own = batch[len(batch) - max(v.ndim - 2, 0) :] if v.ndim > 2 else ()
    at = (*own, *core)
    return w.read(v, at)


# ---- the fixed side ----


def _hold_columns(w: Writer, a: Variable, b: Variable, output: Variable, inner: int) -> str:
    """Have each thread hold its columns of a fixed matrix, if there is room; return how one is read.

    They are in registers where the product can be written out term by term, else in shared memory, where each thread
    has a place of its own that no other touches.
    """
    shape = w.shape(b)
    if b.ndim < 2 or set(shape[:-2]) - {1} or b.dtype != output.dtype or inner == 1 or not is_fixed(b, w.loop):
        return ""
    space = w.space(output)
    vector = terms_at_once(w.team, space, inner, C_BYTES[w.c_type(output)])
    columns = own_columns(w.team, space, inner, shape[-1], vector)
    if columns is None or not w.has_room(space, w.c_type(b), summing=True):
        return ""
    key = (b, columns, space)
    if key not in w.columns:  # products of several left sides with one matrix share its columns
        w.columns[key] = _held(w, b, columns, inner, space)
    return w.columns[key]


def _held(w: Writer, b: Variable, columns: Columns, inner: int, space: tuple[int, ...]) -> str:
    """Declare the columns of a matrix that each thread holds, if there is room; return how one is read."""
    registers = columns.size * registers_of(w.c_type(b))
    written_out = columns.rows * w.team.sums(space) * w.products <= MOST_WRITTEN_OUT
    if written_out and w.resident_registers + registers <= registers_for_weights(w.team, w.busy_registers):
        w.resident_registers += registers
        return _in_registers(w, b, columns, inner)
    return _in_shared_memory(w, b, columns, inner)


def _in_registers(w: Writer, b: Variable, columns: Columns, inner: int) -> str:
    name = w.hold(w.c_type(b), f"w_{record_of(b, w.loop)}", columns.size)
    _load(w, b, columns, inner, f"{name}[c * {columns.rows} + r]")
    return f"{name}[{_slot(columns, columns.rows)}{columns.number}]"


def _in_shared_memory(w: Writer, b: Variable, columns: Columns, inner: int) -> str:
    """Hold the columns of all threads side by side there, `vector` neighbouring rows of a column together."""
    c_type, places = w.c_type(b), columns.places(w.team)
    array = w.arrays.spare(f"columns_{record_of(b, w.loop)}", c_type, columns.size * places)
    if array is None:
        return ""
    w.touches_shared = True  # a step begins with a barrier: others may have written what a thread reads
    thread = "threadIdx.x" if places == w.team.block else f"threadIdx.x % {places}"
    vector, vectors = columns.vector, columns.rows // columns.vector
    if vector == 1:
        _load(w, b, columns, inner, f"{array}[(c * {vectors} + r) * {places} + {thread}]")
        return f"({c_type}){array}[({_slot(columns, vectors)}rr) * {places} + {thread}]"
    place = f"((c * {vectors} + r / {vector}) * {places} + {thread}) * {vector} + r % {vector}"
    _load(w, b, columns, inner, f"{array}[{place}]")
    place = f"(({_slot(columns, vectors)}rv) * {places} + {thread}) * {vector} + ri"
    return f"({c_type}){array}[{place}]"


def _slot(columns: Columns, size: int) -> str:
    return f"k % {columns.count} * {size} + " if columns.count > 1 else ""


def _rank_across(team: Team, columns: Columns) -> str:
    """Return which of the ranks that share a row's columns a thread's is."""
    return "team.rank" if columns.across == team.ranks else f"team.rank % {columns.across}"


def _load(w: Writer, b: Variable, columns: Columns, inner: int, place: str) -> None:
    """Write what loads a thread's columns before the first step."""
    team = w.team
    w.columns_of.add(record_of(b, w.loop))
    row = columns.row(team, "r")
    column = plus(times("c", columns.across) if columns.count > 1 else "0", _rank_across(team, columns))
    conditions = [f"{row} < {inner}"] if inner % team.parts else []
    writers = team.ranks if place.startswith("w_") or team.kind == "grid" else columns.across
    conditions += [f"team.rank < {writers}"] if writers < team.ranks or not team.covers((team.ranks,)) else []
    guard = f"if ({' && '.join(conditions)}) " if conditions else ""
    leading = ("0",) * (b.ndim - 2)
    text = w.before_start(lambda: w.read(b, (*leading, row, f"({column})" if " " in column else column)))
    w.at_start += [
        f"for (int c = 0; c < {columns.count}; ++c) {{",
        *(["#pragma unroll"] if place.startswith("w_") else []),
        f"    for (int r = 0; r < {columns.rows}; ++r) {guard}{place} = {text};",
        "}",
    ]
