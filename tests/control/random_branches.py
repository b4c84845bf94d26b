"""Graphs of branches, calls and loops that nobody would write, for hypothesis to draw."""

from __future__ import annotations

from random import Random
from typing import Any

import gpuscan as gs
import gpuscan.tensor as gt

x, n = gt.vector("x"), gt.lscalar("n")


def condition(draw: Random, values: list[Any]) -> Any:
    return draw.choice([n > draw.randint(-2, 2), draw.choice(values).sum() > 0.3, gt.eq(n % 2, 0)])


def loop(a: Any, b: Any, rows: Any, init: Any) -> Any:
    def step(row: Any, s: Any) -> Any:
        new = gs.ifelse(s.sum() > 0, row * a.sum() + s * 0.1, b * 0.2 + s)
        return gs.ifelse(n > 0, new, new * 0.5)

    return gs.scan(step, rows, [init], n_steps=2)[0][-1]


def program(draw: Random) -> list[gs.Variable]:
    """Return values, each computed from some of those before it."""
    values = [x, x * 2, gt.exp(-x * x)]
    for _ in range(draw.randint(2, 12)):
        a, b, c, d = (draw.choice(values) for _ in range(4))
        kind = draw.choice(["one", "one", "two", "pointwise", "pointwise", "call", "loop"])
        if kind == "one":
            values.append(gs.ifelse(condition(draw, values), a, b))
        elif kind == "two":
            values += gs.ifelse(condition(draw, values), [a, b], [c, d])
        elif kind == "pointwise":
            values.append(gt.tanh(a - b * 0.5))
        elif kind == "call":
            either = gs.ifelse(x.sum() > 0, x + 1, x * 3)
            values += gs.OpFromGraph([x], [either, x - 1], inline=draw.random() < 0.5)(a)
        else:
            values.append(loop(a, b, c, d))
    return [draw.choice(values[3:]) for _ in range(draw.randint(1, 3))]
