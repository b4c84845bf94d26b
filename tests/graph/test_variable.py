"""Variables and nodes: they never change, they know who made them, they are copied by pickle."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gpuscan.tensor as gt
from gpuscan.graph import Apply, Constant, Op, TensorType, Variable
from gpuscan.graph.location import PACKAGE, user_location


@pytest.mark.parametrize("attribute", ["type", "owner", "index", "known", "other"])
def test_only_the_name_of_a_variable_changes(attribute: str) -> None:
    x = gt.vector("x")
    x.name = "y"
    assert repr(x) == "<y: float64[?]>"
    with pytest.raises(
        AttributeError, match=f"Variable.{attribute} cannot be set: it never changes; build another one"
    ):
        setattr(x, attribute, None)
    assert x.type == TensorType("float64", (None,))


def test_nodes_and_constants_do_not_change() -> None:
    node = (gt.vector() + 1).owner
    assert node is not None
    for attribute in ("op", "inputs", "outputs", "where"):
        with pytest.raises(AttributeError, match=f"Apply.{attribute} cannot be set"):
            setattr(node, attribute, None)
    with pytest.raises(AttributeError, match=r"Constant\.data cannot be set"):
        gt.constant(1).data = np.zeros(())
    s = gt.shared(1.0)
    with pytest.raises(AttributeError, match=r"SharedVariable\.type cannot be set"):
        s.type = TensorType("int8", ())


def test_attributes() -> None:
    x = gt.row("x")
    assert (x.dtype, x.ndim, x.static_shape, x.broadcastable) == ("float64", 2, (1, None), (True, False))
    y = x * 2
    assert y.owner is not None
    assert (y.owner.inputs[0], y.owner.outputs, y.index) == (x, (y,), 0)
    assert repr(y) == "<mul: float64[1, ?]>"
    assert repr(gt.constant(2)) == "<2: int8[]>"
    assert repr(gt.constant([1, 2])) == "<constant: int64[2]>"
    assert repr(gt.vector()) == "<Variable: float64[?]>"
    assert repr(y.owner) == "mul(<x: float64[1, ?]>, <2.0: float64[]>)"


def test_the_users_own_line_is_remembered() -> None:
    x = gt.vector()
    here = user_location()
    y = np.tanh(x.reshape((2, -1)).sum(axis=0))
    made = []
    v: Variable = y
    while v.owner is not None:
        made.append(v.owner.where)
        v = v.owner.inputs[0]
    assert made == [(__file__, here.line + 1)] * 3
    assert str(made[0]) == f"{__file__}:{here.line + 1}"


def test_a_folder_that_is_named_like_the_package_is_the_users() -> None:
    file = PACKAGE[:-1] + "_models/model.py"
    namespace: dict[str, Any] = {"user_location": user_location}
    exec(compile("\n\nwhere = user_location()", file, "exec"), namespace)
    assert namespace["where"] == (file, 3)


@dataclass(frozen=True)
class Both(Op):
    """An op with two outputs, for tests."""

    def infer(self, inputs: Any) -> Any:
        return (inputs[0].type, inputs[0].type)


def test_a_node_with_several_outputs() -> None:
    first, second = Both().apply(gt.vector("x"))
    assert first.owner is second.owner
    assert (first.index, second.index, str(first.owner.op)) == (0, 1, "both")
    with pytest.raises(ValueError, match="too many values"):
        Both()(gt.vector())


def test_a_node_is_made_again_over_other_inputs() -> None:
    x = gt.vector()
    node = (x + 1).owner
    assert node is not None
    again = node.with_inputs([gt.tensor(shape=(3,)), node.inputs[1]])
    assert (again.op, again.where) == (node.op, node.where)
    assert again.outputs[0].type.shape == (3,)


def test_pickling_a_small_graph() -> None:
    x, c = gt.vector("x"), gt.constant(np.ones(3), "c")
    y = (x * c).sum()
    y.name = "y"
    again, of = pickle.loads(pickle.dumps((y, x)))
    assert (again.name, again.type, of.name) == ("y", y.type, "x")
    assert again.eval({of: [1.0, 2, 3]}, device="cpu") == 6
    constant = again.owner.inputs[0].owner.inputs[1]
    assert isinstance(constant, Constant)
    assert not constant.data.flags.writeable
    assert isinstance(again.owner, Apply)
    assert again.owner.where == y.owner.where


def test_a_copy_is_another_variable() -> None:
    x = gt.vector("x")
    other = copy.deepcopy(x)
    assert other is not x
    assert (other.name, other.type) == (x.name, x.type)


def test_a_pickled_graph_equals_itself_in_another_process() -> None:
    """Hashes of strings differ between processes, so none may travel."""
    program = (
        "import pickle, sys, gpuscan.tensor as gt\n"
        "from gpuscan.graph import Graph\n"
        "x = gt.vector(); g = Graph.close([x], [gt.tanh(x) * 2]); hash(g)\n"
        "sys.stdout.buffer.write(pickle.dumps(g))"
    )
    pickled = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    graph = pickle.loads(pickled)
    x = gt.vector()
    assert graph == type(graph).close([x], [gt.tanh(x) * 2])
    assert len({graph, type(graph).close([x], [gt.tanh(x) * 2])}) == 1
