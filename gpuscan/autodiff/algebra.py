"""Derivatives of linear algebra, of one matrix or a stack of them.

M. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation", Oxford University Computing Laboratory, report 08/01, 2008. Where an op reads one triangle of a
symmetric matrix, what goes out is the derivative by the elements of that triangle, and zero for the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuscan import tensor as gt
from gpuscan.autodiff.cotangents import Cotangent
from gpuscan.autodiff.rules import DERIVATIVES, Derivative, Outgoing, no_rule
from gpuscan.graph import Apply, Variable
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
from gpuscan.tensor.reduction import sum_to
from gpuscan.tensor.shaping import dim, dims

Tangents = Sequence["Variable | None"]


def _t(x: Variable) -> Variable:
    return gt.swapaxes(x, -1, -2)


def _total(cotangent: Cotangent | None, of: Variable) -> Variable:
    return gt.zeros_like(of) if cotangent is None else cotangent.total()


def _scalars(x: Variable) -> Variable:
    """Return a number for each matrix of a stack as matrices of one element."""
    return gt.expand_dims(x, (-2, -1))


def _eye(x: Variable) -> Variable:
    return gt.eye(dim(x, x.ndim - 1), dtype=x.dtype)


def _of_triangle(full: Variable, lower: bool) -> Variable:
    """Return the derivative by the elements of one triangle, of that by a symmetric matrix's elements one by one."""
    both = full + _t(full)
    strict = gt.tril(both, -1) if lower else gt.triu(both, 1)
    return strict + full * _eye(full)


def _symmetric(x: Variable, lower: bool) -> Variable:
    """Return the symmetric matrix of which one triangle is given."""
    half = gt.tril(x) if lower else gt.triu(x)
    return half + _t(half) - half * _eye(x)


# ---- inverse and solutions ----


def _pull_inverse(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    y = node.outputs[0]
    return [-(_t(y) @ _total(incoming[0], y) @ _t(y))]


def _push_inverse(node: Apply, tangents: Tangents) -> Tangents:
    y = node.outputs[0]
    return [None if tangents[0] is None else -(y @ tangents[0] @ y)]


def _pull_solve(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    a, b = node.inputs
    x = node.outputs[0]
    by_b = Solve()(_t(a), _total(incoming[0], x))
    return [sum_to(-(by_b @ _t(x)), dims(a)), sum_to(by_b, dims(b))]


def _push_solve(node: Apply, tangents: Tangents) -> Tangents:
    a, x = node.inputs[0], node.outputs[0]
    right = _right_side(tangents[0], tangents[1], x)
    return [None if right is None else Solve()(a, right)]


def _right_side(by_a: Variable | None, by_b: Variable | None, x: Variable) -> Variable | None:
    """Return ``db - da @ x``, whose solution is the tangent of the solution x."""
    terms = ([] if by_b is None else [by_b]) + ([] if by_a is None else [-(by_a @ x)])
    return sum(terms[1:], terms[0]) if terms else None


def _triangle(op: SolveTriangular, x: Variable) -> Variable:
    """Return the elements that a triangular solution reads, as its matrix has them."""
    offset = int(op.unit_diagonal)
    part = gt.tril(x, -offset) if op.lower else gt.triu(x, offset)
    return _t(part) if op.trans else part


def _pull_triangular(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    op, (a, b), x = node.op, node.inputs, node.outputs[0]
    assert isinstance(op, SolveTriangular)
    other = SolveTriangular(op.lower, 0 if op.trans else 1, op.unit_diagonal)
    by_b = other(a, _total(incoming[0], x))
    by_matrix = -(by_b @ _t(x))
    by_a = _t(by_matrix) if op.trans else by_matrix
    offset = int(op.unit_diagonal)
    by_a = gt.tril(by_a, -offset) if op.lower else gt.triu(by_a, offset)
    return [sum_to(by_a, dims(a)), sum_to(by_b, dims(b))]


def _push_triangular(node: Apply, tangents: Tangents) -> Tangents:
    op, a, x = node.op, node.inputs[0], node.outputs[0]
    assert isinstance(op, SolveTriangular)
    by_a = None if tangents[0] is None else _triangle(op, tangents[0])
    right = _right_side(by_a, tangents[1], x)
    return [None if right is None else op(a, right)]


# ---- determinants ----


def _pull_det(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    y = node.outputs[0]
    return [_scalars(_total(incoming[0], y) * y) * _t(Inverse()(node.inputs[0]))]


def _push_det(node: Apply, tangents: Tangents) -> Tangents:
    if tangents[0] is None:
        return [None]
    return [node.outputs[0] * gt.sum(_t(Inverse()(node.inputs[0])) * tangents[0], (-2, -1))]


def _pull_slogdet(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    if incoming[1] is None:  # the sign is piecewise constant
        return [gt.zeros_like(node.inputs[0])]
    return [_scalars(incoming[1].total()) * _t(Inverse()(node.inputs[0]))]


def _push_slogdet(node: Apply, tangents: Tangents) -> Tangents:
    if tangents[0] is None:
        return [None, None]
    return [None, gt.sum(_t(Inverse()(node.inputs[0])) * tangents[0], (-2, -1))]


# ---- factors ----


def _half(x: Variable) -> Variable:
    """Return the lower triangle with half the diagonal."""
    return gt.tril(x) - x * _eye(x) / 2


def _pull_cholesky(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    factor = node.outputs[0]
    inner = _half(_t(factor) @ _total(incoming[0], factor))
    inverse = Inverse()(factor)
    full = _t(inverse) @ inner @ inverse
    return [_of_triangle((full + _t(full)) / 2, lower=True)]


def _push_cholesky(node: Apply, tangents: Tangents) -> Tangents:
    if tangents[0] is None:
        return [None]
    factor = node.outputs[0]
    inverse = Inverse()(factor)
    return [factor @ _half(inverse @ _symmetric(tangents[0], lower=True) @ _t(inverse))]


def _gaps(values: Variable) -> Variable:
    """Return 1 / (w[j] - w[i]) at [i, j], and 0 on the diagonal."""
    rows, columns = gt.expand_dims(values, -1), gt.expand_dims(values, -2)
    identity = gt.eye(dim(values, values.ndim - 1), dtype=values.dtype)
    return (1 - identity) / (columns - rows + identity)


def _pull_eigh(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, Eigh)
    values, vectors = node.outputs
    inner = gt.expand_dims(_total(incoming[0], values), -1) * gt.eye(dim(vectors, vectors.ndim - 1), dtype=values.dtype)
    if incoming[1] is not None:
        inner = inner + _gaps(values) * (_t(vectors) @ incoming[1].total())
    full = vectors @ inner @ _t(vectors)
    return [_of_triangle((full + _t(full)) / 2, node.op.lower)]


def _push_eigh(node: Apply, tangents: Tangents) -> Tangents:
    assert isinstance(node.op, Eigh)
    if tangents[0] is None:
        return [None, None]
    values, vectors = node.outputs
    inner = _t(vectors) @ _symmetric(tangents[0], node.op.lower) @ vectors
    return [gt.sum(inner * _eye(inner), -1), vectors @ (_gaps(values) * inner)]


def _pull_singular_values(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    u, _, vh = SVD(False).apply(node.inputs[0])
    return [(u * gt.expand_dims(_total(incoming[0], node.outputs[0]), -2)) @ vh]


def _push_singular_values(node: Apply, tangents: Tangents) -> Tangents:
    if tangents[0] is None:
        return [None]
    u, _, vh = SVD(False).apply(node.inputs[0])
    return [gt.sum((_t(u) @ tangents[0]) * vh, -1)]


def _pull_svd(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    if incoming[0] is not None or incoming[2] is not None:
        raise no_rule(node, "has a derivative of its singular values alone, not of its singular vectors")
    return _pull_singular_values(SingularValues().apply(node.inputs[0])[0].owner or node, [incoming[1]])


def _push_svd(node: Apply, tangents: Tangents) -> Tangents:
    if tangents[0] is None:
        return [None, None, None]
    raise no_rule(node, "has no derivative forwards; singular values alone have one, with compute_uv=False")


def _pull_qr(node: Apply, incoming: Sequence[Cotangent | None]) -> Outgoing:
    assert isinstance(node.op, QR)
    x, (q, r) = node.inputs[0], node.outputs
    rows, columns = x.type.shape[-2:]
    if node.op.complete or (rows is not None and columns is not None and rows < columns):
        raise no_rule(node, "has a derivative only in reduced form, of matrices with no fewer rows than columns")
    by_q, by_r = _total(incoming[0], q), _total(incoming[1], r)
    middle = r @ _t(by_r) - _t(by_q) @ q
    copied = gt.tril(middle) + _t(gt.tril(middle, -1))
    return [_t(SolveTriangular(False, 0, False)(r, _t(by_q + q @ copied)))]


def _push_qr(node: Apply, tangents: Tangents) -> Tangents:
    if tangents[0] is None:
        return [None, None]
    assert isinstance(node.op, QR)
    q, r = node.outputs
    if node.op.complete:
        raise no_rule(node, "has a derivative only in reduced form")
    scaled = tangents[0] @ Inverse()(r)
    inner = _t(q) @ scaled
    turn = gt.tril(inner, -1) - _t(gt.tril(inner, -1))
    return [q @ turn + scaled - q @ inner, (inner - turn) @ r]


DERIVATIVES.update(
    {
        Inverse: Derivative(_pull_inverse, _push_inverse),
        Solve: Derivative(_pull_solve, _push_solve),
        SolveTriangular: Derivative(_pull_triangular, _push_triangular),
        Det: Derivative(_pull_det, _push_det),
        SlogDet: Derivative(_pull_slogdet, _push_slogdet),
        Cholesky: Derivative(_pull_cholesky, _push_cholesky),
        Eigh: Derivative(_pull_eigh, _push_eigh),
        SingularValues: Derivative(_pull_singular_values, _push_singular_values),
        SVD: Derivative(_pull_svd, _push_svd),
        QR: Derivative(_pull_qr, _push_qr),
    }
)
