"""Linear algebra in NumPy's words."""

from __future__ import annotations

from gpuscan.graph import Apply
from gpuscan.host.rules import rule
from gpuscan.host.writer import Writer
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


def _call(w: Writer, node: Apply, function: str, *options: str) -> str:
    return f"{w.function(function)}({', '.join([*map(w.array, node.inputs), *options])})"


@rule(Inverse)
def _inverse(w: Writer, op: Inverse, node: Apply) -> str:
    return _call(w, node, "linalg.inv")


@rule(Solve)
def _solve(w: Writer, op: Solve, node: Apply) -> str:
    return _call(w, node, "linalg.solve")


@rule(SolveTriangular)
def _solve_triangular(w: Writer, op: SolveTriangular, node: Apply) -> str:
    return _call(w, node, "solve_triangular", str(op.lower), str(op.trans), str(op.unit_diagonal))


@rule(Cholesky)
def _cholesky(w: Writer, op: Cholesky, node: Apply) -> str:
    return _call(w, node, "linalg.cholesky")


@rule(Det)
def _det(w: Writer, op: Det, node: Apply) -> str:
    return _call(w, node, "linalg.det")


@rule(SlogDet)
def _slogdet(w: Writer, op: SlogDet, node: Apply) -> str:
    return _call(w, node, "linalg.slogdet")


@rule(Eigh)
def _eigh(w: Writer, op: Eigh, node: Apply) -> str:
    return _call(w, node, "linalg.eigh", repr("L" if op.lower else "U"))


@rule(SVD)
def _svd(w: Writer, op: SVD, node: Apply) -> str:
    return _call(w, node, "linalg.svd", str(op.full_matrices))


@rule(SingularValues)
def _singular_values(w: Writer, op: SingularValues, node: Apply) -> str:
    return _call(w, node, "linalg.svd", "compute_uv=False")


@rule(QR)
def _qr(w: Writer, op: QR, node: Apply) -> str:
    return _call(w, node, "linalg.qr", repr("complete" if op.complete else "reduced"))
