"""Draws inside loops: states carried in every way, streams, the same numbers on every device, and kernels."""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.errors import LoopError, MissingInputError
from gpuscan.tensor import random

LOCATED = {
    "uniform": (-1.3, 2.7),
    "standard_normal": (),
    "normal": (1.0, 2.0),
    "halfnormal": (1.0, 2.0),
    "lognormal": (0.0, 0.3),
    "exponential": (2.0,),
    "laplace": (1.0, 2.0),
    "logistic": (1.0, 2.0),
    "cauchy": (1.0, 2.0),
}


def runs(make, *values, launches=True):
    """The outputs on the CPU and on the emulator, where the loop is one kernel unless `launches` is off."""
    found = []
    for device in ("cpu", "emulator"):
        inputs, outputs, updates = make()
        f = gs.function(inputs, outputs, updates=updates, device=device)
        found.append(f(*values))
    text = f.explain("str")
    assert ("one kernel launch" in text) == launches, text
    return found


def assert_same(cpu, emulator, exact=True):
    for expected, result in zip(cpu, emulator, strict=True):
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        if exact or expected.dtype.kind in "biu":
            np.testing.assert_array_equal(result, expected)
        else:
            # Of the standard draw, of size 1 or so, before it is shifted and scaled by 1 and 2.
            ulp = 4 * np.finfo(expected.dtype).eps
            np.testing.assert_allclose(result, expected, rtol=2 * ulp, atol=4 * ulp)


# ---- in kernels ----


@pytest.mark.parametrize("name", LOCATED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reals_in_a_kernel(name, dtype):
    def make():
        def step(rng):
            following, drawn = getattr(rng, name)(*LOCATED[name], size=(3, 50), dtype=dtype)
            return drawn, following

        (drawn, states), _ = gs.scan(step, outputs_info=[None, random.default_rng(5)], n_steps=5)
        return [], [drawn, states, states[-1]], None

    assert_same(*runs(make), exact=name == "uniform")


def test_integers_in_a_kernel_are_equal_bit_for_bit():
    def make():
        p = gt.vector("p")

        def step(rng):
            rng, a = rng.integers(-5, 17, size=(3, 50))
            rng, b = rng.bernoulli(p, size=(3, 50))
            rng, c = rng.integers(-(2**63), 2**63 - 1, size=())
            rng, d = rng.integers(gt.arange(50), 60, size=(3, 50), dtype="int32")
            rng, e = rng.bernoulli(p.astype("float32"), size=(3, 50), dtype="bool")
            return a, b, c, d, e, rng

        outputs, _ = gs.scan(step, outputs_info=[None] * 5 + [random.default_rng(5)], n_steps=40)
        return [p], outputs, None

    assert_same(*runs(make, np.linspace(0, 1, 50)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rejections_in_a_kernel(dtype):
    def make():
        shapes = gt.vector("shapes")

        def step(rng):
            rng, a = rng.gamma(shapes, scale=2.0, size=(20, 6), dtype=dtype)
            rng, b = rng.beta(shapes, 0.3, size=(20, 6), dtype=dtype)
            rng, c = rng.student_t(shapes, 0.0, 2.0, size=(20, 6), dtype=dtype)
            return a, b, c, rng

        outputs, _ = gs.scan(step, outputs_info=[None] * 3 + [random.default_rng(5)], n_steps=40)
        return [shapes], outputs, None

    cpu, emulator = runs(make, np.array([0.05, 0.5, 1.0, 1.5, 20.0, 1e4]))
    for expected, found in zip(cpu, emulator, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13 if dtype == "float64" else 1e-6)


def test_counts_in_a_kernel_are_equal():
    def make():
        means, n, p = gt.vector("means"), gt.lcol("n"), gt.vector("p")

        def step(rng):
            rng, a = rng.poisson(means, size=(7, 8))
            rng, b = rng.binomial(n, p, size=(7, 8))
            rng, c = rng.binomial(1, p.astype("float32"), size=(7, 8), dtype="int32")
            return a, b, c, rng

        outputs, _ = gs.scan(step, outputs_info=[None] * 3 + [random.default_rng(5)], n_steps=100)
        return [means, n, p], outputs, None

    means = np.array([0.0, 0.1, 3.0, 9.9, 10.0, 30.0, 1e4, 1e9])
    n = np.array([[0], [1], [2], [15], [100], [10**4], [10**9]])
    p = np.array([0.0, 1e-8, 0.1, 0.3, 0.5, 0.77, 0.999, 1.0])
    assert_same(*runs(make, means, n, p))


def test_elements_of_a_draw_that_lanes_share():
    def make():
        def step(x, rng):
            rng, row = rng.uniform(size=(4,))
            rng, column = rng.uniform(size=(3, 1))
            rng, one = rng.uniform()
            rng, shaped = rng.uniform(size=x.shape)
            return x + row * 8 + column * 4 + one * 2 + shaped, rng

        (x, _), _ = gs.scan(step, outputs_info=[gt.zeros((3, 4)), random.default_rng(5)], n_steps=3)
        return [], [x], None

    assert_same(*runs(make))


def test_states_that_are_not_carried():
    states = np.array([[3, 4], [5, 6], [5, 2**64 - 1]], np.uint64)

    def make():
        rows = gt.tensor("rows", dtype="uint64", shape=(None, 2))
        fixed = random.default_rng(3)

        def step(row, x, given):
            _, a = row.uniform(size=3)
            _, b = given.uniform(size=3)
            following, c = random.uniform(a, b, size=3, rng=np.random.default_rng(1)).owner.outputs
            return x + a + b + c, row, following

        outputs, _ = gs.scan(step, rows, [gt.zeros(3), None, None], [fixed])
        return [rows], outputs, None

    cpu, emulator = runs(make, states)
    assert_same(cpu, emulator)
    np.testing.assert_array_equal(cpu[1], states)


def test_a_state_with_lags_and_one_that_stays():
    def make():
        def step(two_ago, one_ago, fixed, x):
            following, a = two_ago.uniform(size=2)
            _, b = fixed.uniform(size=2)
            return following, fixed, x + a + b

        past = gt.stack([random.default_rng(1), random.default_rng(2)])
        info = [dict(initial=past, taps=[-2, -1]), random.default_rng(3), gt.zeros(2)]
        outputs, _ = gs.scan(step, outputs_info=info, n_steps=5)
        return [], [*outputs, outputs[0][-1]], None

    assert_same(*runs(make))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda x, rng: (x + rng.permutation(gt.arange(3)[: 1 + (x[0] > 5)])[1][0], rng), "depends on values"),
        (lambda x, rng: (x + rng.normal(size=3)[1], rng * 2), "computes with a random state"),
        (lambda x, rng: (x + rng.normal(size=3)[1] + rng[1].astype("float64"), rng), "mixes lanes|random state"),
    ],
)
def test_what_threads_refuse_the_host_draws(step, reason):
    def make():
        outputs, _ = gs.scan(step, outputs_info=[gt.zeros(3), random.default_rng(5)], n_steps=3)
        return [], outputs, None

    assert_same(*runs(make, launches=False), exact=False)
    _, outputs, _ = make()
    f = gs.function([], outputs, device="emulator")
    f()
    with_reason = f.explain("str")
    assert any(part in with_reason for part in reason.split("|")), with_reason


# ---- every distribution, driven from the host ----


def test_the_same_numbers_in_a_loop_as_one_by_one(device):
    def step(rng):
        rng, a = rng.gamma(0.7, size=2)
        rng, b = rng.poisson(30.0)
        rng, c = rng.permutation(4)
        rng, d = rng.multinomial(9, [0.2, 0.8])
        return a, b, c, d, rng

    outputs, _ = gs.scan(step, outputs_info=[None] * 4 + [random.default_rng(8)], n_steps=3)
    looped = gs.function([], outputs, device=device)()
    rng = random.default_rng(8)
    unrolled = []
    for _ in range(3):
        *drawn, rng = step(rng)
        unrolled.append(drawn)
    one_by_one = gs.function([], [v for row in unrolled for v in row], device="cpu")()
    for k in range(4):
        for t in range(3):
            np.testing.assert_allclose(looped[k][t], one_by_one[4 * t + k], rtol=1e-14)


# ---- shared states and updates ----


def test_a_shared_state_in_updates(device):
    rng = gs.shared(np.random.default_rng(2), name="rng")

    def step(x):
        following, e = random.normal(rng=rng).owner.outputs
        return x + e, {rng: following}

    xs, updates = gs.scan(step, outputs_info=[np.float64(0)], n_steps=4)
    assert list(updates) == [rng]
    f = gs.function([], xs, updates=updates, device=device)
    first, second = f(), f()
    assert rng.get_value()[1] == 8
    assert not np.any(first == second)
    rng.set_value(rng.get_value() - np.array([0, 8], "uint64"))
    np.testing.assert_array_equal(f(), first)
    again = gs.function([], xs, device=device)
    np.testing.assert_array_equal(again(), again())


def test_a_stream_inside_a_step(device):
    stream = random.RandomStream(3)
    xs, updates = gs.scan(
        lambda x: x + stream.normal() + stream.uniform(size=(2,)), outputs_info=[gt.zeros(2)], n_steps=3
    )
    assert list(updates) == [state for state, _ in stream.state_updates]
    moving = gs.function([], xs, updates=updates, device=device)
    first, second = moving(), moving()
    assert not np.any(first == second)
    assert len(set(np.diff(first[:, 0]))) == 2  # other numbers at every step
    still = gs.function([], xs, device=device)  # as in Theano: without the updates, the same numbers again
    np.testing.assert_array_equal(still(), still())
    assert [state.get_value()[1] for state, _ in stream.state_updates] == [6, 6]


def test_a_stream_passes_strict():
    stream, w = random.RandomStream(3), gs.shared(np.float64(2), name="w")
    xs, updates = gs.scan(lambda x: x + stream.normal(), outputs_info=[np.float64(0)], n_steps=3, strict=True)
    assert gs.function([], xs, updates=updates)().shape == (3,)
    with pytest.raises(MissingInputError, match="'w'"):
        gs.scan(lambda x: x + w * stream.normal(), outputs_info=[np.float64(0)], n_steps=3, strict=True)


def test_a_stream_inside_a_step_is_not_hidden():
    stream = random.RandomStream(3)
    with pytest.raises(LoopError, match="return_updates=False would hide"):
        gs.scan(lambda x: x + stream.normal(), outputs_info=[np.float64(0)], n_steps=3, return_updates=False)


def test_a_draw_made_outside_is_made_once():
    stream = random.RandomStream(3)
    noise = stream.normal()
    xs, updates = gs.scan(lambda x: x + noise, outputs_info=[np.float64(0)], n_steps=3)
    assert not updates
    f = gs.function([], xs)
    first, second = f(), f()
    np.testing.assert_allclose(np.diff(first), first[0], rtol=1e-12)
    assert first[0] != second[0]


def test_draws_of_a_step_that_nothing_uses_leave_no_state():
    stream = random.RandomStream(3)

    def step(x):
        stream.normal(x)
        return x + 1.0

    _, updates = gs.scan(step, outputs_info=[np.float64(0)], n_steps=3)
    assert not updates


def test_streams_in_nested_loops(device):
    stream = random.RandomStream(3)

    def outer(x):
        inner, updates = gs.scan(lambda y: y + stream.normal(), outputs_info=[x], n_steps=2)
        return inner[-1], updates

    xs, updates = gs.scan(outer, outputs_info=[np.float64(0)], n_steps=3)
    f = gs.function([], xs, updates=updates, device=device)
    first = f()
    assert len(set(np.diff(first))) == 2
    assert [s.get_value()[1] for s, _ in stream.state_updates] == [6]


# ---- the seeds' programs ----


def test_gibbs_chain(device):
    values = np.random.default_rng(203940)
    W, bvis, bhid = (gs.shared(values.uniform(size=size)) for size in ((2, 2), 2, 2))
    stream = random.RandomStream(1234)

    def one_step(vsample):
        hmean = gt.sigmoid(gt.dot(vsample, W) + bhid)
        hsample = stream.binomial(1, hmean, size=hmean.shape)
        vmean = gt.sigmoid(gt.dot(hsample, W.T) + bvis)
        return stream.binomial(1, vmean, size=vsample.shape)

    sample = gt.lvector()
    chain, updates = gs.scan(one_step, outputs_info=sample, n_steps=10)
    gibbs10 = gs.function([sample], chain[-1], updates=updates, device=device)
    start = np.zeros(2, "int64")
    drawn = np.array([gibbs10(start) for _ in range(20)])
    assert set(np.unique(drawn)) == {0, 1}
    assert all(state.get_value()[1] == 200 for state in updates)
    # The chain's own distribution, from its transition matrix.
    n = gt.iscalar()
    states, updates = gs.scan(one_step, outputs_info=sample, n_steps=n)
    long = gs.function([sample, n], states, updates=updates, device="cpu")(start, 20_000)
    found = np.bincount(long @ [2, 1], minlength=4) / len(long)
    np.testing.assert_allclose(found, stationary(W.get_value(), bvis.get_value(), bhid.get_value()), atol=0.02)


def stationary(w, bvis, bhid):
    """Probabilities of the four visible states of a restricted Boltzmann machine."""
    states = [(a, b) for a in (0, 1) for b in (0, 1)]
    energies = [[np.exp(v @ w @ h + bvis @ v + bhid @ h) for h in map(np.array, states)] for v in map(np.array, states)]
    weights = np.sum(energies, axis=1)
    return weights / weights.sum()


def test_gibbs_chain_with_everything_passed():
    values = np.random.default_rng(203940)
    W, bvis, bhid = (gs.shared(values.uniform(size=size)) for size in ((2, 2), 2, 2))
    trng = gt.random.utils.RandomStream(1234)

    def one_step(vsample, W, bvis, bhid):
        hmean = gt.sigmoid(gt.dot(vsample, W) + bhid)
        hsample = trng.binomial(size=hmean.shape, n=1, p=hmean)
        vmean = gt.sigmoid(gt.dot(hsample, W.T) + bvis)
        return trng.binomial(size=vsample.shape, n=1, p=vmean, dtype=gs.config.floatX)

    sample = gt.vector()
    chain, updates = gs.scan(one_step, outputs_info=sample, non_sequences=[W, bvis, bhid], n_steps=10, strict=True)
    gibbs10 = gs.function([sample], chain[-1], updates=updates)
    assert gibbs10(np.zeros(2)).dtype == "float64"


def sample_from_pvect(p, rng):
    next_rng, onehot_sample = gt.random.multinomial(n=1, p=p, rng=rng).owner.outputs
    return onehot_sample.argmax(), next_rng


def set_p_to_zero(p, i):
    new_p = p[i].set(0.0)
    return new_p / new_p.sum()


def test_sampling_without_replacement_with_updates(device):
    probabilities, nb_samples = gt.dvector(), gt.iscalar()
    rng = gs.shared(np.random.default_rng(sum(map(ord, "PyTensor Scan"))))

    def sample(p, rng):
        idx, next_rng = sample_from_pvect(p, rng)
        return (set_p_to_zero(p, idx), idx), {rng: next_rng}

    [_, samples], updates = gs.scan(sample, outputs_info=[probabilities, None], non_sequences=[rng], n_steps=nb_samples)
    f = gs.function([probabilities, nb_samples], samples, updates=updates, device=device)
    drawn = np.array([f(np.array([0.6, 0.3, 0.1]), 2) for _ in range(60)])
    check_without_replacement(drawn)
    assert rng.get_value()[1] == 120


def test_sampling_without_replacement_with_a_carried_state(device):
    probabilities, nb_samples = gt.dvector(), gt.iscalar()
    rng = gs.shared(np.random.default_rng(sum(map(ord, "PyTensor Scan"))))

    def sample(p, rng):
        idx, next_rng = sample_from_pvect(p, rng)
        return set_p_to_zero(p, idx), next_rng, idx

    [_, rngs, samples], _ = gs.scan(sample, outputs_info=[probabilities, rng, None], n_steps=nb_samples)
    f = gs.function([probabilities, nb_samples], samples, updates={rng: rngs[-1]}, device=device)
    drawn = np.array([f(np.array([0.6, 0.3, 0.1]), 2) for _ in range(60)])
    check_without_replacement(drawn)
    assert rng.get_value()[1] == 120


def check_without_replacement(drawn):
    assert (drawn[:, 0] != drawn[:, 1]).all()
    counts = np.bincount(drawn[:, 0], minlength=3)
    assert counts[0] > counts[1] > counts[2] > 0
