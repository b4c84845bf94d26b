"""Types, and the shapes that they promise."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import DTYPES, TensorType, broadcast_shapes, merge_shapes, type_of

sizes = st.lists(st.sampled_from([None, 0, 1, 2, 3]), max_size=3).map(tuple)


def test_a_type() -> None:
    t = TensorType("float32", (2, None))
    assert (t.ndim, t.size, str(t)) == (2, None, "float32[2, ?]")
    assert (TensorType("bool", ()).size, TensorType("int8", (2, 0)).size, str(TensorType("bool", ()))) == (
        1,
        0,
        "bool[]",
    )
    assert t.with_dtype("int8") == TensorType("int8", (2, None))
    assert len({t, TensorType("float32", (2, None)), TensorType("float32", (None, 2))}) == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_type_of_an_array(dtype: str) -> None:
    assert type_of(np.zeros((2, 3), dtype)) == TensorType(dtype, (2, 3))
    assert type_of(np.dtype(dtype).type(0)) == TensorType(dtype, ())


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(DtypeError, match="dtype 'object' is not supported; use one of bool, int8"):
        TensorType("object", ())


def test_accepts() -> None:
    t = TensorType("float32", (2, None))
    assert t.accepts(t)
    assert t.accepts(TensorType("float32", (2, 5)))
    assert not t.accepts(TensorType("float32", (None, 5)))
    assert not t.accepts(TensorType("float32", (3, 5)))
    assert not t.accepts(TensorType("float32", (2,)))
    assert not t.accepts(TensorType("float64", (2, 5)))


def test_merging_shapes() -> None:
    assert merge_shapes([(2, None), (None, 3)]) == (2, 3)
    assert merge_shapes([(None,), (None,)]) == (None,)
    assert merge_shapes([]) == ()
    with pytest.raises(ShapeError, match="axis 1 has size 3 and size 4"):
        merge_shapes([(2, 3), (None, 4)])
    with pytest.raises(ShapeError, match="2 axes and 1 axes cannot be one shape"):
        merge_shapes([(2, 3), (2,)])


@given(st.lists(sizes, max_size=3))
def test_broadcasting_promises_only_what_holds(shapes: list[tuple[int | None, ...]]) -> None:
    """Whatever the unknown sizes turn out to be: the real result agrees, and an error is one for all of them."""
    try:
        promised = broadcast_shapes(shapes)
    except ShapeError:
        promised = None
    unknown = [(i, k) for i, shape in enumerate(shapes) for k, size in enumerate(shape) if size is None]
    results = []
    for values in product([0, 1, 2], repeat=min(len(unknown), 4)):
        real = [list(shape) for shape in shapes]
        for place, (i, k) in enumerate(unknown):
            real[i][k] = values[place] if place < len(values) else 1
        try:
            results.append(np.broadcast_shapes(*(tuple(n for n in shape if n is not None) for shape in real)))
        except ValueError:
            continue
    if promised is None:
        assert not results
        return
    for result in results:
        assert len(result) == len(promised)
        assert all(p in (None, r) for p, r in zip(promised, result, strict=True))


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(
        ShapeError, match=r"shapes \(2, 3\), \(None, 4\) do not broadcast: axis -1 has sizes \['3', '4'\]"
    ):
        broadcast_shapes([(2, 3), (None, 4)])
