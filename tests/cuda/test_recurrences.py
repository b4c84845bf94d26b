"""Which loops are recurrences that can be solved in parallel, and what their coefficients are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.recurrences import Affine, Folded, Stage, find_stages, is_number
from gpuscan.graph import Variable
from gpuscan.loop import Loop, bind_loop

LANES = 2


def loop_of(
    step: Callable[..., Any], dtype: str = "float64", *, sequences: int = 1, states: int = 1, non_sequences: int = 0
) -> Loop:
    """Return the loop of `step`, which is given a row of each sequence, then each state, then each non-sequence."""
    rows = [gt.tensor(f"x{i}", dtype, (None, None)) for i in range(sequences)]
    init = [gt.tensor(f"s{i}", dtype, (None,)) for i in range(states)]
    given = [gt.tensor(f"c{i}", dtype, (None,)) for i in range(non_sequences)]
    outputs, _ = gs.scan(step, rows, init or None, given, return_list=True)
    node = outputs[0].owner
    assert node is not None
    return bind_loop(node, [(None, LANES)] * sequences + [(1, LANES)] * states + [(LANES,)] * non_sequences)


def stages_of(*args: Any, **options: Any) -> tuple[Stage, ...]:
    found = find_stages(loop_of(*args, **options))
    assert not isinstance(found, str), found
    return found


def reason_of(*args: Any, **options: Any) -> str:
    found = find_stages(loop_of(*args, **options))
    assert isinstance(found, str)
    return found


def value_of(v: Variable, given: dict[Variable, Any]) -> Any:
    """Return the value of something inside a loop, of what the loop reads having the values `given`."""
    inputs = [r for r in given if not r.known]
    f = gs.function(inputs, v, device="cpu", on_unused_input="ignore")
    return f(*(given[r] for r in inputs))


LINEAR: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sum": lambda x, s, c: s + x,
    "decay": lambda x, s, c: s * c,
    "first order": lambda x, s, c: c * s + x,
    "difference": lambda x, s, c: x - s,
    "the other difference": lambda x, s, c: s - x * x,
    "average": lambda x, s, c: s + c * (x - s),
    "quotient": lambda x, s, c: (s + x) / c,
    "negative": lambda x, s, c: -s,
    "both sides": lambda x, s, c: c * s + (s - x) * 2,
    "choice": lambda x, s, c: gt.switch(x > 0, s * c, x),
    "held": lambda x, s, c: gt.switch(x > 0, s, s + x),
    "products": lambda x, s, c: x * (s * c + 1) * np.exp(c),
    "unchanged": lambda x, s, c: s,
    "replaced": lambda x, s, c: x + c,
    "zero": lambda x, s, c: s * 0.0 + x,
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_linear_forms_have_the_value_of_the_step(name: str, dtype: str) -> None:
    loop = loop_of(LINEAR[name], dtype, non_sequences=1)
    stages = find_stages(loop)
    assert not isinstance(stages, str)
    ((recurrence,),) = stages
    form = recurrence.form
    assert isinstance(form, Affine)
    assert {form.scale.dtype, form.offset.dtype} == {"float64"}
    rng = np.random.default_rng(0)
    given = {v: rng.normal(size=LANES).astype(v.dtype) for v in loop.reads}
    scale, offset, following = (value_of(v, given) for v in (form.scale, form.offset, loop.states[0].next))
    state = next(given[v] for v in loop.states[0].reads.values()) if loop.states[0].reads else 0
    np.testing.assert_allclose(scale * state + offset, following, rtol=1e-12 if dtype == "float64" else 1e-6)


def scale_and_offset(step: Callable[..., Any], dtype: str = "float64") -> tuple[Variable, Variable]:
    (((recurrence),),) = stages_of(step, dtype)
    assert isinstance(recurrence.form, Affine)
    return recurrence.form.scale, recurrence.form.offset


def test_what_is_zero_or_one_is_left_out() -> None:
    scale, offset = scale_and_offset(lambda x, s: s + x)
    assert is_number(scale, 1)
    assert not is_number(offset, 0)
    scale, offset = scale_and_offset(lambda x, s: s * x)
    assert not is_number(scale, 1)
    assert is_number(offset, 0)
    scale, _ = scale_and_offset(lambda x, s: x)
    assert is_number(scale, 0)
    scale, _ = scale_and_offset(lambda x, s: x - s)
    assert is_number(scale, -1)


def test_a_factor_of_zero_does_not_replace_the_state() -> None:
    scale, _ = scale_and_offset(lambda x, s: s * 0.0 + x)
    assert not is_number(scale, 0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint32", "bool"])
def test_integers_keep_their_dtype(dtype: str) -> None:
    scale, offset = scale_and_offset(lambda x, s: s * x + x, dtype)
    assert scale.dtype == offset.dtype == dtype


@pytest.mark.parametrize("row", ["maximum", "minimum", "logaddexp"])
def test_associative_operations_from_either_side(row: str) -> None:
    operation = getattr(gt, row)
    ((first,),) = stages_of(lambda x, s: operation(s, x))
    ((second,),) = stages_of(lambda x, s: operation(x, s))
    assert isinstance(first.form, Folded)
    assert isinstance(second.form, Folded)
    assert (first.form.row, first.form.state_first) == (row, True)
    assert (second.form.row, second.form.state_first) == (row, False)


def test_an_operation_twice() -> None:
    loop = loop_of(lambda x, y, s: gt.maximum(x, gt.maximum(y * 2, s)), sequences=2)
    stages = find_stages(loop)
    assert not isinstance(stages, str)
    form = stages[0][0].form
    assert isinstance(form, Folded)
    x, y = (next(iter(s.reads.values())) for s in loop.sequences)
    np.testing.assert_array_equal(value_of(form.operand, {x: np.array([1.0, 9.0]), y: np.array([2.0, 3.0])}), [4, 9])


@pytest.mark.parametrize(
    ("step", "dtype"),
    [
        (lambda x, s: s ^ x, "int32"),
        (lambda x, s: s & x, "uint8"),
        (lambda x, s: x | s, "int64"),
        (lambda x, s: gt.and_(s, x), "bool"),
        (lambda x, s: gt.or_(x, s), "bool"),
    ],
)
def test_operations_on_bits(step: Callable[..., Any], dtype: str) -> None:
    ((recurrence,),) = stages_of(step, dtype)
    assert isinstance(recurrence.form, Folded)


def test_states_that_feed_others_come_first() -> None:
    def step(x: Any, total: Any, mean: Any, level: Any) -> Any:
        return total + mean * x, mean * 0.5 + x, level + total

    stages = stages_of(step, states=3)
    names = [[r.state.name for r in stage] for stage in stages]
    assert names == [["mean"], ["total"], ["level"]]


def test_no_states() -> None:
    assert stages_of(lambda x: x * 2, states=0) == ()


class TestRefusals:
    @pytest.mark.parametrize(
        ("step", "op"),
        [
            (lambda x, s: np.tanh(s) + x, "tanh"),
            (lambda x, s: s * s + x, "mul"),
            (lambda x, s: x / s, "true_div"),
            (lambda x, s: gt.switch(s > 0, s, x), "gt"),
            (lambda x, s: gt.maximum(s * 0.5, x), "maximum"),
            (lambda x, s: gt.maximum(s, x) + 1, "add"),
            (lambda x, s: gt.maximum(gt.minimum(s, x), x), "maximum"),
            (lambda x, s: abs(s + x), "abs"),
        ],
    )
    def test_other_steps_name_the_operation(self, step: Callable[..., Any], op: str) -> None:
        reason = reason_of(step)
        assert f"neither linear in itself nor folded by an associative operation: {op}, made at" in reason
        assert "test_recurrences.py" in reason

    def test_integers_of_another_width(self) -> None:
        step = lambda x, s: gt.cast(gt.cast(s, "int64") + x, "int32")  # noqa: E731
        assert "cast[int64]" in reason_of(step, "int32")

    def test_a_quotient_of_integers(self) -> None:
        assert "floor_div" in reason_of(lambda x, s: s // x, "int64")

    def test_states_that_need_each_other(self) -> None:
        reason = reason_of(lambda x, position, speed: (position + speed, speed - 0.1 * position), states=2)
        assert "states depend on each other" in reason
        assert "'position', 'speed'" in reason

    def test_lags(self) -> None:
        x, init = gt.matrix("x"), gt.matrix("init")
        out, _ = gs.scan(lambda x, old: old + x, x, [dict(initial=init, taps=[-2])])
        assert out.owner is not None
        found = find_stages(bind_loop(out.owner, [(None, 2), (2, 2)]))
        assert found == "state 'old' is read 2 steps back"
