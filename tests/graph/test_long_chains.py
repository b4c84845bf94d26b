"""Graphs longer than Python's stack: nothing in the life of a graph may be recursive."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, Variable, debugprint, leaves, sorted_nodes, substitute, verify

LENGTH = 20_000


@pytest.fixture(scope="module")
def chain() -> tuple[Variable, Variable]:
    """An input, and what a chain of `LENGTH` nodes makes of it."""
    assert sys.getrecursionlimit() < LENGTH
    x = gt.vector("x")
    y = x
    for _ in range(LENGTH // 2):
        y = gt.tanh(y + 1.0)
    return x, y


def test_walking(chain: tuple[Variable, Variable]) -> None:
    x, y = chain
    assert len(sorted_nodes([y])) == LENGTH
    assert leaves([y])[0] is x
    z = gt.tensor("z", shape=(3,))
    assert substitute([y], {x: z})[0].type.shape == (3,)


def test_closing_hashing_and_checking(chain: tuple[Variable, Variable]) -> None:
    x, y = chain
    a, b = Graph.close([x], [y]), Graph.close([x], [y])
    assert hash(a) == hash(b)
    assert a == b
    verify(a, after="nothing")


def test_printing(chain: tuple[Variable, Variable]) -> None:
    _, y = chain
    text = debugprint(y, file="str", print_type=False)
    assert text is not None
    assert len(text) < 200 * LENGTH
    lines = text.splitlines()
    assert lines[1] == "| add %1"
    assert lines[-1].endswith("1.0")
    assert f"(depth {LENGTH}) x" in text


def test_compiling_and_running(chain: tuple[Variable, Variable]) -> None:
    x, y = chain
    value = np.array([0.1, 0.2])
    expected = value
    for _ in range(LENGTH // 2):
        expected = np.tanh(expected + 1.0)
    np.testing.assert_allclose(gs.function([x], y, device="cpu")(value), expected)


def test_a_long_chain_of_views_and_sizes() -> None:
    x = gt.matrix("x")
    y = x
    for _ in range(1000):
        y = y.T.reshape(y.shape)
    assert y.eval({x: np.ones((2, 3))}, device="cpu").shape == (2, 3)
