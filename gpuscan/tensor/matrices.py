"""The ops of linear algebra. Each works on the matrices in the last two axes; the axes before them are a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, Shape, TensorType, Variable, broadcast_shapes
from gpuscan.tensor.pointwise import kind, real_part_dtype

Size = int | None


def _called(x: Variable) -> str:
    return f"{x.name or 'the matrix'} is {x.type}"


def _matrix(what: str, x: Variable) -> tuple[Shape, Size, Size]:
    """Return the shape of the stack and the numbers of rows and columns; raise an error if `x` is not of floats."""
    if x.ndim < 2:
        raise ShapeError(f"{what}: {_called(x)}; it must be a matrix, or a stack of them along leading axes")
    if kind(x.dtype) not in "fc" or x.dtype == "float16":
        raise DtypeError(f"{what}: {_called(x)}; cast it to float32, float64 or complex, which LAPACK computes in")
    return x.type.shape[:-2], x.type.shape[-2], x.type.shape[-1]


def _square(what: str, x: Variable) -> tuple[Shape, Size]:
    """Return the stack's shape and the number of rows; raise an error if there are not as many columns."""
    stack, rows, columns = _matrix(what, x)
    if None not in (rows, columns) and rows != columns:
        raise ShapeError(f"{what}: {_called(x)}; it must be square, with as many rows as columns")
    return stack, columns if rows is None else rows


@final
@dataclass(frozen=True)
class Inverse(Op):
    """Inverse of a square matrix."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        stack, size = _square("inv", inputs[0])
        return (TensorType(inputs[0].dtype, (*stack, size, size)),)


def _solution(what: str, a: Variable, b: Variable) -> TensorType:
    """Return the type of the columns x with ``a @ x = b``; `b` is a matrix too."""
    stack_a, size = _square(what, a)
    stack_b, rows, columns = _matrix(what, b)
    if a.dtype != b.dtype:
        raise DtypeError(f"{what}: {_called(a)} and {_called(b)}; cast them to one dtype")
    if None not in (size, rows) and size != rows:
        raise ShapeError(f"{what}: {_called(a)} and {b.name or 'the right side'} is {b.type}; {size} rows and {rows}")
    try:
        stack = broadcast_shapes([stack_a, stack_b])
    except ShapeError as error:
        raise ShapeError(f"{what}: {_called(a)} and {b.name or 'the right side'} is {b.type}: {error}") from None
    return TensorType(a.dtype, (*stack, rows if size is None else size, columns))


@final
@dataclass(frozen=True)
class Solve(Op):
    """Columns x with ``a @ x = b``, of a square `a` and a matrix `b`; stacks broadcast."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (_solution("solve", *inputs),)


@final
@dataclass(frozen=True)
class SolveTriangular(Op):
    """Columns x with ``a @ x = b``, of the lower or upper triangle of `a` and a matrix `b`; stacks broadcast.

    With `trans` 1 the triangle is transposed before, with 2 conjugated as well; with `unit_diagonal` its diagonal is
    taken to be 1.
    """

    lower: bool
    trans: int
    unit_diagonal: bool

    @property
    def name(self) -> str:
        flags = ["lower" if self.lower else "upper", *["", "transposed", "adjoint"][self.trans : self.trans + 1]]
        return f"solve_triangular[{', '.join(filter(None, [*flags, 'unit' if self.unit_diagonal else '']))}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (_solution("solve_triangular", *inputs),)


@final
@dataclass(frozen=True)
class Cholesky(Op):
    """Lower triangle L with ``L @ L.conj().T`` the positive definite matrix, of which the lower triangle is read."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        stack, size = _square("cholesky", inputs[0])
        return (TensorType(inputs[0].dtype, (*stack, size, size)),)


@final
@dataclass(frozen=True)
class Det(Op):
    """Determinant of a square matrix."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (TensorType(inputs[0].dtype, _square("det", inputs[0])[0]),)


@final
@dataclass(frozen=True)
class SlogDet(Op):
    """Sign of the determinant of a square matrix, and the logarithm of its absolute value."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        dtype, stack = inputs[0].dtype, _square("slogdet", inputs[0])[0]
        return TensorType(dtype, stack), TensorType(real_part_dtype(dtype), stack)


@final
@dataclass(frozen=True)
class Eigh(Op):
    """Eigenvalues in ascending order, and eigenvectors as columns, of a symmetric or Hermitian matrix.

    Its lower triangle is read, or with `lower` false its upper.
    """

    lower: bool

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        dtype = inputs[0].dtype
        stack, size = _square("eigh", inputs[0])
        return TensorType(real_part_dtype(dtype), (*stack, size)), TensorType(dtype, (*stack, size, size))


def _smaller(rows: Size, columns: Size) -> Size:
    # A size that is known to be 0 decides; otherwise the other may be the smaller one.
    if rows is None or columns is None:
        return 0 if 0 in (rows, columns) else None
    return min(rows, columns)


@final
@dataclass(frozen=True)
class SVD(Op):
    """Factors u, s and vh with ``u * s @ vh`` the matrix: u and vh square with `full_matrices`, else as narrow as s."""

    full_matrices: bool

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        dtype = inputs[0].dtype
        stack, rows, columns = _matrix("svd", inputs[0])
        count = _smaller(rows, columns)
        inner = (rows, columns) if self.full_matrices else (count, count)
        return (
            TensorType(dtype, (*stack, rows, inner[0])),
            TensorType(real_part_dtype(dtype), (*stack, count)),
            TensorType(dtype, (*stack, inner[1], columns)),
        )


@final
@dataclass(frozen=True)
class SingularValues(Op):
    """Singular values in descending order."""

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        stack, rows, columns = _matrix("svd", inputs[0])
        return (TensorType(real_part_dtype(inputs[0].dtype), (*stack, _smaller(rows, columns))),)


@final
@dataclass(frozen=True)
class QR(Op):
    """Factors q, of orthonormal columns, and r, upper triangle, with ``q @ r`` the matrix; q square if `complete`."""

    complete: bool

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        stack, rows, columns = _matrix("qr", inputs[0])
        inner = rows if self.complete else _smaller(rows, columns)
        dtype = inputs[0].dtype
        return TensorType(dtype, (*stack, rows, inner)), TensorType(dtype, (*stack, inner, columns))
