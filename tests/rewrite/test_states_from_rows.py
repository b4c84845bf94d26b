"""States that take on the rows of a sequence: what they hand out, and what products read of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import sorted_nodes
from gpuscan.rewrite.drop_unread import drop_unread
from gpuscan.rewrite.states_from_rows import states_from_rows
from tests.rewrite.nets import assert_meaning_kept, graph_of, loops_of

x, s, w, n = gt.matrix("x"), gt.vector("s"), gt.matrix("w"), gt.iscalar("n")
INPUTS = [x, s, w, n]
RANDOM = np.random.default_rng(0)


def values(steps: int = 4) -> list[Any]:
    return [*(RANDOM.normal(size=shape) for shape in ((5, 3), (3,), (3, 3))), np.int32(steps)]


def scan(fn: Any, *args: Any, **kwargs: Any) -> Any:
    return gs.scan(fn, *args, **kwargs)[0]


def lagged(**options: Any) -> list[Any]:
    """A net that reads the row before the step's own through weights."""
    return scan(lambda row, late, h, w: (row, np.tanh(late @ w + row * h)), x, [x[0], x[0] * 0.5], [w], **options)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [None, 0, 1, 4])
def test_products_of_rows_one_step_late_are_one_product(reverse, steps):
    late, h = lagged(go_backwards=reverse, n_steps=None if steps is None else n)
    outputs = [late, h] if steps == 0 else [late, h, late[-1], h[-1]]
    after = assert_meaning_kept(INPUTS, outputs, values(steps or 0))
    (loop,) = loops_of(after)
    assert [state.name for state in loop.states] == ["h"]
    assert "matmul" not in [node.op.name for node in sorted_nodes(loop.outputs, loop.reads)]


@pytest.mark.parametrize("reverse", [False, True])
def test_values_further_back(reverse):
    def step(row, next_row, third, first, w):
        return next_row, third @ w + first + row

    initial = {"initial": gt.stack([x[2], x[0], x[1]]), "taps": [-3, -1]}
    outputs = scan(step, {"input": x, "taps": [0, 1]}, [initial, None], [w], go_backwards=reverse)
    after = assert_meaning_kept(INPUTS, [*outputs, outputs[0][-1], outputs[0][-2:]], values())
    assert not [state for loop in loops_of(after) for state in loop.states]


def test_what_it_hands_out_needs_no_loop():
    out = scan(lambda row, late: row, x, x[0])
    assert not loops_of(assert_meaning_kept(INPUTS, [out, out[-1]], values()))


def test_gradients():
    late, h = lagged()
    cost = (late * h).sum()
    assert_meaning_kept(INPUTS, [cost, *gs.grad(cost, [x, w])], values())


@pytest.mark.parametrize(
    "build",
    [
        lambda: scan(lambda row, late: (row, late * 2.0), x, [x[0], None])[1],  # a register
        lambda: scan(lambda row, late: row, x, s),  # may have another shape
        lambda: scan(lambda row, late: row, x, x[0], n_steps=n),  # says that there are too few rows
        lambda: scan(lambda row, late, w: (row, late @ w, gs.until(row.sum() > 0)), x, [x[0], None], [w])[1],
    ],
)
def test_what_stays(build):
    graph = graph_of(INPUTS, [build()])
    assert states_from_rows(drop_unread(graph) or graph) is None


def test_kernels_compute_the_same():
    late, h = lagged()
    outputs = [late[-1], h, gs.grad(h[-1].sum(), w)]
    f = gs.function([x, w], outputs, device="emulator")
    given = values()
    found = f(given[0], given[2])
    assert all(plan.team != "host" for plan in f.plans)
    expected = gs.function([x, w], outputs, gs.Mode(optimizer=None), device="cpu")(given[0], given[2])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
