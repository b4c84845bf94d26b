"""Pointwise loops as one kernel: what it computes, against the CPU, and what is decided about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.emulator import load as emulate
from gpuscan.cuda.gpu import KNOWN_GPUS

H200 = KNOWN_GPUS["NVIDIA H200"]


def run_both(inputs: list[Any], outputs: Any, *values: Any, device: str = "emulator", launches: bool = True) -> Any:
    """Check that a device computes what the CPU does, in kernels alone unless `launches` is off."""
    expected = gs.function(inputs, outputs, device="cpu")(*values)
    f = gs.function(inputs, outputs, device=device)
    found = f(*values)
    text = f.explain("str") or ""
    assert ("one kernel launch" in text) == launches, text
    for e, v in zip(as_list(expected), as_list(found), strict=True):
        assert e.dtype == v.dtype
        assert e.shape == v.shape
        tolerance = 1e-12 if e.dtype in ("float64", "complex128") else 2e-6
        np.testing.assert_allclose(v, e, rtol=tolerance, atol=tolerance)
    return found


def as_list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def normal(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.fixture(params=["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestReads:
    @pytest.mark.parametrize("taps", [[0], [-1], [1, 0], [-2, 1], [-12, 0]])
    @pytest.mark.parametrize("backwards", [False, True])
    def test_taps(self, taps: list[int], backwards: bool, device: str) -> None:
        x, a = gt.matrix("x"), gt.vector("a")
        weights = [1.0, 10.0]

        def step(*rows: Any) -> Any:
            return sum(w * row for w, row in zip(weights, rows[:-1], strict=False)) + 0.5 * rows[-1]

        out, _ = gs.scan(step, [dict(input=x, taps=taps)], [a], go_backwards=backwards)
        run_both([x, a], out, normal(17, 3), normal(3), device=device)

    def test_sequences_of_several_lengths_and_ranks(self, device: str) -> None:
        x, y, z = gt.matrix("x"), gt.vector("y"), gt.fmatrix("z")
        out, _ = gs.scan(lambda x, y, z, acc: acc * y + x - z, [x, y, z], gt.zeros(4))
        run_both([x, y, z], out, normal(9, 4), normal(8), normal(12, 4, dtype="float32"), device=device)

    def test_rows_that_broadcast_along_either_axis(self, device: str) -> None:
        rows, columns, init = gt.tensor3("rows"), gt.tensor3("columns"), gt.matrix("init")
        out, _ = gs.scan(lambda r, c, s: s * 0.5 + r * c, [rows, columns], [init])
        run_both([rows, columns, init], out, normal(6, 1, 5), normal(6, 4, 1), normal(4, 5), device=device)

    def test_non_sequences_of_every_rank(self, device: str) -> None:
        init, a, b, c = gt.matrix("init"), gt.scalar("a"), gt.vector("b"), gt.col("c")
        out, _ = gs.scan(lambda s, a, b, c: s * a + b - c, None, [init], [a, b, c], n_steps=5)
        run_both([init, a, b, c], out, normal(3, 4), 0.5, normal(4), normal(3, 1), device=device)

    def test_an_array_that_is_part_of_the_step(self, device: str) -> None:
        x = gt.matrix("x")
        step = lambda row, s: (s * np.array([1.0, -1.0, 2.0]) + row, gt.constant([3.0, 4.0, 5.0]))  # noqa: E731
        (states, same), _ = gs.scan(step, [x], [gt.zeros(3), None], name="a\nname")
        run_both([x], [states, same], normal(4, 3), device=device)

    def test_a_scalar_computed_on_the_device(self, device: str) -> None:
        x = gt.vector("x")
        mean = x.mean()
        out, _ = gs.scan(lambda v: v - mean, x)
        run_both([x], out, normal(6), device=device)


class TestStates:
    @pytest.mark.parametrize("taps", [[-2, -1], [-1, -3], [-5]])
    def test_lags(self, taps: list[int], device: str) -> None:
        init = gt.matrix("init")
        out, _ = gs.scan(lambda *past: sum(past) * 0.5, None, [dict(initial=init, taps=taps)], n_steps=9)
        run_both([init], [out, out[-1]], normal(5, 3), device=device)

    def test_states_that_change_places(self, device: str) -> None:
        a, b = gt.vector("a"), gt.vector("b")
        (first, second), _ = gs.scan(lambda a, b: (b, a), None, [a, b], n_steps=3)
        run_both([a, b], [first, second], normal(4), normal(4, seed=1), device=device)

    def test_a_scalar_state_beside_a_vector_one_is_written_once(self, device: str) -> None:
        v = gt.vector("v")
        (count, total), _ = gs.scan(lambda k, v: (k + 1, v * k), None, [np.float64(1), v], n_steps=4)
        run_both([v], [count, total, count[-1]], normal(40), device=device)

    @pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint64", "int64", "float32"])
    def test_dtypes(self, dtype: str, device: str) -> None:
        x = gt.tensor("x", dtype, (None, None))
        step = (lambda row, s: row ^ s) if dtype == "bool" else (lambda row, s: row * s + row)
        out, _ = gs.scan(step, [x], [x[0]])
        values = np.random.default_rng(2).integers(0, 3, (6, 5)).astype(dtype)
        run_both([x], out, values, device=device)


class TestKept:
    def test_last_rows_final_and_history(self, device: str) -> None:
        x = gt.matrix("x")
        (a, b), _ = gs.scan(lambda row, s: (row * 2, s + row), [x], [None, gt.zeros(3)])
        run_both([x], [a[-1], a[-3:], b[-1], b], normal(7, 3), device=device)

    @pytest.mark.parametrize("steps", [0, 1, 2, 7, 8, 9, 33])
    def test_number_of_steps(self, steps: int, device: str) -> None:
        x, init, n = gt.matrix("x"), gt.vector("init"), gt.iscalar("n")
        (doubled, total), _ = gs.scan(lambda row, s: (row * 2, s + row), [x], [None, init], n_steps=n)
        run_both([x, init, n], [doubled, total, doubled[-3:]], normal(40, 3), normal(3), steps, device=device)

    def test_no_lanes(self, device: str) -> None:
        x = gt.matrix("x")
        out, _ = gs.scan(lambda row, s: s + row, [x], [x[0]])
        run_both([x], out, normal(4, 0), device=device)

    def test_many_lanes(self, device: str) -> None:
        x = gt.matrix("x")
        out, _ = gs.scan(lambda row, s: np.tanh(s) + row, [x], [x[0]])
        run_both([x], out, normal(5, 1000), device=device)


FLOAT_ROWS = {
    "any": [
        *("add", "sub", "mul", "true_div", "floor_div", "mod", "neg", "abs", "sign", "sqr", "maximum", "minimum"),
        *("eq", "neq", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "floor", "ceil", "trunc", "rint"),
        *("exp", "exp2", "expm1", "logaddexp", "sin", "cos", "tan", "arctan", "arctan2", "sinh", "cosh", "tanh"),
        *("arcsinh", "deg2rad", "rad2deg", "sigmoid", "softplus", "erf", "erfc", "gammaln", "digamma", "cbrt", "hypot"),
        *("logical_and", "logical_or", "logical_xor", "logical_not", "reciprocal", "real", "imag", "conj", "angle"),
        *("erfcx", "ndtr", "gamma", "log1mexp"),
    ],
    "positive": [
        *("sqrt", "log", "log2", "log10", "log1p", "power", "arccosh"),
        *("gammainc", "gammaincc", "betaln"),
    ],
    "small": ["arcsin", "arccos", "arctanh", "erfinv"],
    "probability": ["ndtri"],
    "finite": ["i0", "i1"],  # SciPy has no value of them at infinity
}
INTEGER_ROWS = ["add", "sub", "mul", "floor_div", "mod", "power", "neg", "abs", "sign", "maximum", "minimum", "clip"]
INTEGER_ROWS += ["bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift", "eq", "lt"]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 3.0, -3.0, 1e-3, 20.0]


def emit_rows(rows: list[str], x: Any, y: Any) -> list[Any]:
    """Return every row of the table of one or two operands applied in a loop over pairs of rows of `x` and `y`."""
    from gpuscan.tensor.elementwise import apply
    from gpuscan.tensor.pointwise import POINTWISE

    def step(a: Any, b: Any) -> list[Any]:
        return [apply(row, *[a, b, b + 1][: POINTWISE[row].arity]) for row in rows]

    outputs, _ = gs.scan(step, [x, y], return_list=True)
    return list(outputs)


class TestEveryPointwiseRow:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("domain", FLOAT_ROWS)
    def test_floats(self, domain: str, dtype: str, device: str) -> None:
        pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL])
        if domain == "positive":
            pairs = np.abs(pairs) + 1.25
        if domain == "small":
            pairs = np.random.default_rng(0).uniform(-1, 1, (30, 2))
        if domain == "probability":
            pairs = np.append(np.random.default_rng(0).uniform(0, 1, (30, 2)), [[0, 1], [0.5, 1e-9], [1, -1]], axis=0)
        if domain == "finite":
            pairs = pairs[np.isfinite(pairs).all(axis=1)]
        x, y = gt.tensor("x", dtype, (None,)), gt.tensor("y", dtype, (None,))
        outputs = emit_rows(FLOAT_ROWS[domain], x, y)
        values = [np.ascontiguousarray(column, dtype) for column in pairs.T]
        expected = gs.function([x, y], outputs, device="cpu")(*values)
        found = gs.function([x, y], outputs, device=device)(*values)
        for row, e, v in zip(FLOAT_ROWS[domain], expected, found, strict=True):
            tolerance = 4e-6 if dtype == "float32" else 1e-13
            np.testing.assert_allclose(v, e, rtol=tolerance, atol=tolerance, err_msg=row)
            assert v.dtype == e.dtype, row

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
    def test_integers_exactly(self, dtype: str, device: str) -> None:
        limits = np.iinfo(dtype)
        values = np.array([0, 1, 2, 3, 5, 7, limits.max, limits.min, limits.max - 1], dtype)
        if limits.min < 0:
            values = np.concatenate([values, np.array([-1, -2, -7], dtype)])
        a, b = (v.ravel() for v in np.meshgrid(values, values))
        x, y = gt.tensor("x", dtype, (None,)), gt.tensor("y", dtype, (None,))
        skipped = {"power"} | ({"neg", "abs"} if limits.min == 0 else set())
        rows = [row for row in INTEGER_ROWS if row not in skipped]
        outputs = emit_rows(rows, x, y)
        expected = gs.function([x, y], outputs, device="cpu")(a, b)
        found = gs.function([x, y], outputs, device=device)(a, b)
        for row, e, v in zip(rows, expected, found, strict=True):
            np.testing.assert_array_equal(v, e, err_msg=row)

    def test_integer_powers(self, device: str) -> None:
        x, y = gt.lvector("x"), gt.lvector("y")
        base, exponent = (v.ravel() for v in np.meshgrid(np.arange(-4, 5), np.arange(0, 9)))
        run_both([x, y], emit_rows(["power"], x, y), base, exponent, device=device)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_derivatives_of_digamma(self, dtype: str, device: str) -> None:
        x = gt.tensor("x", dtype, (None,))
        # Not halves below 0, where terms of opposite sign cancel.
        values = np.array([*SPECIAL, 0.1, 1.0, 9.5, 12.0, 1e6, -1.3, -30.2, -70.3], dtype)
        values = values[values != -2.5]
        outputs, _ = gs.scan(lambda a: [gt.polygamma(n, a) for n in (1, 2, 3, 6)], x)
        expected = gs.function([x], outputs, device="cpu")(values)
        found = gs.function([x], outputs, device=device)(values)
        for e, v in zip(expected, found, strict=True):
            np.testing.assert_allclose(v, e, rtol=4e-6 if dtype == "float32" else 1e-13)
            assert v.dtype == e.dtype

    def test_no_row_of_the_table_is_left_out(self) -> None:
        from gpuscan.tensor.pointwise import POINTWISE

        tested = {row for rows in FLOAT_ROWS.values() for row in rows} | set(INTEGER_ROWS) | {"switch", "polygamma"}
        assert set(POINTWISE) == tested


class TestInnerAxes:
    """Steps that mix elements: a thread has all of those that are mixed."""

    def test_a_product(self, device: str) -> None:
        s, w = gt.vector("s"), gt.matrix("w")
        out, _ = gs.scan(lambda s, w: s @ w, None, [s], [w], n_steps=3)
        run_both([s, w], out, normal(3), normal(3, 3), device=device)

    def test_a_transposition(self, device: str) -> None:
        s = gt.matrix("s")
        out, _ = gs.scan(lambda s: s.T * 1.5, None, [s], n_steps=3)
        run_both([s], out, normal(3, 3), device=device)

    def test_a_stop_condition(self, device: str) -> None:
        s = gt.vector("s")
        out, _ = gs.scan(lambda s: (s * 2, gs.until((s > 5).any())), None, [s], n_steps=30)
        assert len(run_both([s], out, np.ones(3), device=device)) == 4


class TestRefusals:
    """What a plan says of a loop that no team takes; it then runs from the host."""

    def refused(self, step: Callable[..., Any], *values: Any, **options: Any) -> str:
        inputs = [gt.tensor(f"x{i}", v.dtype.name, (None,) * v.ndim) for i, v in enumerate(values)]
        out, _ = gs.scan(step, None, inputs[:1], inputs[1:], n_steps=3, **options)
        run_both(inputs, out, *values, launches=False)
        f = gs.function(inputs, out, device="emulator")
        f(*values)
        text = f.explain("str")
        assert text is not None
        return text

    def test_too_many_registers(self) -> None:
        x = gt.matrix("x")
        out, _ = gs.scan(lambda old: old * 0.5, None, [dict(initial=x, taps=[-90])], n_steps=3)
        f = gs.function([x], out, device="emulator")
        f(normal(90, 2))
        assert "a lane carries 180 registers" in (f.explain("str") or "")

    def test_complex_numbers(self) -> None:
        assert "complex128 has no kernel type" in self.refused(lambda s: s * s, normal(3) + 1j)

    def test_a_state_whose_shape_grows(self) -> None:
        s, v = gt.vector("s"), gt.vector("v")
        out, _ = gs.scan(lambda s, v: s + v, None, [s], [v], n_steps=2)
        with pytest.raises(gs.LoopError, match="state 's'"):
            gs.function([s, v], out, device="emulator")(normal(1), normal(3))


class TestPlans:
    def test_bytes_are_those_of_the_arrays(self) -> None:
        x, s = gt.matrix("x"), gt.vector("s")
        out, _ = gs.scan(lambda old, row, acc: acc + old * row, [dict(input=x, taps=[-2, 0])], [s])
        f = gs.function([x, s], [out, out[-1]], device="emulator")
        result, last = f(normal(10, 4), normal(4))
        plan = f.plans[0]
        inputs_and_outputs = 10 * 4 * 8 + 4 * 8 + result.nbytes + last.nbytes
        assert plan.traffic.total(len(result)) == inputs_and_outputs

    def test_a_new_length_compiles_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x = gt.matrix("x")
        out, _ = gs.scan(lambda row, s: s + row, [x], [x[0]])
        f = gs.function([x], out, device="emulator")
        f(normal(3, 4))
        monkeypatch.setattr("gpuscan.cuda.emulator.load", lambda kernel: pytest.fail("compiled again"))
        f(normal(8, 4))

    def test_other_sizes_have_the_same_text(self) -> None:
        x = gt.matrix("x")
        out, _ = gs.scan(lambda row, s: s + row, [x], [x[0]])
        f = gs.function([x], out, device="emulator")
        f(normal(3, 4))
        f(normal(3, 7))
        texts = f.kernel_source().split("// scan")[1:]
        assert len(texts) == 2
        assert texts[0].split("// around")[0].strip() == texts[1].split("// around")[0].strip()

    def test_an_index_past_the_end_would_be_found(self) -> None:
        """The emulator checks the generated kernels too: one told of too many steps is stopped."""
        from gpuscan.cuda.step.kernel_text import step_kernel

        x = gt.dmatrix("x")
        out, _ = gs.scan(lambda row, s: s + row, [x], [gt.zeros(4)])
        f = gs.function([x], out, device="emulator")
        f(normal(3, 4))
        bound = step_kernel(f.plans[0], frozenset(), H200.shared_per_block)
        sizes = {"lanes": 4, "lanes_0": 4, "length": 5, "row_size": 4, "init_s": (1, 4), "seq_row": (3, 4)}
        values = [sizes.get(p.name, (3, 4)) for p in bound.kernel.parameters]
        arguments = [np.zeros(v) if isinstance(v, tuple) else v for v in values]
        with pytest.raises(gs.KernelError, match="seq_row"):
            emulate(bound.kernel)((1, 1, 1), (32, 1, 1), 0, arguments)
