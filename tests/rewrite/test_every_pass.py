"""What every pass of the pipeline must have, or a test here fails.

- A section of its name in docs/rewrites.md with a program that names it in quotes, and what that prints: the graph
  before and after, which differ. ``tests/test_docs.py`` runs it.
- A row of its name in `PAIRS` below: a program that the pass changes, and one much like it that it must leave as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, verify
from gpuscan.rewrite import PASSES, optimise
from tests.documents import read_blocks
from tests.rewrite.programs import INPUTS, OFF, I, X, Y, Z, f32, graph_of, i, s, x, y

BY_NAME = {run_pass.__name__: run_pass for run_pass in PASSES}
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "rewrites.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^#{1,2} |\Z)", DOCUMENT, flags=re.MULTILINE | re.DOTALL))

Outputs = gs.Variable | list[gs.Variable]


def scan(fn: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return gs.scan(fn, *arguments, **options)[0]


def call(inline: bool) -> gs.Variable:
    return gs.OpFromGraph([x], [gt.sqrt(x)], inline=inline)(y)


def emitted(factor: float, **options: Any) -> gs.Variable:
    """An emit beside a state that is the same in all such loops."""
    return scan(lambda row, h: (h + row, h * factor), X, [x, None], **options)[1]


def checkpointed(output: Callable[[gs.Variable], Outputs]) -> Outputs:
    return output(scan(lambda h: gt.sin(h), outputs_info=x, n_steps=6, checkpoint=3))


def past_values(read: Callable[[gs.Variable], gs.Variable]) -> gs.Variable:
    """A gradient that reads the values that steps start from, of a loop of whose history a cost reads some or all."""
    h = scan(lambda row, h: gt.exp(row) * h, X, x)
    return gs.grad(read(h).sum(), X)


LAST_ALONE = ["keep_last", "drop_unread"]
BEFORE: dict[str, list[str]] = {
    "merge_emits": ["merge_equal"],
    "write_after": LAST_ALONE,
    "states_from_rows": LAST_ALONE,
    "results_from_length": LAST_ALONE,
    "stack_past": ["sizes_from_inputs", "merge_equal", "merge_emits", *LAST_ALONE],
    "sum_after": LAST_ALONE,
    "join_loops": LAST_ALONE,
}
"""Passes that make of the programs below what a pass is for."""

e, p = gt.exp(x), gt.sigmoid(x)
PAIRS: dict[str, tuple[Callable[[], Outputs], Callable[[], Outputs]]] = {
    # a program that a pass changes, and one that it must leave as it is
    "inline": (lambda: call(True), lambda: call(False)),
    "drop_barriers": (lambda: gs.gradient.zero_grad(x) * y, lambda: gt.assert_op(x, s > 0) * y),
    "sizes_from_inputs": (lambda: gt.exp(x).shape[0], lambda: x[x > 0].shape[0]),
    "count_steps": (
        lambda: scan(lambda row: row * 2, X).shape[0],
        lambda: scan(lambda row: row[:i], X).shape[1],  # only the step tells
    ),
    "merge_equal": (lambda: gt.exp(x) + gt.exp(x), lambda: gt.exp(x) + gt.exp(y)),
    "merge_emits": (
        lambda: emitted(2.0) + emitted(3.0),
        lambda: emitted(2.0) + emitted(3.0, go_backwards=True),
    ),
    "keep_last": (
        lambda: scan(lambda row, h: h + row, X, x)[-1],
        lambda: scan(lambda row, h: h + row, X, x)[i],
    ),
    "drop_unread": (
        lambda: scan(lambda row: (row * 2, row * 3), X)[0],
        lambda: scan(lambda row: (row * 2, row * 3), X),
    ),
    "share_segments": (
        lambda: checkpointed(lambda h: [h[-1], gs.grad(h[-1].sum(), x)]),
        lambda: checkpointed(lambda h: h[-1]),  # no gradient, and one run of one loop
    ),
    "unroll_loops": (
        lambda: scan(lambda h: gt.sin(h) * 2, None, x, n_steps=1),
        lambda: scan(lambda h: gt.sin(h) * 2, None, x, n_steps=5),
    ),
    "fold_constants": (lambda: x * (gt.constant(2.0) + 3.0), lambda: x * 2.0 + 3.0),
    "compose_moves": (lambda: X.T.T, lambda: X.T),
    "smaller_reductions": (lambda: X.T.sum(0), lambda: X.sum(1).sum(0)),  # which would round otherwise
    "drop_broadcasts": (
        lambda: x + gt.broadcast_to(s, (x.shape[0],)),
        lambda: x + gt.broadcast_to(s, (3,)),  # x may be of size 1
    ),
    "cancel_factors": (lambda: x / e * e, lambda: x / y * y),
    "stable_quotients": (lambda: 1 / (1 + gt.exp(-x)), lambda: 1 / (2 + gt.exp(-x))),
    "stable_logs": (lambda: gt.log(1 + x), lambda: gt.log(2 + x)),
    "complement_sigmoids": (lambda: 1 - p, lambda: p * (1 - p)),
    "gather_one_hot": (
        lambda: (X * gt.eq(gt.shape_padright(I), gt.arange(X.shape[1]))).sum(1),
        lambda: (X * gt.eq(gt.shape_padright(I), gt.arange(Y.shape[1]))).sum(1),  # X may broadcast
    ),
    "small_powers": (lambda: x**3, lambda: x**2.5),
    "drop_casts": (
        lambda: gt.cast(gt.cast(f32, "float64"), "float32"),
        lambda: gt.cast(gt.cast(x, "float32"), "float64"),
    ),
    "identities": (lambda: x * 1 + (-y), lambda: [x * 0, x - x]),  # NaN of infinities
    "simplify_states": (
        lambda: scan(lambda row, h, fixed: (h * fixed + row, fixed), X, [x, y])[0],
        lambda: scan(lambda row, h, moved: (h * moved + row, moved * 2), X, [x, y])[0],
    ),
    "write_after": (
        lambda: scan(lambda row, total: gt.inc_subtensor(total[1], row[0]), X, y)[-1],
        lambda: scan(lambda at, total: ((at + I[0]) % 3, gt.inc_subtensor(total[at], s)), None, [i, y], n_steps=3)[1][
            -1
        ],
    ),
    "states_from_rows": (
        lambda: scan(lambda row, late, h: (row, late @ Y + h), X, [X[0], y])[1][-1],
        lambda: scan(lambda row, late, h: (row, late * 2 + h), X, [X[0], y])[1][-1],  # a register, and no copy of X
    ),
    "results_from_length": (
        lambda: scan(lambda k: k + 2, None, i, n_steps=X.shape[0])[-1],
        lambda: scan(lambda h: h + 2.0, None, s, n_steps=X.shape[0])[-1],  # a float rounds at every step
    ),
    "stack_past": (lambda: past_values(lambda h: h[-1]), lambda: past_values(lambda h: h * h)),
    "widen_products": (
        lambda: scan(lambda h: gt.tanh(h @ X) * gt.tanh(h @ Y), None, x, n_steps=3),
        lambda: scan(lambda h: gt.tanh(h @ X) * gt.tanh((h + 1) @ Y), None, x, n_steps=3),
    ),
    "hoist_invariants": (
        lambda: scan(lambda h, a, b: h @ (a @ b), None, x, [X, Y], n_steps=3),
        lambda: scan(lambda h, a, b: (h @ a) @ b, None, x, [X, Y], n_steps=3),
    ),
    "hoist_products": (
        lambda: scan(lambda row, h: gt.tanh(row @ Y + h), X, x),
        lambda: scan(lambda row, h: gt.tanh((row + h) @ Y), X, x),
    ),
    "sum_after": (
        lambda: scan(lambda row, total: total + gt.outer(row, row), X, gt.zeros((3, 3)))[-1],
        lambda: scan(lambda row, total: total * 0.5 + gt.outer(row, row), X, gt.zeros((3, 3)))[-1],
    ),
    "fold_reductions": (
        lambda: scan(lambda row: gt.exp(row), X).sum(0),
        lambda: scan(lambda row: gt.exp(row), X).argmax(0),
    ),
    "join_loops": (
        lambda: scan(lambda row, h: gt.sin(h) + row, x, s)[-1] * scan(lambda row, h: gt.cos(h) * row, x, s)[-1],
        lambda: scan(lambda row, h: gt.sin(h) + row, x, s)[-1] * scan(lambda row, h: gt.cos(h) * row, y, s)[-1],
    ),
    "lazy_branches": (
        lambda: gs.ifelse(s > 0, gt.exp(x), y),
        lambda: gs.ifelse(s > 0, x, y) + gt.exp(x),
    ),
}


def as_list(outputs: Outputs) -> list[gs.Variable]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def written(name: str, which: int) -> Graph:
    """The graph of one of the programs as the pass finds it."""
    graph = graph_of(*as_list(PAIRS[name][which]()))
    return optimise(graph, passes=[BY_NAME[other] for other in BEFORE.get(name, ())])


def test_every_pass_has_a_pair_in_order():
    assert list(PAIRS) == list(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_program_that_it_changes(name):
    graph = written(name, 0)
    changed = BY_NAME[name](graph)
    assert changed is not None
    verify(changed, after=name, types=[v.type for v in graph.outputs])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_program_that_it_leaves_as_it_is(name):
    assert BY_NAME[name](written(name, 1)) is None


@pytest.mark.parametrize("which", [0, 1], ids=["changed", "left alone"])
@pytest.mark.parametrize("name", BY_NAME)
def test_what_they_compute(name, which):
    """With the pass alone as without any; what it leaves alone it leaves alone inside loops too."""
    random = np.random.default_rng(0)
    shapes = {x: (3,), y: (3,), X: (3, 3), Y: (3, 3), Z: (3, 3), s: (), f32: (3,)}
    values: dict[Any, Any] = {v: random.uniform(0.5, 1.5, shape).astype(v.dtype)[()] for v, shape in shapes.items()}
    values |= {I: np.array([0, 2, 1]), i: np.int64(2)}
    inputs, outputs = [v for v in INPUTS if v in values], as_list(PAIRS[name][which]())
    found, expected = (
        gs.function(inputs, outputs, mode, device="cpu", on_unused_input="ignore")(*(values[v] for v in inputs))
        for mode in (OFF.including(name, *BEFORE.get(name, ())), OFF)
    )
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12)


# ---- the document ----


def test_the_document_has_a_section_for_each_pass_in_order():
    assert list(SECTIONS) == list(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_document_shows_a_graph_before_and_after(name):
    texts = [block.printed for block in read_blocks(SECTIONS[name]) if f'"{name}"' in block.code]
    before, after = re.fullmatch(r"written:\n(.*?)^rewritten:\n(.*)", texts[0], re.MULTILINE | re.DOTALL).groups()
    assert before != after
