"""What `function` makes: the forms of its arguments, what a call takes and gives, and what it leaves alone."""

from __future__ import annotations

import gc
import linecache
import re
import warnings
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape)


# ---- outputs ----


def test_forms_of_outputs():
    x = gt.scalar("x")

    def call(outputs: Any) -> Any:
        return gs.function([x], outputs, device="cpu", on_unused_input="ignore")(3)

    assert call(x * 2) == 6
    assert call([x * 2, x * x]) == [6, 9]
    assert call((x * 2,)) == [6]
    assert call({"double": x * 2, "square": x * x}) == {"double": 6, "square": 9}
    assert call([]) == []
    assert call(None) is None
    assert call(5) == 5


def test_outputs_are_arrays_of_the_inferred_dtype(device):
    x, i = gt.fscalar("x"), gt.bvector("i")
    out = gs.function([x, i], [x + 1, i.sum(), i > 0, i * x], device=device)(1.5, [1, -2])
    assert all(isinstance(value, np.ndarray) for value in out)
    assert [str(value.dtype) for value in out] == ["float32", "int64", "bool", "float32"]
    assert [value.shape for value in out] == [(), (), (2,), (2,)]


def views(x: gs.Variable, z: gs.Variable, kept: gs.SharedVariable) -> dict[str, gs.Variable]:
    """Values that NumPy may give without copying."""
    (history, emit), _ = gs.scan(lambda row, s: (s, row), x, [x[0], None])
    long = gt.arange(40)  # enough for whole arrays in place of a loop
    (delayed, same), _ = gs.scan(lambda row, s: (row, row), long, [np.int64(7), None])
    return {
        "input": x,
        "part": x[1:],
        "row": x[0],
        "transposed": x.T,
        "reshaped": x.reshape(-1),
        "broadcast": gt.broadcast_to(x[0], (2, 3)),
        "part of part": x[1:].T[0],
        "real part": z.real,
        "imaginary part": z.imag,
        "conjugate of a real": x.conj(),
        "shared": kept,
        "shared part": kept[:2],
        "constant": gt.constant(np.arange(3.0)),
        "range of constants": gt.arange(5),
        "every other of a range": gt.arange(6)[::2],
        "computed": x * 2,
        "part of computed": (x * 2)[0],
        "history": history,
        "part of history": history[1:],
        "last": history[-1],
        "emit": emit,
        "rows one step late": delayed,
        "rows as they are": same,
        "where": gt.where(kept > 0, kept, kept),
        "cast": gt.cast(x, "float64"),
    }


def test_outputs_share_memory_with_nothing(device):
    x, z, kept = gt.matrix("x"), gt.zvector("z"), gs.shared(normal(3), name="kept")
    outputs = views(x, z, kept)
    f = gs.function([x, z], [*outputs.values(), *outputs.values()], device=device)
    given = [normal(4, 3), normal(2) * (1 + 2j)]
    before = [array.copy() for array in given]
    results = f(*given)
    expected = [result.copy() for result in results]
    names = [*outputs, *(f"{name} again" for name in outputs)]
    for i, (name, result) in enumerate(zip(names, results, strict=True)):
        for other in [*given, kept.get_value(borrow=True), *results[:i]]:
            assert not np.shares_memory(result, other), name
        result[...] = 0  # which also asks that it can be written
    for array, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, old)
    for name, found, same in zip(names, f(*given), expected, strict=True):
        np.testing.assert_array_equal(found, same, err_msg=name)


def test_an_update_is_no_view_of_an_output_or_input(device):
    x, kept, other = gt.vector("x"), gs.shared(np.zeros(3), name="kept"), gs.shared(np.zeros(3), name="other")
    doubled = x * 2
    f = gs.function([x], [doubled, x], updates={kept: doubled, other: x}, device=device)
    given = np.ones(3)
    for array in (*f(given), given):
        array[...] = 7
    np.testing.assert_array_equal(kept.get_value(), [2, 2, 2])
    np.testing.assert_array_equal(other.get_value(), [1, 1, 1])


# ---- inputs ----


def test_inputs_by_position_and_by_name():
    x, y = gt.scalar("x"), gt.scalar("y")
    f = gs.function([x, y], x - y, device="cpu")
    assert f(5, 3) == f(5, y=3) == f(y=3, x=5) == 2


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float64", [1, 2]),
        ("float64", range(2)),
        ("float64", (True, False)),
        ("float64", np.array([1, 2], "int32")),
        ("float64", np.array([1, 2], "float32")),
        ("float64", np.array([1, 2], ">f8")),
        ("float64", np.arange(6.0)[::-2]),
        ("float32", [0.1, 2.5]),
        ("float32", [1, 2]),
        ("int32", [1, -2]),
        ("int8", [127.0]),
        ("int32", []),
        ("bool", [True]),
        ("complex64", [1.5, 2j]),
    ],
    ids=str,
)
def test_values_that_are_taken(dtype, value):
    x = gt.tensor("x", dtype=dtype, shape=(None,))
    found = gs.function([x], x, device="cpu")(value)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.asarray(value).astype(dtype))


@pytest.mark.parametrize("value", [3, 3.0, True, np.int64(3), np.float64(3), np.array(3), np.float32(3)], ids=repr)
def test_scalars_that_are_taken(value):
    x = gt.scalar("x")
    assert gs.function([x], x * 2, device="cpu")(value) == 2 * value


def test_a_numpy_integer_is_taken_if_it_fits():
    n = gt.iscalar("n")
    f = gs.function([n], n + 1, device="cpu")
    assert f(np.int64(5)) == 6
    with pytest.raises(gs.DtypeError, match="does not fit into int32 without loss"):
        f(np.int64(2**40))


def test_a_subclass_of_arrays_is_an_array():
    x = gt.matrix("x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        value = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(gs.function([x], x * x, device="cpu")(value), [[1, 4], [9, 16]])


def test_downcast():
    x = gt.bvector("x")
    allowed = gs.function([x], x, device="cpu", allow_input_downcast=True)
    np.testing.assert_array_equal(allowed([1.7]), [1])
    np.testing.assert_array_equal(allowed(np.array([300])), [44])
    refused = gs.function([x], x, device="cpu", allow_input_downcast=False)
    with pytest.raises(gs.DtypeError, match="int64, and allow_input_downcast is False"):
        refused([1])
    np.testing.assert_array_equal(refused(np.array([1], "int8")), [1])


def test_a_size_fixed_by_the_type_is_known_inside():
    x = gt.tensor("x", shape=(3, None))
    f = gs.function([x], x.shape, device="cpu")
    np.testing.assert_array_equal(f(np.ones((3, 5))), [3, 5])


# ---- givens ----


def test_givens_stand_in_place():
    x, y, a = gt.vector("x"), gt.vector("y"), gs.shared(2.0, name="a")
    total = (x * a).sum()
    assert gs.function([y], total, givens={x: y * 3}, device="cpu")([1.0, 2.0]) == 18
    assert gs.function([x], total, givens=[(a, 10)], device="cpu")([1.0, 2.0]) == 30
    assert gs.function([], total, givens={x: np.array([1.0])}, device="cpu")() == 2


def test_givens_reach_into_updates_and_loops(device):
    x, w, count = gt.vector("x"), gt.scalar("w"), gs.shared(0.0, name="count")
    out, _ = gs.scan(lambda row: row * w, x)
    f = gs.function([x], out, updates={count: count + w}, givens={w: gt.constant(3.0)}, device=device)
    np.testing.assert_array_equal(f([1.0, 2.0]), [3, 6])
    assert count.get_value() == 3


# ---- updates ----


def test_updates_happen_together_and_after(device):
    a, b = gs.shared(np.array([1.0]), name="a"), gs.shared(np.array([2.0]), name="b")
    f = gs.function([], [a, b], updates=[(a, b), (b, a)], device=device)
    assert [float(value[0]) for value in f()] == [1, 2]
    assert [float(value[0]) for value in f()] == [2, 1]
    assert (a.get_value(), b.get_value()) == (1, 2)


def test_updates_by_numbers_and_narrower_dtypes():
    a, b, i = gs.shared(np.ones(2), name="a"), gs.shared(1.0, name="b"), gt.iscalar("i")
    gs.function([i], updates={a: a + i, b: 5}, device="cpu")(2)
    np.testing.assert_array_equal(a.get_value(), [3, 3])
    assert (a.get_value().dtype, b.get_value().dtype) == ("float64", "float64")
    assert b.get_value() == 5


def test_a_call_that_fails_late_changes_nothing(device):
    a, b = gs.shared(np.zeros(2), name="a"), gs.shared(np.zeros(2), name="b", shape=(2,))
    x = gt.vector("x")
    f = gs.function([x], x * 2, updates={a: x, b: x}, device=device)
    with pytest.raises(gs.ShapeError) as caught:
        f(np.ones(3))
    assert str(caught.value) == "the function: the update of shared variable 'b', float64[2], has shape (3,)"
    np.testing.assert_array_equal(a.get_value(), [0, 0])
    f(np.ones(2))
    np.testing.assert_array_equal(b.get_value(), [1, 1])


def test_a_shared_value_may_change_its_size(device):
    seen = gs.shared(np.zeros(0), name="seen")
    x = gt.vector("x")
    f = gs.function([x], updates={seen: gt.concatenate([seen, x])}, device=device)
    f([1.0])
    f([2.0, 3.0])
    np.testing.assert_array_equal(seen.get_value(), [1, 2, 3])


# ---- unused inputs ----


def test_unused_inputs():
    x, y = gt.scalar("x"), gt.scalar("y")
    with pytest.warns(UserWarning, match="function: input 'y' is not used") as caught:
        f = gs.function([x, y], x, device="cpu", on_unused_input="warn")
    assert caught[0].filename == __file__
    assert f(1, 2) == 1
    assert gs.function([x, y], x, device="cpu", on_unused_input="ignore")(1, 2) == 1


def test_an_input_that_only_an_update_needs_is_used():
    x, a = gt.scalar("x"), gs.shared(0.0)
    gs.function([x], updates={a: x}, device="cpu")(4)
    assert a.get_value() == 4


# ---- devices ----


def test_the_device_is_that_of_the_settings():
    x = gt.scalar("x")
    with gs.config.change_flags(device="emulator"):
        assert gs.function([x], x).device == "emulator"
    with gs.config.change_flags(device="auto"):
        assert gs.function([x], x).device in ("cpu", "cuda:0")
    assert gs.function([x], x, device="cpu").device == "cpu"


# ---- eval ----


def test_eval():
    x, y = gt.vector("x"), gt.scalar("y")
    np.testing.assert_array_equal((x * y).eval({x: [1.0, 2.0], y: 3}), [3, 6])
    assert gt.constant(4).eval() == 4
    assert gt.arange(5).sum().eval(device="cpu") == 10


# ---- what a function says of itself ----


def test_explain_on_the_cpu():
    x = gt.matrix("x")
    past = {"initial": x[:2], "taps": [-2, -1]}
    (states, emits), _ = gs.scan(lambda row, s2, s1: (s1 + row, s2 * 2), x, [past, None], name="walk")
    f = gs.function([x], [states[-1], emits], device="cpu", name="steps")
    assert f.explain(file="str") == (
        "function 'steps' takes 1 value (input 'x')\n"
        "device cpu: one generated Python function over NumPy\n"
        "scan[walk]: a Python for, its length given by each call\n"
        "  state 's1' (float64[?]): 2 past values in local variables\n"
        "  keeps the history of output_1\n"
        "  keeps the final of s1\n"
    )


def test_explain_shows_loops_inside_loops():
    x = gt.matrix("x")

    def outer(row):
        return gs.scan(lambda element, total: total + element, row, np.float64(0), name="inner", n_steps=3)[0][-1]

    text = gs.function([x], gs.scan(outer, x, name="outer")[0], device="cpu").explain(file="str")
    assert text is not None
    assert text.splitlines()[2:] == [
        "scan[outer]: a Python for, its length given by each call",
        "  keeps the history of output_0",
        "  scan[inner]: a Python for, of 3 steps",
        "    state 'total' (float64[]): 1 past value in local variables",
        "    keeps the final of total",
    ]


def test_explain_prints(capsys):
    x = gt.scalar("x")
    gs.function([x], x, device="cpu").explain()
    assert capsys.readouterr().out.startswith("the function takes 1 value (input 'x')\ndevice cpu")


def test_debugprint_of_a_function_shows_what_runs():
    x = gt.matrix("x")
    out, _ = gs.scan(lambda row, s: s * 0.5 + row, x, gt.zeros(3), name="walk")
    text = gs.debugprint(gs.function([x], out[-1], device="cpu"), file="str")
    assert text is not None
    for part in ("scan[walk]", "Inner graph of scan[walk]", "state s, lags 1, becomes", "results: final of s"):
        assert part in text


def test_repr_and_names():
    x = gt.scalar("x")
    f = gs.function([x], x * 2, device="cpu", name="double")
    assert repr(f) == "<gpuscan function 'double' on cpu: 1 value (input 'x')>"
    assert f.inputs == (x,)
    assert f.plans == ()


def test_stack_traces_show_the_generated_text_while_the_function_lives():
    x, i = gt.vector("x"), gt.lscalar("i")
    f = gs.function([x, i], x[i], device="cpu")
    with pytest.raises(IndexError) as caught:
        f([1.0], 5)
    name = caught.traceback[-1].frame.code.raw.co_filename
    assert re.fullmatch(r"<gpuscan function \d+>", name)
    assert linecache.getline(name, 1) == f.kernel_source().splitlines(keepends=True)[0]
    del f, caught
    gc.collect()
    assert name not in linecache.cache
