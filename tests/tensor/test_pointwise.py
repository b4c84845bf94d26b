"""Every row of the pointwise table against NumPy and SciPy: values, dtypes, broadcasting, and what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import DTYPES, Graph, type_of
from gpuscan.host.rules import BY_SCIPY
from gpuscan.tensor.elementwise import apply
from gpuscan.tensor.pointwise import FLOAT_RULES, POINTWISE, promote
from tests.tensor.agree import agree, run, same

REFERENCE: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "true_div": np.divide, "floor_div": np.floor_divide,
    "mod": np.remainder, "power": np.power, "neg": np.negative, "abs": np.absolute, "sign": np.sign, "sqr": np.square,
    "eq": np.equal, "neq": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "switch": np.where, "clip": np.clip, "softplus": lambda x: np.logaddexp(x, x * 0),
    "sigmoid": lambda x: scipy.special.expit(x).astype(x.dtype),
    "erf": scipy.special.erf, "erfc": scipy.special.erfc, "gammaln": scipy.special.gammaln,
    "digamma": scipy.special.digamma, "real": np.real, "imag": np.imag, "conj": np.conjugate, "angle": np.angle,
    "i0": scipy.special.i0, "log1mexp": lambda x: np.log(-np.expm1(x)),
}  # fmt: skip
POSITIVE: tuple[str, ...] = ("sqrt", "log", "log2", "log10", "log1p", "gammaln", "digamma", "left_shift", "right_shift")
POSITIVE += ("gamma", "gammainc", "gammaincc", "betaln")
WITHIN = {
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv"), (-1, 1)),
    **dict.fromkeys(POSITIVE, (0, 4)),
    **{"arccosh": (1, 4), "power": (0, 3), "ndtri": (0, 1), "log1mexp": (-4, 0)},
}
"""Where a function is defined, if not everywhere."""
NO_ORDER = ("floor_div", "mod", "maximum", "minimum", "clip", "lt", "le", "gt", "ge")
REAL_ONLY = ("cbrt", "hypot", "exp2", "expm1", "log2", "log10", "log1p", "logaddexp", "arctan2", "deg2rad", "rad2deg")
REAL_ONLY += ("sigmoid", "softplus", "erf", "erfc", "gammaln", "digamma", "floor", "ceil", "trunc", "rint")
REAL_ONLY += (
    "erfcx",
    "erfinv",
    "ndtr",
    "ndtri",
    "gamma",
    "gammainc",
    "gammaincc",
    "betaln",
    "i0",
    "i1",
    "log1mexp",
    "polygamma",
)
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift")
REFUSED = {
    **dict.fromkeys(NO_ORDER + REAL_ONLY, "c"),
    **dict.fromkeys(BITS, "fc"),
    **dict.fromkeys(("sub", "neg", "sign"), "b"),
}
"""The kinds of the common dtype of the operands that an operation refuses."""


def common_of(row: str, dtypes: tuple[str, ...]) -> str:
    return promote(*(dtypes[1:] if row == "switch" else dtypes))


def values(row: str, dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = WITHIN.get(row, (-4, 4))
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if np.dtype(dtype).kind in "iu":
        return rng.integers(max(low, 0) if dtype.startswith("u") else low, high + 1, shape).astype(dtype)
    real = rng.uniform(low + 0.02, high - 0.02, shape)
    return (real + 1j * rng.uniform(-2, 2, shape) if dtype.startswith("c") else real).astype(dtype)


def reference(row: str, operands: list[np.ndarray]) -> np.ndarray:
    function = REFERENCE.get(row) or getattr(np, row, None) or getattr(scipy.special, row)
    in_floats = POINTWISE[row].rule in FLOAT_RULES or row in ("floor", "ceil", "trunc", "rint")
    if in_floats and common_of(row, tuple(o.dtype.name for o in operands)) not in DTYPES[DTYPES.index("float16") :]:
        operands = [o.astype("float64") for o in operands]
    with np.errstate(all="ignore"):
        result = np.asarray(function(*operands))
    # SciPy answers float16, and two dtypes, with float64.
    with np.errstate(over="ignore"):
        return result.astype(np.result_type(*operands)) if row in BY_SCIPY else result


SHAPES = {"arrays": ((3, 1), (4,), (3, 4)), "scalars": ((), (), ()), "scalar and arrays": ((), (4,), (3, 1))}


@pytest.mark.parametrize("shapes", SHAPES)
# The order of polygamma is a positive whole number; it has a test of its own.
@pytest.mark.parametrize("row", [row for row in POINTWISE if row != "polygamma"])
def test_row_is_numpys(row: str, shapes: str) -> None:
    arity = POINTWISE[row].arity
    arrays = {(dtype, k): values(row, dtype, SHAPES[shapes][k], seed=k) for dtype in DTYPES for k in range(arity)}
    inputs = {key: gt.tensor(str(key), a.dtype.name, (None,) * a.ndim) for key, a in arrays.items()}
    outputs, expected = [], []
    for dtypes in product(DTYPES, repeat=min(arity, 2)):
        keys = [(dtype, k) for k, dtype in enumerate((*dtypes, *dtypes)[:arity])]
        if np.dtype(common_of(row, tuple(dtype for dtype, _ in keys))).kind in REFUSED.get(row, ""):
            with pytest.raises(gs.DtypeError, match=row):
                apply(row, *(inputs[k] for k in keys))
            continue
        outputs.append(apply(row, *(inputs[k] for k in keys)))
        expected.append(reference(row, [arrays[k] for k in keys]))
    found = run(list(inputs.values()), outputs, list(arrays.values()))
    special = Graph.close(list(inputs.values()), outputs).specialise([type_of(a) for a in arrays.values()])
    for output, exact, result, want in zip(outputs, special.outputs, found, expected, strict=True):
        assert output.dtype == result.dtype.name, output.owner
        assert exact.type == type_of(result)
        same(result, want)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_polygamma(dtype: str) -> None:
    """Its order is whole, so the test of all rows does not draw it."""
    x, n = gt.tensor("x", dtype, (None,)), gt.lvector("n")
    points = np.arange(1, 9, dtype=dtype)
    f = gs.function([x, n], [gt.polygamma(3, x), gt.polygamma(0, x), gt.polygamma(n, x)], device="cpu")
    orders = np.array([1, 2, 1, 2, 1, 2, 1, 2])
    expected = [scipy.special.polygamma(o, points.astype("float64")) for o in (3, 0, orders)]
    for found, want in zip(f(points, orders), expected, strict=True):
        assert found.dtype == ("float64" if dtype == "int8" else dtype)
        np.testing.assert_allclose(found, want, rtol={"float16": 4e-3, "float32": 2e-5}.get(dtype, 1e-12))


def test_polygamma_of_orders_that_there_are_not() -> None:
    x = gt.vector("x")
    with pytest.raises(gs.DtypeError, match=r"polygamma: the order must be an integer; found float64"):
        gt.polygamma(1.5, x)
    with pytest.raises(ValueError, match="polygamma: the order must not be negative; found -1"):
        gt.polygamma(-1, x)


INTEGERS = [d for d in DTYPES if np.dtype(d).kind in "biu"]
KNOWING = [row for row, spec in POINTWISE.items() if spec.integer is not None]


@given(data=st.data(), row=st.sampled_from(KNOWING))
def test_a_known_value_is_the_computed_one(data: st.DataObject, row: str) -> None:
    scalars = []
    for _ in range(POINTWISE[row].arity):
        dtype = np.dtype(data.draw(st.sampled_from(INTEGERS)))
        low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        value = data.draw(st.integers(0 if row == "power" else low, high) | st.integers(max(low, 0), min(high, 9)))
        scalars.append(dtype.type(value))
    try:
        outcome = apply(row, *scalars)
    except gs.DtypeError:
        return
    if outcome.known is not None:
        assert outcome.known == outcome.eval(device="cpu")


def test_sizes_stay_known_through_arithmetic() -> None:
    x = gt.tensor("x", shape=(6, 4))
    n, m = x.shape
    assert (n * 2 + m // 3 - 1).known == 12
    assert gt.switch(n > m, n, m).known == 6
    assert gt.maximum(n, m).astype("int32").known == 6
    assert (n**2 % 5).known == 1
    assert gt.clip(n, 0, 5).known == 5
    assert (n / 2).known is None


def test_what_wraps_around_is_not_known() -> None:
    small = gt.constant(100)
    assert small.dtype == "int8"
    total = small + 100
    assert (total.dtype, total.known, total.eval(device="cpu")) == ("int8", None, -56)
    n = gt.tensor("n", shape=(300,)).shape[0]
    assert (n + 0).astype("int8").known is None
    assert (n + 0).astype("bool").known == 1
    assert gt.constant(300).astype("int8").known == 44


def test_numbers_take_the_dtype_beside_them() -> None:
    x, i, u, b, h = (
        gt.fvector(),
        gt.bvector(),
        gt.tensor(dtype="uint8"),
        gt.tensor(dtype="bool"),
        gt.tensor(dtype="float16"),
    )
    assert (x * 0.5).dtype == (2 * x).dtype == (x * True).dtype == (x**2).dtype == "float32"
    assert (x + 1j).dtype == "complex64"
    assert (h + 1j).dtype == "complex64"
    assert (gt.dscalar() + 1j).dtype == "complex128"
    assert (i + 5).dtype == "int8"
    assert (i + 300).dtype == "int16"
    assert (i + 2**40).dtype == "int64"
    assert (i * 0.5).dtype == "float64"
    assert (u + 200).dtype == "uint8"
    assert (u - 1).dtype == "uint8"
    assert (u + (-1)).dtype == "int16"
    assert (b + 1).dtype == "int8"
    assert (b + True).dtype == "bool"
    with gs.config.change_flags(floatX="float32"):
        assert (i * 0.5).dtype == "float32"
        assert gt.exp(i).dtype == (i / i).dtype == "float32"


def test_numpy_scalars_and_arrays_keep_their_dtype() -> None:
    x = gt.fvector("x")
    assert (x * np.float64(2)).dtype == (np.float64(2) * x).dtype == "float64"
    assert (np.ones(3) * x).type == gs.TensorType("float64", (3,))
    assert (x + np.int8(1)).dtype == "float32"
    assert (x + np.int64(1)).dtype == "float64"


def test_whole_numbers_are_their_own_rounding() -> None:
    i, z = gt.ivector(), gt.zvector()
    assert gt.floor(i) is gt.ceil(i) is gt.trunc(i) is gt.rint(i) is gt.round(i, 2) is i
    x = gt.vector()
    assert gt.real(x) is gt.conj(x) is x
    assert gt.real(z).dtype == "float64"


@pytest.mark.parametrize("decimals", [-2, -1, 0, 1, 3])
def test_round(decimals: int) -> None:
    for dtype in ("float64", "float32", "int64", "int8"):
        x = np.array([-127, -25, -15.5, 0.125, 2.5, 64, 100.0625]).astype(dtype)
        agree(lambda x: gt.round(x, decimals), np.round(x.astype("float64"), decimals).astype(dtype), x)
    assert gt.round([1.26, 3], 1).eval(device="cpu").tolist() == [1.3, 3.0]


def test_clip_on_one_side_or_none() -> None:
    x = np.linspace(-2, 2, 5)
    agree(lambda x: gt.clip(x, None, 1), np.clip(x, None, 1), x)
    agree(lambda x: gt.clip(x, -1), np.clip(x, -1, None), x)
    agree(lambda x: x.clip(-1, 1), np.clip(x, -1, 1), x)
    agree(gt.clip, x, x)
    mixed = (np.array([5], "int16"), np.array([3], "uint16"), np.array([9.5], "float32"))
    assert gt.clip(*map(gt.constant, mixed)).eval(device="cpu").dtype == promote("int16", "uint16", "float32")


@pytest.mark.parametrize("equal_nan", [False, True])
def test_isclose_and_allclose(equal_nan: bool) -> None:
    special = np.array([0, 1, 1 + 1e-6, 1 + 1e-3, np.inf, -np.inf, np.nan, 1e-9])
    a, b = (v.ravel() for v in np.meshgrid(special, special))
    agree(lambda a, b: gt.isclose(a, b, equal_nan=equal_nan), np.isclose(a, b, equal_nan=equal_nan), a, b)
    agree(lambda a, b: gt.allclose(a, b, rtol=1.0), np.allclose(a, b, rtol=1.0), a, b)
    agree(gt.isclose, np.array([True, False]), np.array([3, 4]), np.array([3, 5]))
    agree(gt.allclose, True, a[:5], a[:5])


def test_other_names_are_the_same_functions() -> None:
    pairs = dict(where="switch", absolute="abs", square="sqr", sgn="sign", inv="reciprocal", divide="true_div")
    pairs |= dict(int_div="floor_div", subtract="sub", multiply="mul", negative="neg", not_equal="neq", pow="power")
    pairs |= dict(and_="bitwise_and", or_="bitwise_or", xor="bitwise_xor", psi="digamma")
    assert all(getattr(gt, other) is getattr(gt, name) for other, name in pairs.items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gt.exp(), r"exp\(\) takes 1 arguments, not 0"),
        (lambda: gt.switch(True), r"switch\(\) takes 3 arguments, not 1"),
        (lambda: gt.sub(gt.tensor("a", "bool"), True), r"sub\(a: bool\[\], operand: bool\[\]\): booleans have no sign"),
        (lambda: gt.zscalar("z") < 1, r"lt\(z: complex128\[\], .*\): complex numbers have no order"),
        (lambda: gt.scalar("x") & 1, r"bitwise_and\(x: float64\[\], .*\): works on the bits of integers and booleans"),
        (lambda: gt.erf(gt.zscalar("z")), r"erf\(z: complex128\[\]\): is not defined for complex128"),
        (
            lambda: gt.vector("v", shape=(3,)) + np.ones(4),
            r"add\(v: float64\[3\], operand: float64\[4\]\): shapes .* axis -1",
        ),
        (lambda: gt.scalar() + "a", "'a'.* is no number"),
        (lambda: gt.scalar() + None, "None.* is no number"),
        (lambda: gt.iscalar() + 2**70, "does not fit 64 bits"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        wrong()


def test_an_op_takes_what_its_row_says() -> None:
    with pytest.raises(gs.ShapeError, match="add takes 2 operands, not 1"):
        gt.add(gt.scalar(), 1).owner.op(gt.scalar())


# ---- composed of several ----

ODD = np.array([0.5, np.nan, np.inf, -np.inf, -0.25, 0.0])


def test_numbers_where_one_may_be_nan() -> None:
    for a, b in ((ODD, ODD[::-1]), (ODD[:, None], ODD), (ODD.astype("float32"), np.float32(0.1))):
        agree(gt.fmax, np.fmax(a, b), a, np.asarray(b))
        agree(gt.fmin, np.fmin(a, b), a, np.asarray(b))
    k = np.array([3, -1, 2], "int8")
    agree(lambda k: [gt.fmax(k, 1), gt.fmin(k, k[::-1])], [np.fmax(k, np.int8(1)), np.fmin(k, k[::-1])], k)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int8", "bool"])
def test_nan_to_num(dtype: str) -> None:
    x = (ODD if dtype[0] in "fc" else ODD > 0).astype(dtype)
    if dtype[0] == "c":
        x.imag = ODD[::-1]
    agree(gt.nan_to_num, np.nan_to_num(x), x)
    agree(lambda x: gt.nan_to_num(x, 2, posinf=3.5), np.nan_to_num(x, nan=2, posinf=3.5), x)
    agree(lambda x: gt.nan_to_num(x, neginf=-9.0), np.nan_to_num(x, neginf=-9.0), x)


def test_relu() -> None:
    for x in (ODD, ODD.astype("float32"), np.array([-2, 0, 3], "int16")):
        agree(gt.relu, np.where(x <= 0, x.dtype.type(0), x), x)
    agree(lambda x: gt.relu(x, 0.1), np.where(ODD > 0, ODD, 0.1 * ODD), ODD)
    agree(gt.relu, np.where(ODD > 0, ODD, 0.5 * ODD), ODD, np.array(0.5))


def test_logit() -> None:
    x = np.array([0, 1e-300, 1e-9, 0.3, 0.5, 1 - 1e-9, 1, -1, 2, np.nan])
    agree(gt.logit, scipy.special.logit(x), x)
    agree(gt.logit, scipy.special.logit(x[3:5].astype("float32")), x[3:5].astype("float32"))
    agree(gt.logit, np.array([-np.inf, np.inf]), np.array([0, 1]))


def test_logdiffexp() -> None:
    a = np.array([1000.0, -1e4, 0.5, 2, 2, -np.inf, np.inf, 3, 1, np.nan])
    b = np.array([999.0, -1e4 - 1, 0.4, 2, -np.inf, -np.inf, 1, 3 - 1e-12, 2, 0])
    some = slice(2, 3)
    expected = [1000 + np.log1p(-np.exp(-1)), -1e4 + np.log1p(-np.exp(-1)), *np.log(np.exp(a[some]) - np.exp(b[some]))]
    expected += [-np.inf, 2, -np.inf, np.inf, 3 + np.log(-np.expm1(b[7] - 3)), np.nan, np.nan]
    agree(gt.logdiffexp, np.array(expected), a, b)
    single = np.array([-1, 2], "float32")
    agree(lambda x: gt.logdiffexp(3.0, x), np.log(np.exp(np.float32(3)) - np.exp(single)), single)
    agree(lambda k: gt.logdiffexp(k, 0), np.log(np.exp(2.0) - 1), np.array(2))
