"""Compiled functions copied, pickled, and opened where the device is another."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda import launch

x, y = gt.vector("x"), gt.scalar("y")
X = np.array([1.0, 2.0, 3.0])


def counter(device: str = "cpu", **options: Any) -> tuple[gs.Function, gs.SharedVariable]:
    count = gs.shared(0.0, name="count")
    out, updates = gs.scan(lambda row, s: (s + row, {count: count + 1}), x, gt.constant(0.0))
    return gs.function([x], [out, count * 1], updates=updates, device=device, **options), count


# ---- copy ----


def test_a_copy_updates_the_same_shared_variable(device):
    f, count = counter(device)
    g = f.copy(name="copy")
    f(X)
    np.testing.assert_array_equal(g(X)[0], [1, 3, 6])
    assert (count.get_value(), g.name, f.name, g.device) == (6, "copy", None, device)


@pytest.mark.parametrize("share_memory", [False, True])
def test_a_copy_over_another_shared_variable(share_memory):
    f, count = counter()
    other = gs.shared(100.0, name="other")
    g = f.copy(share_memory=share_memory, swap={count: other})
    assert (g(X)[1], g(X)[1], f(X)[1]) == (100, 103, 0)
    assert (count.get_value(), other.get_value()) == (3, 106)


def test_a_copy_without_updates():
    f, count = counter()
    g = f.copy(delete_updates=True)
    assert [g(X)[1], g(X)[1], count.get_value()] == [0, 0, 0]
    assert "count" not in str(gs.debugprint(g, file="str")).partition("Inner")[2]


def test_a_copy_has_values_of_its_own_for_inputs():
    f = gs.function([x, gs.In(y, value=1, update=y + 1)], x * y, device="cpu")
    f(X)
    g = f.copy()
    g(X)
    assert (f[y], g[y]) == (2, 3)
    shared = gs.shared(5.0, name="shared")
    h = gs.function([x, gs.In(y, value=shared)], x * y, device="cpu").copy()
    shared.set_value(6.0)
    assert h(X)[0] == 6


def test_copies_that_cannot_be():
    f, count = counter()
    with pytest.raises(ValueError, match=r"swap names .* which is no shared variable of the function"):
        f.copy(swap={gs.shared(1.0): count})
    with pytest.raises(TypeError, match="swap must be a dict"):
        f.copy(swap=[(count, count)])
    with pytest.raises(gs.DtypeError, match=r"in place of .*count"):
        f.copy(swap={count: gs.shared(1, name="int")})


def test_a_deep_copy_shares_nothing(device):
    f, count = counter(device)
    g = copy.deepcopy(f)
    assert (g(X)[1], g(X)[1], count.get_value()) == (0, 3, 0)
    assert g.device == device


# ---- pickle ----


def reopened(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def test_a_function_that_was_saved(device):
    f, count = counter(device, name="counter", profile=True)
    f(X)
    g = reopened(f)
    assert (g.device, g.name, repr(g)) == (device, "counter", repr(f))
    out, before = g(X)
    np.testing.assert_array_equal(out, [1, 3, 6])
    assert (before, g(X)[1], count.get_value(), len(g.profile)) == (3, 6, 3, 1)


def test_functions_saved_together_share_what_they_shared():
    f, count = counter()
    reader = gs.function([], count * 2, device="cpu")
    g, read, again = reopened((f, reader, count))
    g(X)
    assert (read(), again.get_value(), reader()) == (6, 3, 0)


@pytest.mark.parametrize("outputs", [None, y, [y, y + 1], {"a": y, "b": y * 2}], ids=["none", "one", "list", "dict"])
def test_the_form_of_what_a_saved_function_returns(outputs):
    f = gs.function([gs.In(y, name="z", value=3)], outputs, device="cpu", on_unused_input="ignore")
    assert reopened(f)() == f() and reopened(f)(z=4) == f(4)


def test_a_function_saved_on_one_device_opens_on_another(tmp_path):
    """Another process, whose settings say another device; what named no device goes there."""
    with gs.config.change_flags(device="cpu"):
        f = gs.function([x], gs.scan(lambda row, s: s + row, x, np.float64(0))[0])
    named = gs.function([x], x * 2, device="cpu")
    path = tmp_path / "functions"
    path.write_bytes(pickle.dumps([f, named]))
    program = (
        "import pickle, sys, gpuscan\n"
        "f, named = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(f.device, named.device, f([1, 2, 3]).tolist())\n"
    )
    root = Path(__file__).resolve().parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={"GPUSCAN_DEVICE": "emulator", "PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "emulator cpu [1.0, 3.0, 6.0]\n"


def test_a_function_saved_on_a_gpu_opens_without_one(monkeypatch):
    f, _ = counter()
    make, (recipe,) = f.__reduce__()
    monkeypatch.setattr(launch, "gpu_count", lambda: 0)
    g = make(replace(recipe, device="cuda:3"))
    assert g.device == "cpu"
    np.testing.assert_array_equal(g(X)[0], [1, 3, 6])
