"""Elements rolled, turned around, padded and taken along axes against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.emulator import find_compiler
from gpuscan.errors import KernelError
from tests.tensor.agree import agree

X = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(6, dtype="int16").reshape(2, 3)

# ---- rolled and turned around ----


@pytest.mark.parametrize("shift", [0, 1, -1, 2, -5, 7, 24])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_roll(shift: int, axis: int | None) -> None:
    expected = np.roll(X, shift, axis)
    agree(lambda x: gt.roll(x, shift, axis), expected, X)
    agree(lambda x: gt.roll(x, np.int8(shift), axis), expected, X)
    for dtype in ("int64", "int8", "uint32") if shift >= 0 else ("int64", "int8"):
        agree(lambda x, s: gt.roll(x, s, axis), expected, X, np.array(shift, dtype))


def test_roll_along_several_axes() -> None:
    for shift, axis in [((1, 2), (0, 1)), (2, (1, 2)), ((1, 1), 1), ((1, -2, 3), (2, 0, 2)), ([1], (0, 2))]:
        agree(lambda x: gt.roll(x, shift, axis), np.roll(X, shift, axis), X)  # noqa: B023
    agree(lambda x: gt.roll(x, np.array([1, 2]), (0, 2)), np.roll(X, (1, 2), (0, 2)), X)
    agree(lambda x, s: gt.roll(x, (s, 1), (0, 1)), np.roll(M, (2, 1), (0, 1)), M, np.array(2))
    agree(lambda x: gt.roll(x, np.array(2), 0), np.roll(X, 2, 0), X)
    agree(lambda x: gt.roll(x, (1, 2)), np.roll(X, (1, 2)), X)


def test_roll_of_little() -> None:
    agree(lambda x: gt.roll(x, 3), np.array(2.0), np.array(2.0))
    empty = np.zeros((0, 2))
    agree(lambda x: [gt.roll(x, 1, 0), gt.roll(x, 1, 1), gt.roll(x, 1)], [empty] * 3, empty)
    agree(lambda x, s: gt.roll(x, s, 0), empty, empty, np.array(1))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
def test_flip(axis: Any) -> None:
    agree(lambda x: gt.flip(x, axis), np.flip(X, axis), X)


def test_flip_by_name() -> None:
    agree(lambda x: [gt.flipud(x), gt.fliplr(x)], [np.flipud(X), np.fliplr(X)], X)
    agree(gt.flipud, M[0, ::-1], M[0])
    agree(gt.flip, np.array(1.5), np.array(1.5))


# ---- padded ----


@pytest.mark.parametrize("mode", ["constant", "edge", "wrap", "reflect"])
@pytest.mark.parametrize("widths", [0, 1, 3, 9, (1, 2), ((1, 2), (0, 5)), ((0, 0), (7, 0)), ((1,), (2,))])
def test_pad(mode: str, widths: Any) -> None:
    agree(lambda x: gt.pad(x, widths, mode), np.pad(M, widths, mode), M)


def test_pad_with_constants() -> None:
    for values in (7, (1, 2), ((1, 2), (3, 4)), ((1,), (2,)), np.int8(3)):
        expected = np.pad(M, ((1, 2), (3, 0)), constant_values=values)
        agree(lambda x: gt.pad(x, ((1, 2), (3, 0)), constant_values=values), expected, M)  # noqa: B023
    agree(lambda x, c: gt.pad(x, 2, constant_values=c), np.pad(X, 2, constant_values=0.5), X, np.array(0.5))
    agree(lambda x: gt.pad(x, 1), np.pad(np.zeros((0, 2), "bool"), 1), np.zeros((0, 2), "bool"))
    single = X[0].astype("float32")
    agree(lambda x: gt.pad(x, 1, constant_values=(0.1, 2)), np.pad(single, 1, constant_values=(0.1, 2)), single)


def test_pad_of_one_element_and_of_none() -> None:
    for mode in ("edge", "wrap", "reflect"):
        agree(lambda x: gt.pad(x, (2, 3), mode), np.pad(M[0, :1], (2, 3), mode), M[0, :1])  # noqa: B023
        with pytest.raises((IndexError, ValueError)):
            gt.pad(x := gt.vector(), 1, mode).eval({x: np.zeros(0)}, device="cpu")


# ---- taken ----


def test_take_along_axis() -> None:
    rng = np.random.default_rng(0)
    for axis in (0, 1, -1):
        order = np.argsort(rng.random(X.shape), axis=axis)
        few = order.take([0, 1], axis)
        best = np.argmax(X, axis, keepdims=True)
        for indices in (order, few - 1, best, best[:1].astype("uint8")):
            agree(
                lambda x, i: gt.take_along_axis(x, i, axis),  # noqa: B023
                np.take_along_axis(X, indices, axis),
                X,
                indices,
            )
    agree(lambda x: gt.take_along_axis(x, gt.argsort(x)), np.sort(X), X)
    agree(lambda x: gt.take_along_axis(x, np.array([5, -1]), None), np.array([5.0, 23]), X)
    agree(
        lambda x, i: gt.take_along_axis(x, i, 1),
        X[:1, :2] + np.zeros((2, 1, 1)),
        X[:1],
        np.tile([[[0], [1]]], (2, 1, 4)),
    )


# ---- inside a loop ----


def step(module: Any, row: Any, at: Any, state: Any, weights: Any) -> Any:
    shifted = module.roll(state, 1, axis=-1) - module.roll(state, at[0, 0], axis=-1) + module.flip(row, -1)
    padded = module.pad(shifted, ((0, 0), (1, 2)), mode="reflect") + module.pad(state, ((0, 0), (2, 1)))
    taken = module.take_along_axis(padded, at, axis=-1)
    # NumPy before 2.2 has no matvec.
    return module.tanh(gt.matvec(weights, taken) if module is gt else taken @ weights.T)


def test_a_loop_is_one_launch() -> None:
    try:
        find_compiler()
    except KernelError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3, 4)), rng.integers(0, 7, (5, 3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    expected = values[2]
    for row, at in zip(*values[:2], strict=True):
        expected = step(np, row, at, expected, values[3])
    inputs = [gt.tensor3("rows"), gt.ltensor3("positions"), gt.matrix("start"), gt.matrix("weights")]
    states, _ = gs.scan(
        lambda *parts: step(gt, *parts), sequences=inputs[:2], outputs_info=inputs[2], non_sequences=inputs[3]
    )
    f = gs.function(inputs, states[-1], device="emulator")
    np.testing.assert_allclose(f(*values), expected, rtol=1e-12)
    assert len(f.plans) == 1
    assert all(plan.team != "host" for plan in f.plans), f.explain("str")


def test_a_roll_that_leaves_one_part_in_a_kernel() -> None:
    try:
        find_compiler()
    except KernelError as error:
        pytest.skip(str(error))
    x = gt.matrix("x")
    states, _ = gs.scan(lambda s: gt.roll(s, 1, 0) * 0.5 + gt.roll(s, 2, 1), None, x, n_steps=3)
    f, reference = (gs.function([x], states[-1], device=device) for device in ("emulator", "cpu"))
    for shape in [(1, 5), (4, 2), (1, 1)]:  # where a shift is a multiple of the size, one of two slices has no elements
        values = np.arange(float(np.prod(shape))).reshape(shape)
        np.testing.assert_array_equal(f(values), reference(values))
        assert f.plans[0].team != "host", f.explain("str")


# ---- errors ----


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: gt.roll(x, 1, 2), "roll: there is no axis 2 in an array of 2 axes"),
        (lambda x: gt.roll(x, (1, 2), (0, 1, 0)), "roll: 2 shifts for 3 axes; give one shift, or one for each axis"),
        (lambda x: gt.roll(x, 0.5), r"roll: a shift must be an integer, or a sequence of them; found float64\[\]"),
        (lambda x: gt.roll(x, x), "roll: a shift must be an integer"),
        (lambda x: gt.flip(x, (0, 0)), "flip: axis .* names an axis twice"),
        (lambda x: gt.flipud(1.5), r"flipud: the array is float64\[\]; it needs an axis or more"),
        (lambda x: gt.fliplr(x[0]), r"fliplr: the array is float64\[\?\]; it needs 2 axes or more"),
        (lambda x: gt.pad(x, 1, "mean"), "pad: there is no mode 'mean'; use 'constant', 'edge', 'wrap', 'reflect'"),
        (lambda x: gt.pad(x, (1, -1)), "pad: widths must not be negative"),
        (lambda x: gt.pad(x, 0.5), "pad: widths must be integers known while the graph is built; found 0.5"),
        (lambda x: gt.pad(x, x.shape[0]), "pad: widths must be integers known .* Use concatenate with full"),
        (lambda x: gt.pad(x, ((1, 2), (1, x.size))), "pad: widths must be integers known"),
        (lambda x: gt.pad(x, ((1, 2),) * 3), "pad: widths .* do not fit 2 axes; give a number, a pair, or a pair for"),
        (lambda x: gt.pad(gt.constant([1]), 1, constant_values=0.5), "pad: constant_values of float64.* without loss"),
        (lambda x: gt.pad(x, 1, constant_values=(1, 2, 3)), "cannot be broadcast"),
        (lambda x: gt.pad(np.zeros((2, 0)), 1, "wrap"), "pad: axis 1 of the array, .*, is empty and mode 'wrap'"),
        (
            lambda x: gt.take_along_axis(x, [[0.5]]),
            r"take_along_axis: indices must be integers; they are float64\[1, 1",
        ),
        (lambda x: gt.take_along_axis(x, [1, 2]), r"take_along_axis: indices are int64\[2\] and x is .* equally many"),
        (lambda x: gt.take_along_axis(x, [[1, 2]], None), "must have equally many axes. Use take for"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong(gt.matrix("x"))
