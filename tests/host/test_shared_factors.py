"""Products of several matrices with one, inside a loop: stacked where that is quicker, and only where it can be."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import sorted_nodes
from gpuscan.host import shared_factors
from gpuscan.host.shared_factors import FEWEST_TERMS, stacked_products, write_order


@pytest.fixture
def always(monkeypatch):
    """Have products of any size stacked."""
    monkeypatch.setattr(shared_factors, "FEWEST_TERMS", 0)
    monkeypatch.setattr(shared_factors, "LEAST_RIGHT_SIDE", 0)
    monkeypatch.setattr("gpuscan.host.rules.LEAST_RIGHT_SIDE", 0)
    monkeypatch.setattr(shared_factors, "ROWS", range(1, 100))


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


@pytest.mark.parametrize("rows", [(4, 8), (1, 8), (4, 33), (3, 8)], ids=str)
def test_stacked_where_all_left_sides_gain(rows):
    right = random(FEWEST_TERMS // (2**12 if 3 in rows else 2**10), 2**9)  # with 4 rows twice the fewest terms
    lefts = [random(n, len(right)) for n in rows]
    found = stacked_products(right, *lefts)
    for left, product in zip(lefts, found, strict=True):
        np.testing.assert_allclose(product, left @ right, rtol=1e-9, atol=1e-9)
    assert (found[0].base is not None) == (rows == (4, 8))
    if rows == (4, 8):
        assert found[0].base is found[1].base


def siblings(a, b, c, w):
    return np.tanh(a @ w + c), np.tanh(b @ w - a), np.tanh(c @ w)


def run(step, device, count, n_steps=5):
    """Return what a loop of `count` states of different numbers of rows computes."""
    w = gt.matrix("w")
    states = [gt.matrix(f"s{i}") for i in range(count)]
    found, _ = gs.scan(step, None, states, w, n_steps=n_steps)
    f = gs.function([*states, w], found, device=device)
    return f, f(*(random(4, 3) + i for i in range(count)), random(3, 3))


def by_hand(step, count, n_steps=5):
    states, w = [random(4, 3) + i for i in range(count)], random(3, 3)
    kept = []
    for _ in range(n_steps):
        states = [np.asarray(v) for v in step(*states, w)]
        kept.append(states)
    return [np.stack(values) for values in zip(*kept, strict=True)]


def test_in_a_loop_they_are_one_product(always):
    f, found = run(siblings, "cpu", 3)
    assert f.kernel_source().count("stacked_products(") == 1
    for a, b in zip(found, by_hand(siblings, 3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def crossed(a, b, w):
    """Products with two right sides, of which each needs one of the other's."""
    u = w.T
    one = a @ w
    two = one @ u
    three = b @ u
    four = three @ w
    return np.tanh(two + four), np.tanh(one - three)


def test_products_that_need_each_other_stay_in_order(always):
    _, found = run(crossed, "cpu", 2)
    for a, b in zip(found, by_hand(crossed, 2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def chain(a, b, w):
    """A product that needs another with the same right side, beside one that needs neither."""
    first = a @ w
    return np.tanh(first @ w), np.tanh(b @ w + first)


def test_a_chain_is_not_stacked_with_itself(always):
    f, found = run(chain, "cpu", 2)
    assert f.kernel_source().count("stacked_products(") == 1
    for a, b in zip(found, by_hand(chain, 2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_random_steps_are_written_in_an_order_that_can_be_computed(always):
    rng = np.random.default_rng(0)
    for _ in range(30):
        values = [gt.matrix(name) for name in "abc"]
        for _ in range(20):
            x, y = (values[i] for i in rng.integers(0, len(values), 2))
            values.append(x @ values[rng.integers(0, 3)] if rng.random() < 0.5 else x + y)
        nodes = sorted_nodes(values)
        there = set(values[:3])
        for together in write_order(nodes):
            assert all(v in there for node in together for v in node.inputs)
            there.update(v for node in together for v in node.outputs)
        assert there >= set(values)


def test_nodes_stay_in_place_where_nothing_is_stacked():
    a, w, small = gt.matrix("a"), gt.matrix("w"), gt.tensor("small", shape=(8, 8))
    vector = gt.vector("vector")
    cases = {
        "one product": [a @ w, a + w],
        "two right sides": [a @ w, a @ w.T],
        "a right side known to be small": [a @ small, (a + 1) @ small],
        "vectors": [vector @ w, (vector + 1) @ w],
        "an effect": [gs.printing.Print("a")(a) @ w, (a + 1) @ w],
    }
    for name, values in cases.items():
        nodes = sorted_nodes(values)
        assert [node for (node,) in write_order(nodes)] == nodes, name


def test_kernels_and_functions_outside_of_loops_multiply_apart(always):
    a, b, w = gt.matrix("a"), gt.matrix("b"), gt.matrix("w")
    assert "stacked_products" not in gs.function([a, b, w], [a @ w, b @ w], device="cpu").kernel_source()
    f, found = run(siblings, "emulator", 3)
    assert "stacked_products" not in f.kernel_source()
    for one, other in zip(found, run(siblings, "cpu", 3)[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
