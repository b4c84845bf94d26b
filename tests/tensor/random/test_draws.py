"""What users call to draw: shapes, dtypes, states, streams, default updates, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.errors import DtypeError, ShapeError
from gpuscan.tensor import random
from gpuscan.tensor.random.functions import FUNCTIONS


def value(sample, device="cpu"):
    return gs.function([], sample, device=device)()


def seeded(seed=0):
    return np.random.default_rng(seed)


ARGUMENTS = {
    "integers": (3, 9),
    "gamma": (2.0,),
    "beta": (2.0, 3.0),
    "student_t": (4.0,),
    "dirichlet": ([1.0, 2.0],),
    "multinomial": (5, [0.4, 0.6]),
    "categorical": ([0.4, 0.6],),
    "choice": (5,),
    "permutation": (3,),
    "multivariate_normal": ([0.0, 1.0], [[1.0, 0.0], [0.0, 2.0]]),
}
CORE = {"dirichlet": (2,), "multinomial": (2,), "permutation": (3,), "multivariate_normal": (2,)}
COUNTS = ("integers", "bernoulli", "poisson", "binomial", "multinomial", "categorical", "choice", "permutation")


# ---- shapes ----


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("size", [None, (), 3, (2, 3), [0, 2], (1,), "symbolic", "shape"], ids=str)
def test_size(name, size, device):
    n = gt.lscalar("n")
    like = gt.matrix("like")
    asked, inputs, values, batch = size, [], [], size or ()
    if size == "symbolic":
        asked, inputs, values, batch = (n, 2), [n], [4], (4, 2)
    elif size == "shape":
        asked, inputs, values, batch = like.shape, [like], [np.ones((3, 2))], (3, 2)
    batch = (batch,) if isinstance(batch, int) else tuple(batch)
    sample = FUNCTIONS[name](*ARGUMENTS.get(name, ()), size=asked, rng=seeded())
    found = gs.function(inputs, sample, device=device)(*values)
    assert found.shape == batch + CORE.get(name, ())
    assert sample.ndim == found.ndim
    assert found.dtype == sample.dtype == ("int64" if name in COUNTS else "float64")


def test_parameters_broadcast_to_each_other_and_to_the_size(device):
    a, b = gt.col("a"), gt.row("b")
    sample = random.normal(a, b, rng=seeded())
    assert gs.function([a, b], sample, device=device)(np.ones((2, 1)), np.ones((1, 3))).shape == (2, 3)
    assert value(random.normal(np.zeros(3), 1.0, size=(4, 3), rng=seeded()), device).shape == (4, 3)
    assert value(random.normal(np.zeros((2, 1)), np.ones(3), rng=seeded()), device).shape == (2, 3)
    assert value(random.multinomial([3, 4], [0.5, 0.5], rng=seeded()), device).shape == (2, 2)


def test_elements_of_a_sample_are_numbered_in_c_order():
    flat = value(random.normal(size=(600,), rng=seeded()))
    np.testing.assert_array_equal(value(random.normal(size=(20, 30), rng=seeded())), flat.reshape(20, 30))
    np.testing.assert_array_equal(value(random.normal(size=7, rng=seeded())), flat[:7])
    np.testing.assert_array_equal(value(random.normal(rng=seeded())), flat[0])
    scaled = value(random.normal(np.arange(600.0), np.arange(600.0), rng=seeded()))
    np.testing.assert_allclose(scaled, np.arange(600) + np.arange(600) * flat)
    each = value(random.gamma(np.array([0.5, 0.5, 7.0]), rng=seeded()))
    np.testing.assert_array_equal(each[:2], value(random.gamma(0.5, size=2, rng=seeded())))


# ---- dtypes ----


def test_dtypes_of_reals_come_from_the_parameters():
    single = np.float32(2)
    assert random.normal(single, np.ones(2, "float32"), rng=seeded()).dtype == "float32"
    assert random.normal(0, single, rng=seeded()).dtype == "float32"
    assert random.normal(np.float64(0), single, rng=seeded()).dtype == "float64"
    assert random.normal(np.arange(3), rng=seeded()).dtype == "float64"
    with gs.config.change_flags(floatX="float32"):
        assert random.normal(rng=seeded()).dtype == random.normal(np.arange(3), rng=seeded()).dtype == "float32"
        assert random.standard_normal(rng=seeded()).dtype == "float32"
    for dtype in ("float16", "float32", "float64"):
        found = value(random.normal(1.0, 2.0, size=3, dtype=dtype, rng=seeded()))
        assert found.dtype == dtype
    assert random.uniform(dtype="floatX", rng=seeded()).dtype == "float64"


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "bool", "float32", "float64"])
def test_dtypes_of_counts_are_asked_for(dtype, device):
    found = value(random.bernoulli(0.5, size=9, dtype=dtype, rng=seeded()), device)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, value(random.bernoulli(0.5, size=9, rng=seeded())))
    assert value(random.binomial(1, 0.5, size=9, dtype=dtype, rng=seeded()), device).dtype == dtype


def test_choice_and_permutation_keep_what_they_draw_from(device):
    rows = np.arange(12, dtype="float32").reshape(6, 2)
    picked = value(random.choice(rows, size=(3, 4), rng=seeded()), device)
    assert picked.shape == (3, 4, 2)
    assert picked.dtype == "float32"
    assert {tuple(row) for row in picked.reshape(-1, 2)} <= {tuple(row) for row in rows}
    mixed = value(random.permutation(rows, rng=seeded()), device)
    assert sorted(map(tuple, mixed)) == sorted(map(tuple, rows))
    assert value(random.permutation(rows, size=2, rng=seeded()), device).shape == (2, 6, 2)


# ---- states ----


def test_a_draw_gives_the_next_state_and_the_sample():
    rng = random.default_rng(5, name="rng")
    sample = random.normal(size=3, rng=rng, name="noise")
    following, drawn = sample.owner.outputs
    assert drawn is sample
    assert sample.name == "noise"
    assert str(following.type) == "uint64[2]"
    f = gs.function([], sample, updates={rng: following})
    first, second = f(), f()
    assert not np.any(first == second)
    assert rng.get_value()[1] == 2
    rng.set_value(rng.get_value() - np.array([0, 2], "uint64"))
    np.testing.assert_array_equal(f(), first)


def test_without_updates_the_same_numbers_come_again():
    f = gs.function([], random.normal(size=3, rng=random.default_rng(5)))
    np.testing.assert_array_equal(f(), f())


def test_methods_of_states_return_the_next_state_too(device):
    rng = random.default_rng(5)
    second, x = rng.normal(0, 1, size=3)
    third, y = second.uniform(size=(2,))
    f = gs.function([], [x, y], updates={rng: third}, device=device)
    by_function = random.normal(0, 1, size=3, rng=random.default_rng(5))
    x_value, y_value = f()
    np.testing.assert_array_equal(x_value, value(by_function, device))
    np.testing.assert_array_equal(y_value, value(random.uniform(size=2, rng=by_function.owner.outputs[0]), device))
    assert rng.get_value()[1] == 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_a_method_of_states_and_streams(name):
    arguments = ARGUMENTS.get(name, ())
    following, sample = getattr(random.default_rng(1), name)(*arguments)
    assert following.owner is sample.owner
    assert getattr(random.RandomStream(1), name)(*arguments).type == sample.type


def test_other_variables_have_no_methods_of_states():
    for variable in (gt.vector("x"), gt.lvector("k"), gt.tensor("t", dtype="uint64", shape=(3,))):
        assert not hasattr(variable, "normal")
        with pytest.raises(AttributeError, match="random states"):
            variable.normal()
    with pytest.raises(AttributeError, match="no attribute 'nomal'"):
        random.default_rng(1).nomal()


def test_a_numpy_generator_is_read_and_not_advanced():
    generator = seeded(3)
    before = copy.deepcopy(generator.bit_generator.state)
    first, again = gs.shared(generator), gs.shared(generator)
    assert generator.bit_generator.state == before
    np.testing.assert_array_equal(first.get_value(), again.get_value())
    np.testing.assert_array_equal(first.get_value(), random.default_rng(3).get_value())
    generator.normal()
    assert gs.shared(generator).get_value()[0] != first.get_value()[0]
    for bits in (np.random.MT19937, np.random.Philox, np.random.SFC64):
        assert gs.shared(np.random.Generator(bits(3))).get_value()[1] == 0


def test_new_states_without_a_seed_differ():
    assert random.default_rng().get_value()[0] != random.default_rng().get_value()[0]
    assert value(random.normal()) != value(random.normal())


def test_states_are_values_like_others():
    rng = random.default_rng(4, name="rng")
    again = pickle.loads(pickle.dumps(rng))
    np.testing.assert_array_equal(again.get_value(), rng.get_value())
    state = gt.tensor("state", dtype="uint64", shape=(2,))
    following, x = state.normal(size=2)
    f = gs.function([state], [following, x], device="cpu")
    next_value, x_value = f(rng.get_value())
    np.testing.assert_array_equal(next_value, rng.get_value() + np.array([0, 1], "uint64"))
    np.testing.assert_array_equal(x_value, value(random.normal(size=2, rng=rng)))
    two = gt.tensor("two", dtype="uint64", shape=(None, 2))
    assert gs.function([two], two[0].normal()[1], device="cpu")(np.stack([rng.get_value()] * 2)) == x_value[0]


# ---- streams ----


def test_a_stream_advances_by_itself(device):
    stream = random.RandomStream(seed=234)
    f = gs.function([], [stream.uniform(size=(2, 2)), stream.normal(size=3)], device=device)
    (a, b), (c, d) = f(), f()
    assert not np.any(a == c)
    assert not np.any(b == d)


def test_equal_seeds_give_equal_streams_and_seed_starts_again():
    def numbers(stream):
        f = gs.function([], [stream.normal(), stream.normal()])
        return [f(), f()]

    stream = random.RandomStream(11)
    first = numbers(stream)
    assert first == numbers(random.RandomStream(11))
    assert first != numbers(random.RandomStream(12))
    assert first == numbers(random.utils.RandomStream(seed=11))
    f = gs.function([], [sample.owner.outputs[1] for sample in (u for _, u in stream.state_updates)])
    stream.seed(5)
    other = f()
    stream.seed(11)
    assert [list(f()), list(f())] == [list(v) for v in first]
    assert other != list(first[0])
    assert numbers(random.RandomStream(seeded(3))) == numbers(random.RandomStream(seeded(3)))


def test_default_updates_can_be_replaced_and_left_out():
    stream = random.RandomStream(1)
    x, y = stream.normal(), stream.normal()
    (x_state, _), (y_state, _) = stream.state_updates
    still = gs.function([], x, no_default_updates=True)
    assert still() == still()
    half = gs.function([], [x, y], no_default_updates=[x_state])
    first, second = half(), half()
    assert first[0] == second[0]
    assert first[1] != second[1]
    again = gs.function([], x, updates={x_state: x_state})
    assert again() == again()
    advancing = gs.function([], x)
    assert advancing() != advancing()
    assert y_state.get_value()[1] == 2


def test_default_updates_of_default_updates():
    a, b = gs.shared(1.0, name="a"), gs.shared(10.0, name="b")
    a.default_update = a + b
    b.default_update = b * 2
    f = gs.function([], a * 1)
    assert [float(f()), float(f()), float(f())] == [1.0, 11.0, 31.0]
    assert b.get_value() == 80.0


# ---- what is refused ----


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("normal", (0.0, -1.0), r"normal: scale must be zero or more; found -1\.0"),
        ("normal", (0.0, np.nan), r"scale must be zero or more; found nan"),
        ("exponential", (np.array([1.0, -2.0]),), r"exponential: scale must be zero or more; found -2\.0"),
        ("bernoulli", (1.5,), r"bernoulli: p must be between 0 and 1; found 1\.5"),
        ("binomial", (3, -0.1), r"binomial: p must be between 0 and 1; found -0\.1"),
        ("binomial", (-3, 0.1), r"binomial: n must be zero or more; found -3"),
        ("poisson", (-1.0,), r"poisson: lam must be zero or more"),
        ("beta", (0.0, 1.0), r"beta: alpha must be positive; found 0\.0"),
        ("student_t", (0.0,), r"student_t: df must be positive"),
        ("dirichlet", ([1.0, 0.0],), r"dirichlet: alphas must be positive"),
    ],
)
def test_constants_outside_of_a_domain_are_refused_at_once(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        FUNCTIONS[name](*arguments)


def test_values_outside_of_a_domain_are_refused_in_the_call():
    p = gt.vector("p")
    f = gs.function([p], random.bernoulli(p, rng=seeded()), device="cpu")
    with pytest.raises(ValueError, match=r"bernoulli: p must be between 0 and 1; found 1\.25"):
        f([0.5, 1.25])
    rng = random.default_rng(1)
    sample = random.normal(0.0, p, rng=rng)
    f = gs.function([p], sample, updates={rng: sample.owner.outputs[0]}, device="cpu")
    with pytest.raises(ValueError, match="scale must be zero or more"):
        f([1.0, -1.0])
    assert rng.get_value()[1] == 0


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (lambda r: r.integers(5, 5, rng=seeded()), "high must be above low"),
        (lambda r: r.choice(0, rng=seeded()), "nothing to choose from"),
        (lambda r: r.choice(3, size=4, replace=False, rng=seeded()), "4 elements without replacement.*there are 3"),
        (lambda r: r.choice(3, size=3, replace=False, p=[0.5, 0.5, 0.0], rng=seeded()), "3 elements.*there are 2"),
        (lambda r: r.categorical([0.0, 0.0], rng=seeded()), "p needs a probability above 0"),
        (lambda r: r.multinomial(4, [0.9, 0.9], rng=seeded()), "must add up to 1"),
    ],
)
def test_parameters_that_do_not_fit_each_other(sample, message):
    with pytest.raises(ValueError, match=message):
        value(sample(random))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.normal(rng=5), DtypeError, r"normal: rng must be a random state.*default_rng.*found 5"),
        (lambda: random.normal(rng=gt.vector("x")), DtypeError, r"rng must be a random state, uint64\[2\]; found <x"),
        (lambda: random.normal(rng=gt.tensor("t", dtype="uint64", shape=(3,))), ShapeError, "random state"),
        (lambda: random.normal(size=2.5), DtypeError, "normal: sizes must be integers"),
        (lambda: random.normal(size=gt.lvector("shape")), ShapeError, "normal"),
        (lambda: random.normal(size=(2, -1)), ShapeError, r"sizes must not be negative"),
        (lambda: random.normal(np.zeros(3), size=2), ShapeError, r"normal\(loc: .*size \(2,\) does not hold"),
        (lambda: random.normal(np.zeros(3), size=()), ShapeError, "does not hold"),
        (lambda: random.normal(np.zeros(3), np.ones(2)), ShapeError, "do not broadcast"),
        (lambda: random.normal(dtype="int64"), DtypeError, "normal: the sample cannot be int64; use a float dtype"),
        (lambda: random.normal(1j), DtypeError, "loc must be real"),
        (lambda: random.integers(0.5, 3), DtypeError, "integers: bounds must be integers"),
        (lambda: random.binomial(2.5, 0.5), DtypeError, "binomial: n must be an integer"),
        (lambda: random.categorical(0.5), ShapeError, "categorical.*p needs 1 axes or more"),
        (lambda: random.choice(2.5), DtypeError, "must be an integer or have an axis"),
        (lambda: random.choice(3, p=[0.5, 0.5]), ShapeError, "axis 0 has size 3 and size 2"),
        (lambda: random.multivariate_normal([0.0, 1.0], np.eye(3)), ShapeError, "axis 0 has size 2 and size 3"),
        (lambda: random.gamma(1.0, 2.0, 3.0), TypeError, "the rate or the scale, not both"),
        (lambda: random.RandomStream(1).normal(rng=3), TypeError, "takes no rng"),
        (lambda: random.RandomStream(1).nomal(), AttributeError, "no 'nomal'"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_sizes_that_do_not_fit_at_the_call():
    loc, n = gt.vector("loc"), gt.lscalar("n")
    f = gs.function([loc, n], random.normal(loc, size=(n,), rng=seeded()), device="cpu")
    assert f(np.zeros(3), 3).shape == (3,)
    with pytest.raises(ShapeError, match=r"size \(2,\) does not hold parameters that have the shape \(3,\)"):
        f(np.zeros(3), 2)
    with pytest.raises(ShapeError, match="sizes must not be negative"):
        f(np.zeros(1), -2)


def test_gamma_has_a_rate_second_and_a_scale_by_name():
    by_rate = value(random.gamma(2.0, 4.0, rng=seeded()))
    np.testing.assert_array_equal(by_rate, value(random.gamma(2.0, scale=0.25, rng=seeded())))
    np.testing.assert_array_equal(by_rate, value(random.gamma(2, rate=4, rng=seeded())))
