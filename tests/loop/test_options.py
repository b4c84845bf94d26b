"""Arguments of scan that change how a loop is run, not what it computes; and how many steps it ran."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

x = gt.vector("x")


def total(**options: Any) -> gs.Variable:
    return gs.scan(lambda row, s: s + row, x, gt.constant(0.0), **options)[0]


def test_the_order_of_arguments():
    assert list(inspect.signature(gs.scan).parameters) == [
        *("fn", "sequences", "outputs_info", "non_sequences", "n_steps", "truncate_gradient", "go_backwards", "mode"),
        *("name", "profile", "allow_gc", "strict", "return_list", "return_updates", "checkpoint"),
    ]


# ---- truncate_gradient ----


@pytest.mark.parametrize(("given", "kept"), [(-1, None), (None, None), (1, 1), (np.int64(7), 7)])
def test_truncate_gradient_is_kept(given, kept):
    assert total(truncate_gradient=given).owner.op.options.truncate_gradient == kept


@pytest.mark.parametrize("wrong", [0, -2, 2.5, True, "all"])
def test_truncate_gradient_that_is_no_number_of_steps(wrong):
    with pytest.raises(gs.LoopError) as caught:
        total(truncate_gradient=wrong)
    assert str(caught.value) == (
        "scan: truncate_gradient must be the number of steps that gradients go back through, at least 1, or -1 for "
        f"all; found {wrong!r}"
    )


# ---- mode ----


def test_the_mode_of_a_loop_names_a_device():
    out = total(mode="emulator")
    assert gs.function([x], out).device == "emulator"
    assert gs.function([x], out, device="cpu").device == "cpu"
    assert gs.function([x], out, mode="cpu").device == "cpu"


def test_modes_of_loops_that_ask_for_different_devices():
    outputs = [total(mode="emulator", name="a"), total(mode="cpu", name="b")]
    with pytest.raises(ValueError, match=r"different devices \(scan\[a\] for 'emulator', scan\[b\] for 'cpu'\)"):
        gs.function([x], outputs)
    assert gs.function([x], outputs, device="cpu").device == "cpu"


def test_the_mode_of_a_loop_names_rewrites_of_its_step():
    def nested(mode: Any) -> gs.Function:
        def step(row):
            return gs.scan(lambda s: s * row, outputs_info=gt.constant(1.0), n_steps=3)[0][-1]

        return gs.function([x], gs.scan(step, x, mode=mode)[0], device="cpu")

    whole, thin = nested(gs.Mode().excluding("keep_last")), nested(None)
    assert "history" in gs.debugprint(whole, file="str")
    assert "history of s" not in gs.debugprint(thin, file="str")
    np.testing.assert_array_equal(whole([2.0, 3.0]), thin([2.0, 3.0]))


def test_a_mode_that_there_is_not():
    with pytest.raises(gs.LoopError, match="scan: there is no mode 'fast'; use 'FAST_RUN', 'FAST_COMPILE', 'eager'"):
        total(mode="fast")


# ---- profile ----


def test_a_profile_of_a_loop(device):
    f = gs.function([x], total(profile=True, name="sum"), device=device)
    for steps in (3, 4):
        f(np.ones(steps))
    (profile,) = f.profile
    assert (profile.title, profile.calls, profile.steps) == ("scan[sum]", 2, 7)
    assert 0 < profile.seconds < 60
    assert re.search(r"profile of scan\[sum\]: 2 calls, 7 steps, \S+ s, \S+ us a step\n", f.explain("str"))
    assert gs.function([x], total(), device=device).profile == ()


def test_a_profile_of_all_loops(device):
    def step(row, s):
        return gs.scan(lambda t: (t * 0.5, gs.until(t < row)), outputs_info=s, n_steps=9, name="inner")[0][-1] + row

    out, _ = gs.scan(step, x, np.float64(1), name="outer")
    expected = [("scan[inner]", 2), ("scan[outer]", 1)] if device == "cpu" else [("scan[outer]", 1)]  # one kernel
    for options in ({"profile": True}, {}):
        with gs.config.change_flags(profile=not options):
            f = gs.function([x], out, device=device, **options)
        f([0.6, 0.1])
        assert sorted((p.title, p.calls) for p in f.profile) == expected
    assert {p.title: p.steps for p in f.profile}["scan[outer]"] == 2


def test_a_profile_of_loops_inside_branches_and_graphs_as_ops():
    y, c = gt.vector("y"), gt.scalar("c")
    (inside,) = gs.OpFromGraph([x], [total(name="op")])(y)
    chosen = gs.ifelse(c > 0, total(name="side").sum(), c)
    f = gs.function([x, y, c], [inside, chosen], device="cpu", profile=True)
    f([1.0], [1.0, 2.0], 1.0)
    assert sorted((p.title, p.calls, p.steps) for p in f.profile) == [("scan[op]", 1, 2), ("scan[side]", 1, 1)]


def test_steps_that_a_condition_cut_short_are_not_counted():
    out, _ = gs.scan(lambda s: (s * 2, gs.until(s > 10)), outputs_info=np.float64(1), n_steps=100, profile=True)
    f = gs.function([], out[-1], device="cpu")
    f()
    assert f.profile[0].steps == 5


# ---- allow_gc ----


def test_kept_buffers_are_nobody_elses(device):
    out = total(allow_gc=False)
    f = gs.function([x], [out, out[1:], out[::-1].sum(), out * 2], device=device)
    first, second = f([1.0, 2.0, 3.0]), f([10.0, 20.0, 30.0])
    for scale, found in ((1, first), (10, second)):
        for value, expected in zip(found, [[1, 3, 6], [3, 6], 10, [2, 6, 12]], strict=True):
            np.testing.assert_array_equal(value, np.multiply(expected, scale))
    assert not np.shares_memory(first[0], second[0])


def test_kept_buffers_and_updates():
    kept = gs.shared(np.zeros(3), name="kept")
    f = gs.function([x], updates={kept: total(allow_gc=False)}, device="cpu")
    f([1.0, 2.0, 3.0])
    before = kept.get_value(borrow=True)
    f([5.0, 5.0, 5.0])
    np.testing.assert_array_equal(before, [1, 3, 6])


def test_kept_buffers_of_loops_inside_loops():
    def step(row, last):
        inner = gs.scan(lambda s: s + row, outputs_info=last[0], n_steps=3, allow_gc=False)[0]
        return inner, last

    (states, lasts), _ = gs.scan(step, x, [np.zeros(3), None], allow_gc=False)
    found = gs.function([x], [states, lasts], device="cpu")([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found[0], [[1, 2, 3], [3, 5, 7], [6, 9, 12]])
    np.testing.assert_array_equal(found[1], [[0, 0, 0], [1, 2, 3], [3, 5, 7]])


def test_buffers_are_kept_and_fit_again():
    (states, emits), _ = gs.scan(lambda row, s: (s + row, s * row), x, [gt.constant(0.0), None], allow_gc=False)
    # Of histories that are only summed none is kept.
    f = gs.function([x], [(states**2).sum(), (-emits).sum()], device="cpu")
    for steps in (3, 5, 2, 0, 4):
        expected = np.cumsum(np.ones(steps))
        assert f(np.ones(steps)) == [(expected**2).sum(), (1 - expected).sum()]
    assert "buffers" in f.kernel_source()
    assert "keeps its buffers for the next call" in f.explain("str")


def test_the_setting_for_buffers():
    assert not total().owner.op.options.keep_buffers
    with gs.config.change_flags(scan__allow_gc=False):
        assert total().owner.op.options.keep_buffers
        assert not total(allow_gc=True).owner.op.options.keep_buffers


# ---- number of steps ----


def powers() -> Any:
    limit = gt.scalar("limit")
    count = gs.shared(0, name="count")

    def step(power, limit):
        return power * 2, {count: count + 1}, gs.until(power * 2 > limit)

    return limit, gs.scan(step, outputs_info=gt.constant(1.0), non_sequences=limit, n_steps=1024)


@pytest.mark.parametrize(
    "results", [lambda r: r, lambda r: r[0], lambda r: r[0][-1], lambda r: r[1], lambda r: [r[0], r[0]]]
)
def test_steps_until_a_condition(results, device):
    limit, returned = powers()
    f = gs.function([limit], gs.scan_steps(results(returned)), device=device)
    assert [f(45), f(1), f(1e300)] == [6, 1, 997]
    assert f(1e300).dtype == "int64"


def test_only_the_steps_are_read():
    limit, returned = powers()
    f = gs.function([limit], gs.scan_steps(returned), device="cpu")
    assert [str(r) for node in f.graph.nodes for r in getattr(node.op, "results", ())] == ["steps"]


def test_steps_without_a_condition(device):
    out = total()
    assert gs.function([x], gs.scan_steps(out), device=device)(np.ones(4)) == 4
    assert gs.scan_steps(gs.scan(lambda: gt.constant(1.0), n_steps=7)[0]).eval() == 7


def test_steps_of_a_loop_that_runs_none(device):
    n = gt.lscalar("n")
    out, _ = gs.scan(lambda s: (s + 1, gs.until(s > 3)), outputs_info=np.float64(0), n_steps=n)
    f = gs.function([n], gs.scan_steps(out), device=device)
    assert [f(0), f(1), f(9)] == [0, 1, 5]


def test_steps_of_a_loop_inside():
    def step(limit):
        out, _ = gs.scan(lambda s: (s * 2, gs.until(s * 2 > limit)), outputs_info=np.float64(1), n_steps=50)
        return gs.scan_steps(out)

    steps = gs.function([x], gs.scan(step, x)[0], device="cpu")([5.0, 100.0, 0.0])
    np.testing.assert_array_equal(steps, [3, 7, 1])


@pytest.mark.parametrize("wrong", [x, 3, None, [], x * 2])
def test_what_no_loop_gives(wrong):
    with pytest.raises(gs.LoopError, match="scan_steps: "):
        gs.scan_steps(wrong)


def test_results_of_two_loops():
    with pytest.raises(gs.LoopError, match="of 2 loops"):
        gs.scan_steps([total(), total()])
