"""Of two sides one is computed: which work that is, where, and what a wrong call is told."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.printing import Print

x = gt.vector("x")
m = gt.matrix("m")
n = gt.lscalar("n")


def ran(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed since the last look, without the values."""
    return [line.split(" __str__")[0] for line in capsys.readouterr().out.splitlines()]


def test_names():
    from gpuscan.ifelse import ifelse

    assert ifelse is gs.ifelse


def test_only_one_side_is_computed(device, capsys):
    f = gs.function([x, n], gs.ifelse(n > 0, Print("then")(x * 2), Print("else")(x[5] + x)), device=device)
    np.testing.assert_array_equal(f([1.0, 2.0], 1), [2, 4])
    assert ran(capsys) == ["then"]
    with pytest.raises(IndexError):
        f([1.0, 2.0], 0)
    np.testing.assert_array_equal(f(np.arange(6.0), 0), np.arange(6.0) + 5)
    assert ran(capsys) == ["else"]


def test_what_others_need_too_is_computed_once(capsys):
    both, one = Print("both")(x + 1), Print("one")(x + 2)
    f = gs.function([x, n], [gs.ifelse(n > 0, both * one, both), one.sum()])
    f([1.0], 0)
    assert sorted(ran(capsys)) == ["both", "one"]


def test_sides_inside_sides(capsys):
    inner = gs.ifelse(n > 1, Print("many")(x * 3), Print("few")(x * 2))
    f = gs.function([x, n], gs.ifelse(n > 0, inner + 1, Print("none")(x)))
    for count, name, factor in ((2, "many", 4), (1, "few", 3), (0, "none", 1)):
        np.testing.assert_array_equal(f([1.0], count), [factor])
        assert ran(capsys) == [name]


def test_lists_dtypes_and_shapes():
    f = gs.function([x, n], gs.ifelse(n > 0, [x, n, 0.5], [x[:1], n * 2, n * 1.5]))
    a, b, c = f([1.0, 2.0], 3)
    assert (a.shape, b[()], c[()]) == ((2,), 3, 0.5)
    a, b, c = f([1.0, 2.0], -3)
    assert (a.shape, b[()], c[()]) == ((1,), -6, -4.5)
    assert isinstance(gs.ifelse(n, [x], [x]), list)
    assert gs.ifelse(n, gt.fvector(), 1.0 * gt.fvector()).dtype == "float32"
    assert gs.ifelse(n, gt.fscalar(), 1.5).dtype == "float32"


def test_a_result_is_memory_of_its_own():
    f = gs.function([x, n], gs.ifelse(n > 0, x, x * 2))
    given = np.ones(2)
    assert not np.shares_memory(f(given, 1), given)


def test_unread_results_are_not_computed(capsys):
    a, _ = gs.ifelse(n > 0, [x, Print("unread")(x)], [x * 2, x])
    gs.function([x, n], a)([1.0], 1)
    assert ran(capsys) == []


def test_a_condition_may_be_a_loop_result_and_an_update():
    total = gs.shared(np.float64(0), "total")
    sums, _ = gs.scan(lambda row, s: row + s, x, np.float64(0))
    f = gs.function([x], [], updates={total: gs.ifelse(sums[-1] > 3, total + 1, total)})
    f([1.0, 1.0])
    f([2.0, 2.0])
    assert total.get_value() == 1


class TestInALoop:
    def step(self, row: Any, state: Any) -> Any:
        return gs.ifelse(state.sum() > 3, row * 2 + state, gt.sqrt(row) + state)

    def test_each_step_chooses(self, device):
        out, _ = gs.scan(self.step, [m], [gt.zeros(3)])
        rows, state, expected = np.random.default_rng(0).random((6, 3)), np.zeros(3), []
        for row in rows:
            state = row * 2 + state if state.sum() > 3 else np.sqrt(row) + state
            expected.append(state)
        f = gs.function([m], out, device=device)
        np.testing.assert_allclose(f(rows), expected, rtol=1e-12)

    @pytest.mark.parametrize("team", ["thread", "grid"])
    def test_it_is_a_branch_of_the_kernel(self, team):
        out, _ = gs.scan(lambda v, s: gs.ifelse(n > 0, v + s, v - s), [m], [gt.zeros(3)])
        with gs.config.change_flags(strategy=team):
            f = gs.function([m, n], out, device="emulator")
            np.testing.assert_array_equal(f(np.ones((2, 3)), 1), [[1] * 3, [2] * 3])
            np.testing.assert_array_equal(f(np.ones((2, 3)), -1), [[1] * 3, [0] * 3])
        assert [plan.team for plan in f.plans] == [team]

    def test_a_side_read_by_the_step_alone_is_computed_in_the_step_that_asks_for_it(self, capsys):
        table = gt.vector("table")

        def step(k: Any) -> Any:
            return gs.ifelse(k < table.shape[0], Print("read")(table[0]) + k, k * 1.0)

        out, _ = gs.scan(step, gt.arange(3))
        f = gs.function([table], out)
        np.testing.assert_array_equal(f([]), [0, 1, 2])
        assert ran(capsys) == []
        np.testing.assert_array_equal(f([0.5]), [0.5, 1, 2])
        assert ran(capsys) == ["read"]

    def test_a_choice_of_outer_values_is_made_once(self):
        out, _ = gs.scan(lambda row: row + gs.ifelse(n > 0, x, x * 2), m)
        _, *inside = gs.debugprint(out, file="str").split("Inner graph of ")
        (loop,) = (text for text in inside if text.startswith("scan"))
        assert "ifelse" not in loop

    def test_a_loop_in_a_side(self, device):
        def step(row: Any, state: Any) -> Any:
            inner, _ = gs.scan(lambda s: s * 0.5 + row, None, state, n_steps=3)
            return gs.ifelse(row[0] > 0.5, inner[-1], state)

        out, _ = gs.scan(step, [m], [gt.ones(2)])
        rows, state, expected = np.random.default_rng(1).random((5, 2)), np.ones(2), []
        for row in rows:
            if row[0] > 0.5:
                for _ in range(3):
                    state = state * 0.5 + row
            expected.append(state)
        np.testing.assert_allclose(gs.function([m], out, device=device)(rows), expected, rtol=1e-12)

    def test_rows_whose_size_the_condition_decides(self):
        out, _ = gs.scan(lambda k: gs.ifelse(k > 1, x, x[:1]), gt.arange(3))
        with pytest.raises(gs.LoopError, match="step 2: output 'output_0' has shape"):
            gs.function([x], out)([1.0, 2.0])


def test_equal_choices_are_merged_and_print_their_sides():
    a, b = (gs.ifelse(n > 0, gt.exp(x), x, name="grow") for _ in range(2))
    f = gs.function([x, n], a + b)
    text = gs.debugprint(f, file="str")
    assert text.count("ifelse[grow]") == 3  # both operands of the sum, and above its sides
    assert re.search(r"then, given\n.*\n returns\n  exp .*\n.*\n else, given\n.*\n returns\n  x", text)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: gs.ifelse(x > 0, x, x),
            gs.ShapeError,
            "must be a scalar, not bool[?]; reduce it with all() or any(), or use gpuscan.tensor.switch",
        ),
        (
            lambda: gs.ifelse(n, x, gt.fvector("y")),
            gs.DtypeError,
            "ifelse is float64[?] if the condition holds and float32[?] if not; cast one to the other's dtype",
        ),
        (
            lambda: gs.ifelse(n, x, 1.0),
            gs.ShapeError,
            "ifelse is float64[?] if the condition holds and float64[] if not: ranks must agree",
        ),
        (lambda: gs.ifelse(n, [x, x], [x, n]), gs.ShapeError, "result 1 is"),
        (lambda: gs.ifelse(n, [x], x), TypeError, "one side is a list and the other is not"),
        (lambda: gs.ifelse(n, [x], [x, x]), ValueError, "there are 1 values if the condition holds and 2 if not"),
        (lambda: gs.ifelse("yes", x, x), gs.DtypeError, "the condition cannot be used"),
        (lambda: gs.ifelse(n, None, x), gs.DtypeError, "ifelse cannot be used"),
    ],
)
def test_messages(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()


def test_a_long_chain_of_sides():
    v = x
    for i in range(100):
        v = gs.ifelse(n > i, gt.tanh(v) + i, x * i)
    f = gs.function([x, n], v)
    np.testing.assert_allclose(f([0.5], 0), [0.5 * 99])
    np.testing.assert_allclose(f([0.5], 100), gs.function([x, n], v, device="emulator")([0.5], 100))
