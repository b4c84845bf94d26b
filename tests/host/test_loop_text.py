"""The Python text of a loop on the CPU: what a reader of a stack trace sees, and what it costs a step."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.errors import counted
from gpuscan.host import checks
from gpuscan.host.checks import BoundLoops


def text_of(inputs: list[gs.Variable], outputs: object) -> str:
    return gs.function(inputs, outputs, device="cpu").kernel_source()


def step_of(text: str) -> list[str]:
    """The lines of the loop, without what is around it."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith("for "))
    end = next(i for i, line in enumerate(lines) if line.strip().startswith("except"))
    return [line.strip() for line in lines[start:end]]


def test_a_loop_on_file(golden):
    x, s, w = gt.matrix("x"), gt.vector("s"), gt.scalar("w")

    def step(old, row, s2, s1, w):
        new = np.tanh(s1 * w + s2 + old)
        return new, new * row, gs.until((new > 2).any())

    past = {"initial": gt.stack([s, s]), "taps": [-2, -1]}
    (states, emits), _ = gs.scan(step, {"input": x, "taps": [-1, 0]}, [past, None], w, go_backwards=True, name="walk")
    golden("until.py.txt", text_of([x, s, w], [states[-1], emits]))


def test_a_last_value_costs_its_arithmetic_alone():
    x, s = gt.vector("x"), gt.scalar("s")
    out, _ = gs.scan(lambda row, s: s * 0.5 + row, x, s)
    assert len(step_of(text_of([x, s], out[-1]))) == 2


def test_a_history_costs_one_store():
    x, s = gt.vector("x"), gt.scalar("s")
    out, _ = gs.scan(lambda row, s: s * 0.5 + row, x, s)
    assert len(step_of(text_of([x, s], out))) == 4


def test_constants_beside_arrays_are_arrays_without_axes():
    x, s, w = gt.vector("x"), gt.vector("s"), gt.scalar("w")
    out, _ = gs.scan(lambda row, s, w: s * w + row * 0.5, x, s, w)
    f = gs.function([x, s, w], out, device="cpu")
    text = f.kernel_source()
    assert "asarray(p2)" in text
    np.testing.assert_allclose(f([1.0, 2.0], [1.0], 2.0), [[2.5], [6.0]])


def test_shapes_known_when_the_loop_is_built_are_not_checked_again():
    x = gt.tensor("x", shape=(None, 3))
    out, _ = gs.scan(lambda row, s: s + row, x, gt.zeros(3))
    assert "bound_loops" not in text_of([x], out)
    y = gt.matrix("y")
    out, _ = gs.scan(lambda row, s: s + row, y, gt.zeros(3))
    assert "bound_loops" in text_of([y], out)


def test_shapes_are_checked_once_for_each_set(monkeypatch):
    bound = []
    monkeypatch.setattr(checks, "bind_loop", lambda node, shapes: bound.append(shapes))
    x, s = gt.matrix("x"), gt.vector("s")
    out, _ = gs.scan(lambda row, s: s + row, x, s)
    f = gs.function([x, s], out, device="cpu")
    for rows, size in [(3, 2), (5, 2), (0, 2), (3, 4), (3, 2)]:
        f(np.ones((rows, size)), np.ones(size))
    assert bound == [[(None, 2), (1, 2)], [(None, 4), (1, 4)]]


def test_not_every_set_of_shapes_is_remembered(monkeypatch):
    monkeypatch.setattr(checks, "MOST_BOUND", 3)
    x, s = gt.matrix("x"), gt.vector("s")
    out, _ = gs.scan(lambda row, s: s + row, x, s)
    loops = BoundLoops(out.owner)
    for size in range(1, 6):
        assert loops[(size,), (1, size)].state("s").next.type.shape == (size,)
    assert len(loops) == 2


def test_types_are_checked_at_every_step_on_request(monkeypatch):
    x = gt.vector("x")
    out, _ = gs.scan(lambda row, s: s + row, x, np.float64(0), name="sum")
    with gs.config.change_flags(check=True):
        f = gs.function([x], out, device="cpu")
    np.testing.assert_array_equal(f([1.0, 2.0]), [1, 3])
    with pytest.raises(gs.DtypeError, match=r"^'s' should be float64\[\]; a step computed float32\[2\]$"):
        checks.check_type("s", np.ones(2, "float32"), gt.scalar().type)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_loop_that_stops_counts_its_steps(steps):
    n = gt.iscalar("n")
    out, _ = gs.scan(lambda s: (s + 1, gs.until(s >= 9)), outputs_info=np.int64(0), n_steps=n)
    f = gs.function([n], out, device="cpu")
    assert f(steps).tolist() == list(range(1, steps + 1))


def test_counted():
    assert [counted(n, "row") for n in range(3)] == ["0 rows", "1 row", "2 rows"]
    assert counted(2, "entry", "entries") == "2 entries"
