"""Every wrong loop gets an error in the words of the caller. Each test reads the whole message."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

x, X, s, w = gt.vector("x"), gt.matrix("X"), gt.vector("s"), gt.scalar("w")
n, longs = gt.iscalar("n"), gt.lvector("longs")
shared = gs.shared(np.float32(1), name="shared")


def message_of(build: Callable[[], Any], error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        build()
    assert type(caught.value) is error
    return str(caught.value)


def scan(*args: Any, **kwargs: Any) -> Callable[[], Any]:
    return lambda: gs.scan(*args, **kwargs)


# ---- arguments ----

ARGUMENTS = {
    "no length": (
        scan(lambda s: s, outputs_info=s),
        "scan: there is nothing to tell the number of steps; pass n_steps or a sequence",
    ),
    "no function": (
        scan(x, X),
        "scan: fn must be a function that computes one step; found <x: float64[?]>",
    ),
    "fn and sequences exchanged": (
        lambda: gs.map(x, lambda a: a),
        "scan: fn must be a function that computes one step; found <x: float64[?]>",
    ),
    "the order that arguments once had": (
        scan(lambda a: a, x, None, None, None, True),
        "scan: truncate_gradient must be the number of steps that gradients go back through, at least 1, or -1 for "
        "all; found True",
    ),
    "no such mode": (
        scan(lambda a: a, x, mode="NUMBA"),
        "scan: there is no mode 'NUMBA'; use 'FAST_RUN', 'FAST_COMPILE', 'eager', a device such as 'cpu', 'cuda' or "
        "'emulator', or a gpuscan.Mode",
    ),
    "a dict of non-sequences": (
        scan(lambda a, b: a, x, non_sequences={"w": w}),
        "scan: non_sequences[0] cannot be used: {'w': <w: float64[]>}, of dtype object, is no number or array of "
        "supported numbers",
    ),
    "n_steps in a list": (
        scan(lambda a: a, x, n_steps=[3]),
        "scan: n_steps must be an integer; found [3]",
    ),
    "n_steps that is true": (
        scan(lambda a: a, x, n_steps=True),
        "scan: n_steps must be an integer; found True",
    ),
    "scalar sequence": (
        scan(lambda a: a, w),
        "scan: sequences[0] ('w') is a scalar and has no rows to loop over; pass it in non_sequences if every step "
        "needs it",
    ),
    "unknown key": (
        scan(lambda a: a, {"input": x, "tap": [0]}),
        "scan: sequences[0]: unknown key 'tap'; allowed are input, taps",
    ),
    "no input": (
        scan(lambda a: a, [x, {"taps": [0]}]),
        "scan: sequences[1]: a dict needs the key 'input', the sequence itself",
    ),
    "repeated tap": (
        scan(lambda a, b: a, {"input": x, "taps": [0, 0]}),
        "scan: sequences[0] ('x'): taps [0, 0] name one twice",
    ),
    "half a tap": (
        scan(lambda a: a, {"input": x, "taps": [0.5]}),
        "scan: sequences[0] ('x'): taps must be integers; found 0.5",
    ),
    "a tap that is true": (
        scan(lambda a: a, {"input": x, "taps": [True]}),
        "scan: sequences[0] ('x'): taps must be integers; found True",
    ),
    "no taps": (
        scan(lambda a: a, {"input": x, "taps": []}),
        "scan: sequences[0] ('x'): there are no taps; leave them out for the default [0]",
    ),
    "state tap 0": (
        scan(lambda a: a, None, {"initial": s, "taps": [0]}, n_steps=3),
        "scan: outputs_info[0] ('s'): taps of a state must be negative, as in [-2, -1]; found 0",
    ),
    "state tap ahead": (
        scan(lambda a, b: a, None, [None, {"initial": s, "taps": [-1, 1]}], n_steps=3),
        "scan: outputs_info[1] ('s'): taps of a state must be negative, as in [-2, -1]; found 1",
    ),
    "repeated state tap": (
        scan(lambda a, b: a, None, {"initial": s, "taps": [-2, -2]}, n_steps=3),
        "scan: outputs_info[0] ('s'): taps [-2, -2] name one twice",
    ),
    "taps without initial": (
        scan(lambda a: a, None, {"taps": [-1]}, n_steps=3),
        "scan: outputs_info[0]: taps [-1] need the key 'initial', the values before the first step",
    ),
    "scalar initial": (
        scan(lambda a, b: a, None, {"initial": w, "taps": [-2, -1]}, n_steps=3),
        "scan: outputs_info[0] ('w'): taps [-2, -1] need 2 past values along a first axis; found a scalar",
    ),
    "short initial": (
        scan(lambda a: a, None, {"initial": np.zeros((2, 5)), "taps": [-3]}, n_steps=3),
        "scan: outputs_info[0]: taps [-3] need 3 past values along its first axis; it has 2",
    ),
    "a string": (
        scan(lambda a: a, "abc"),
        "scan: sequences[0] cannot be used: 'abc', of dtype <U3, is no number or array of supported numbers",
    ),
    "negative n_steps": (
        scan(lambda a: a, None, s, n_steps=-2),
        "scan: n_steps must not be negative; found -2",
    ),
    "float n_steps": (
        scan(lambda a: a, None, s, n_steps=2.0),
        "scan: n_steps must be an integer; found 2.0",
    ),
    "vector n_steps": (
        scan(lambda a: a, None, s, n_steps=gt.ivector()),
        "scan: n_steps must be an integer; found int32[?]",
    ),
    "too many steps": (
        scan(lambda a: a * 2, [x, np.arange(3)], n_steps=5),
        "scan: sequences[1] has 3 rows along its first axis; 5 steps need 5",
    ),
    "too many steps for the taps": (
        scan(lambda a, b: a * 2, {"input": gt.tensor("y", shape=(3,)), "taps": [-1, 1]}, n_steps=2),
        "scan: sequences[0] ('y') has 3 rows along its first axis; 2 steps at taps [-1, 1] need 4",
    ),
    "too few rows for the taps": (
        scan(lambda a, b: a * 2, {"input": np.arange(3), "taps": [-2, 2]}),
        "scan: sequences[0] has 3 rows along its first axis; taps [-2, 2] alone need 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name):
    build, message = ARGUMENTS[name]
    assert message_of(build, gs.LoopError) == message


# ---- the step function's parameters and what it returns ----

STEP_FUNCTIONS = {
    "too few parameters": (
        scan(lambda a: a, [x, {"input": X, "taps": [-1, 0]}], s, w),
        "scan: the step function takes (a), but scan passes 5 arguments: sequences[0] ('x'), sequences[1] ('X') at "
        "taps [-1, 0], outputs_info[0] ('s'), non_sequences[0] ('w')",
    ),
    "too many parameters": (
        scan(lambda a, b, c: a, x),
        "scan: the step function takes (a, b, c), but scan passes 1 argument: sequences[0] ('x')",
    ),
    "parameters for nothing": (
        scan(lambda a: a, n_steps=3),
        "scan: the step function takes (a), but scan passes 0 arguments",
    ),
    "nothing": (
        scan(lambda a: None, x),
        "scan: the step function returns no outputs and no updates; is its `return` missing?",
    ),
    "a number": (
        scan(lambda a: 3, x),
        "scan: the step function must return variables; output 0 is int 3. What is the same at every step can be "
        "returned as gpuscan.tensor.constant(value)",
    ),
    "an array": (
        scan(lambda a, b: (a, np.zeros(1)), x, [None, s]),
        "scan: the step function must return variables; output 1 is ndarray array([0.]). What is the same at every "
        "step can be returned as gpuscan.tensor.constant(value)",
    ),
    "a string": (
        scan(lambda a: "a", x),
        "scan: the step function must return variables; output 0 is str 'a'",
    ),
    "lists inside": (
        scan(lambda a: [[a, a], a], x),
        "scan: the step function must return variables; output 0 is list [<a: float64[]>, <a: float64[]>]. Return "
        "outputs side by side, or stack them into one variable with gpuscan.tensor.stack",
    ),
    "too many outputs": (
        scan(lambda a, b: (a, b), x, [s]),
        "scan: the step function returns 2 outputs but outputs_info has 1 entry; it needs one for each output, None "
        "for one that no step reads back",
    ),
    "too few outputs": (
        scan(lambda a, b: a + b, x, [s, None]),
        "scan: the step function returns 1 output but outputs_info has 2 entries; it needs one for each output, None "
        "for one that no step reads back",
    ),
    "until first": (
        scan(lambda a: (gs.until(a > 1), a), x),
        "scan: until(...) must be the last thing that the step function returns",
    ),
    "until before updates": (
        scan(lambda a: (a, gs.until(a > 1), {shared: shared}), x),
        "scan: until(...) must be the last thing that the step function returns",
    ),
    "until of a vector": (
        scan(lambda row: (row, gs.until(row > 1)), X),
        "until: the condition must be a scalar, not bool[?]; reduce it with all() or any()",
    ),
    "outputs in a dict": (
        scan(lambda a: {"doubled": a * 2}, x),
        "scan: the step function returned an update of 'doubled', which is no shared variable; a dict is taken for "
        "updates, outputs are returned side by side",
    ),
    "two updates of one": (
        scan(lambda a: (a, [(shared, shared + 1), (shared, shared + 2)]), x),
        "scan: the step function returned two updates of shared variable 'shared'",
    ),
    "until among the outputs": (
        scan(lambda a: ([a, gs.until(a > 1)], {shared: shared}), x),
        "scan: until(...) must be the last thing that the step function returns",
    ),
    "an update of an input": (
        scan(lambda a: (a, {w: a}), x),
        "scan: the step function returned an update of <w: float64[]>, which is no shared variable",
    ),
    "an update of another dtype": (
        scan(lambda a: (a, {shared: shared + a}), x),
        "scan: the update of shared variable 'shared', float32[], is float64[]; cast it to float32",
    ),
    "an update of another rank": (
        scan(lambda row: (row, {shared: row.astype("float32")}), X),
        "scan: the update of shared variable 'shared', float32[], is float32[?]; a shared variable keeps its rank",
    ),
    "updates that would be hidden": (
        scan(lambda a: (a, {shared: shared * 2}), x, return_updates=False),
        "scan: the step function updates shared variables, which return_updates=False would hide",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STEP_FUNCTIONS)
def test_step_functions(name):
    build, message = STEP_FUNCTIONS[name]
    assert message_of(build, gs.LoopError) == message


def test_a_shared_variable_that_strict_refuses():
    message = message_of(scan(lambda a: a * gt.exp(shared), x, strict=True), gs.MissingInputError)
    assert message == (
        "scan: the step function uses the shared variable 'shared' without its being passed; strict=True requires it "
        "in non_sequences"
    )


PYTHON_IN_A_STEP = {
    "if": (lambda a, total: total if a > 0 else a, "has no truth value while the graph is built"),
    "float": (lambda a, total: total + float(a), "has no value while the graph is built"),
    "math": (lambda a, total: total + math.exp(a), "has no value while the graph is built"),
    "range": (lambda a, total: [total for _ in range(n)], "has no value while the graph is built"),
    "for": (lambda a, total: sum(x), "use gpuscan.scan to loop over it"),
}


@pytest.mark.parametrize("name", PYTHON_IN_A_STEP)
def test_python_that_needs_values_in_a_step(name):
    step, part = PYTHON_IN_A_STEP[name]
    assert part in message_of(scan(step, x, np.float64(0)), TypeError)


# ---- states whose type changes ----


def line_of(step: Callable[..., Any]) -> str:
    return f"{step.__code__.co_filename}:{step.__code__.co_firstlineno + 1}"


def add(row, total):
    return row + total


@pytest.mark.parametrize("start", [0, gt.constant(0), np.int8(0)], ids=["Python's", "constant", "NumPy's"])
def test_an_int8_start_with_an_int64_step(start):
    assert message_of(scan(add, longs, start, name="sum"), gs.LoopError) == (
        f"scan[sum]: state 'total' enters a step as int8[] but leaves it as int64[] (made at {line_of(add)}). Cast its "
        "initial value to int64, as in cast(initial, 'int64'), or cast what the step returns for it to int8."
    )


def test_the_cast_that_the_message_names():
    out, _ = gs.scan(add, longs, gt.cast(0, "int64"))
    np.testing.assert_array_equal(gs.function([longs], out, device="cpu")([1, 2]), [1, 3])


def test_a_float32_state_that_meets_a_float64_constant():
    def halve(total):
        return total * np.float64(0.5)

    assert message_of(scan(halve, None, np.float32(1), n_steps=2), gs.LoopError) == (
        f"scan: state 'total' enters a step as float32[] but leaves it as float64[] (made at {line_of(halve)}). Cast "
        "its initial value to float64, as in cast(initial, 'float64'), or cast what the step returns for it to "
        "float32."
    )
    gs.scan(lambda total: total * 0.5 + 1, None, np.float32(1), n_steps=2)  # Python's numbers change no dtype


def test_a_state_of_another_rank():
    assert message_of(scan(add, X, np.float64(0)), gs.LoopError) == (
        f"scan: state 'total' enters a step as float64[] but leaves it as float64[?] (made at {line_of(add)}): 0 axes "
        "and 1 axes cannot be one shape. A state keeps its shape; give it an initial value of the shape that the "
        "step returns."
    )


def test_a_state_of_another_known_size():
    assert message_of(scan(add, gt.tensor("y", shape=(5, 3)), gt.zeros(1)), gs.LoopError) == (
        f"scan: state 'total' enters a step as float64[1] but leaves it as float64[3] (made at {line_of(add)}): axis "
        "0 has size 1 and size 3. A state keeps its shape; give it an initial value of the shape that the step "
        "returns."
    )


# ---- what only a call can tell ----


def failed_call(
    inputs: list[gs.Variable], outputs: Any, values: list[Any], device: str, error: type[Exception] = gs.LoopError
) -> str:
    """Return the message of a call that fails, and leaves alone a shared variable that it would update."""
    count = gs.shared(0, name="count")
    f = gs.function(inputs, outputs, updates={count: count + 1}, device=device)
    message = message_of(lambda: f(*values), error)
    assert count.get_value() == 0
    return message


def test_a_sequence_too_short(device):
    out, _ = gs.scan(lambda row: row * 2, x, n_steps=n)
    assert failed_call([x, n], out, [np.ones(3), 5], device) == (
        "scan: sequence 'row' has 3 rows along its first axis; 5 steps need 5"
    )


def test_a_sequence_too_short_for_its_taps(device):
    out, _ = gs.scan(lambda a, b: a * b, {"input": x, "taps": [-2, 2]}, name="wide")
    assert failed_call([x], out, [np.ones(3)], device) == (
        "scan[wide]: sequence 'a' has 3 rows along its first axis; its taps need 4 or more"
    )


def test_a_sequence_that_nothing_reads_too_short(device):
    out, _ = gs.scan(lambda a, b: b * 2, [x, s], n_steps=n)
    assert failed_call([x, s, n], out, [np.ones(1), np.ones(2), 2], device) == (
        "scan: sequence 'a' has 1 row along its first axis; 2 steps need 2"
    )


def test_a_negative_number_of_steps(device):
    out, _ = gs.scan(lambda a: a * 2, None, s, n_steps=n)
    assert failed_call([s, n], out, [[1.0], -3], device) == "scan: n_steps must not be negative; found -3"


def test_an_initial_state_too_short(device):
    out, _ = gs.scan(lambda a, b: a + b, None, {"initial": s, "taps": [-2, -1]}, n_steps=3)
    assert failed_call([s], out, [[1.0]], device) == (
        "scan: the initial value of state 'b' has 1 row along its first axis; its taps need 2"
    )


def test_a_state_whose_shape_a_step_changes(device):
    out, _ = gs.scan(add, X, s)
    assert failed_call([X, s], out, [np.ones((4, 3)), np.ones(1)], device) == (
        f"scan: state 'total' enters a step as float64[1] but leaves it as float64[3] (made at {line_of(add)}): axis "
        "0 has size 1 and size 3. A state keeps its shape; give it an initial value of the shape that the step "
        "returns."
    )


def test_states_that_swap_shapes(device):
    out, _ = gs.scan(lambda a, b: (b, a), None, [s, x], n_steps=2)
    message = failed_call([s, x], [o[-1] for o in out], [np.ones(2), np.ones(3)], device)
    assert message.startswith(
        "scan: state 'a' enters a step as float64[2] but leaves it as float64[3]: axis 0 has size"
    )


def test_shapes_in_a_step_that_do_not_broadcast(device):
    out, _ = gs.scan(add, X, s, name="sum")
    message = failed_call([X, s], out, [np.ones((4, 3)), np.ones(2)], device)
    assert message.startswith("scan[sum]: add(row: float64[3], total: float64[2]): shapes (3,), (2,) do not broadcast")


def test_shapes_in_a_step_that_do_not_multiply(device):
    out, _ = gs.scan(lambda row, v: v @ row, X, non_sequences=s)
    message = failed_call([X, s], out, [np.ones((4, 3)), np.ones(2)], device)
    assert message.startswith("scan: matmul: v is float64[2] and row is float64[3]; 2 columns do not meet 3 rows")


def test_an_index_outside(device):
    """Driven from the host; a kernel, which has nobody to tell, takes the nearest element."""
    out, _ = gs.scan(lambda k, v: v[k], gt.arange(n), non_sequences=x)
    if device != "cpu":
        np.testing.assert_array_equal(gs.function([x, n], out, device=device)([1.0, 2.0, 3.0], 5), [1, 2, 3, 3, 3])
    with gs.config.change_flags(strategy="host"):
        check_index_outside(out, device)


def check_index_outside(out, device):
    assert failed_call([x, n], out, [np.ones(3), 5], device, IndexError) == (
        "scan, step 3: index 3 is out of bounds for axis 0 with size 3"
    )


def test_a_loop_inside_that_fails(device):
    def outer(a):
        inner, _ = gs.scan(lambda b: a * b, x, n_steps=a.astype("int64"), name="inner")
        return inner.sum()

    out, _ = gs.scan(outer, s, name="outer")
    needed = "this step needs more" if device == "emulator" else "4 steps need 4"  # a kernel's message has no numbers
    assert failed_call([x, s], out, [np.ones(3), [1.0, 3.0, 4.0]], device) == (
        f"scan[outer], step 2: scan[inner]: sequence 'b' has 3 rows along its first axis; {needed}"
    )


def test_rows_whose_size_depends_on_values(device):
    out, _ = gs.scan(lambda k: gt.arange(k), gt.arange(n))
    assert failed_call([n], out, [4], device) == (
        "scan, step 1: output 'output_0' has shape (1,), but (0,) at an earlier step; rows have one shape"
    )


def test_last_rows_whose_size_depends_on_values():
    out, _ = gs.scan(lambda k: gt.arange(k), gt.arange(n))
    assert failed_call([n], out[-2:], [4], "cpu") == (
        "scan: output 'output_0' has shape (2,) at one step and (3,) at another; rows have one shape"
    )


def test_a_state_whose_size_depends_on_values(device):
    out, _ = gs.scan(lambda k, v: v[:k], gt.arange(n), x)
    assert failed_call([x, n], out, [np.ones(3), 3], device) == (
        "scan, step 0: state 'v' has shape (3,) before the step and (0,) after it. A state keeps its shape; give it an "
        "initial value of the shape that the step returns."
    )


def test_a_loop_that_failed_runs_again(device):
    total = gs.shared(np.zeros(2), name="total")
    _, updates = gs.scan(lambda row: {total: total + row}, X, n_steps=n)
    f = gs.function([X, n], updates=updates, device=device)
    with pytest.raises(gs.LoopError):
        f(np.ones((2, 2)), 3)
    np.testing.assert_array_equal(total.get_value(), [0, 0])
    f(np.ones((2, 2)), 2)
    np.testing.assert_array_equal(total.get_value(), [2, 2])
