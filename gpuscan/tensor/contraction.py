"""Einstein sums, as the transpositions, products and sums that they are: nothing after this needs to know of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise, reduction
from gpuscan.tensor.convert import cast, operands
from gpuscan.tensor.creation import arange
from gpuscan.tensor.indexing import index
from gpuscan.tensor.layout import dimshuffle
from gpuscan.tensor.pointwise import promote
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.shaping import DimShuffle, Reshape, dim
from gpuscan.tensor.sizes import product
from gpuscan.tensor.subscripts import Labels, read_subscripts

UNKNOWN_SIZE = 64  # what a size that is not known counts for when the order of products is chosen


def einsum(subscripts: str, *arrays: Any, optimize: Any = None) -> Variable:
    """Return a sum of products that `subscripts` describe, as ``numpy.einsum``.

    Parameters
    ----------
    subscripts : str
        A label for each axis of each operand, and after ``->`` those of the result, as in ``"ij,jk->ik"``. Without
        ``->`` the result has the labels that occur once, in alphabetical order. ``...`` stands for any leading axes,
        which broadcast.
    *arrays : array_like
        The operands.
    optimize : optional
        Accepted as NumPy's argument; the order of products is always chosen here, by the sizes that are known.

    Returns
    -------
    Variable
        Of the operands' common dtype.

    Raises
    ------
    ShapeError
        If the subscripts are not well formed, or do not fit the operands. Sizes that are not known yet must turn out
        to be equal where they have the same letter.
    """
    if not arrays:
        raise ShapeError(f"einsum {subscripts!r}: there are no operands")
    variables = operands(*arrays)
    common = promote(*(v.dtype for v in variables))
    read = read_subscripts(subscripts, [v.ndim for v in variables])
    terms = [Term(cast(v, common), labels) for v, labels in zip(variables, read.operands, strict=True)]
    _check_sizes(subscripts, variables, terms)
    terms = _without_ones([_diagonal(term) for term in terms])
    while len(terms) > 1:
        a, b = _cheapest(terms, read.result)
        rest = [term for term in terms if term is not a and term is not b]
        kept = {*read.result, *(label for term in rest for label in term.labels)}
        both = _multiplied(_summed(a, kept | {*b.labels}), _summed(b, kept | {*a.labels}), kept)
        terms = [both if term is a else term for term in terms if term is not b]
    last = _summed(terms[0], read.result)
    return _arranged(last, read.result)


@dataclass(frozen=True, eq=False)  # one array may be two operands
class Term:
    """An array with a label for each axis."""

    value: Variable
    labels: Labels

    def size(self, label: str) -> int | None:
        """Return the size of the axis of that label, 1 if there is none."""
        return self.value.type.shape[self.labels.index(label)] if label in self.labels else 1

    def dims(self, labels: Collection[str]) -> list[Variable]:
        """Return the sizes of the axes of these labels."""
        return [dim(self.value, self.labels.index(label)) for label in labels]


def _check_sizes(subscripts: str, variables: Sequence[Variable], terms: Sequence[Term]) -> None:
    seen: dict[str, tuple[int, str]] = {}
    for number, (variable, term) in enumerate(zip(variables, terms, strict=True)):
        for label, size in zip(term.labels, variable.type.shape, strict=True):
            called = f"operand {number} ({variable.name + ': ' if variable.name else ''}{variable.type})"
            if size is None or (size == 1 and term.labels.count(label) == 1):
                continue
            known, where = seen.setdefault(label, (size, called))
            if known != size:
                what = "an axis of '...'" if label[0] == "." else f"{label!r}"
                raise ShapeError(f"einsum {subscripts!r}: {what} has size {known} in {where} and {size} in {called}")


def _diagonal(term: Term) -> Term:
    """Return `term` with the diagonal in place of axes of the same label."""
    for label in dict.fromkeys(term.labels):
        while term.labels.count(label) > 1:
            first = term.labels.index(label)
            second = term.labels.index(label, first + 1)
            others = [axis for axis in range(len(term.labels)) if axis not in (first, second)]
            matrices = dimshuffle(term.value, first, second, *others)
            # As many as the longer of the two has: where they differ, positions beyond the shorter one's end.
            positions = arange(elementwise.maximum(dim(matrices, 0), dim(matrices, 1)))
            diagonal = index(matrices, (positions, positions))
            term = Term(diagonal, (label, *(term.labels[axis] for axis in others)))
    return term


def _without_ones(terms: Sequence[Term]) -> list[Term]:
    """Return the terms without axes of size 1 whose label another term has, which then says the size."""
    result = list(terms)
    for i, term in enumerate(result):
        others = [other for other in result if other is not term]
        dropped = [
            label for label in term.labels if term.size(label) == 1 and any(label in other.labels for other in others)
        ]
        result[i] = _dropped(term, dropped)
    return result


def _dropped(term: Term, labels: Collection[str]) -> Term:
    kept = tuple(axis for axis, label in enumerate(term.labels) if label not in labels)
    if not labels:
        return term
    return Term(DimShuffle(kept)(term.value), tuple(term.labels[axis] for axis in kept))


def _cheapest(terms: Sequence[Term], result: Labels) -> tuple[Term, Term]:
    """Return the two terms whose product is the smallest, the first ones of several."""

    def cost(pair: tuple[Term, Term]) -> int:
        others = [term for term in terms if term not in pair]
        kept = {*result, *(label for term in others for label in term.labels)}
        labels = {label for term in pair for label in term.labels if label in kept}
        return prod(max(_size(pair[0].size(label)), _size(pair[1].size(label))) for label in labels)

    return min(combinations(terms, 2), key=cost)


def _size(size: int | None) -> int:
    return UNKNOWN_SIZE if size is None else size


def _summed(term: Term, kept: Collection[str]) -> Term:
    """Return `term` summed over the axes of labels that are not `kept`."""
    axes = [axis for axis, label in enumerate(term.labels) if label not in kept]
    if not axes:
        return term
    total = reduction.sum(term.value, axes)
    # Integers wrap around as they would have in their own dtype; a sum of booleans is whether one is true.
    return Term(cast(total, term.value.dtype), tuple(label for label in term.labels if label in kept))


def _arranged(term: Term, labels: Labels) -> Variable:
    """Return the value of `term` with its axes in the order of `labels`, of size 1 where it has none."""
    return dimshuffle(term.value, *(term.labels.index(x) if x in term.labels else "x" for x in labels))


def _multiplied(a: Term, b: Term, kept: Collection[str]) -> Term:
    """Return the product of two terms, summed over the labels that both have and that are not `kept`."""
    shared = [label for label in a.labels if label in b.labels]
    batch = tuple(label for label in shared if label in kept)
    inner = tuple(label for label in shared if label not in kept)
    rows = tuple(label for label in a.labels if label not in shared)
    columns = tuple(label for label in b.labels if label not in shared)
    # Also a product of rows with rows, of which a product of matrices would make many small ones.
    if not inner or (batch and not rows and not columns):
        labels = (*batch, *rows, *columns, *inner)
        every = Term(elementwise.mul(_arranged(a, labels), _arranged(b, labels)), labels)
        return _summed(every, (*batch, *rows, *columns))
    return _matrix_product(a, b, batch, inner, rows, columns)


def _matrix_product(a: Term, b: Term, batch: Labels, inner: Labels, rows: Labels, columns: Labels) -> Term:
    # Vectors stay vectors, unless there is a stack of them.
    has_rows, has_columns = bool(rows or batch), bool(columns or batch)
    left = _grouped(a, batch, *([rows] if has_rows else []), inner)
    right = _grouped(b, batch, inner, *([columns] if has_columns else []))
    value = MatMul()(left, right)
    if (len(rows), len(columns)) != (has_rows, has_columns):
        stack = [dim(value, axis) for axis in range(len(batch))]
        value = Reshape()(value, *stack, *a.dims(rows), *b.dims(columns))
    return Term(value, (*batch, *rows, *columns))


def _grouped(term: Term, batch: Labels, *groups: Labels) -> Variable:
    """Return the value of `term` with the axes of `batch`, then one for all of each group."""
    value = _arranged(term, (*batch, *(label for group in groups for label in group)))
    if all(len(group) == 1 for group in groups):
        return value
    return Reshape()(value, *term.dims(batch), *(product(term.dims(group)) for group in groups))
