"""Every few rows of a history, and its first ones: what is kept of it, and by every way to run a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu.at_once import AtOnce
from gpuscan.loop import Result
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.keep_last import MOST_PARTS, keep_last
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of, text_of

x, s, v, n = gt.matrix("x"), gt.vector("s"), gt.vector("v"), gt.lscalar("n")
INPUTS = [x, s, v, n]
RANDOM = np.random.default_rng(0)
VALUES = [RANDOM.normal(size=(23, 3)), RANDOM.normal(size=3), RANDOM.normal(size=23), np.int64(4)]
OFF = gs.Mode(optimizer=None)

READS: dict[str, tuple[Any, str]] = {
    "[0]": (lambda h: h[0], "rows 0:1:1"),
    "[4]": (lambda h: h[4], "rows 4:5:1"),
    "[4, 1]": (lambda h: h[4, 1], "rows 4:5:1"),
    "[4, n - 3]": (lambda h: h[4, n - 3], "rows 4:5:1"),
    "[::3]": (lambda h: h[::3], "rows 0::3"),
    "[2::5]": (lambda h: h[2::5], "rows 2::5"),
    "[7::5, None]": (lambda h: h[7::5, None], "rows 7::5"),
    "[:6]": (lambda h: h[:6], "rows 0:6:1"),
    "[3:30:4]": (lambda h: h[3:30:4], "rows 3:30:4"),
    "[25:40:4]": (lambda h: h[25:40:4], "rows 25:40:4"),
    "[5:2]": (lambda h: h[5:2], "rows 5:2:1"),
}


def net(**options: Any) -> list[Any]:
    histories, _ = gs.scan(lambda row, h: (np.tanh(h + row), row * h), x, [s, None], **options)
    return histories


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("which", [0, 1], ids=["state", "emit"])
def test_what_is_kept(which, name):
    read, expected = READS[name]
    after = assert_meaning_kept(INPUTS, [read(net()[which])], VALUES)
    assert [str(r).rpartition(" of ")[0] for r in loops_of(after)[0].results] == [expected]


def test_before_and_after():
    changed = keep_last(graph_of(INPUTS, [net()[0][::5]]))
    assert changed is not None
    after = drop_unread(changed)
    assert after is not None
    assert text_of(after).splitlines()[:2] == ["index[:, :] %0", "| scan %1"]
    assert text_of(after).splitlines()[-1] == " results: rows 0::5 of h"


@pytest.mark.parametrize("limit", [-9.0, 0.5, 99.0])
@pytest.mark.parametrize("name", ["[0]", "[::3]", "[:6]", "[3:30:4]"])
def test_a_loop_that_stops(name, limit):
    out, _ = gs.scan(lambda row, h: (np.tanh(h + row), gs.until(h.sum() > limit)), x, s)
    assert_meaning_kept(INPUTS, [READS[name][0](out), out[-1]], VALUES)


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
def test_few_steps(steps):
    out, _ = gs.scan(lambda h: np.tanh(h) * 2.0, None, s, n_steps=n)
    assert_meaning_kept(INPUTS, [out[::3], out[1::2], out[:2], out[5:]], [*VALUES[:3], np.int64(steps)])


@pytest.mark.parametrize(
    "read",
    [
        lambda h: h[1:],  # next to all of it
        lambda h: h[n],
        lambda h: h[::n],
        lambda h: h[::-2],
        lambda h: h[3:-1],
        lambda h: h[[0, 2]],
        lambda h: h[::2] + h.sum(0),
        lambda h: sum(h[i] for i in range(MOST_PARTS + 1)),
    ],
)
def test_what_needs_the_whole(read):
    for history in net():
        assert keep_last(graph_of(INPUTS, [read(history)])) is None


def test_loops_in_segments_hand_out_the_whole():
    assert keep_last(graph_of(INPUTS, [net(checkpoint="sqrt")[0][::2]])) is None


def test_a_row_that_is_not_there_is_an_error():
    f = gs.function([x, s], net()[0][7], device="cpu")
    with pytest.raises(IndexError, match="out of bounds for axis 0"):
        f(np.ones((5, 3)), np.ones(3))


def test_gradients_read_the_whole():
    h, emit = net()
    cost = (h[::4] ** 2).sum() + emit[3].sum()
    assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, s])], VALUES)


def test_inside_a_step():
    def outer(row, h):
        inner, _ = gs.scan(lambda e, a: a * 0.5 + e, row, h.sum(), n_steps=3)
        return h + inner[::2].sum() - inner[1]

    out, _ = gs.scan(outer, x, s)
    for mode in (gs.Mode(), gs.Mode().excluding("unroll_loops")):
        f = gs.function([x, s], out[::4], mode, device="emulator")
        found = f(*VALUES[:2])
        assert [plan.team != "host" for plan in f.plans] == [True]
        np.testing.assert_allclose(found, gs.function([x, s], out[::4], OFF, device="cpu")(*VALUES[:2]), rtol=1e-12)


# ---- every way to run a loop ----


def test_rows_of_a_history_in_pieces():
    for result in (Result("part", "h", first=3, every=4), Result("part", "h", first=2, stop=9), Result("last", "h", 5)):
        for size in (1, 3, 7, 20):
            found = np.full(result.count(17), -1)
            for start in range(0, 17, size):
                to, of = result.places(start, min(size, 17 - start), 17)
                found[to] = np.arange(start, min(start + size, 17))[of]
            np.testing.assert_array_equal(found, np.arange(17)[result.part])


@pytest.mark.parametrize("steps", [40, 70_000])
def test_whole_arrays(steps):
    """Recurrences that NumPy solves stay solved, in one piece and in several."""
    out, _ = gs.scan(lambda row, total: total + row, v, gt.constant(0.25))
    outputs = [out[::7], out[5:33:2], out[-3:], out[-1]]
    f = gs.function([v], outputs, device="cpu")
    assert all(AtOnce.of(node) is not None for node in f.graph.nodes if node.op.name == "scan")
    rows = RANDOM.normal(size=steps)
    for found, expected in zip(f(rows), gs.function([v], outputs, OFF, device="cpu")(rows), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("strategy", ["thread", "warp", "block", "grid", "prefix", "host"])
def test_every_team(strategy):
    if strategy == "prefix":
        out, _ = gs.scan(lambda row, h: h * 0.5 + row, v, gt.constant(0.25))
        outputs = [out[::7], out[5:21:2], out[3]]
    else:
        h, emit = net()
        outputs = [h[::3], emit[2::5], h[:4], emit[6]]
    with gs.config.change_flags(strategy=strategy):
        f = gs.function(INPUTS, outputs, device="emulator", on_unused_input="ignore")
        found = f(*VALUES)
    assert [plan.team for plan in f.plans] == [strategy]
    expected = gs.function(INPUTS, outputs, OFF, device="cpu", on_unused_input="ignore")(*VALUES)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_kernel_that_stops():
    out, _ = gs.scan(lambda row, h: (np.tanh(h + row), gs.until(h.sum() > 1)), x, s)
    outputs = [out[::2], out[:3]]
    found = gs.function([x, s], outputs, device="emulator")(*VALUES[:2])
    for a, b in zip(found, gs.function([x, s], outputs, OFF, device="cpu")(*VALUES[:2]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
