"""Graphs pickled and copied: the same structure, what was one is one again, and no chain is too long."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest protocol": lambda value: pickle.loads(pickle.dumps(value, 2)),
    "in Python": lambda value: pickle.loads(pickle._dumps(value)),
    "deepcopy": copy.deepcopy,
}
every_way = pytest.mark.parametrize("again", WAYS.values(), ids=list(WAYS))
x = gt.vector("x")


@every_way
def test_leaves(again):
    y = again(x)
    assert (y.name, y.type, y.owner, y is x) == ("x", x.type, None, False)
    c = again(gt.constant(np.arange(3), name="c"))
    np.testing.assert_array_equal(c.data, [0, 1, 2])
    assert not c.data.flags.writeable
    s = gs.shared(np.arange(3.0), name="s", shape=(3,))
    t = again(s)
    t.set_value([4.0, 5.0, 6.0])
    assert (t.name, t.type, s.get_value()[0]) == ("s", s.type, 0)


@every_way
def test_what_was_one_is_one_again(again):
    double = x * 2
    more = double + 1
    for first, second in ([double, more], [more, double]):
        found = dict(zip(["first", "second"], again([first, second]), strict=True))
        (a, b) = (found["first"], found["second"]) if first is double else (found["second"], found["first"])
        assert b.owner.inputs[0] is a
    y, z = again((x, x + x))
    assert z.owner.inputs[0] is y and z.owner.inputs[1] is y


@every_way
def test_names_places_and_values(again):
    y = gt.exp(x).sum()
    y.name = "y"
    z = again(y)
    assert (z.name, z.type, z.owner.where, z.owner.op) == ("y", y.type, y.owner.where, y.owner.op)
    (leaf,) = [v for v in gs.graph.leaves([z]) if v.name == "x"]
    assert z.eval({leaf: [0.0, 1.0]}, device="cpu") == y.eval({x: [0.0, 1.0]}, device="cpu")


@every_way
def test_loops(again):
    def step(row, total):
        inner, _ = gs.scan(lambda s: s * row, outputs_info=total, n_steps=2, name="inner")
        return inner[-1] + row, gs.until(total > 100)

    out, _ = gs.scan(step, x, np.float64(1), name="outer", truncate_gradient=5)
    y, copied = again((x, out))
    assert copied.owner.op == out.owner.op
    assert gs.debugprint(copied, file="str") == gs.debugprint(out, file="str")
    np.testing.assert_array_equal(copied.eval({y: [2.0, 3.0]}), out.eval({x: [2.0, 3.0]}))


@every_way
def test_closed_graphs(again):
    graph = Graph.close([x], [gt.exp(x) + x, x])
    assert again(graph) == graph
    assert hash(again(graph)) == hash(graph)


LONG = 20_000


def chain() -> gs.Variable:
    y: gs.Variable = x
    for _ in range(LONG):
        y = y + 1.0
    return y


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_long_chains(way):
    copied = WAYS[way](chain())
    assert len(gs.graph.sorted_nodes([copied])) == LONG


def test_a_long_chain_in_a_function():
    f = gs.function([x], chain(), device="cpu")
    np.testing.assert_array_equal(WAYS["pickle"](f)([0.0, 1.0]), [LONG, LONG + 1])


def test_a_long_chain_in_a_step():
    out, _ = gs.scan(lambda row: row + chain().owner.inputs[0].sum() * 0, x)
    assert WAYS["pickle"](out).type == out.type


def test_a_failed_pickle_leaves_nothing_behind():
    y = gt.exp(x) + 1
    unpicklable = [y, lambda: None]
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(unpicklable)
    copied = WAYS["pickle"](y)
    assert copied.owner.op == y.owner.op
