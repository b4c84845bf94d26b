"""Draws that no thread can do by itself, made of draws that each thread does for its own elements.

A sample of a category, of a vector or of an order comes from several random numbers, or from a whole array of
parameters. In a step it is written as the ops that NumPy's way of drawing it consists of (`tensor.random.samplers`):
uniforms, normals, keys and counts, each of the same element of the same random state as there, and what is done with
them. All rules for lanes, places and teams hold for these ops as for any others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, final

import gpuscan.tensor as gt
from gpuscan.graph import Apply, Shape, Variable, sorted_nodes, substitute
from gpuscan.loop import scan
from gpuscan.tensor.random.draw import Draw

Composition = Callable[..., Variable]


def compose_draws(outputs: Sequence[Variable], given: Collection[Variable]) -> list[Variable]:
    """Return `outputs` with every draw that no thread can do by itself made of draws that threads can.

    Draws of a size that depends on values stay as they are.
    """
    found: dict[Variable, Variable] = {}
    for node in sorted_nodes(outputs, given):
        if isinstance(node.op, Draw) and node.op.spec.c is None and None not in node.outputs[1].type.shape:
            found |= zip(node.outputs, _composed(node), strict=True)
    return substitute(outputs, found)


def _composed(node: Apply) -> tuple[Variable, Variable]:
    """Return the next state and the sample of a draw."""
    op, (_, old) = node.op, node.outputs
    assert isinstance(op, Draw)
    state, sizes, parameters = op.split(node.inputs)
    shapes = [v.type.shape for v in parameters]
    size = None if op.axes is None else tuple(v.known for v in sizes)
    batch, core, _ = op.spec.shapes(size, shapes)
    draws = _Draws(state, tuple(n or 0 for n in batch))
    sample = COMPOSITIONS[op.distribution](draws, *parameters)
    sample = gt.broadcast_to(sample.astype(op.dtype), (*batch, *core))
    sample.name = old.name
    return draws.following(), sample


@final
@dataclass(frozen=True)
class _Draws:
    """What threads can draw from one state.

    Attributes
    ----------
    state : Variable
        The random state; all draws are from this one, of different elements or blocks.
    batch : tuple of int
        The batch axes of the sample.
    """

    state: Variable
    batch: tuple[int, ...]

    def draw(self, distribution: str, size: Shape, *parameters: Any, dtype: str = "float64") -> Variable:
        """Return a sample, in double precision by default: whatever the dtype is, devices decide alike."""
        sizes = map(gt.constant, size)
        return Draw(distribution, dtype, len(size)).apply(self.state, *sizes, *map(gt.as_tensor_variable, parameters))[
            1
        ]

    def following(self) -> Variable:
        """Return the state after the draw."""
        return Draw("bits", "uint64", 0).apply(self.state)[0]


# ---- what each is made of; the reasons for a method are with the samplers ----


def _categorical(d: _Draws, p: Variable) -> Variable:
    (categories,) = p.type.shape[-1:]
    if categories == 1:
        return gt.zeros(d.batch, "int64")
    cumulated = gt.cumsum(p.astype("float64"), -1)
    level = d.draw("uniform", d.batch, 0.0, 1.0) * cumulated[..., -1]
    return (cumulated[..., :-1] <= level[..., None]).sum(-1)


def _choice(d: _Draws, a: Variable) -> Variable:
    return a[d.draw("integers", d.batch, 0, a.type.shape[0], dtype="int64")]


def _weighted_choice(d: _Draws, a: Variable, p: Variable) -> Variable:
    return a[_categorical(d, p)]


def _order(d: _Draws, size: Shape) -> Variable:
    return gt.argsort(d.draw("bits", size, dtype="uint64"), -1, kind="stable")


def _first_places(d: _Draws, a: Variable, order: Variable) -> Variable:
    return a[order[: prod(d.batch)].reshape(d.batch)]


def _subset(d: _Draws, a: Variable) -> Variable:
    return _first_places(d, a, _order(d, a.type.shape[:1]))


def _weighted_subset(d: _Draws, a: Variable, p: Variable) -> Variable:
    possible = p > 0
    waits = d.draw("exponential", a.type.shape[:1], 1.0) / gt.where(possible, p.astype("float64"), 1.0)
    order = gt.argsort(gt.where(possible, waits, float("inf")), kind="stable")
    return _first_places(d, a, order)


def _permutation(d: _Draws, x: Variable) -> Variable:
    return x[_order(d, (*d.batch, x.type.shape[0]))]


def _dirichlet(d: _Draws, alphas: Variable) -> Variable:
    logs = d.draw("log_gamma", (*d.batch, *alphas.type.shape[-1:]), alphas.astype("float64"))
    weights = gt.exp(logs - logs.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _multinomial(d: _Draws, n: Variable, p: Variable) -> Variable:
    p = p.astype("float64")
    (categories,) = p.type.shape[-1:]
    rest = gt.cumsum(p[..., ::-1], -1)[..., ::-1]
    shares = gt.where(rest > 0, gt.minimum(p / gt.where(rest > 0, rest, 1.0), 1.0), 0.0)

    def count(j: Variable, left: Variable, shares: Variable, state: Variable) -> tuple[Variable, Variable]:
        inside = _Draws(state, d.batch)
        drawn = inside.draw("numbered_binomial", d.batch, left, shares[..., j], j, categories, dtype="int64")
        return drawn, left - drawn

    left = gt.broadcast_to(n.astype("int64"), d.batch)
    (counts, _), _ = scan(count, gt.arange(categories), [None, left], [shares, d.state], strict=True)
    return gt.moveaxis(counts, 0, -1)


def _multivariate_normal(d: _Draws, mean: Variable, cov: Variable) -> Variable:
    z = d.draw("standard_normal", (*d.batch, *cov.type.shape[-1:]))
    return mean + gt.matmul(gt.linalg.cholesky(cov.astype("float64")), z[..., None])[..., 0]


COMPOSITIONS: dict[str, Composition] = {
    "categorical": _categorical,
    "choice": _choice,
    "weighted_choice": _weighted_choice,
    "subset": _subset,
    "weighted_subset": _weighted_subset,
    "permutation": _permutation,
    "dirichlet": _dirichlet,
    "multinomial": _multinomial,
    "multivariate_normal": _multivariate_normal,
}
"""From a row of the table of distributions that has no text for one thread to what makes a sample of it."""
