"""Every wrong function and every wrong call gets an error in the words of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.launch import gpu_count

x, y, X, w = gt.vector("x"), gt.vector("y"), gt.matrix("X"), gt.scalar("w")
unnamed, fixed = gt.scalar(), gt.tensor("fixed", shape=(3, None))
k, f32 = gt.ivector("k"), gt.fvector("f32")
shared = gs.shared(np.float32(1), name="shared")

Wrong = tuple[Callable[[], Any], type[Exception], str]


def function(*args: Any, **kwargs: Any) -> Callable[[], Any]:
    return lambda: gs.function(*args, device="cpu", **kwargs)


INSIDE = "(A variable from inside a step function of scan has a value outside only if the function returns it.)"

ARGUMENTS: dict[str, Wrong] = {
    "missing": (
        function([x], x + y),
        gs.MissingInputError,
        "function: the outputs need 'y' (float64[?]), which is not among the inputs; add it to them, or give it a "
        f"value with givens. {INSIDE}",
    ),
    "missing in a loop": (
        function([x], gs.scan(lambda row: row * w, x)[0]),
        gs.MissingInputError,
        "function: the outputs need 'w' (float64[]), which is not among the inputs; add it to them, or give it a "
        f"value with givens. {INSIDE}",
    ),
    "missing in an update": (
        function([], updates={shared: gt.fscalar()}),
        gs.MissingInputError,
        "function: the outputs need an unnamed variable (float32[]), which is not among the inputs; add it to them, or "
        f"give it a value with givens. {INSIDE}",
    ),
    "unused": (
        function([x, y], x),
        gs.UnusedInputError,
        "function: input 'y' is not used; drop it, or pass on_unused_input='ignore'",
    ),
    "unused without a name": (
        function([x, unnamed], x),
        gs.UnusedInputError,
        "function: input 1 is not used; drop it, or pass on_unused_input='ignore'",
    ),
    "not a list": (
        function(x, x),
        TypeError,
        "function: inputs must be a list of variables, as in function([x], y)",
    ),
    "a value for an input": (
        function([x, 3.0], x),
        TypeError,
        "function: input 1 is 3.0; inputs must be variables",
    ),
    "a shared variable for an input": (
        function([shared], shared),
        TypeError,
        "function: the shared variable 'shared' cannot be an input; functions find it themselves",
    ),
    "an input twice": (
        function([x, y, x], x + y),
        ValueError,
        "function: input 'x' is listed twice",
    ),
    "what scan returns as outputs": (
        function([x], gs.scan(lambda row: row * 2, x)),
        gs.DtypeError,
        "function: output 1 cannot be computed: {}, of dtype object, is no number or array of supported numbers; scan "
        "returns outputs and updates, write `out, updates = scan(...)`",
    ),
    "a string for an output": (
        function([x], [x, "x"]),
        gs.DtypeError,
        "function: output 1 cannot be computed: 'x', of dtype <U1, is no number or array of supported numbers",
    ),
    "an update of an input": (
        function([x], x, updates={y: x}),
        TypeError,
        "function: updates must be for shared variables; found <y: float64[?]>",
    ),
    "two updates": (
        function([x], x, updates=[(shared, shared), (shared, shared * 2)]),
        ValueError,
        "function: updates has two entries for <shared: float32[]>",
    ),
    "no pairs": (
        function([x], x, updates=[shared]),
        TypeError,
        "function: updates must be a dict, or a list of pairs (variable, value); found [<shared: float32[]>]",
    ),
    "an update of a wider dtype": (
        function([w], w, updates={shared: shared + w}),
        gs.DtypeError,
        "function: the update of shared variable 'shared', float32[], is float64[], which does not fit without loss; "
        "cast it to float32",
    ),
    "an update of another rank": (
        function([x], x, updates={shared: x.astype("float32")}),
        gs.ShapeError,
        "function: the update of shared variable 'shared', float32[], is float32[?]: 0 axes and 1 axes cannot be one "
        "shape",
    ),
    "a given of a wider dtype": (
        function([x], x * w, givens={w: gt.zscalar()}),
        gs.DtypeError,
        "function: givens in place of 'w', float64[], is complex128[], which does not fit without loss; cast it to "
        "float64",
    ),
    "a given for a name": (
        function([x], x, givens={"w": 3}),
        TypeError,
        "function: givens must be for variables; found 'w'",
    ),
    "another action": (
        function([x], x, on_unused_input="what"),
        ValueError,
        "function: on_unused_input must be 'raise', 'warn' or 'ignore'; found 'what'",
    ),
    "another placement": (
        function([x], x, placement="gpu"),
        ValueError,
        "function: placement must be one of auto, host, device; found 'gpu'",
    ),
    "another device": (
        lambda: gs.function([x], x, device="gpu"),
        ValueError,
        "function: there is no device 'gpu'; use 'auto', 'cpu', 'cuda', 'cuda:1' or 'emulator'",
    ),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name):
    build, error, message = ARGUMENTS[name]
    with pytest.raises(error) as caught:
        build()
    assert str(caught.value) == message


def test_a_variable_of_a_step_function_outside():
    leaked: list[gs.Variable] = []
    gs.scan(lambda row: leaked.append(row) or row, x)
    with pytest.raises(gs.MissingInputError, match="inside a step function of scan"):
        gs.function([x], leaked[0], device="cpu")


@pytest.mark.skipif(gpu_count() > 0, reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_no_gpu(device):
    with pytest.raises(gs.KernelError) as caught:
        gs.function([x], x, device=device)
    message = str(caught.value)
    assert message.startswith(f"function: device {device!r} cannot be used: ")
    assert message.endswith(
        ". Choose another with function(..., device='cpu') or 'emulator', with config.device, or with "
        "GPUSCAN_FLAGS=device=cpu"
    )


# ---- calls ----


def call(inputs: list[gs.Variable], *values: Any, **named: Any) -> Callable[[], Any]:
    """A call that would change a shared variable."""
    f = gs.function(inputs, inputs, updates={shared: shared * 2}, device="cpu")
    return lambda: f(*values, **named)


CALLS: dict[str, Wrong] = {
    "too few values": (
        call([x, w], [1.0]),
        TypeError,
        "the function takes 2 values (input 'x', input 'w'); found 1",
    ),
    "too many values": (
        call([x], [1.0], 2.0),
        TypeError,
        "the function takes 1 value (input 'x'); found 2",
    ),
    "values for nothing": (
        call([], 1.0),
        TypeError,
        "the function takes 0 values; found 1",
    ),
    "an unknown name": (
        call([x, w], [1.0], z=3),
        TypeError,
        "the function has no input named 'z'; it takes 2 values (input 'x', input 'w')",
    ),
    "one by name and by position": (
        call([x, w], [1.0], x=3),
        TypeError,
        "the function got input 'x' twice, by position and by name",
    ),
    "too few axes": (
        call([X], [1.0]),
        gs.ShapeError,
        "input 'X' must have 2 axes (float64[?, ?]); found shape (1,)",
    ),
    "too many axes": (
        call([unnamed], [1.0]),
        gs.ShapeError,
        "input 0 must have 0 axes (float64[]); found shape (1,)",
    ),
    "another size": (
        call([fixed], np.ones((2, 5))),
        gs.ShapeError,
        "input 'fixed' must have size 3 along axis 0 (float64[3, ?]); found shape (2, 5)",
    ),
    "rows of different lengths": (
        call([X], [[1.0], [1.0, 2.0]]),
        gs.ShapeError,
        "input 'X' must be float64[?, ?]; the rows of list [[1.0], [1.0, 2.0]] differ",
    ),
    "a float for an integer": (
        call([k], [1.5]),
        gs.DtypeError,
        "input 'k' is int32[?]; list [1.5] does not fit into int32 without loss. Pass values that do, or "
        "allow_input_downcast=True to function()",
    ),
    "an integer too large": (
        call([k], [2**40]),
        gs.DtypeError,
        "input 'k' is int32[?]; list [1099511627776] does not fit into int32 without loss. Pass values that do, or "
        "allow_input_downcast=True to function()",
    ),
    "an integer past 64 bits": (
        call([k], [2**80]),
        gs.DtypeError,
        "input 'k' must be int32[?]; found list [1208925819614629174706176]",
    ),
    "a wider array": (
        call([f32], np.ones(2)),
        gs.DtypeError,
        "input 'f32' is float32[?]; an array of dtype float64 does not fit without loss. Convert it, as in "
        "x.astype('float32'), or pass allow_input_downcast=True to function()",
    ),
    "complex numbers": (
        call([x], [1j]),
        gs.DtypeError,
        "input 'x' is float64[?]; list [1j] does not fit into float64 without loss. Pass values that do, or "
        "allow_input_downcast=True to function()",
    ),
    "a variable": (
        call([x], y),
        gs.DtypeError,
        "input 'x' got the symbolic variable <y: float64[?]>; pass a value",
    ),
    "text": (
        call([x], ["a"]),
        gs.DtypeError,
        "input 'x' must be float64[?]; found list ['a']",
    ),
    "nothing": (
        call([w], None),
        gs.DtypeError,
        "input 'w' must be float64[]; found NoneType None",
    ),
    "a masked array": (
        call([x], np.ma.array([1.0, 2.0], mask=[0, 1])),
        gs.DtypeError,
        "input 'x' got a masked array, whose mask would be lost; fill it first",
    ),
    "dates": (
        call([x], np.array(["2020-01-01"], "datetime64[D]")),
        gs.DtypeError,
        "input 'x' must be float64[?]; found ndarray array(['2020-01-01'], dtype='datetime64[D]')",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    wrong, error, message = CALLS[name]
    before = shared.get_value()
    with pytest.raises(error) as caught:
        wrong()
    assert str(caught.value) == message
    assert shared.get_value() == before


def test_an_array_that_does_not_leave_its_device():
    class OnAGPU:
        dtype, shape = np.dtype("float64"), (2,)

        def __array__(self, *args: Any, **kwargs: Any) -> None:
            raise TypeError("not converted without being asked")

    with pytest.raises(gs.DtypeError) as caught:
        call([x], OnAGPU())()
    assert str(caught.value) == (
        f"input 'x' got a {__name__}.{OnAGPU.__qualname__}, which does not convert to a NumPy array (not converted "
        "without being asked); copy it to the host, or compile the function for the device it is on"
    )


def test_a_named_function_is_named():
    scale = gs.function([x, w], x * w, device="cpu", name="scale")
    with pytest.raises(TypeError, match=r"^function 'scale' takes 2 values \(input 'x', input 'w'\); found 0$"):
        scale()


SHAPES: dict[str, tuple[list[gs.Variable], gs.Variable, list[Any], str]] = {
    "broadcast": (
        [x, y],
        x + y,
        [np.ones(3), np.ones(2)],
        "the function: add(x: float64[3], y: float64[2]): shapes (3,), (2,) do not broadcast",
    ),
    "matmul": (
        [X, x],
        X @ x,
        [np.ones((3, 2)), np.ones(3)],
        "the function: matmul: X is float64[3, 2] and x is float64[3]; 2 columns do not meet 3 rows",
    ),
    "reshape": (
        [x],
        x.reshape(2, 2),
        [np.ones(3)],
        "the function: reshape of float64[3], 3 elements, to (2, 2), 4 elements",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_that_do_not_fit_each_other(name, device):
    inputs, output, values, message = SHAPES[name]
    count = gs.shared(0, name="count")
    f = gs.function(inputs, output, updates={count: count + 1}, device=device)
    with pytest.raises(gs.ShapeError) as caught:
        f(*values)
    assert str(caught.value).startswith(message)
    assert count.get_value() == 0
