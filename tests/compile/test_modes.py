"""Modes: devices and rewrites by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

x = gt.vector("x")
last = gs.scan(lambda row, s: s + row, x, gt.constant(0.0))[0][-1]


def kept(f: gs.Function) -> list[str]:
    """Return what the loop of a function hands out."""
    return [r.kind for node in f.graph.nodes for r in getattr(node.op, "results", ())]


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        (None, ["final"]),
        ("FAST_RUN", ["final"]),
        ("FAST_COMPILE", ["final"]),
        (gs.Mode(), ["final"]),
        (gs.Mode(optimizer=None), ["history"]),
        (gs.Mode().excluding("keep_last"), ["history"]),
        (gs.Mode().excluding("drop_unread", "keep_last").including("keep_last"), ["history", "final"]),
        (gs.Mode(optimizer=None).including("keep_last", "drop_unread"), ["final"]),
        (gs.get_mode("FAST_RUN").excluding("fusion", "inplace"), ["final"]),
    ],
)
def test_rewrites(mode, kinds):
    f = gs.function([x], last, mode, device="cpu")
    assert kept(f) == kinds
    assert f([1.0, 2.0]) == 3


@pytest.mark.parametrize("mode", ["emulator", gs.Mode("emulator"), gs.Mode(device="emulator").excluding("keep_last")])
def test_devices(mode):
    assert gs.function([x], last, mode=mode).device == "emulator"
    assert gs.function([x], last, mode=mode, device="cpu").device == "cpu"


def test_the_mode_of_the_settings():
    with gs.config.change_flags(mode="emulator", device="cpu"):
        assert gs.function([x], last).device == "emulator"
        assert gs.function([x], last, mode="FAST_RUN").device == "cpu"
    with gs.config.change_flags(mode="FAST_COMPILE"):
        assert gs.get_mode() == gs.get_mode("FAST_COMPILE")


def test_rewrites_that_the_settings_leave_out():
    with gs.config.change_flags(exclude_rewrites="keep_last:merge_equal"):
        assert kept(gs.function([x], last, device="cpu")) == ["history"]
    with gs.config.change_flags(exclude_rewrites="keeplast"), pytest.raises(ValueError, match="no rewrite 'keeplast'"):
        gs.function([x], last)


def test_settings_for_the_calls_of_a_function():
    @gs.config.change_flags(exclude_rewrites="keep_last", floatX="float32")
    def build() -> Any:
        return gs.function([x], last, device="cpu"), gt.scalar().dtype

    for _ in range(2):
        f, dtype = build()
        assert (kept(f), dtype) == (["history"], "float32")
    assert gs.config.exclude_rewrites == ""
    assert gt.scalar().dtype == "float64"


def test_the_order_of_arguments():
    shared = gs.shared(1.0, name="shared")
    y = gt.scalar("y")
    f = gs.function([x], x * y, "FAST_RUN", {shared: shared + 1}, {y: shared})
    np.testing.assert_array_equal(f([1.0, 2.0]), [1, 2])
    assert shared.get_value() == 2


@pytest.mark.parametrize("mode", ["NUMBA", "fast_run", "", 3])
def test_modes_that_there_are_not(mode):
    with pytest.raises(ValueError, match="there is no mode"):
        gs.function([x], last, mode)


def test_modes_that_cannot_be():
    with pytest.raises(ValueError, match="Mode: there is no device 'gpu'; use 'auto', 'cpu'"):
        gs.Mode("gpu")
    with pytest.raises(ValueError, match="Mode: optimizer must be one of fast_run, fast_compile, None; found 'best'"):
        gs.Mode(optimizer="best")
