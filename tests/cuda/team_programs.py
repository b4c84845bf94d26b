"""Loops for all teams to carry: each function takes arrays in as variables and returns what a program computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor import random


class Given:
    """The inputs of a program and their values, in the order in which it asks for them."""

    def __init__(self) -> None:
        self.variables: list[gs.Variable] = []
        self.values: list[Any] = []
        self._rng = np.random.default_rng(0)

    def array(self, value: Any) -> gs.Variable:
        """Return an input whose value is `value`."""
        value = np.asarray(value)
        variable = gt.tensor(f"a{len(self.values)}", value.dtype.name, (None,) * value.ndim)
        self.variables.append(variable)
        self.values.append(value)
        return variable

    def normal(self, *shape: int, dtype: str = "float64", scale: float = 1.0) -> gs.Variable:
        """Return an input of normal numbers."""
        return self.array((scale * self._rng.normal(size=shape)).astype(dtype))

    def integers(self, low: int, high: int, *shape: int, dtype: str = "int64") -> gs.Variable:
        """Return an input of integers from `low` up to but not including `high`."""
        return self.array(self._rng.integers(low, high, shape).astype(dtype))


Make = Callable[[Given], Any]


@dataclass(frozen=True)
class Program:
    """A program, and which teams refuse it, by a part of the reason they give."""

    make: Make
    refused: dict[str, str] = field(default_factory=dict)
    rtol: float = 1e-10
    differentiable: bool = True


PROGRAMS: dict[str, Program] = {}


def program(*, rtol: float = 1e-10, differentiable: bool = True, **refused: str) -> Callable[[Make], Make]:
    """Register a program under its name."""

    def register(make: Make) -> Make:
        PROGRAMS[make.__name__] = Program(make, refused, rtol, differentiable)
        return make

    return register


def loop(step: Callable[..., Any], *args: Any, **options: Any) -> list[Any]:
    """Return the results of a loop as a list."""
    return list(gs.scan(step, *args, return_list=True, **options)[0])


# ---- what a loop is given and what is kept of it ----


@program()
def lags_and_taps(given: Given) -> Any:
    x, init = given.normal(9, 3, 5), given.normal(3, 3, 5)

    def step(before: Any, now: Any, old: Any, new: Any) -> Any:
        return (old * 0.5 - new + before * now).sum(1, keepdims=True) * 0.1 + new.max(0) * now

    return loop(step, [dict(input=x, taps=[-2, 1])], [dict(initial=init, taps=[-3, -1])])


@program()
def lags_reversed(given: Given) -> Any:
    x, init = given.normal(7, 4), given.normal(2, 4)
    (out,) = loop(
        lambda now, after, old, new: old * 0.3 + new[::-1] * now - after.mean(),
        [dict(input=x, taps=[0, 2])],
        [dict(initial=init, taps=[-2, -1])],
        go_backwards=True,
    )
    return [out, out[-1], out[-2:]]


def _steps(given: Given, steps: int) -> Any:
    x, w, h = given.normal(9, 3), given.normal(3, 3), given.normal(3)
    n = given.array(np.int64(steps))
    states, emits = loop(lambda row, h: (np.tanh(h @ w + row), (h * row).sum()), [x], [h, None], n_steps=n)
    return [states, emits, emits[-3:]]


@program()
def no_steps(given: Given) -> Any:
    return _steps(given, 0)


@program()
def one_step(given: Given) -> Any:
    return _steps(given, 1)


@program()
def fewer_steps_than_rows(given: Given) -> Any:
    return _steps(given, 6)


@program()
def last_values_only(given: Given) -> Any:
    x, w, h = given.normal(9, 2, 3), given.normal(3, 3), given.normal(2, 3)
    a, b = loop(lambda row, h: (np.tanh(h @ w + row), h * row.sum(1, keepdims=True)), [x], [h, None])
    return [a[-1], b[-2:], b[-1]]


@program()
def final_values_of_several_lags(given: Given) -> Any:
    h, w = given.normal(3, 5), given.normal(5, 5, scale=0.4)
    (a,) = loop(lambda old, new: np.tanh(old @ w) - new, None, [dict(initial=h, taps=[-3, -1])], n_steps=7)
    return [a[-3:], a[-1]]


@program()
def stops_on_a_condition(given: Given) -> Any:
    h, w = given.normal(3), given.normal(3, 3)

    def step(h: Any) -> Any:
        new = np.tanh(h @ w) + 0.3
        return new, (h * h).sum(), gs.until(new.sum() > 1.2)

    a, b = loop(step, None, [h, None], n_steps=40)
    return [a, b, a[-1]]


@program(differentiable=False)
def last_values_of_a_loop_that_stops(given: Given) -> Any:
    h, w = given.normal(3), given.normal(3, 3)

    def step(h: Any) -> Any:
        new = np.tanh(h @ w) + 0.3
        return new, h * h, gs.until(new.sum() > 1.2)

    a, b = loop(step, None, [h, None], n_steps=40)
    return [a[-1], b[-2:]]


@program()
def states_of_many_ranks(given: Given) -> Any:
    a, b, c = given.normal(2, 3, 4), given.normal(3, 1), given.normal()

    def step(a: Any, b: Any, c: Any) -> Any:
        return np.tanh(a * b + c), b * 0.5 + a.sum((0, 2))[:, None] * 0.1, c * 0.5 + b.mean()

    return loop(step, None, [a, b, c], n_steps=4)


@program(differentiable=False)
def states_of_many_dtypes(given: Given) -> Any:
    i, b, f = given.integers(-5, 6, 5), given.integers(0, 2, 5, dtype="bool"), given.normal(5, dtype="float32")

    def step(i: Any, b: Any, f: Any) -> Any:
        i = (i * 3 + i[::-1] + b.sum()) % 17
        return i, (i > 4) ^ b[::-1], (f + f.mean() + b[::-1]) * np.float32(0.5)

    return loop(step, None, [i, b, f], n_steps=5)


# ---- products ----


@program()
def rnn_of_one_lane(given: Given) -> Any:
    x, h, w, b = given.normal(8, 7), given.normal(7), given.normal(7, 7, scale=0.4), given.normal(7)
    return loop(lambda row, h: np.tanh(h @ w + row + b), [x], [h])


@program()
def rnn_of_a_batch(given: Given) -> Any:
    x, h, w = given.normal(5, 3, 8), given.normal(3, 8), given.normal(8, 8, scale=0.4)
    return loop(lambda row, h: np.tanh(h @ w + row), [x], [h])


@program()
def two_models_of_one_batch(given: Given) -> Any:
    """A net and elementwise work that have nothing in common but the size of their batch, and totals of each."""
    x, h, w = given.normal(5, 6, 4), given.normal(6, 4), given.normal(4, 4, scale=0.4)
    v, total = given.normal(6), given.normal()

    def step(row: Any, h: Any, v: Any, sum_h: Any, sum_v: Any) -> Any:
        return np.tanh(h @ w + row), np.sin(v * 3), sum_h + h.sum(), sum_v + (v * v).sum()

    hs, vs, sum_h, sum_v = loop(step, [x], [h, v, total, total])
    return [hs, vs[-2:], sum_h[-1], sum_v[-1]]


@program()
def rnn_of_floats(given: Given) -> Any:
    x, h = given.normal(5, 3, 33, dtype="float32"), given.normal(3, 33, dtype="float32")
    w = given.normal(33, 33, dtype="float32", scale=0.15)
    return loop(lambda row, h: np.tanh(h @ w.T + row), [x], [h])


@program(thread="registers", warp="a warp has room for")
def rnn_of_odd_sizes(given: Given) -> Any:
    x, h = given.normal(3, 3, 100), given.normal(3, 129)
    w, u = given.normal(129, 129, scale=0.08), given.normal(100, 129, scale=0.08)

    def step(row: Any, h: Any) -> Any:
        new = np.tanh(h @ w + row @ u)
        return new, new[:, ::2].sum(1)

    return loop(step, [x], [h, None])


@program()
def lstm(given: Given) -> Any:
    x, w = given.normal(5, 2, 24), given.normal(6, 24, scale=0.4)
    h, c = given.normal(2, 6), given.normal(2, 6)

    def step(row: Any, h: Any, c: Any) -> Any:
        gates = row + h @ w
        i, f, o, g = (gates[:, k * 6 : (k + 1) * 6] for k in range(4))
        c = gt.sigmoid(f) * c + gt.sigmoid(i) * np.tanh(g)
        return gt.sigmoid(o) * np.tanh(c), c

    return loop(step, [x], [h, c])


@program()
def two_layers(given: Given) -> Any:
    x, a, b = given.normal(5, 2, 6), given.normal(2, 6), given.normal(2, 5)
    w, u, v = given.normal(6, 6, scale=0.4), given.normal(5, 5, scale=0.4), given.normal(6, 5, scale=0.4)

    def step(row: Any, a: Any, b: Any) -> Any:
        a = np.tanh(a @ w + row)
        return a, np.tanh(b @ u + a @ v)

    return loop(step, [x], [a, b])


@program()
def vector_times_vector(given: Given) -> Any:
    x, h = given.normal(6, 9, scale=0.3), given.normal(9)
    return loop(lambda row, h: (h * 0.5 + row * (h @ row), h @ h), [x], [h, None])


@program()
def matrix_times_vector(given: Given) -> Any:
    x, h = given.normal(4, 5, 7), given.normal(7)
    return loop(lambda m, h: np.tanh((m @ h) @ m), [x], [h])


@program()
def matrix_times_matrix(given: Given) -> Any:
    x, h = given.normal(3, 4, 4, scale=0.5), given.normal(4, 4)
    return loop(lambda m, h: (m @ h @ m.T, h.T @ m), [x], [h, None])


@program()
def stacks_of_products(given: Given) -> Any:
    heads, h, one = given.normal(2, 3, 3, scale=0.5), given.normal(4, 2, 1, 3), given.normal(1, 3, 5)

    def step(h: Any) -> Any:
        return np.tanh(h @ heads), h @ one, (h @ heads[0])[:, :, 0]

    return loop(step, None, [h, None, None], n_steps=3)


@program()
def heads(given: Given) -> Any:
    s, w = given.normal(3, 2, 4), given.normal(2, 4, 4, scale=0.4)
    return loop(lambda s: np.tanh(gt.einsum("bij,ijk->bik", s, w)), None, [s], n_steps=4)


@program(differentiable=False)
def products_of_integers_and_truths(given: Given) -> Any:
    i, b = given.integers(-2, 3, 5), given.integers(0, 2, 5, dtype="bool")
    m, t = given.integers(-2, 3, 5, 5, dtype="int32"), given.integers(0, 2, 5, 5, dtype="bool")
    return loop(lambda i, b: ((i @ m) % 11, b @ t), None, [i, b], n_steps=4)


@program()
def attention(given: Given) -> Any:
    x, h = given.normal(3, 5, 4), given.normal(5, 4)

    def step(row: Any, h: Any) -> Any:
        scores = h @ row.T
        weights = np.exp(scores - scores.max(1, keepdims=True))
        return (weights / weights.sum(1, keepdims=True)) @ row + 0.1 * h

    return loop(step, [x], [h])


@program()
def kalman(given: Given) -> Any:
    y, m, p = given.normal(5, 6, 2), given.normal(6, 3), given.array(np.tile(np.eye(3), (6, 1, 1)))
    a, c = given.normal(3, 3, scale=0.5), given.normal(2, 3)

    def step(y: Any, m: Any, p: Any) -> Any:
        m, p = m @ a.T, a @ p @ a.T + 0.1 * np.eye(3)
        s = c @ p @ c.T
        gain = p @ c.T / (s[:, 0, 0] + s[:, 1, 1] + 1)[:, None, None]
        m = m + (gain @ (y - m @ c.T)[:, :, None])[:, :, 0]
        return m, p - gain @ c @ p

    return loop(step, [y], [m, p])


@program()
def products_of_two_lags(given: Given) -> Any:
    h, w = given.normal(2, 2, 5), given.normal(5, 5, scale=0.4)
    return loop(lambda old, new: np.tanh(old @ w - new @ w.T), None, [dict(initial=h, taps=[-2, -1])], n_steps=5)


# ---- reductions and other moves ----


@program()
def reductions(given: Given) -> Any:
    s = given.normal(2, 3, 4)
    axes = [None, 0, 1, 2, (0, 1), (0, 2), (1, 2)]

    def step(s: Any) -> Any:
        sums = [s.sum(axis) for axis in axes]
        new = s * 0.5 + s.sum(0) * 0.1 - s.mean((0, 2))[:, None] + s.max((1, 2))[:, None, None] * 0.1
        return [new, *sums]

    return loop(step, None, [s, *[None] * len(axes)], n_steps=3)


@program(differentiable=False)
def reductions_of_every_kind(given: Given) -> Any:
    s, i = given.normal(3, 7), given.integers(-4, 5, 3, 7)

    def step(s: Any, i: Any) -> Any:
        found = [
            *(s.prod(1), s.max(0), s.min(1), s.argmax(0), s.argmin(1), (s > 0).any(1), (s > 0).all(0)),
            *(i.prod(0), i.max(), i.min(1), i.argmax(1), i.argmin(0), (i > 3).any(), i.sum(0)),
        ]
        return [np.sin(s * 2 + s.argmax(1, keepdims=True)), (i * 3 + i.min(1, keepdims=True)) % 9, *found]

    return loop(step, None, [s, i, *[None] * 14], n_steps=3)


@program()
def viterbi(given: Given) -> Any:
    x, transitions, init = given.normal(6, 4, 5), given.normal(5, 5), given.normal(4, 5)

    def step(row: Any, score: Any) -> Any:
        candidates = score[:, :, None] + transitions
        return candidates.max(1) + row, candidates.argmax(1)

    return loop(step, [x], [init, None])


@program()
def hidden_markov_model(given: Given) -> Any:
    x, transitions, init = given.normal(6, 3, 5), given.normal(5, 5), given.normal(3, 5)
    return loop(lambda row, a: gt.logsumexp(a[:, :, None] + transitions, axis=1) + row, [x], [init])


@program()
def slices_of_slices(given: Given) -> Any:
    x, s = given.normal(4, 7), given.normal(7)

    def step(row: Any, s: Any) -> Any:
        turned = np.tanh(s + row.mean())[::-1][1:]  # 6 elements
        written = gt.set_subtensor(s[::-2], row[::-2])[1:]
        return gt.concatenate([turned[::-1][2:], written[:3]]) + row, (gt.eye(7)[1:, ::-1][:, :3] * s[:3]).sum(1)

    return loop(step, [x], [s, None])


@program()
def transposed_and_reshaped(given: Given) -> Any:
    s = given.normal(4, 6)

    def step(s: Any) -> Any:
        pairs = s.reshape((4, 3, 2)).transpose((0, 2, 1)).reshape((4, 6))
        return np.sin(pairs + s.reshape((6, 4)).T * 0.5), s.reshape((24,))[::5]

    return loop(step, None, [s, None], n_steps=4)


@program()
def diagonals(given: Given) -> Any:
    s = given.normal(5)
    return loop(lambda s: np.tanh((s[:, None] * s[None, :]).sum(0) * 0.1 + s), None, [s], n_steps=3)


@program()
def joined_and_taken_apart(given: Given) -> Any:
    x, s = given.normal(4, 3), given.normal(5)

    def step(row: Any, s: Any) -> Any:
        both = gt.concatenate([row, s])
        ends = gt.stack([both[0], both[-1], s.sum()])
        return both[1:6] * 0.5 + ends[1], ends

    return loop(step, [x], [s, None])


@program()
def axes_of_size_one(given: Given) -> Any:
    x, s, w = given.normal(4, 1, 3), given.normal(1, 1), given.normal(3, 1)

    def step(row: Any, s: Any) -> Any:
        return np.tanh(row @ w + s), (row * s).sum(0), s @ s

    return loop(step, [x], [s, None, None])


# Axes that run side by side from here on, and come from elsewhere: lanes whose elements are found by their position.


@program()
def slices_of_rows(given: Given) -> Any:
    x, s = given.normal(4, 7), given.normal(3)
    return loop(lambda row, s: s * 0.5 + row[1:4] - row[::-1][::3] * row[5:2:-1], [x], [s])


@program()
def rows_joined(given: Given) -> Any:
    x, y, s = given.normal(4, 3), given.normal(4, 2, 2), given.normal(2, 5)
    return loop(lambda a, b, s: s * 0.5 + gt.concatenate([gt.stack([a, a * 2]), b], axis=1), [x, y], [s])


@program()
def scalars_stacked(given: Given) -> Any:
    x, y, s = given.normal(4), given.normal(4), given.normal(3)
    return loop(lambda a, b, s: s * 0.5 + gt.stack([a, b, a * b]), [x, y], [s])


@program()
def rows_reshaped(given: Given) -> Any:
    x, y, s = given.normal(4, 2, 3), given.normal(4, 6), given.normal(6)

    def step(a: Any, b: Any, s: Any) -> Any:
        return s * 0.5 + a.reshape((6,)) * b, (b.reshape((3, 2)) * a.T).sum(1)

    return loop(step, [x, y], [s, None])


@program()
def rows_flattened(given: Given) -> Any:
    x, s = given.normal(4, 2, 3), given.normal(6)
    return loop(lambda a, s: s * 0.5 + a.reshape((6,)), [x], [s])


@program()
def rows_split(given: Given) -> Any:
    x, s = given.normal(4, 5, 6), given.normal(5, 2, 3)
    return loop(lambda a, s: s * 0.5 + a.reshape((5, 2, 3)), [x], [s])


@program()
def rows_transposed(given: Given) -> Any:
    x, s = given.normal(4, 3, 2), given.normal(2, 3)
    return loop(lambda row, s: s * 0.5 + row.T, [x], [s])


@program()
def rows_repeated(given: Given) -> Any:
    x, s = given.normal(4, 3), given.normal(6)
    return loop(lambda row, s: s * 0.5 + gt.repeat(row, 2) + gt.tile(row, 2), [x], [s])


@program()
def written_rows(given: Given) -> Any:
    x, i, s = given.normal(4, 3), given.integers(-5, 5, 4, 3), given.normal(5, 2)

    def step(row: Any, i: Any, s: Any) -> Any:
        new = gt.inc_subtensor(s[1:4], row[:, None])
        new = gt.set_subtensor(new[i[0]], row[:2])
        return gt.inc_subtensor(new[i], row[0]), gt.set_subtensor((s * 0)[::2], row[:, None])

    return loop(step, [x, i], [s, None])


@program()
def positions_in_arrays(given: Given) -> Any:
    x, s = given.normal(4), given.normal(3, 4)
    return loop(lambda row, s: s * 0.5 + gt.arange(4) * row + gt.eye(3, 4, 1) + gt.arange(3)[:, None], [x], [s])


# ---- positions that values give ----


@program()
def gathers(given: Given) -> Any:
    table, i, s = given.normal(7, 4), given.integers(-7, 7, 6, 3), given.normal(3, 4)
    return loop(lambda i, s: (s * 0.5 + table[i], s[i[0] % 3, 1:], s[:, i[1] % 4]), [i], [s, None, None])


@program()
def rows_of_a_table(given: Given) -> Any:
    table, i, s = given.normal(7, 33), given.integers(-7, 7, 6), given.normal(33)
    return loop(lambda i, s: s * 0.5 + table[i], [i], [s])


@program()
def rows_of_a_table_beside_a_sum(given: Given) -> Any:
    table, i, s = given.normal(7, 5), given.integers(-7, 7, 6), given.normal(3, 5)
    return loop(lambda i, s: s * 0.5 + table[i] + s.sum(1, keepdims=True) * 0.1, [i], [s])


@program()
def elements_of_a_table(given: Given) -> Any:
    table, i, s = given.normal(7), given.integers(-7, 7, 6, 3), given.normal(3)
    return loop(lambda i, s: s * 0.5 + table[i], [i], [s])


@program()
def gathers_of_computed_values(given: Given) -> Any:
    i, s = given.integers(0, 5, 6, 5), given.normal(5)

    def step(i: Any, s: Any) -> Any:
        new = np.sin(s)[i] + s[::-1] * 0.5
        return new, new[i[2]]

    return loop(step, [i], [s, None])


@program()
def scatters(given: Given) -> Any:
    i, x, s = given.integers(0, 6, 5, 3), given.normal(5, 3), given.normal(6)

    def step(i: Any, x: Any, s: Any) -> Any:
        added = gt.inc_subtensor(s[i], x)
        written = gt.set_subtensor(s[i], x * 2)
        part = gt.inc_subtensor(added[1:4], x)
        return part * 0.5 + written[::-1] * 0.1, gt.set_subtensor(s[i[0]], x.sum())

    return loop(step, [i, x], [s, None])


@program()
def scatters_into_rows(given: Given) -> Any:
    i, x, s = given.integers(0, 4, 5, 3), given.normal(5, 3, 2), given.normal(4, 2)
    return loop(lambda i, x, s: np.sin(gt.inc_subtensor(s[i], x) + s.sum(0)), [i, x], [s])


# ---- what a step holds ----


@program()
def inner_loop_final(given: Given) -> Any:
    x, s, w = given.normal(4, 3), given.normal(3), given.normal(3, 3, scale=0.5)

    def step(row: Any, s: Any) -> Any:
        return loop(lambda s: np.tanh(s @ w + row), None, [s], n_steps=3)[0][-1]

    return loop(step, [x], [s])


@program()
def inner_loop_history(given: Given) -> Any:
    x, s, w = given.normal(3, 4, 3), given.normal(3), given.normal(3, 3, scale=0.5)

    def step(rows: Any, s: Any) -> Any:
        states, sums = loop(lambda row, s: (np.tanh(s @ w + row), (s * row).sum()), [rows], [s, None])
        return states.sum(0) * 0.3 + states[1], states, sums[::-1]

    return loop(step, [x], [s, None, None])


@program()
def inner_loop_over_lanes(given: Given) -> Any:
    x, s = given.normal(3, 4, 5), given.normal(5)

    def step(rows: Any, s: Any) -> Any:
        a, b = loop(
            lambda row, old, s: (s * 0.5 + row - old, s * row),
            [rows],
            [dict(initial=gt.stack([s, -s]), taps=[-2, -1]), None],
        )
        return a[-1] + b.sum(0), b[-2:]

    return loop(step, [x], [s, None])


@program()
def inner_loop_that_stops(given: Given) -> Any:
    x, s = given.normal(4, 3), given.normal(3)

    def step(row: Any, s: Any) -> Any:
        (inner,) = loop(lambda s: (s * 1.3 + row[::-1] * 0.1, gs.until((s * s).sum() > 4)), None, [s], n_steps=9)
        return np.sin(inner[-1])

    return loop(step, [x], [s])


@program()
def loops_three_deep(given: Given) -> Any:
    s, w = given.normal(3), given.normal(3, 3, scale=0.5)

    def innermost(s: Any) -> Any:
        return np.tanh(s @ w)

    def middle(s: Any) -> Any:
        return loop(innermost, None, [s], n_steps=2)[0][-1] + s[::-1] * 0.2

    return loop(lambda s: loop(middle, None, [s], n_steps=2)[0].sum(0), None, [s], n_steps=2)


@program()
def branches(given: Given) -> Any:
    x, s, w = given.normal(6, 4), given.normal(4), given.normal(4, 4, scale=0.5)

    def step(row: Any, s: Any) -> Any:
        new, total = gs.ifelse(row.sum() > 0, [np.tanh(s @ w) + row, s.sum()], [s[::-1] * 0.5, row[0] * 1.0])
        return new + s * 0.1, total

    return loop(step, [x], [s, None])


# ---- draws ----


@program(differentiable=False)
def draws_in_lanes(given: Given) -> Any:
    s = given.normal(3, 40)

    def step(s: Any, rng: Any) -> Any:
        rng, noise = rng.normal(0, 1, size=(3, 40))
        rng, which = rng.integers(0, 9, size=(40,))
        return s * 0.9 + noise, rng, which

    return loop(step, None, [s, random.default_rng(3), None], n_steps=4)


@program(differentiable=False)
def draws_in_inner_axes(given: Given) -> Any:
    s, w = given.normal(3, 5), given.normal(5, 5, scale=0.4)

    def step(s: Any, rng: Any) -> Any:
        rng, noise = rng.uniform(-1, 1, size=(3, 5))
        rng, one = rng.integers(0, 5, size=())
        return np.tanh(s @ w) + noise, rng, s[:, one]

    return loop(step, None, [s, random.default_rng(3), None], n_steps=4)


@program(differentiable=False)
def draws_whose_states_a_loop_inside_keeps(given: Given) -> Any:
    s = given.normal(5)

    def inner(rng: Any) -> Any:
        rng, noise = rng.uniform(size=(5,))
        return noise, rng

    def step(s: Any, rng: Any) -> Any:
        noises, rngs = loop(inner, None, [None, rng], n_steps=3)
        return s * 0.5 + noises[0] - noises[2][::-1], rngs[1]

    return loop(step, None, [s, random.default_rng(8)], n_steps=3)


@program(differentiable=False)
def draws_in_a_loop_inside(given: Given) -> Any:
    s = given.normal(5)

    def inner(s: Any, rng: Any) -> Any:
        rng, noise = rng.uniform(size=(5,))
        return s[::-1] * 0.5 + noise, rng

    def step(s: Any, rng: Any) -> Any:
        states, rngs = loop(inner, None, [s, rng], n_steps=3)
        return states[-1], rngs[-1], states

    return loop(step, None, [s, random.default_rng(8), None], n_steps=3)
