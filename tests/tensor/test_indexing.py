"""Indexing to read and functional writing against NumPy, by random indices and by case."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor.indexing import SLOT, Range
from tests.tensor.agree import agree, inputs_for, run, same

X = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(12.0).reshape(3, 4)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape, dtype=int), dtype="float64").reshape(shape)


shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def basic_indices(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    x = numbered(draw(shapes))
    return x, draw(hnp.basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True))


@st.composite
def advanced_indices(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    """An array, and an index in which slices, integers, new axes, integer arrays and masks are mixed; not all fit."""
    x = numbered(draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)))
    rows = draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))
    items: list[Any] = []
    for size in x.shape[: draw(st.integers(1, x.ndim))]:
        kind = draw(st.sampled_from(["gather", "gather", "mask", "integer", "slice", "list"]))
        positions = st.integers(-size, size - 1)
        if kind == "gather":
            shape = draw(st.sampled_from([rows, rows[-1:], (1,)]))
            items.append(draw(hnp.arrays(draw(st.sampled_from(["int64", "int8"])), shape, elements=positions)))
        elif kind == "mask" and not any(isinstance(i, np.ndarray) for i in items):
            items.append(draw(hnp.arrays(bool, (size,))))
        elif kind == "list":
            items.append(draw(st.lists(positions, min_size=rows[-1], max_size=rows[-1])))
        elif kind == "integer":
            items.append(draw(positions))
        else:
            items.append(draw(st.slices(size)))
        if draw(st.integers(0, 4)) == 0:
            items.append(None)
    if draw(st.booleans()):
        inside = sum(item is not None for item in items) < x.ndim
        items.insert(draw(st.integers(0, len(items)) if inside else st.sampled_from([0, len(items)])), Ellipsis)
    return x, tuple(items)


def numpy_allows(x: np.ndarray, index: Any) -> bool:
    try:
        x[index]
    except (IndexError, ValueError):
        return False
    return True


@given(basic_indices())
def test_basic_indices(case: tuple[np.ndarray, Any]) -> None:
    x, index = case
    agree(lambda x: x[index], np.asarray(x[index]), x)


advanced = advanced_indices().filter(lambda case: numpy_allows(*case))


@given(advanced)
@settings(max_examples=300)
def test_advanced_indices(case: tuple[np.ndarray, Any]) -> None:
    x, index = case
    agree(lambda x: x[index], np.asarray(x[index]), x)


def with_symbols(index: Any, symbols: list[np.ndarray], make: Any) -> Any:
    """`index` with every number and array in it noted in `symbols` and replaced by what `make` gives for it."""

    def symbol(value: Any) -> Any:
        if value is None or value is Ellipsis:
            return value
        if isinstance(value, slice):
            return slice(symbol(value.start), symbol(value.stop), symbol(value.step))
        symbols.append(np.asarray(value))
        return make(len(symbols) - 1)

    return tuple(map(symbol, index)) if isinstance(index, tuple) else symbol(index)


@given(basic_indices() | advanced)
def test_symbolic_indices(case: tuple[np.ndarray, Any]) -> None:
    x, index = case
    symbols: list[np.ndarray] = []
    with_symbols(index, symbols, lambda position: None)
    array, *parts = inputs_for([x, *symbols])
    y = array[with_symbols(index, [], lambda position: parts[position])]
    expected = np.asarray(x[index])
    (found,) = run([array, *parts], [y], [x, *symbols])
    same(found, expected)
    assert y.ndim == expected.ndim
    assert all(size in (None, found.shape[axis]) for axis, size in enumerate(y.type.shape))


@given(basic_indices() | advanced, st.data())
def test_writing(case: tuple[np.ndarray, Any], data: st.DataObject) -> None:
    x, index = case
    part = np.asarray(x[index])
    value = -1.0 - numbered(data.draw(st.sampled_from([part.shape, (), part.shape[1:]])))
    increased = x.copy()
    np.add.at(increased, index, value)
    # One axis of size 1 more in front than the part has: NumPy takes it in most places.
    extra = (None,) * (value.ndim == part.ndim and data.draw(st.booleans()))
    agree(lambda x, v: x[index].inc(v[extra]), increased, x, value)
    if np.unique(part).size == part.size:  # NumPy does not promise which of several values stays
        replaced = x.copy()
        replaced[index] = value
        agree(lambda x, v: x[index].set(v[extra]), replaced, x, value)


def test_reading_by_case() -> None:
    agree(lambda x: [x[0], x[-1, 2], x[1, 2, 3]], [X[0], X[-1, 2], X[1, 2, 3]], X)
    agree(lambda x: [x[...], x[()], x[:], x[..., 0]], [X, X, X, X[..., 0]], X)
    agree(lambda x: [x[::-1], x[:, ::-2, 1:3], x[5:]], [X[::-1], X[:, ::-2, 1:3], X[5:]], X)
    agree(lambda x: x[x.shape[0] - 1, : x.shape[1] - 1], X[1, :2], X)
    agree(lambda x: x[0, 0, 0][...], X[0, 0, 0], X)
    agree(lambda x: x[0, 0, 0][None], X[0, 0, :1], X)
    agree(lambda x: x[[]], X[[]], X)
    agree(lambda x: x[np.True_], X[True], X)
    agree(lambda x: x[[0, 1], :, [1, 2]], X[[0, 1], :, [1, 2]], X)
    agree(lambda x: x[[True, False], 1], X[[True, False], 1], X)
    agree(lambda x: x[np.arange(2, dtype="uint64")], X, X)
    agree(lambda x: x[x > 11], X[X > 11], X, sizes_from_values=True)
    agree(lambda x, i: x[:, i], X[:, [2, 0]], X, np.array([2, 0]))
    agree(lambda x, i: x[i, i], X[1, 1], X, np.array(1, "uint8"))


def test_a_constant_mask_tells_a_size() -> None:
    mask = np.array([True, False, True])
    assert gt.tensor(shape=(3, 4))[mask].type.shape == (2, 4)
    agree(lambda x: x[:, mask], X[:, mask], X)


def test_take() -> None:
    agree(lambda x: [gt.take(x, 1, 0), gt.take(x, [2, 0], 1)], [X[1], X[:, [2, 0]]], X)
    agree(lambda x: [gt.take(x, [[5, -1]]), x.take(3, axis=-1)], [np.take(X, [[5, -1]]), X[..., 3]], X)
    agree(lambda x, i: gt.take(x, i, -2), X[:, [2, 2]], X, np.array([2, 2]))


def test_known_elements_of_constants() -> None:
    c = gt.constant([3, 4])
    assert (c[0].known, c[-1].known, c[:1].known) == (3, 4, None)
    assert gt.constant([1.5])[0].known is None
    assert gt.zeros(c[1]).type.shape == (4,)
    assert gt.stack([gt.iscalar(), c[0]])[1].known == 3


def test_writing_by_case() -> None:
    agree(lambda m: [m[0].set(1.0), gt.set_subtensor(m[:, 1], m[:, 2])], written((0, 1.0), (np.s_[:, 1], M[:, 2])), M)
    agree(lambda m: [m[...].set(0), m[:].set(5), m[()].set(m * 2)], [M * 0, M * 0 + 5, M * 2], M)
    agree(
        lambda m: [m[::-1].set(m), m[2:0:-1, -2::-1].set(7)], written((np.s_[::-1], M), (np.s_[2:0:-1, -2::-1], 7)), M
    )
    agree(lambda m: m[m > 5].set(0), np.where(M > 5, 0, M), M)
    agree(lambda m: m[m > 5].inc(1), np.where(M > 5, M + 1, M), M)
    agree(lambda m: m[m > 5].set(m[m > 5] * 2), np.where(M > 5, M * 2, M), M)
    agree(lambda m: m[0, 0][...].set(4), np.array(4.0), M)
    agree(lambda m: m[[0, 0, 1]].inc(1), M + np.array([[2], [1], [0]]), M)
    agree(lambda m: m[[0, 2], [1, 1]].set([8, 9]), written((([0, 2], [1, 1]), [8, 9]))[0], M)
    agree(lambda m, v: gt.inc_subtensor(m[1:], v), M + np.array([[0], [1], [1]]), M, np.ones((1, 1, 4)))
    agree(lambda m, i: m[i].set(0), written((2, 0))[0], M, np.array(2))
    agree(lambda m, i: m[i, :2].inc(m[0, :2]), written((np.s_[1, :2], M[1, :2] + M[0, :2]))[0], M, np.array(1))


def written(*writes: tuple[Any, Any]) -> list[np.ndarray]:
    results = []
    for index, value in writes:
        results.append(M.copy())
        results[-1][index] = value
    return results


def test_writing_twice_keeps_both() -> None:
    def build(m: Any) -> Any:
        first = m[0].set(1)
        return [first[1].set(2), m[1].set(3), first]

    agree(build, [np.stack([M[0] * 0 + 1, M[1] * 0 + 2, M[2]]), *written((1, 3), (0, 1))], M)


def test_writing_to_a_part_of_a_part() -> None:
    """`set_subtensor` returns the array that was indexed last, as a whole."""
    agree(lambda m: m[1][2].set(9), np.array([4.0, 5, 9, 7]), M)
    agree(lambda m: gt.set_subtensor(m[1][:], 9), np.full(4, 9.0), M)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float32", "complex64"])
def test_values_written_take_the_arrays_dtype(dtype: str) -> None:
    x = np.array([1, 0, 1]).astype(dtype)
    expected = np.array([1, 1, 1]).astype(dtype)
    agree(lambda x: x[1].set(True), expected, x)
    if dtype != "bool":
        agree(lambda x: [x[1].set(1), x[1].inc(1), x[1:].set(x[:1])], [expected] * 3, x)
        agree(lambda x: x[[1, 1]].inc(1), np.array([1, 2, 1]).astype(dtype), x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda m, v: m[0, 0, 0], r"too many indices: 3 for m of type float64\[3, 4\]"),
        (lambda m, v: m[..., ...], r"an index can have only one ellipsis"),
        (lambda m, v: m[[0, 1], ..., 1], r"an ellipsis \(...\) that stands for no axis, between integers and arrays"),
        (lambda m, v: m[3], r"index 3 is outside axis 0 of m: float64\[3, 4\]"),
        (lambda m, v: m[m.shape[0] + 1], r"index 4 is outside axis 0 of m"),
        (lambda m, v: m[:, -5], r"index -5 is outside axis 1 of m"),
        (lambda m, v: m[[0, 7]], r"index 7 is outside axis 0 of m"),
        (lambda m, v: m[[True, False]], r"a mask of type bool\[2\] does not fit axis 0 of m: float64\[3, 4\]"),
        (lambda m, v: m[1.5], "1.5 cannot be used as an index; use integers, slices"),
        (lambda m, v: m["a"], "'a' cannot be used as an index"),
        (lambda m, v: m[np.float32(1)], r"an index must be of integers or booleans; it is float32\[\]"),
        (lambda m, v: m[v], r"an index must be of integers or booleans; v is float64\[\?\]"),
        (lambda m, v: m[: v[0]], r"bounds of a slice must be integer scalars; one is float64\[\]"),
        (lambda m, v: m[:1.5], r"bounds of a slice must be integer scalars; one is float64\[\]"),
        (lambda m, v: v[::0], "the step of a slice must not be 0"),
        (lambda m, v: m[:: m.shape[0] - 3], "the step of a slice must not be 0"),
        (lambda m, v: gt.take(v, 0, axis=1), "take: there is no axis 1 in an array of 1 axes"),
        (
            lambda m, v: gt.set_subtensor(v, 0),
            r"set_subtensor needs a part of an array, as in set_subtensor\(x\[i\], value\)",
        ),
        (lambda m, v: gt.inc_subtensor(3, 0), "inc_subtensor needs a part of an array"),
        (
            lambda m, v: gt.fvector("f")[0].set(v[0]),
            r"set_subtensor: a value of float64\[\] does not fit into f of float32\[\?\] without loss; "
            "cast the value to float32, or the array to float64",
        ),
        (lambda m, v: gt.bvector()[0].set(300), r"a value of int16\[\] does not fit into an array of int8\[\?\]"),
        (lambda m, v: gt.ivector()[0].inc(0.5), r"inc_subtensor: a value of float64\[\] does not fit into"),
        (lambda m, v: gt.vector()[0].set(1j), r"a value of complex128\[\] does not fit"),
        (
            lambda m, v: m[0].set([1, 2, 3]),
            r"set_subtensor: a value of float64\[3\] does not fit a part of float64\[4\]",
        ),
        (
            lambda m, v: m[:, :1].inc(np.ones(4)),
            r"inc_subtensor: a value of float64\[4\] does not fit a part of float64\[3, 1\]",
        ),
        (
            lambda m, v: m[0].set(m),
            r"a value of float64\[3, 4\] does not fit a part of float64\[4\] of m of float64\[3, 4\]",
        ),
        (lambda m, v: m[0, 0].set([1, 2]), r"a value of float64\[2\] does not fit a part of float64\[\]"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong(gt.tensor("m", shape=(3, 4)), gt.vector("v"))


def test_positions_outside_are_errors_at_run_time() -> None:
    v, i = gt.vector("v"), gt.iscalar("i")
    for wrong in (3, -4):
        with pytest.raises(IndexError, match="out of bounds"):
            v[i].eval({v: np.ones(3), i: wrong}, device="cpu")


def test_the_names_of_the_ops() -> None:
    m, i = gt.matrix("m"), gt.iscalar("i")
    assert str(m[0, 1:].owner.op) == "index[0, 1:]"
    assert str(m[i, ::-1].owner.op) == "index[?, ::-1]"
    assert str(m[None, [0]].owner.op) == "index[new, gather, :]"
    assert str(m[m > 0].set(0).owner.op) == "set[mask]"
    assert str(m[:i].inc(0).owner.op) == "inc[:?, :]"


def test_patterns_are_values() -> None:
    i = gt.iscalar()
    a, b = gt.matrix()[i, 1:].owner.op, gt.matrix()[i, 1:].owner.op
    assert a == b == pickle.loads(pickle.dumps(a))
    assert hash(a) == hash(b)
    assert pickle.loads(pickle.dumps(SLOT)) is SLOT
    assert Range(1, SLOT).as_slice([4]) == slice(1, 4)
    assert Range(1, SLOT).as_slice() is None


def test_an_error_at_run_time_names_the_function() -> None:
    m, v = gt.matrix("m"), gt.vector("v")
    f = gs.function([m, v], m[0].set(v), device="cpu")
    with pytest.raises(ValueError, match=r"set_subtensor: a value of float64\[3\] does not fit a part of float64\[2\]"):
        f(np.ones((2, 2)), np.ones(3))
