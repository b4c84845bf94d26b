"""Walking and rebuilding graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gpuscan.tensor as gt
from gpuscan.graph import Op, dependents, free_values, leaves, sorted_nodes, substitute


@dataclass(frozen=True)
class Both(Op):
    """An op with two outputs, for tests."""

    def infer(self, inputs: Any) -> Any:
        return (inputs[0].type, inputs[0].type)


def names(nodes: Any) -> list[str]:
    return [str(node.op) for node in nodes]


def test_nodes_come_after_what_they_depend_on() -> None:
    x = gt.vector("x")
    a = gt.exp(x)
    b = gt.log(a)
    c = a * b
    assert names(sorted_nodes([c])) == ["exp", "log", "mul"]
    assert names(sorted_nodes([c, a])) == ["exp", "log", "mul"]
    assert names(sorted_nodes([c], stop_at=[a])) == ["log", "mul"]
    assert names(sorted_nodes([c], stop_at=[c])) == []
    assert sorted_nodes([]) == []


def test_the_order_is_the_same_every_time() -> None:
    x = [gt.vector() for _ in range(5)]
    total = sum((gt.exp(v) for v in x), start=gt.constant(0.0))
    order = sorted_nodes([total])
    assert all(sorted_nodes([total]) == order for _ in range(5))
    assert [n.inputs[0] for n in order if str(n.op) == "exp"] == x


def test_leaves_and_free_values() -> None:
    x, y, c = gt.vector("x"), gt.vector("y"), gt.constant(2.0)
    z = x * c + y
    assert leaves([z]) == [x, c, y]
    assert leaves([z, x]) == [x, c, y]
    assert free_values([z], [x]) == [y]
    assert free_values([z], [z]) == []
    assert free_values([c], []) == []
    product = z.owner.inputs[0]
    assert leaves([z], stop_at=[product]) == [product, y]
    assert free_values([z], [product]) == [y]


def test_dependents() -> None:
    x, y = gt.vector("x"), gt.vector("y")
    a, b = gt.exp(x), gt.exp(y)
    c = a + b
    assert dependents([c], [x]) == {x, a, c}
    assert dependents([c], [b]) == {b, c}
    assert dependents([c], []) == set()


def test_substitute() -> None:
    x, y, z = gt.vector("x"), gt.vector("y"), gt.tensor("z", shape=(3,))
    a, b = gt.exp(x), gt.exp(y)
    c = a + b
    c.name = "c"
    (new,) = substitute([c], {x: z})
    assert new.name == "c"
    assert new.type.shape == (3,)
    assert new.owner.inputs[1] is b, "what depends on no key is kept"
    assert new.owner.where == c.owner.where
    assert substitute([c], {}) == [c]
    assert substitute([x, c], {x: z, c: y}) == [z, y]
    assert substitute([gt.log(c)], {c: x})[0].owner.inputs[0] is x


def test_a_replacement_is_not_looked_into() -> None:
    x = gt.vector("x")
    y = x + 1
    (new,) = substitute([y], {x: y})
    assert new.owner.inputs[0] is y


def test_one_output_of_a_node_is_replaced() -> None:
    x, y, z = gt.vector("x"), gt.vector("y"), gt.vector("z")
    first, second = Both().apply(x)
    total = first - second
    (new,) = substitute([total], {first: y, x: z})
    assert new.owner.inputs[0] is y
    assert new.owner.inputs[1].owner.inputs == (z,)
