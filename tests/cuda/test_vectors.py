"""Threads that share a sum take neighbouring terms, as many as one load brings, wherever the factors are."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.device import Emulator
from gpuscan.cuda.runner import LoopRunner
from gpuscan.cuda.step import products
from gpuscan.cuda.step.groups import terms_at_once
from gpuscan.cuda.step.memory import padded
from gpuscan.cuda.step.team import Team
from gpuscan.loop import Scan


def rnn(size: int, dtype: str, *, gradient: bool, batch: int) -> tuple[list[Any], list[Any], list[np.ndarray]]:
    x, h0 = gt.tensor3("x", dtype=dtype), gt.matrix("h0", dtype=dtype)
    w, u = gt.matrix("w", dtype=dtype), gt.matrix("u", dtype=dtype)
    h, _ = gs.scan(lambda x, h, w, u: np.tanh(x + h @ w) * gt.sigmoid(h @ u), x, h0, [w, u])
    outputs = [h, *(gs.grad((h**2).sum(), [x, h0, w, u]) if gradient else [])]
    rng = np.random.default_rng(0)
    shapes = (3, batch, size), (batch, size), (size, size), (size, size)
    values = [(rng.normal(size=shape) / np.sqrt(size)).astype(dtype) for shape in shapes]
    return [x, h0, w, u], outputs, values


def run(team: str, size: int, dtype: str, *, gradient: bool = False, batch: int = 2) -> str:
    """Assert that a team computes what the CPU does, and return the text of its kernels."""
    inputs, outputs, values = rnn(size, dtype, gradient=gradient, batch=batch)
    with gs.config.change_flags(strategy=team):
        f = gs.function(inputs, outputs, device="emulator")
        found = f(*values)
    assert {plan.team for plan in f.plans} == {team}
    expected = gs.function(inputs, outputs, device="cpu")(*values)
    rtol = 1e-10 if dtype == "float64" else 1e-4
    for e, v in zip(expected, found, strict=True):
        np.testing.assert_allclose(v, e, rtol=rtol, atol=rtol)
    return f.kernel_source()


@pytest.mark.parametrize(("team", "size", "dtype"), [("warp", 16, "float64"), ("block", 64, "float32")])
def test_columns_in_registers(team, size, dtype):
    text = run(team, size, dtype, gradient=True)
    assert "int const r = rv * " in text
    assert "w_w[rv * " in text


@pytest.mark.parametrize("team", ["block", "grid"])
def test_columns_in_shared_memory(team, monkeypatch):
    monkeypatch.setattr(products, "MOST_WRITTEN_OUT", 0)
    text = run(team, 64, "float64")
    assert re.search(r"\)columns_\w+\[.* \+ ri\]", text)
    # What all threads of a block of a grid read is copied there first, 16 bytes at a time.
    assert ("gs::copy_from_l2<128, " in text) == (team == "grid")


def test_many_sums_are_combined_together():
    assert "gs::across_each<gs::Add, " in run("grid", 64, "float64", batch=48)


@pytest.mark.parametrize(("extent", "size", "count"), [(64, 4, 4), (64, 8, 2), (60, 4, 1), (60, 8, 1), (64, 1, 16)])
def test_as_many_terms_as_a_load_brings(extent, size, count):
    assert terms_at_once(Team("warp", 8, 4, block=128), (8,), extent, size) == count


def test_a_thread_by_itself_has_its_terms_in_registers():
    assert terms_at_once(Team("thread"), (8,), 64, 4) == 1


def small_matrices() -> tuple[list[Any], list[Any], list[np.ndarray]]:
    x, p0, f = gt.tensor3("x"), gt.tensor3("p0"), gt.matrix("f")
    p, _ = gs.scan(lambda x, p, f: np.tanh(f @ p) + x[:, :, None], x, p0, f)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in [(3, 5, 4), (5, 4, 4), (4, 4)]]
    return [x, p0, f], [p, *gs.grad((p**2).sum(), [x, p0, f])], values


def misaligned(value: np.ndarray) -> np.ndarray:
    """Return a copy of an array one element behind a multiple of 16 bytes."""
    room = np.empty(value.size + 3)
    first = next(i for i in range(3) if room[i:].ctypes.data % 16 == 8)
    copy = room[first : first + value.size].reshape(value.shape)
    copy[...] = value
    assert copy.ctypes.data % 16 == 8
    return copy


def test_elements_of_one_thread_are_loaded_together_from_any_address():
    inputs, outputs, values = small_matrices()
    with gs.config.change_flags(strategy="thread"):
        f = gs.function(inputs, outputs, device="emulator")
        found = f(*map(misaligned, values))
    assert "gpuscan_assume_aligned<16>(seq_x);" in f.kernel_source()
    assert re.search(r"gpuscan_assume_multiple<2>\(row_size\w*\);", f.kernel_source())
    for e, v in zip(gs.function(inputs, outputs, device="cpu")(*values), found, strict=True):
        np.testing.assert_allclose(v, e, rtol=1e-10)


@pytest.mark.parametrize(
    ("shape", "dtype", "alignment"),
    [((3, 4), "float32", 16), ((3, 6), "float32", 8), ((3, 3), "float64", 1), ((3, 2), "int8", 2)],
)
def test_as_much_is_assumed_as_every_lane_keeps(shape, dtype, alignment):
    x, y0 = gt.tensor("x", dtype, (2, *shape)), gt.tensor("y0", dtype, shape)
    y, _ = gs.scan(lambda x, y: gt.cast(x + y.max(1, keepdims=True), dtype), x, y0)
    with gs.config.change_flags(strategy="thread"):
        graph = gs.function([x, y0], y, device="cpu").graph
        node = next(node for node in graph.nodes if isinstance(node.op, Scan))
        _, kernel = LoopRunner(node, Emulator(), ()).static()
    arrays = [parameter for parameter in kernel.kernel.parameters if parameter.is_array]
    assert {parameter.alignment for parameter in arrays} == {alignment}


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((8, 32), 4, (8, 36)),
        ((8, 16), 8, (8, 18)),
        ((2, 8, 64), 4, (2, 8, 68)),
        ((8, 32, 1), 4, (8, 36, 1)),
        ((8, 24), 4, (8, 24)),
        ((1, 32), 4, (1, 32)),
        ((32,), 4, (32,)),
    ],
)
def test_rows_that_would_meet_in_one_bank_are_longer(shape, size, expected):
    assert padded(shape, size) == expected


def test_columns_of_padded_arrays_are_read_and_whole_arrays_are_not_padded():
    """Of a state, a sequence, a fixed array and what is computed, and of what functions on whole arrays are given."""
    p0, x, f = gt.matrix("p0"), gt.tensor3("x"), gt.matrix("f")

    def step(x: Any, p: Any, f: Any) -> Any:
        q = np.tanh(p @ p.T + x.T * f.T)
        solved = gt.linalg.solve(p + 16.0 * gt.eye(16), q)
        return q.T + 0.1 * p.T, solved + q.sum(0, keepdims=True)

    (p, y), _ = gs.scan(step, x, [p0, None], f)
    inputs, outputs = [p0, x, f], [p, y]
    values = [np.random.default_rng(0).normal(size=shape) for shape in [(16, 16), (3, 16, 16), (16, 16)]]
    with gs.config.change_flags(strategy="block"):
        compiled = gs.function(inputs, outputs, device="emulator")
        found = compiled(*values)
    text = compiled.kernel_source()
    assert re.search(r"(double, x_x\w*_shared, \d+, 576)", text)
    assert re.search(r"(double, v_f_shared, \d+, 288)", text)
    assert re.search(r"(double, s_p\w*_shared, \d+, 576)", text)
    assert "* 18" in text
    for e, v in zip(gs.function(inputs, outputs, device="cpu")(*values), found, strict=True):
        np.testing.assert_allclose(v, e, rtol=1e-10, atol=1e-10)
