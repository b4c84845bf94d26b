"""Sizes: of arrays, as values in a graph, and as what types know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan.tensor as gt
from gpuscan.tensor.sizes import elements
from tests.tensor.agree import agree

X = np.arange(24.0).reshape(2, 3, 4)


def test_shape_and_size() -> None:
    agree(lambda x: [x.shape, gt.shape(x), x.size, gt.size(x)], [np.array(X.shape)] * 2 + [np.int64(24)] * 2, X)
    agree(lambda x: [x[0, 0, 0].shape, x[0, 0, 0].size], [np.zeros(0, "int64"), np.int64(1)], X)
    agree(lambda x: [x.shape[1], x.shape[-1], x.shape[1:]], [np.int64(3), np.int64(4), np.array([3, 4])], X)
    agree(lambda x, i: x.shape[i], np.int64(3), X, np.array(1))
    agree(lambda x: gt.shape([1, 2, 3]), np.array([3]), X)


def test_a_shape_is_unpacked() -> None:
    def build(x: Any) -> Any:
        a, b, c = x.shape
        first, *rest = x.shape[1:]
        assert len(rest) == 1
        return gt.zeros((c, a * b, first))

    agree(build, np.zeros((4, 6, 3)), X)


def test_a_known_vector_is_iterated() -> None:
    v = gt.tensor("v", shape=(3,))
    assert len(v) == 3
    assert [part.type.shape for part in v] == [()] * 3
    assert [int(e.known) for e in gt.constant([4, 5])] == [4, 5]
    assert len(gt.constant(X)) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda v: len(v), "the length of <v: .*> is not known while the graph is built"),
        (lambda v: list(v), "use gpuscan.scan to loop over it, or x.shape"),
        (lambda v: len(v.sum()), r"<sum\[0\]: float64\[\]> is a scalar; it has no length"),
        (lambda v: list(gt.scalar("s")), r"<s: float64\[\]> is a scalar; it has no length"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        wrong(gt.vector("v"))


SHAPES = {
    "slice": lambda x: x.shape[1:],
    "reversed": lambda x: x.shape[::-1],
    "scaled": lambda x: x.shape * 2,
    "by a vector": lambda x: x.shape * np.array([1, 2, 3]),
    "of a slice": lambda x: x.shape[:2] // 2 + 1,
    "cast": lambda x: (x.shape + 1).astype("int32")[1:],
    "joined": lambda x: gt.concatenate([x.shape[1:], [5]]),
    "compared": lambda x: gt.maximum(x.shape, 3),
    "stacked": lambda x: gt.stack([x.shape[0], x.size]),
    "as a list": lambda x: gt.as_tensor_variable([x.shape[0], 2]),
    "chosen": lambda x: gt.switch(x.shape[0] > 1, x.shape, x.shape[0]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_computed_as_a_vector_is_known(shape: str) -> None:
    """Also where nothing but the run tells: the type of a specialised graph knows every size."""

    def expected(x: np.ndarray) -> np.ndarray:
        sizes = gt.constant(SHAPES[shape](gt.constant(x)).eval(device="cpu")).data
        return np.zeros(sizes)

    agree(lambda x: gt.zeros(SHAPES[shape](x)), expected(X), X)


def test_elements_are_looked_for_only_so_deep() -> None:
    x = gt.vector()
    v = x.shape
    for _ in range(20):
        v = v + 1
    assert elements(v) is None
    assert elements(gt.arange(3)) is None
    assert elements(gt.constant(np.zeros(100))) is None
    assert elements(gt.lvector()) is None


def test_sizes_from_values_are_not_known() -> None:
    n = gt.iscalar("n")
    assert gt.zeros(n).type.shape == gt.arange(n).type.shape == gt.eye(n).type.shape[:1] == (None,)
    v = gt.vector()
    assert v[v > 0].type.shape == (None,)


def test_an_element_of_a_stack_is_part_of_the_stack() -> None:
    """What it was stacked of is another array: writing to the element must not write there."""
    y = np.array([1.0, 2.0])
    agree(lambda y: gt.set_subtensor(gt.stack([y[0], y[1], 3])[0], 5), np.array([5.0, 2, 3]), y)
    agree(lambda y: next(iter(gt.stack([y[0], y[1], 3]))).set(5), np.array([5.0, 2, 3]), y)
