"""Each distribution against SciPy's: Kolmogorov and Smirnov's test, or Pearson's, at fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import gpuscan as gs
from gpuscan.tensor import random
from gpuscan.tensor.random.distributions import DISTRIBUTIONS
from gpuscan.tensor.random.functions import FUNCTIONS

COUNT = 20_000
LEAST_P = 1e-3  # seeds are fixed: a test that passes once passes always


def draws(name, *args, size=COUNT, seed=7, **kwargs):
    sample = FUNCTIONS[name](*args, size=size, rng=np.random.default_rng(seed), **kwargs)
    return gs.function([], sample, device="cpu")()


def name_of(part):
    """The name of a test's part; SciPy's distributions are left out."""
    return "" if hasattr(part, "cdf") else str(part)


CONTINUOUS = [
    ("uniform", (-1.0, 3.0), stats.uniform(-1, 4)),
    ("standard_normal", (), stats.norm()),
    ("normal", (2.0, 3.0), stats.norm(2, 3)),
    ("normal", (-100.0, 0.1), stats.norm(-100, 0.1)),
    ("halfnormal", (1.0, 2.0), stats.halfnorm(1, 2)),
    ("lognormal", (0.5, 0.8), stats.lognorm(0.8, scale=np.exp(0.5))),
    ("exponential", (2.5,), stats.expon(scale=2.5)),
    ("laplace", (1.0, 2.0), stats.laplace(1, 2)),
    ("logistic", (1.0, 2.0), stats.logistic(1, 2)),
    ("cauchy", (1.0, 2.0), stats.cauchy(1, 2)),
    *(("gamma", (a, 0.5), stats.gamma(a, scale=2)) for a in (0.05, 0.3, 0.99, 1.0, 1.7, 30.0, 1e5)),
    *(("beta", (a, b), stats.beta(a, b)) for a, b in ((0.5, 0.5), (1.0, 1.0), (2.0, 5.0), (50.0, 0.3), (0.05, 3.0))),
    *(("student_t", (df, 1.0, 2.0), stats.t(df, 1, 2)) for df in (0.3, 1.0, 3.0, 40.0)),
]


@pytest.mark.parametrize(("name", "args", "expected"), CONTINUOUS, ids=name_of)
def test_real_draws(name, args, expected):
    assert stats.kstest(draws(name, *args), expected.cdf).pvalue > LEAST_P


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    # The others have most of their mass where single precision rounds to a few numbers.
    [row for row in CONTINUOUS if row[0] != "beta" and row[1] not in ((0.05, 0.5), (-100.0, 0.1))],
    ids=name_of,
)
def test_real_draws_in_single_precision(name, args, expected):
    found = draws(name, *args, dtype="float32")
    assert found.dtype == np.float32
    assert stats.kstest(found.astype("float64"), expected.cdf).pvalue > LEAST_P


COUNTS = [
    *(("poisson", (mean,), stats.poisson(mean)) for mean in (0.1, 3.0, 9.99, 10.0, 35.0, 1e3, 1e8)),
    *(
        ("binomial", (n, p), stats.binom(n, p))
        for n, p in (
            *((1, 0.3), (2, 0.5), (5, 0.5), (20, 0.9), (40, 0.3), (100, 0.5)),
            *((1000, 0.02), (1000, 0.9), (10**7, 0.4), (10**7, 1e-7)),
        )
    ),
    ("bernoulli", (0.3,), stats.bernoulli(0.3)),
    ("integers", (-3, 12), stats.randint(-3, 12)),
    ("categorical", ([0.1, 0.2, 0.7],), stats.rv_discrete(values=([0, 1, 2], [0.1, 0.2, 0.7]))),
    ("choice", (4,), stats.randint(0, 4)),
]


@pytest.mark.parametrize(("name", "args", "expected"), COUNTS, ids=name_of)
def test_counts(name, args, expected):
    assert p_of_counts(draws(name, *args), expected) > LEAST_P


def p_of_counts(found, expected):
    low, high = int(expected.ppf(1e-3)), int(expected.ppf(1 - 1e-3))
    edges = np.unique(np.linspace(low, high, min(high - low, 40) + 1).astype(np.int64))
    probabilities = np.diff([0.0, *expected.cdf(edges), 1.0])
    observed = np.bincount(np.searchsorted(edges, found, side="left"), minlength=len(probabilities))
    assert not observed[probabilities == 0].any()
    kept = probabilities * found.size > 5
    weights = probabilities[kept] / probabilities[kept].sum()
    return stats.chisquare(observed[kept], weights * observed[kept].sum()).pvalue


def test_parameters_on_both_sides_of_a_change_of_method_in_one_array():
    means = np.array([0.0, 2.0, 9.0, 11.0, 500.0])
    found = draws("poisson", means, size=(COUNT, 5))
    for j in range(1, 5):
        assert p_of_counts(found[:, j], stats.poisson(means[j])) > LEAST_P
    assert not found[:, 0].any()
    n, p = np.array([1, 3, 50, 4000, 4000]), np.array([0.5, 0.9, 0.4, 0.7, 1.0])
    found = draws("binomial", n, p, size=(COUNT, 5))
    for j in range(4):
        assert p_of_counts(found[:, j], stats.binom(n[j], p[j])) > LEAST_P
    assert (found[:, 4] == 4000).all()
    shapes = np.array([0.1, 0.9, 1.1, 40.0])
    found = draws("gamma", shapes, size=(COUNT, 4))
    for j in range(4):
        assert stats.kstest(found[:, j], stats.gamma(shapes[j]).cdf).pvalue > LEAST_P


# ---- vectors ----


def test_multinomial_counts_add_up_and_each_is_binomial():
    p = np.array([0.2, 0.0, 0.5, 0.3])
    found = draws("multinomial", 40, p)
    assert found.shape == (COUNT, 4)
    assert (found.sum(-1) == 40).all()
    assert not found[:, 1].any()
    for j in (0, 2, 3):
        assert p_of_counts(found[:, j], stats.binom(40, p[j])) > LEAST_P
    np.testing.assert_allclose(np.corrcoef(found[:, 0], found[:, 2])[0, 1], -np.sqrt(0.25 * 1.0), atol=0.03)


def test_multivariate_normal_moments_and_marginals():
    mean, cov = np.array([1.0, -2.0, 0.0]), np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 0.5]])
    found = draws("multivariate_normal", mean, cov)
    np.testing.assert_allclose(found.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(found.T), cov, atol=0.07)
    whitened = np.linalg.solve(np.linalg.cholesky(cov), (found - mean).T)
    assert stats.kstest(whitened.ravel(), stats.norm.cdf).pvalue > LEAST_P
    batched = draws("multivariate_normal", np.zeros((4, 1, 2)), np.stack([np.eye(2), 9 * np.eye(2)]), size=None)
    assert batched.shape == (4, 2, 2)


def test_dirichlet_marginals_are_beta():
    alphas = np.array([0.5, 2.0, 3.5])
    found = draws("dirichlet", alphas)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-14)
    for j in range(3):
        assert stats.kstest(found[:, j], stats.beta(alphas[j], 6 - alphas[j]).cdf).pvalue > LEAST_P


# ---- choices and orders ----


def test_every_order_is_as_likely():
    found = draws("permutation", 4)
    numbers = found @ np.array([64, 16, 4, 1])
    orders, counts = np.unique(numbers, return_counts=True)
    assert len(orders) == 24
    assert stats.chisquare(counts).pvalue > LEAST_P


def test_without_replacement_weights_count_among_what_is_left():
    p = np.array([0.6, 0.3, 0.1])
    pairs = np.array([draws("choice", 3, replace=False, p=p, size=2, seed=s) for s in range(300)])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    exact = {(a, b): p[a] * p[b] / (1 - p[a]) for a in range(3) for b in range(3) if a != b}
    observed = [np.sum((pairs == pair).all(-1)) for pair in exact]
    assert stats.chisquare(observed, np.array(list(exact.values())) * len(pairs)).pvalue > LEAST_P


def test_with_replacement_weights_count_alike():
    p = np.array([1.0, 0.0, 3.0, 6.0])
    found = draws("choice", np.array([5.0, 6.0, 7.0, 8.0]), p=p)
    observed = [np.sum(found == value) for value in (5.0, 7.0, 8.0)]
    assert sum(observed) == COUNT
    assert stats.chisquare(observed, np.array([0.1, 0.3, 0.6]) * COUNT).pvalue > LEAST_P


def test_subset_holds_no_element_twice():
    found = draws("choice", 10, replace=False, size=(2, 5))
    assert sorted(found.ravel()) == list(range(10))


# ---- edges of the domains ----


def test_small_shapes_underflow_to_zero_and_not_to_nan():
    assert np.isfinite(draws("gamma", 1e-4)).all()
    found = draws("beta", 1e-3, 1e-3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.mean(), 0.5, atol=0.02)
    weights = draws("dirichlet", np.full(3, 1e-4))
    np.testing.assert_allclose(weights.sum(-1), 1)


def test_extreme_probabilities_and_counts():
    for n in (0, 1, 5, 5000):
        assert (draws("binomial", n, 0.0, size=50) == 0).all()
        assert (draws("binomial", n, 1.0, size=50) == n).all()
    assert (draws("binomial", 0, 0.4, size=50) == 0).all()
    assert (draws("poisson", 0.0, size=50) == 0).all()
    assert (draws("gamma", 0.0, size=50) == 0).all()
    assert (draws("normal", 3.0, 0.0, size=50) == 3).all()
    assert (draws("bernoulli", 0.0, size=50) == 0).all()
    assert (draws("bernoulli", 1.0, size=50) == 1).all()


def test_integers_reach_all_of_int64():
    low, high = -(2**63), 2**63 - 1
    found = draws("integers", low, high)
    assert stats.kstest(found.astype(float), stats.uniform(low, 2.0**64).cdf).pvalue > LEAST_P
    assert set(draws("integers", 5, 6, size=20)) == {5}


def test_uniforms_are_multiples_of_the_precision_and_below_one():
    found = draws("uniform")
    assert (found < 1).all()
    assert (found * 2.0**53 == np.floor(found * 2.0**53)).all()
    single = draws("uniform", dtype="float32")
    assert (single * np.float32(2**24) == np.floor(single * np.float32(2**24))).all()


def test_every_row_of_the_table_is_tested_or_reached_by_a_function():
    reached = {"weighted_choice", "subset", "weighted_subset"}
    parts = {"bits", "log_gamma", "numbered_binomial"}  # of what kernels compose
    assert set(DISTRIBUTIONS) - reached - parts == set(FUNCTIONS)
    assert set(FUNCTIONS) <= set(random.__all__)
