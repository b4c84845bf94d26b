"""Einstein sums, tensordot and kron against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor.products import MatMul
from tests.tensor.agree import agree

SUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,kj", (2, 3), (4, 3)), ("i,i", (3,), (3,)), ("i,j", (3,), (2,)),
    ("ij,j", (2, 3), (3,)), ("j,ji->i", (3,), (3, 2)), ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("bi,bi->b", (2, 3), (2, 3)), ("bij,bj->bi", (2, 3, 4), (2, 4)), ("bj,bij->bi", (2, 4), (2, 3, 4)),
    ("ijkl,klm->mij", (2, 3, 4, 5), (4, 5, 6)), ("ij,ij", (2, 3), (2, 3)), ("ij->ji", (2, 3)), ("ba", (2, 3)),
    ("ij->", (2, 3)), ("ij->j", (2, 3)), ("ii", (3, 3)), ("ii->i", (3, 3)), ("iij->ji", (3, 3, 2)),
    ("iii->i", (2, 2, 2)), ("ijij->ij", (2, 3, 2, 3)), ("...i->...", (2, 3)), ("...ii->...i", (2, 3, 3)),
    ("...ij,...jk", (5, 2, 3), (3, 4)), ("...i,...i->...", (2, 3), (4, 2, 3)), ("i...,i...->...", (3, 2), (3, 1)),
    ("ij...", (2, 3, 1)), ("...,...", (2, 3), (3,)), ("i->...i", (3,)), ("->", ()), (",i->i", (), (3,)),
    ("i,j,k->kij", (2,), (3,), (4,)), ("ij,jk,kl,lm", (2, 3), (3, 4), (4, 5), (5, 6)),
    ("ij,jk,ki->", (2, 3), (3, 4), (4, 2)), ("i,ij,j", (2,), (2, 3), (3,)), (" i j , j k -> i k ", (2, 3), (3, 2)),
    ("ab,cd->", (2, 3), (4, 5)), ("ij,jk->ik", (0, 3), (3, 2)), ("ij,jk->ik", (2, 0), (0, 2)),
    ("aBc,Bd->dca", (2, 3, 4), (3, 2)),
]  # fmt: skip


def some(shape: tuple[int, ...], seed: int = 0, dtype: str = "float64") -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-3, 3, shape)
    return np.asarray(values > 0 if dtype == "bool" else values.astype(dtype))


@pytest.mark.parametrize("case", SUMS, ids=str)
def test_einsum(case: Any) -> None:
    subscripts, *shapes = case
    arrays = [some(shape, seed) for seed, shape in enumerate(shapes)]
    agree(lambda *xs: gt.einsum(subscripts, *xs), np.einsum(subscripts, *arrays), *arrays)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "complex64"])
def test_dtypes(dtype: str) -> None:
    for subscripts, shapes in [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij->i", [(2, 300)]),
        ("bi,bi->b", [(2, 90), (2, 90)]),
    ]:
        arrays = [some(shape, seed, dtype) for seed, shape in enumerate(shapes)]
        expected = np.einsum(subscripts, *(a.astype("float64") if dtype == "float16" else a for a in arrays)).astype(
            dtype
        )
        agree(lambda *xs: gt.einsum(subscripts, *xs), expected, *arrays)  # noqa: B023
    a, b = some((2, 3), dtype="float32"), some((3,), dtype="int8")
    agree(lambda a, b: gt.einsum("ij,j", a, b), np.einsum("ij,j", a, b), a, b)


@st.composite
def sums(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    """Subscripts of one to four operands, with and without a result and an ellipsis, and shapes that fit."""
    letters = "abcde"
    sizes = {letter: draw(st.integers(2, 3)) for letter in letters}
    around = draw(st.lists(st.integers(2, 3), max_size=2))
    terms, shapes, used = [], [], []
    for _ in range(draw(st.integers(1, 4))):
        labels = draw(st.lists(st.sampled_from(letters), max_size=3))
        used += labels
        shape = [sizes[label] for label in labels]
        term = "".join(labels)
        if around and draw(st.booleans()):
            place, count = draw(st.integers(0, len(labels))), draw(st.integers(0, len(around)))
            part = [draw(st.sampled_from([1, size])) for size in around[len(around) - count :]]
            term = f"{term[:place]}...{term[place:]}"
            shape[place:place] = part
        terms.append(term)
        shapes.append(tuple(shape))
    text = ",".join(terms)
    if draw(st.booleans()):
        kept = draw(st.permutations(sorted(set(used))))[: draw(st.integers(0, 3))]
        text += "->" + "".join(kept[:1]) + ("..." if "..." in text else "") + "".join(kept[1:])
    return text, shapes


@settings(max_examples=150)
@given(sums())
def test_any_einsum(case: tuple[str, list[tuple[int, ...]]]) -> None:
    subscripts, shapes = case
    arrays = [some(shape, seed) for seed, shape in enumerate(shapes)]
    agree(lambda *xs: gt.einsum(subscripts, *xs), np.einsum(subscripts, *arrays), *arrays)


def test_axes_of_size_1_broadcast_where_they_are_known() -> None:
    a, b = gt.tensor("a", shape=(2, 1)), gt.tensor("b", shape=(3, 4))
    values = some((2, 1)), some((3, 4), 1)
    f = gs.function([a, b], gt.einsum("ij,jk->ik", a, b), device="cpu")
    np.testing.assert_allclose(f(*values), np.einsum("ij,jk->ik", *values))


def test_one_array_may_be_several_operands() -> None:
    x = some((3, 3))
    agree(lambda x: gt.einsum("ij,jk,kl->il", x, x, x), x @ x @ x, x)
    agree(lambda x: gt.einsum("i,i,i", x[0], x[0], x[0]), (x[0] ** 3).sum(), x)


def test_a_product_of_matrices_is_one() -> None:
    product = gt.einsum("ij,jk->ik", gt.matrix(), gt.matrix())
    assert product.owner is not None
    assert product.owner.op == MatMul()
    assert all(v.owner is None for v in product.owner.inputs)


def test_the_smaller_product_is_made_first() -> None:
    a, b, c = (gt.tensor(name, shape=shape) for name, shape in [("a", (100, 2)), ("b", (2, 100)), ("c", (100, 1))])
    product = gt.einsum("ij,jk,kl->il", a, b, c)
    assert product.owner is not None
    assert {v.type.shape for v in product.owner.inputs} == {(100, 2), (2, 1)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda a, b: gt.einsum("ij,jk->ik", a), "there are subscripts for 2 operands and 1 operands"),
        (lambda a, b: gt.einsum("ijk->i", a), r"einsum 'ijk->i': 'ijk' does not fit operand 0, which has 2 axes"),
        (lambda a, b: gt.einsum("i->i", a), "'i' does not fit operand 0, which has 2 axes"),
        (lambda a, b: gt.einsum("ij->ik", a), "'k', of the result, is in no operand"),
        (lambda a, b: gt.einsum("ij->ii", a), "the result has 'i' twice"),
        (lambda a, b: gt.einsum("i1->i", a), "'i1', of operand 0, must be letters"),
        (lambda a, b: gt.einsum("i..->i", a), "'i..', of operand 0, must be letters with at most one '...'"),
        (lambda a, b: gt.einsum("ij->i->j", a), "'i->j', of the result, must be letters"),
        (lambda a, b: gt.einsum("...j->j", a), "the result needs '...'"),
        (
            lambda a, b: gt.einsum("ij,jk->ik", a, b),
            r"'j' has size 3 in operand 0 \(a: float64\[2, 3\]\) and 4 in operand 1",
        ),
        (lambda a, b: gt.einsum("ii", a), "'i' has size 2 in operand 0 .* and 3 in operand 0"),
        (lambda a, b: gt.einsum("...,...", a, b), "an axis of '...' has size 2 in operand 0 .* and 4 in operand 1"),
        (lambda a, b: gt.einsum(""), "there are no operands"),
        (lambda a, b: gt.tensordot(a, b, 1), r"axis 1 of a, float64\[2, 3\], has not the size of axis 0 of b"),
        (lambda a, b: gt.tensordot(a, b, 3), "tensordot: 3 axes cannot be summed over"),
        (lambda a, b: gt.tensordot(a, b, [[0], [0, 1]]), "must name equally many different axes"),
        (lambda a, b: gt.tensordot(a, b, [0, 1, 1]), "axes must be a number, or the axes of a and those of b"),
        (lambda a, b: gt.tensordot(a, b, [[2], [0]]), "tensordot: there is no axis 2"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises(gs.ShapeError, match=message):
        wrong(gt.tensor("a", shape=(2, 3)), gt.tensor("b", shape=(4, 2)))


@pytest.mark.parametrize("axes", [0, 1, 2, ([2], [0]), (2, 0), ([1, 2], [1, 0]), ((-1,), (0,)), ([], [])])
def test_tensordot(axes: Any) -> None:
    a, b = some((2, 3, 3)), some((3, 3, 4), 1)
    agree(lambda a, b: gt.tensordot(a, b, axes), np.tensordot(a, b, axes), a, b)


def test_tensordot_of_everything() -> None:
    a, b = some((2, 3)), some((2, 3), 1, "float32")
    agree(gt.tensordot, np.tensordot(a, b), a, b)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (4, 5)), ((3,), (2,)), ((2, 3), (4,)), ((3,), (2, 2)), ((), (2, 3)), ((2, 1, 3), (2, 2))]
)
def test_kron(shapes: Any) -> None:
    a, b = some(shapes[0]), some(shapes[1], 1)
    agree(gt.kron, np.kron(a, b), a, b)
