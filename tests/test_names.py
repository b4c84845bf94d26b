"""Programs written for PyTensor, Aesara or Theano run with their imports changed: the names are where they look."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as pytensor
import gpuscan.tensor as pt


def found(path: str) -> object:
    thing: object = pytensor
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


NAMES = [
    *("scan", "map", "reduce", "foldl", "foldr", "filter", "until", "shared", "function", "config", "Mode", "get_mode"),
    *("In", "Out", "dprint", "config.floatX", "config.mode", "config.change_flags", "config.scan__allow_gc"),
    *("scan.utils.until", "scan.views.map", "scan_module.until", "scan_module.scan", "scan_module.reduce"),
    *("grad", "Lop", "Rop", "jacobian", "hessian", "verify_grad", "disconnected_grad", "zero_grad", "scan_checkpoints"),
    *("graph.Variable", "graph.Apply", "graph.Op", "graph.Constant", "compile.function", "compile.Mode", "compile.In"),
    *("tensor.constant", "tensor.as_tensor_variable", "tensor.shape", "tensor.dot", "tensor.set_subtensor"),
]


@pytest.mark.parametrize("path", NAMES)
def test_where_names_are(path):
    assert found(path) is not None


def test_names_that_are_one_thing():
    until, scan = pytensor.until, pytensor.scan
    assert found("scan.utils.until") is found("scan_module.until") is until
    assert found("scan_module.scan") is scan


def test_what_is_public_is_there():
    assert len(set(pytensor.__all__)) == len(pytensor.__all__)
    for name in pytensor.__all__:
        assert hasattr(pytensor, name)


@pytensor.config.change_flags(floatX="float32", mode="FAST_COMPILE")
def train() -> list[float]:
    """A network trained by hand, as such programs are written."""
    rng = np.random.default_rng(1)
    floatX = pytensor.config.floatX
    W = pytensor.shared(rng.normal(size=(3, 3)).astype(floatX) * 0.1, name="W")
    u, h0 = pt.matrix("u"), pt.vector("h0")
    rate = pt.scalar("rate")

    def one_step(u_t, h_tm1, W):
        return pt.tanh(u_t + pt.dot(h_tm1, W))

    h, updates = pytensor.scan(
        fn=one_step, sequences=[u], outputs_info=[h0], non_sequences=[W], truncate_gradient=-1, strict=True
    )
    cost = (h[-1] ** 2).sum()
    step = pytensor.function(
        inputs=[u, h0, pytensor.In(rate, value=0.1)],
        outputs=cost,
        updates=[*updates.items(), (W, (W * (1 - rate)).astype(floatX))],
        mode=pytensor.get_mode(None).excluding("fusion"),
        allow_input_downcast=True,
        on_unused_input="ignore",
    )
    return [float(step(np.ones((5, 3)), np.zeros(3))) for _ in range(3)]


def test_a_program():
    costs = train()
    assert len(costs) == 3
    assert costs[0] != costs[-1]


def test_until_as_the_documents_write_it():
    def power_of_2(previous_power, max_value):
        return previous_power * 2, pytensor.scan.utils.until(previous_power * 2 > max_value)

    max_value = pt.scalar()
    values, _ = pytensor.scan(power_of_2, outputs_info=pt.constant(1.0), non_sequences=max_value, n_steps=1024)
    f = pytensor.function([max_value], values)
    np.testing.assert_array_equal(f(45), [2, 4, 8, 16, 32, 64])
