"""The check that most tests of tensors make: a graph does what NumPy does, in values, dtype and every known shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, Variable, type_of

RELATIVE = {"float16": 4e-3, "float32": 2e-5, "complex64": 2e-5}


def as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def inputs_for(arrays: Sequence[Any], *, known: bool = False) -> list[Variable]:
    """Inputs that take `arrays`, of any shape or (`known`) of theirs."""
    shapes = [a.shape if known else (None,) * a.ndim for a in arrays]
    return [gt.tensor(f"x{i}", a.dtype.name, s) for i, (a, s) in enumerate(zip(arrays, shapes, strict=True))]


def agree(
    build: Callable[..., Any], expected: Any, *arrays: Any, sizes_from_values: bool = False, dtype: bool = True
) -> None:
    """Check that the graph that `build` makes of inputs computes `expected` from `arrays`.

    `sizes_from_values` is for results whose sizes no shape tells; without `dtype` the dtypes may differ.
    """
    values = [np.asarray(a) for a in arrays]
    wanted = [np.asarray(e) for e in as_list(expected(*arrays) if callable(expected) else expected)]
    for known in (False, True):
        inputs = inputs_for(values, known=known)
        outputs = as_list(build(*inputs))
        found = run(inputs, outputs, values)
        assert len(found) == len(wanted)
        graph = Graph.close(inputs, outputs)
        special = graph.specialise([type_of(v) for v in values])
        for output, exact, result, want in zip(outputs, special.outputs, found, wanted, strict=True):
            assert output.dtype == result.dtype.name
            assert output.type.accepts(type_of(result)), f"{output.type} does not describe {type_of(result)}"
            if not sizes_from_values:
                assert exact.type == type_of(result), "a specialised graph must know every size"
                assert not known or output.type == type_of(result)
            same(result, want, dtype=dtype)


def run(inputs: Sequence[Variable], outputs: Sequence[Variable], values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Results on the CPU, having seen that arguments stay as they are and results are in memory of their own."""
    before = [v.copy() for v in values]
    results: list[np.ndarray] = gs.function(inputs, list(outputs), device="cpu", on_unused_input="ignore")(*values)
    for value, old in zip(values, before, strict=True):
        np.testing.assert_array_equal(value, old)
    for i, result in enumerate(results):
        others = [*values, *results[:i]]
        assert not any(np.shares_memory(result, other) for other in others), "a result is a view"
    return results


def same(found: np.ndarray, wanted: np.ndarray, *, dtype: bool = True) -> None:
    """Check that two arrays are equal, up to rounding."""
    assert found.shape == wanted.shape
    if dtype:
        assert found.dtype == wanted.dtype
    if wanted.dtype.kind in "fc" or found.dtype.kind in "fc":
        tolerance = max(RELATIVE.get(a.dtype.name, 1e-12) for a in (found, wanted))
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(found, wanted)
