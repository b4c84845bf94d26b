"""Linear algebra, sorting and running sums: functions of ``kernels/`` that a team calls on whole arrays.

A matrix that has no inverse, or no Cholesky factor, gives NaN: to raise, the host would have to wait for the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import prod

from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.step.hazards import Buffer, Pending
from gpuscan.cuda.step.positions import plus, times
from gpuscan.cuda.step.rules import rule
from gpuscan.cuda.step.values import Kept, Text
from gpuscan.cuda.step.writer import RefusalError, Writer
from gpuscan.graph import Apply, TensorType, Variable
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.matrices import (
    QR,
    SVD,
    Cholesky,
    Det,
    Eigh,
    Inverse,
    SingularValues,
    SlogDet,
    Solve,
    SolveTriangular,
)
from gpuscan.tensor.ordering import ArgSort, SearchSorted, Sort

Sizes = tuple[int, ...]


class _Call:
    """One call of a function on whole arrays, while its arguments are gathered."""

    def __init__(self, w: Writer, node: Apply) -> None:
        if w.team.kind == "grid":
            raise RefusalError(f"{node.op} of a whole array is not divided over a grid (made at {node.where})")
        self.w = w
        self.node = node
        self.reads: set[Buffer] = set()
        self.writes: set[Buffer] = set()
        self.arguments: list[tuple[str, int]] = []  # an array, and how far apart the matrices of a stack are in it

    # ---- arguments ----

    def give(self, variable: Variable, stack: Sizes, core: int) -> None:
        """Pass an input: `core` axes of it, for each of a stack of shape `stack`."""
        w = self.w
        w.noted.whole.add(variable)
        shape = w.shape(variable)
        own = shape[: len(shape) - core]
        if own != stack and prod(own) != 1:
            variable = self._copy(variable, (*stack, *shape[len(shape) - core :]))
            own = stack
        elif not self._is_whole(variable):
            variable = self._copy(variable, shape)
        array = self._whole(variable)
        self.arguments.append((array, prod(shape[len(shape) - core :]) if prod(own) != 1 else 0))

    def _is_whole(self, variable: Variable) -> bool:
        """Whether a value is in one array that all threads of the team read; a fixed one may be in their registers."""
        value = self.w.values.get(variable)
        in_registers = self.w.known is not None and self.w.team.kind != "thread"
        return isinstance(value, Kept) and (bool(value.shared) or not in_registers)

    def _copy(self, variable: Variable, shape: Sizes) -> Variable:
        """Return a value that is kept, equal to another broadcast to `shape`."""
        w = self.w
        key: Hashable = (self.node, "copy", len(self.arguments))
        copy = w.made.setdefault(key, Variable(TensorType(variable.dtype, shape)))
        w.compute(copy, lambda at: w.broadcast(variable, at))
        return copy

    def _whole(self, variable: Variable) -> str:
        """Return the array of all elements of a value that is kept."""
        w, value = self.w, self.w.values[variable]
        if not isinstance(value, Kept):  # one element
            return self._of_one(variable)
        if value.group is not None and value.group is w.group:
            w.close_group()
        if w.team.kind == "thread":
            w.noted.own.add(value.key)
            return value.own
        w.noted.shared.add(value.key)
        w.noted.whole.add(value.key)
        if value.buffer is not None:
            self.reads.add(value.buffer)
        return f"({value.shared} + {value.start})" if value.start != "0" else value.shared

    def _of_one(self, variable: Variable) -> str:
        w, c_type = self.w, self.w.c_type(variable)
        text = w.alone(lambda: w.read_one(variable))
        if w.team.kind == "thread":
            name = w.names.unique("one")
            w.line(f"{c_type} {name}[1] = {{{text}}};")
            return name
        name = w.allocate("one", c_type, 1)
        w.barrier_before((), {(name, 0)})
        w.line(f"if (team.thread == 0) {name}[0] = {text};")
        self.reads.add((name, 0))
        return name

    def take(self, variable: Variable, core: int) -> None:
        """Pass the array of a result, of which each call fills `core` axes."""
        w = self.w
        shape, c_type = w.shape(variable), w.c_type(variable)
        array = self._array(w.name(variable), c_type, prod(shape))
        self.arguments.append((array, prod(shape[len(shape) - core :])))
        if not w.space(variable):
            w.values[variable] = Text(f"({c_type}){array}[0]")
        elif w.team.kind == "thread":
            w.values[variable] = Kept(variable, shape, own=array)
        else:
            w.values[variable] = Kept(variable, shape, shared=array, buffer=(array, 0))

    def work(self, dtype: str, count: int) -> None:
        """Pass an array to work in."""
        self.arguments.append((self._array("work", C_TYPES[dtype], count), 0))

    def _array(self, name: str, c_type: str, count: int) -> str:
        w = self.w
        if w.team.kind == "thread":
            name = w.names.unique(f"{name}_whole")
            w.line(f"{c_type} {name}[{count}];")
            return name
        name = w.allocate(name, c_type, count)
        self.writes.add((name, 0))
        return name

    # ---- the call ----

    def write(self, function: str, stack: Sizes = ()) -> None:
        """Write the call, for each of a stack."""
        w = self.w
        w.close_group()
        w.barrier_before(self.reads, self.writes)
        count = prod(stack)
        arrays = [plus(array, times("m", apart)) if count > 1 and apart else array for array, apart in self.arguments]
        call = f"gs::{function}({', '.join(['team', *arrays])});"
        if count > 1:
            w.line(f"for (int m = 0; m < {count}; ++m) {call}")
        else:
            w.line(call)
        w.pending = Pending()  # every function ends with a barrier


def _stack_of(w: Writer, node: Apply, core: int) -> Sizes:
    shape = w.shape(node.outputs[0])
    return shape[: len(shape) - core]


def _matrix(w: Writer, v: Variable) -> tuple[int, int]:
    rows, columns = w.shape(v)[-2:]
    return rows, columns


def _t(v: Variable) -> str:
    return C_TYPES[v.dtype]


def _bool(flag: object) -> str:
    return "true" if flag else "false"


@rule(Inverse)
def _inverse(w: Writer, op: Inverse, node: Apply) -> None:
    (a,), (n, _) = node.inputs, _matrix(w, node.inputs[0])
    _square(w, node, f"inverse<{n}, {_t(a)}>", n * n)


@rule(Cholesky)
def _cholesky(w: Writer, op: Cholesky, node: Apply) -> None:
    (a,), (n, _) = node.inputs, _matrix(w, node.inputs[0])
    _square(w, node, f"cholesky<{n}, {_t(a)}>", 0)


def _square(w: Writer, node: Apply, function: str, work: int) -> None:
    stack = _stack_of(w, node, 2)
    call = _Call(w, node)
    call.give(node.inputs[0], stack, 2)
    call.take(node.outputs[0], 2)
    if work:
        call.work(node.inputs[0].dtype, work)
    call.write(function, stack)


@rule(Solve, SolveTriangular)
def _solve(w: Writer, op: Solve | SolveTriangular, node: Apply) -> None:
    a, b = node.inputs
    n, columns = _matrix(w, node.outputs[0])
    stack = _stack_of(w, node, 2)
    call = _Call(w, node)
    call.give(a, stack, 2)
    call.give(b, stack, 2)
    call.take(node.outputs[0], 2)
    if isinstance(op, Solve):
        call.work(a.dtype, n * n)
        call.write(f"solve<{n}, {columns}, {_t(a)}>", stack)
        return
    flags = f"{_bool(op.lower)}, {_bool(op.trans)}, {_bool(op.unit_diagonal)}"
    call.write(f"solve_triangular<{n}, {columns}, {flags}, {_t(a)}>", stack)


@rule(Det, SlogDet)
def _determinant(w: Writer, op: Det | SlogDet, node: Apply) -> None:
    a, (n, _) = node.inputs[0], _matrix(w, node.inputs[0])
    stack = _stack_of(w, node, 0)
    call = _Call(w, node)
    call.give(a, stack, 2)
    for output in node.outputs:
        call.take(output, 0)
    call.work(a.dtype, n * n)
    function = "determinant" if isinstance(op, Det) else "sign_and_log_determinant"
    call.write(f"{function}<{n}, {_t(a)}>", stack)


@rule(Eigh)
def _eigh(w: Writer, op: Eigh, node: Apply) -> None:
    a, (n, _) = node.inputs[0], _matrix(w, node.inputs[0])
    _factors(w, node, (1, 2), n * n + n + 1, f"eigh<{n}, {_bool(op.lower)}, {_t(a)}>")


@rule(SVD)
def _svd(w: Writer, op: SVD, node: Apply) -> None:
    a, (m, n) = node.inputs[0], _matrix(w, node.inputs[0])
    k = min(m, n)
    _factors(w, node, (2, 1, 2), m * n + k * k + 2 * k, f"svd<{m}, {n}, {_bool(op.full_matrices)}, {_t(a)}>")


@rule(SingularValues)
def _singular_values(w: Writer, op: SingularValues, node: Apply) -> None:
    a, (m, n) = node.inputs[0], _matrix(w, node.inputs[0])
    _factors(w, node, (1,), m * n + 2 * min(m, n), f"singular_values<{m}, {n}, {_t(a)}>")


@rule(QR)
def _qr(w: Writer, op: QR, node: Apply) -> None:
    a, (m, n) = node.inputs[0], _matrix(w, node.inputs[0])
    _factors(w, node, (2, 2), m * n + 2 * min(m, n), f"qr<{m}, {n}, {_bool(op.complete)}, {_t(a)}>")


def _factors(w: Writer, node: Apply, cores: Sequence[int], work: int, function: str) -> None:
    """Write a call that takes a matrix apart into results of so many axes each."""
    (a,) = node.inputs
    stack = _stack_of(w, node, cores[0])
    call = _Call(w, node)
    call.give(a, stack, 2)
    for output, core in zip(node.outputs, cores, strict=True):
        call.take(output, core)
    call.work(a.dtype, work)
    call.write(function, stack)


# ---- along one axis ----


def _along(w: Writer, node: Apply, axis: int, function: Callable[[str], str]) -> None:
    """Write a call on the lines along an axis of an array, all of which it takes at once."""
    shape = w.shape(node.inputs[0])
    call = _Call(w, node)
    call.give(node.inputs[0], (), len(shape))
    call.take(node.outputs[0], len(shape))
    call.write(function(f"{prod(shape[:axis])}, {shape[axis]}, {prod(shape[axis + 1 :])}"))


@rule(Sort, ArgSort)
def _sort(w: Writer, op: Sort | ArgSort, node: Apply) -> None:
    name = "sort" if isinstance(op, Sort) else "argsort"
    _along(w, node, op.axis, lambda sizes: f"{name}<{sizes}, {_t(node.inputs[0])}>")


@rule(Cumulate)
def _cumulate(w: Writer, op: Cumulate, node: Apply) -> None:
    operation = "gs::Add" if op.kind == "sum" else "gs::Multiply"
    _along(w, node, op.axis, lambda sizes: f"cumulate<{sizes}, {operation}, {_t(node.outputs[0])}>")


@rule(SearchSorted)
def _searchsorted(w: Writer, op: SearchSorted, node: Apply) -> None:
    x, values = node.inputs
    call = _Call(w, node)
    call.give(x, (), 1)
    call.give(values, (), values.ndim)
    call.take(node.outputs[0], values.ndim)
    right = _bool(op.side == "right")
    call.write(f"searchsorted<{w.shape(x)[0]}, {prod(w.shape(values))}, {right}, {_t(x)}>")
