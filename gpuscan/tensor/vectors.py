"""Products in which vectors take part, one or a stack of them."""

from __future__ import annotations

from typing import Any

from gpuscan.errors import ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor import elementwise
from gpuscan.tensor.contraction import einsum
from gpuscan.tensor.convert import operands
from gpuscan.tensor.guards import specify_shape
from gpuscan.tensor.indexing import index
from gpuscan.tensor.joining import stack
from gpuscan.tensor.layout import expand_dims, flatten, moveaxis, squeeze, transpose
from gpuscan.tensor.products import MatMul, tensordot
from gpuscan.tensor.shaping import normalize_axis


def inner(a: Any, b: Any) -> Variable:
    """Return the sums of products over the last axes of `a` and of `b`.

    Parameters
    ----------
    a, b : array_like
        With last axes of one size, or a scalar that multiplies the other.

    Returns
    -------
    Variable
        The other axes of `a`, then those of `b`.

    Raises
    ------
    ShapeError
        If the last axes have not the same size.
    """
    a, b = operands(a, b)
    if not a.ndim or not b.ndim:
        return elementwise.mul(a, b)
    return MatMul()(a, transpose(b)) if b.ndim <= 2 else tensordot(a, b, ([-1], [-1]))


def vdot(a: Any, b: Any) -> Variable:
    """Return the sum of the products of all elements of `a`, conjugated, with those of `b`, a scalar.

    Parameters
    ----------
    a, b : array_like
        With equally many elements; both are flattened.

    Raises
    ------
    ShapeError
        If they have not equally many elements.
    """
    a, b = operands(a, b)
    return MatMul()(elementwise.conj(flatten(a)), flatten(b))


def vecdot(x1: Any, x2: Any, axis: int = -1) -> Variable:
    """Return the products of the vectors of `x1`, conjugated, with those of `x2`.

    Parameters
    ----------
    x1, x2 : array_like
        Vectors along an axis; the others broadcast.
    axis : int
        The axis of vectors, of each of the two.

    Returns
    -------
    Variable
        The other axes, broadcast.

    Raises
    ------
    ShapeError
        If an argument is a scalar, or the vectors have not one size.
    """
    x1, x2 = _at_least("vecdot", (x1, 1), (x2, 1))
    a, b = (moveaxis(x, normalize_axis(axis, x.ndim, "vecdot"), -1) for x in (x1, x2))
    return einsum("...i,...i->...", elementwise.conj(a), b)


def matvec(x1: Any, x2: Any) -> Variable:
    """Return the products of matrices with vectors.

    Parameters
    ----------
    x1 : array_like
        A matrix in the last two axes, or a stack of them.
    x2 : array_like
        A vector in the last axis, or a stack of them; the stacks broadcast.

    Returns
    -------
    Variable
        The axes of the stacks, then one along the rows of the matrices.

    Raises
    ------
    ShapeError
        If `x1` has fewer than two axes, `x2` is a scalar, or the columns do not meet the vectors.
    """
    x1, x2 = _at_least("matvec", (x1, 2), (x2, 1))
    if x2.ndim == 1:
        return MatMul()(x1, x2)
    if x1.ndim == 2:
        return MatMul()(x2, transpose(x1))  # one product for all vectors
    return squeeze(MatMul()(x1, expand_dims(x2, -1)), -1)


def vecmat(x1: Any, x2: Any) -> Variable:
    """Return the products of vectors, conjugated, with matrices.

    Parameters
    ----------
    x1 : array_like
        A vector in the last axis, or a stack of them.
    x2 : array_like
        A matrix in the last two axes, or a stack of them; the stacks broadcast.

    Returns
    -------
    Variable
        The axes of the stacks, then one along the columns of the matrices.

    Raises
    ------
    ShapeError
        If `x1` is a scalar, `x2` has fewer than two axes, or the vectors do not meet the rows.
    """
    x1, x2 = _at_least("vecmat", (x1, 1), (x2, 2))
    vectors = elementwise.conj(x1)
    if x1.ndim == 1 or x2.ndim == 2:
        return MatMul()(vectors, x2)
    return squeeze(MatMul()(expand_dims(vectors, -2), x2), -2)


def _at_least(what: str, *given: tuple[Any, int]) -> list[Variable]:
    """Return arguments as variables, each of which must have a number of axes or more."""
    variables = operands(*(value for value, _ in given))
    for position, (variable, (_, ndim)) in enumerate(zip(variables, given, strict=True), 1):
        if variable.ndim < ndim:
            needed = "a vector" if ndim == 1 else "a matrix"
            raise ShapeError(
                f"{what}: {variable.name or f'argument {position}'} is {variable.type}; it must be {needed}, or a "
                "stack of them"
            )
    return variables


def batched_dot(a: Any, b: Any) -> Variable:
    """Return ``dot(a[i], b[i])`` for each i.

    Parameters
    ----------
    a, b : array_like
        Along the first axis scalars, vectors or matrices; the first axes have one size.

    Returns
    -------
    Variable
        Along its first axis the products.

    Raises
    ------
    ShapeError
        If an argument has no axis or more than three, or the sizes do not fit.
    """
    a, b = operands(a, b)
    for side in (a, b):
        if not 1 <= side.ndim <= 3:
            raise ShapeError(
                f"batched_dot: {side.name or 'an argument'} is {side.type}; it must have one to three axes, the first "
                "for the batch. Use einsum for others."
            )
    left, right = ("b", "bk", "bmk")[a.ndim - 1], ("b", "bk", "bkn")[b.ndim - 1]
    summed = "k" if a.ndim > 1 and b.ndim > 1 else ""
    result = "".join(label for label in dict.fromkeys(left + right) if label != summed)
    return einsum(f"{left},{right}->{result}", a, b)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Variable:
    """Return the cross products of vectors of three elements.

    Parameters
    ----------
    a, b : array_like
        Vectors along an axis; the others broadcast.
    axisa, axisb, axisc : int
        The axis of vectors in `a`, in `b` and in the result.
    axis : int, optional
        All three.

    Returns
    -------
    Variable
        The other axes, broadcast, and one of size 3.

    Raises
    ------
    ShapeError
        If the vectors have not three elements; of those not known to, when the function runs.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = operands(a, b)
    left, right = (_three_elements(v, along, name) for v, along, name in ((a, axisa, "a"), (b, axisb, "b")))
    products = [left[i - 2] * right[i - 1] - left[i - 1] * right[i - 2] for i in range(3)]
    return stack(products, axis=axisc)


def _three_elements(x: Variable, axis: int, name: str) -> list[Variable]:
    """Return the first, second and third elements of the vectors along `axis`."""
    last = moveaxis(x, normalize_axis(axis, x.ndim, "cross"), -1)
    if last.type.shape[-1] not in (None, 3):
        raise ShapeError(
            f"cross: axis {axis} of {x.name or name}, {x.type}, has size {last.type.shape[-1]}; vectors must have "
            "three elements. Put a 0 behind those of two."
        )
    checked = specify_shape(last, [*[None] * (last.ndim - 1), 3])
    return [index(checked, (..., i)) for i in range(3)]
