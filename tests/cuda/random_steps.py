"""Steps that mix elements in every way, for hypothesis to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from tests.cuda.team_programs import Given

SHAPES = ((3, 4), (1, 5), (2, 1), (2, 33), (4, 4))
"""Of a state; every value inside a step is brought back to it, whatever was done to it."""

Operation = Callable[["Inside", Any], Any]


@dataclass
class Inside:
    """What the operations of a step read besides the value they are given."""

    given: Given
    shape: tuple[int, int]
    row: Any
    index: Any
    state: Any
    square: Any


OPERATIONS: dict[str, Operation] = {
    "pointwise": lambda g, v: np.tanh(v) * 0.9 + g.row,
    "previous": lambda g, v: v * 0.5 - g.state,
    "product": lambda g, v: np.tanh(v @ g.square),
    "product with the transposed": lambda g, v: np.tanh(v @ g.square.T + g.row),
    "product from the left": lambda g, v: v @ v.T @ v * 0.1,
    "product with a vector": lambda g, v: np.tanh(v @ g.square[0])[:, None] + v * 0.2,
    "row sums": lambda g, v: v - v.sum(1, keepdims=True) * 0.1,
    "column means": lambda g, v: v * v.mean(0),
    "all": lambda g, v: v * 0.5 + np.sin(v.mean()),
    "largest": lambda g, v: v - v.max(1, keepdims=True),
    "where the largest is": lambda g, v: v * 0.5 + g.row.argmax(0) * 0.1,
    "backwards": lambda g, v: v[::-1] * 0.5 + v[:, ::-1] * 0.25,
    "flattened": lambda g, v: np.sin(v.reshape((g.shape[1], g.shape[0])).T + g.row),
    "gathered rows": lambda g, v: v[g.index % g.shape[0]][:1] + v * 0.5,
    "gathered columns": lambda g, v: v * 0.5 + v[:, g.index % g.shape[1]].sum(1, keepdims=True) * 0.1,
    "one element": lambda g, v: v * 0.5 + v[g.index[0] % g.shape[0], -1],
    "added at": lambda g, v: gt.inc_subtensor(v[g.index % g.shape[0]], g.row[0] * 0.1),
    "written at": lambda g, v: gt.set_subtensor(v[:, g.index[1] % g.shape[1]], 0.5),
    "joined": lambda g, v: gt.concatenate([v[1:], g.row[:1]], axis=0),
    "halves changed over": lambda g, v: gt.concatenate([v[:, 1:], v[:, :1]], axis=1) * 0.9,
    "outer": lambda g, v: np.tanh((v[:, :, None] * v[:, None, :]).sum(1) * 0.1),
    "branch": lambda g, v: gs.ifelse(v.sum() > 0, v * 0.5, g.row + v[:1]),
    "loop inside": lambda g, v: gs.scan(lambda s, r: np.cos(s + r), None, [v], [g.row], n_steps=2)[0][-1],
    "rows of a loop inside": lambda g, v: (
        gs.scan(lambda r, s: s * 0.5 + r, [v], [g.row[0]], return_list=True)[0][0] + v.sum(1, keepdims=True) * 0.1
    ),
}


@dataclass(frozen=True)
class RandomStep:
    """A loop of one or two states: what is done to each in turn, and how the loop goes."""

    shape: tuple[int, int]
    first: tuple[str, ...]
    second: tuple[str, ...]
    lag: int
    steps: int
    reverse: bool
    kept: str

    def loop(self, given: Given) -> list[Any]:
        """Return what is read of the loop."""
        rows, columns = self.shape
        x = given.normal(self.steps, rows, columns, scale=0.5)
        index = given.integers(0, 99, self.steps, 2)
        square = given.normal(columns, columns, scale=0.3 / columns**0.5)
        a = given.normal(self.lag, rows, columns)
        b = given.normal(rows, columns)

        def step(row: Any, index: Any, old: Any, b: Any, square: Any) -> Any:
            new = self.through(self.first, Inside(given, self.shape, row, index, b, square), old)
            other = self.through(self.second, Inside(given, self.shape, row, index, new, square), b)
            return new, other, (new * other).sum(1)

        results, _ = gs.scan(
            step,
            [x, index],
            [dict(initial=a if self.lag > 1 else a[0], taps=[-self.lag]), b, None],
            [square],
            go_backwards=self.reverse,
            return_list=True,
        )
        reads = {"all": lambda v: v, "last": lambda v: v[-1], "last two": lambda v: v[-2:]}
        return [reads[self.kept](v) for v in results]

    def through(self, names: tuple[str, ...], inside: Inside, value: Any) -> Any:
        """Return what the operations of these names make of a value, brought back to the state's shape after each."""
        for name in names:
            value = OPERATIONS[name](inside, value) * gt.ones(self.shape, dtype=value.dtype)
        return np.sin(value).astype(inside.row.dtype)


NAMES = st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=1, max_size=4).map(tuple)
STEPS = st.builds(
    RandomStep,
    shape=st.sampled_from(SHAPES),
    first=NAMES,
    second=NAMES,
    lag=st.integers(1, 3),
    steps=st.integers(2, 6),
    reverse=st.booleans(),
    kept=st.sampled_from(["all", "last", "last two"]),
)
