"""Loops in whose steps numbers given to a call decide sizes: planned for the numbers, as for shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda import runner
from gpuscan.cuda.emulator import find_compiler
from gpuscan.cuda.step.loops import MOST_KEPT_BYTES
from gpuscan.cuda.strategies import choices
from gpuscan.errors import KernelError

try:
    find_compiler()
except KernelError as error:
    pytest.skip(str(error), allow_module_level=True)

ENTRY = 'extern "C" __global__'

x, n = gt.vector("x"), gt.lscalar("n")


def rows_inside(n: Any) -> gs.Variable:
    """A loop whose step keeps all rows of a loop inside, of a length that a call says."""

    def outer(s: Any, n: Any) -> Any:
        rows, _ = gs.scan(lambda r: gt.sin(r) + 0.1, None, s, n_steps=n)
        return s * 0.5 + (rows * rows[::-1]).sum(0)

    return gs.scan(outer, None, x, n, n_steps=4)[0]


def both(output: gs.Variable | list[gs.Variable], *inputs: gs.Variable) -> list[gs.Function]:
    return [gs.function(inputs, output, device=device) for device in ("emulator", "cpu")]


def test_a_length_that_a_call_says() -> None:
    f, reference = both(rows_inside(n), x, n)
    for steps in (3, 4, 3):
        np.testing.assert_allclose(f(np.arange(5.0), steps), reference(np.arange(5.0), steps), rtol=1e-12)
        assert f.plans[0].team != "host", f.explain("str")
    assert f.kernel_source().count(ENTRY) == 2


def test_a_length_that_decides_no_size_needs_no_plan_of_its_own() -> None:
    def outer(s: Any, n: Any) -> Any:
        return s * 0.5 + gs.scan(lambda r: gt.sin(r) + 0.1, None, s, n_steps=n)[0][-1]

    f, reference = both(gs.scan(outer, None, x, n, n_steps=4)[0], x, n)
    for steps in (3, 4):
        np.testing.assert_allclose(f(np.arange(5.0), steps), reference(np.arange(5.0), steps), rtol=1e-12)
    assert f.kernel_source().count(ENTRY) == 1


def test_other_sizes_that_a_call_says() -> None:
    state = gs.tensor.random.default_rng(3)

    def step(s: Any, rng: Any, n: Any) -> tuple[Any, Any]:
        rng, noise = rng.normal(size=n)
        return s * 0.5 + noise.sum() + gt.arange(n).sum() + s[:n].max(), rng

    f, reference = both(gs.scan(step, None, [x, state], n, n_steps=4)[0][0], x, n)
    for size in (3, 2):
        np.testing.assert_allclose(f(np.arange(5.0), size), reference(np.arange(5.0), size), rtol=1e-12)
        assert f.plans[0].team != "host", f.explain("str")


@pytest.mark.parametrize("checkpoint", ["sqrt", 3])
def test_segments_of_a_length_that_a_call_says(checkpoint: Any) -> None:
    h, _ = gs.scan(lambda r, h: gt.tanh(h * 0.9 + r), x, gt.zeros(3), checkpoint=checkpoint)
    f, reference = both(gs.grad((h[-1] ** 2).sum(), x), x)
    for steps in (10, 16):
        values = np.linspace(-1, 1, steps)
        np.testing.assert_allclose(f(values), reference(values), rtol=1e-12)
        assert all(plan.team != "host" for plan in f.plans), f.explain("str")


def test_numbers_that_do_not_help_are_not_planned_for(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = []
    monkeypatch.setattr(runner, "choices", lambda *arguments: planned.append(arguments) or choices(*arguments))

    def step(s: Any, n: Any) -> Any:
        return s * 0.5 + s[s > 0].sum() + gt.sin(gt.arange(n) * s[1]).sum()  # what a mask takes only values tell

    f, reference = both(gs.scan(step, None, x, n, n_steps=3)[0], x, n)
    for size in (2, 3, 4):
        np.testing.assert_allclose(f(np.arange(5.0), size), reference(np.arange(5.0), size), rtol=1e-12)
    assert f.plans[0].team == "host"
    assert len(planned) == 2  # for any number, and to see whether the first helps


def test_more_rows_than_a_thread_is_to_hold() -> None:
    f, reference = both(rows_inside(n), x, n)
    steps = MOST_KEPT_BYTES // 8 + 1
    with gs.config.change_flags(strategy="thread"):
        np.testing.assert_allclose(f(np.arange(2.0), steps), reference(np.arange(2.0), steps), rtol=1e-9)
    assert f.plans[0].team != "thread"
    assert f"the rows kept of r take {8 * steps} bytes a thread" in str(f.explain("str"))
