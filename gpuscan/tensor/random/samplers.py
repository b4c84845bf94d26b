"""How each distribution is drawn, over any array module. The reasons for a method are with it, and its source.

A sampler gets the `Sampling` and the parameters: scalars, or an array with one axis for the batch before the core axes.
It returns an array with the batch as its first axis, of any dtype; the caller converts and shapes it.

Reals are multiplied and added in the order written, each rounded, on every device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuscan.tensor.random.sampling import Sampling, as_double, at, truth

# ---- uniforms and integers: bit for bit the same on every device ----


def uniform(s: Sampling, low: Any, high: Any) -> Any:
    """``low + (high - low) u`` with u a multiple of 2**-53 (float32: 2**-24) in [0, 1)."""
    return low + (high - low) * s.uniform()


def integers(s: Sampling, low: Any, high: Any) -> Any:
    """The high 64 bits of a 128-bit random number times the number of integers in [low, high).

    D. Lemire, "Fast random integer generation in an interval", ACM Transactions on Modeling and Computer Simulation
    29(1), 2019, without its rejection: with 128 bits no integer's probability is off by more than 2**-64 of itself,
    and each element takes the same words whatever its bounds are.
    """
    first, second = s.number(0), s.number(1)
    span = s.xp.asarray(high).astype(np.uint64) - s.xp.asarray(low).astype(np.uint64)
    high_of_first, low_of_first = _product(first, span)
    carry = low_of_first + _product(second, span)[0]
    above = high_of_first + (carry < low_of_first).astype(np.uint64)
    return (above + s.xp.asarray(low).astype(np.uint64)).astype(np.int64)


def _product(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the high and the low half of the product of 64-bit integers."""
    low = 0xFFFFFFFF
    a0, a1, b0, b1 = a & low, a >> 32, b & low, b >> 32
    middle = a1 * b0 + (a0 * b0 >> 32)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> 32) + (other >> 32), a * b


def bits(s: Sampling) -> Any:
    """64 random bits."""
    return s.number()


def bernoulli(s: Sampling, p: Any) -> Any:
    """Whether a uniform, a multiple of 2**-53 in [0, 1), is below p."""
    return s.double().uniform() < p


# ---- location and scale ----


def standard_normal(s: Sampling) -> Any:
    """Box and Muller's method; see `Sampling.normal`."""
    return s.normal()


def normal(s: Sampling, loc: Any, scale: Any) -> Any:
    """``loc + scale z`` with a standard normal z."""
    return loc + scale * s.normal()


def halfnormal(s: Sampling, loc: Any, scale: Any) -> Any:
    """``loc + scale |z|`` with a standard normal z."""
    return loc + scale * s.xp.absolute(s.normal())


def lognormal(s: Sampling, mean: Any, sigma: Any) -> Any:
    """``exp(mean + sigma z)`` with a standard normal z."""
    return s.xp.exp(mean + sigma * s.normal())


def exponential(s: Sampling, scale: Any) -> Any:
    """``-scale log u``: inversion, with u in (0, 1]."""
    return scale * -s.xp.log(s.positive())


def laplace(s: Sampling, loc: Any, scale: Any) -> Any:
    """Inversion on either side of the median: an exponential with a random sign."""
    sign, half = s.signed()
    return loc + scale * (sign * -s.xp.log(2 * half))


def logistic(s: Sampling, loc: Any, scale: Any) -> Any:
    """Inversion on either side of the median: ``log((1 - h) / h)`` with h in (0, 1/2], and a random sign."""
    sign, half = s.signed()
    return loc + scale * (sign * (s.xp.log1p(-half) - s.xp.log(half)))


def cauchy(s: Sampling, loc: Any, scale: Any) -> Any:
    """Inversion on either side of the median: ``cot(pi h)`` with h in (0, 1/2], and a random sign."""
    sign, half = s.signed()
    return loc + scale * (sign / s.xp.tan(s.real(np.pi) * half))


# ---- the gamma family ----


def _log_gamma(s: Sampling, alpha: Any, first: int = 0, stride: int = 2, elements: Any = None) -> tuple[Any, Any]:
    """Return a gamma variate of shape `alpha` as v and b, which is ``v exp(b)``; b is 0 where alpha is 1 or more.

    G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical
    Software 26(3), 363-372, 2000, with its section 6 for alpha below 1: a variate of shape alpha + 1 times
    ``u**(1/alpha)``, whose logarithm is b, because it underflows for small alpha.

    Attempt t takes blocks ``first + stride t``, for the normal, and the next one: number 0 decides, and number 1 of
    attempt 0 is the u.
    """
    xp = s.xp
    small = alpha < 1
    d = xp.where(small, alpha + 1, alpha) - 1 / 3
    c = 1 / xp.sqrt(9 * d)

    def attempt(number: int, at_elements: Any) -> tuple[Any, Any]:
        block = first + stride * number
        d_, c_ = at(d, at_elements), at(c, at_elements)
        x = s.normal(block, at_elements)
        root = 1 + c_ * x
        cube = root * root * root
        inside = cube > 0
        bound = x * x / 2 + d_ * (1 - cube + xp.log(xp.where(inside, cube, 1)))
        return d_ * cube, inside & (xp.log(s.positive(2 * block + 2, at_elements)) < bound)

    value = s.accepted(attempt, elements)
    if elements is None and not truth(small.any()):  # CuPy's any() takes no scalar
        return value, xp.zeros_like(value)
    boost = xp.log(s.positive(2 * first + 3, elements)) / xp.where(small, alpha, 1)
    return value, xp.where(small, boost, 0.0)


def gamma(s: Sampling, shape: Any, scale: Any) -> Any:
    """Marsaglia and Tsang's method; see `_log_gamma`."""
    value, boost = _log_gamma(s.double(), as_double(shape))
    return scale * (value * s.xp.exp(boost))


def log_gamma(s: Sampling, alpha: Any) -> Any:
    """The logarithm of a gamma variate, also where the variate itself underflows; see `_log_gamma`."""
    value, boost = _log_gamma(s.double(), as_double(alpha))
    return s.xp.log(value) + boost


def beta(s: Sampling, alpha: Any, beta: Any) -> Any:
    """``X / (X + Y)`` with gamma variates X and Y of these shapes; as logarithms, since both may underflow."""
    xp, double = s.xp, s.double()
    x, x_boost = _log_gamma(double, as_double(alpha), first=0, stride=4)
    y, y_boost = _log_gamma(double, as_double(beta), first=2, stride=4)
    return 1 / (1 + xp.exp(xp.log(y) + y_boost - xp.log(x) - x_boost))


def student_t(s: Sampling, df: Any, loc: Any, scale: Any) -> Any:
    """A standard normal over the root of a chi-square variate per degree of freedom."""
    xp, double = s.xp, s.double()
    half = as_double(df) / 2
    value, boost = _log_gamma(double, half, first=1, stride=2)
    return loc + scale * (double.normal(0) / xp.sqrt(value * xp.exp(boost) / half))


def dirichlet(s: Sampling, alphas: Any) -> Any:
    """Gamma variates of the given shapes, divided by their sum; as logarithms, since all of them may underflow."""
    xp = s.xp
    logs = log_gamma(s, alphas.reshape(-1)).reshape(alphas.shape)
    weights = xp.exp(logs - logs.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


# ---- counts ----

SMALL_MEAN = 10.0
"""Below it sequential search takes few steps; the rejection methods are meant for means from it on."""

NO_MORE = 1e-30
"""Probabilities smaller than this, in the upper tail, are not added: no uniform could tell."""

STIRLING = [0.0] + [
    math.lgamma(k + 1) - (k + 0.5) * math.log(k) + k - 0.5 * math.log(2 * math.pi) for k in range(1, 16)
]


def _stirling_rest(xp: Any, k: Any) -> Any:
    """Return what Stirling's formula lacks of log k!, for k of 1 or more."""
    k_ = xp.maximum(k, 16.0)
    square = k_ * k_
    series = (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / k_
    return xp.where(k < 16, xp.asarray(STIRLING)[xp.clip(k, 0, 15).astype(np.int64)], series)


def _log_poisson(xp: Any, k: Any, mean: Any) -> Any:
    """Return the logarithm of a Poisson distribution's probability of k.

    C. Loader, "Fast and accurate computation of binomial probabilities", Bell Laboratories, 2000: no large terms that
    cancel, so that it is accurate for any mean. A binomial distribution's is that of k with mean np, plus that of n - k
    with mean nq, less that of n with mean n.
    """
    k_ = xp.maximum(k, 1.0)
    distance = (mean - k_) / k_
    density = k_ * (xp.log1p(distance) - distance) - _stirling_rest(xp, k_) - 0.5 * xp.log(2 * np.pi * k_)
    return xp.where(k > 0, density, -mean)


def _by_search(s: Sampling, first: Any, ratio: Any, elements: Any) -> Any:
    """Return the number of outcomes 0, 1, ... whose cumulated probability is not above a uniform.

    `first` is the probability of 0, ``ratio(k)`` that of k over that of k - 1.
    """
    xp = s.xp
    u = s.uniform(0, elements)
    probability = first + xp.zeros_like(u)
    cumulated, result = probability, xp.zeros_like(u)
    more = u >= cumulated
    k = 0
    while truth(xp.any(more)):
        k += 1
        result = result + more
        probability = probability * ratio(k)
        cumulated = cumulated + probability
        more = more & (u >= cumulated) & (probability > NO_MORE)
    return result


def poisson(s: Sampling, lam: Any) -> Any:
    """Sequential search for a mean below 10, else W. Hoermann's PTRS.

    W. Hoermann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
    Economics 12(1), 39-45, 1993.
    """
    s = s.double()
    lam = as_double(lam)
    return _split(s, lam < SMALL_MEAN, lambda e: _small_poisson(s, at(lam, e), e), lambda e: _ptrs(s, lam, e))


def _split(s: Sampling, small: Any, below: Any, above: Any) -> Any:
    """Return ``below(elements)`` where `small` holds, ``above(elements)`` elsewhere."""
    xp = s.xp
    everything = xp.arange(s.count)
    if not small.ndim:
        return below(everything) if truth(small) else above(everything)
    result = xp.zeros(s.count)
    for choice, sampler in ((small, below), (~small, above)):
        elements = xp.flatnonzero(choice)
        if elements.shape[0]:
            result[elements] = sampler(elements)
    return result


def _small_poisson(s: Sampling, lam: Any, elements: Any) -> Any:
    return _by_search(s, s.xp.exp(-lam), lambda k: lam / k, elements)


def _ptrs(s: Sampling, lam: Any, elements: Any) -> Any:
    xp = s.xp

    def attempt(number: int, at_elements: Any) -> tuple[Any, Any]:
        mean = at(lam, at_elements)
        b = 0.931 + 2.53 * xp.sqrt(mean)
        a = -0.059 + 0.02483 * b
        u = s.uniform(2 * number, at_elements) - 0.5
        v = s.positive(2 * number + 1, at_elements)
        us = 0.5 - xp.absolute(u)
        k = xp.floor((2 * a / us + b) * u + mean + 0.43)
        inside = (us >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        outside = (k < 0) | ((us < 0.013) & (v > us))
        k = xp.where(outside, 0.0, k)
        log_v = xp.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b))
        return k, inside | (~outside & (log_v <= _log_poisson(xp, k, mean)))

    return s.accepted(attempt, elements)


def binomial(s: Sampling, n: Any, p: Any) -> Any:
    """A uniform below p for n = 1; sequential search for a mean below 10; else W. Hoermann's BTRS.

    W. Hoermann, "The generation of binomial random variates", Journal of Statistical Computation and Simulation
    46(1-2), 101-110, 1993. Both are done for the rarer of the two outcomes.
    """
    s = s.double()
    if not n.ndim and not hasattr(n, "get") and n == 1:
        return s.uniform() < p
    return _binomial(s, n, p, s.xp.arange(s.count))


def numbered_binomial(s: Sampling, n: Any, p: Any, first: Any, stride: Any) -> Any:
    """Binomial counts of the elements ``first``, ``first + stride``, ... of the state, as `multinomial` has them."""
    elements = s.xp.arange(s.count) * stride + first
    every = Sampling(s.xp, s.bits, int(elements.max()) + 1, s.size, np.float64)
    return _binomial(every, n, p, elements)


def _binomial(s: Sampling, n: Any, p: Any, elements: Any) -> Any:
    """Return binomial counts of the given elements; `n` and `p` are scalars or belong to these elements."""
    xp = s.xp
    zeros = xp.zeros(elements.shape)
    n, p = as_double(n) + zeros, as_double(p) + zeros
    rare = xp.minimum(p, 1 - p)
    result = xp.zeros(elements.shape)
    single = n == 1
    small = n * rare < SMALL_MEAN
    for choice, sampler in ((small & ~single, _small_binomial), (~small & ~single, _btrs)):
        where = xp.flatnonzero(choice)
        if where.shape[0]:
            result[where] = sampler(s, n[where], rare[where], elements[where])
    result = xp.where(p > 0.5, n - result, result)
    return xp.where(single, s.uniform(0, elements) < p, result)


def _small_binomial(s: Sampling, n: Any, p: Any, elements: Any) -> Any:
    odds = p / (1 - p)
    return _by_search(s, s.xp.exp(n * s.xp.log1p(-p)), lambda k: odds * ((n + 1 - k) / k), elements)


def _btrs(s: Sampling, n: Any, p: Any, elements: Any) -> Any:
    xp = s.xp
    positions = xp.arange(elements.shape[0])
    deviation = xp.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    scale = (2.83 + 5.1 / b) * deviation

    def log_probability(k: Any, n: Any, p: Any) -> Any:
        return _log_poisson(xp, k, n * p) + _log_poisson(xp, n - k, n * (1 - p))

    mode = log_probability(xp.floor((n + 1) * p), n, p)

    def attempt(number: int, at_positions: Any) -> tuple[Any, Any]:
        n_, p_, a_, b_ = (v[at_positions] for v in (n, p, a, b))
        u = s.uniform(2 * number, elements[at_positions]) - 0.5
        v = s.positive(2 * number + 1, elements[at_positions])
        us = 0.5 - xp.absolute(u)
        k = xp.floor((2 * a_ / us + b_) * u + n_ * p_ + 0.5)
        outside = (k < 0) | (k > n_)
        k = xp.where(outside, 0.0, k)
        log_v = xp.log(v * scale[at_positions] / (a_ / (us * us) + b_))
        inside = (us >= 0.07) & (v <= 0.92 - 4.2 / b_)
        return k, ~outside & (inside | (log_v <= log_probability(k, n_, p_) - mode[at_positions]))

    return s.accepted(attempt, positions)


def multinomial(s: Sampling, n: Any, p: Any) -> Any:
    """A binomial count for each category in turn, of what the ones before left.

    C. S. Davis, "The computer generation of multinomial random variates", Computational Statistics & Data Analysis
    16(2), 205-217, 1993. Each count is an element of its own.
    """
    xp, s = s.xp, s.double()
    rows, categories = p.shape
    left = as_double(n) + xp.zeros(rows)
    # What is left is summed from the last category on, so that the last one with a probability gets exactly 1.
    rest = xp.cumsum(as_double(p)[:, ::-1], -1)[:, ::-1]
    counts = []
    for j in range(categories):
        share = xp.where(rest[:, j] > 0, xp.minimum(p[:, j] / xp.where(rest[:, j] > 0, rest[:, j], 1), 1), 0)
        count = _binomial(s, left, share, xp.arange(rows) * categories + j)
        counts.append(count)
        left = left - count
    return xp.stack(counts, -1) if counts else xp.zeros((rows, 0))


def categorical(s: Sampling, p: Any) -> Any:
    """Inversion: how many of the cumulated probabilities are not above a uniform times their sum."""
    return _category(s, p)


def _category(s: Sampling, p: Any) -> Any:
    cumulated = s.xp.cumsum(as_double(p), -1)
    level = s.double().uniform() * cumulated[..., -1]
    return (cumulated[..., :-1] <= level[:, None]).sum(-1)


# ---- choices and orders ----


def choice(s: Sampling, a: Any) -> Any:
    """An integer below the length of a for each element; see `integers`."""
    length = np.uint64(a.shape[0])
    return a[integers(s, np.uint64(0), length)]


def weighted_choice(s: Sampling, a: Any, p: Any) -> Any:
    """A category for each element; see `categorical`."""
    return a[_category(s, p[None])]


def subset(s: Sampling, a: Any) -> Any:
    """The first places of a random order; see `permutation`."""
    return a[_order(s, 1, a.shape[0])[0, : math.prod(s.size)]]


def weighted_subset(s: Sampling, a: Any, p: Any) -> Any:
    """The places with the smallest exponential variates of rates p: as drawn one by one, each among those left.

    P. S. Efraimidis and P. G. Spirakis, "Weighted random sampling with a reservoir", Information Processing Letters
    97(5), 181-185, 2006.
    """
    xp, s = s.xp, s.double()
    waits = -xp.log(s.positive())
    waits = xp.where(p > 0, waits / xp.where(p > 0, p, 1), np.inf)
    return a[xp.argsort(waits, kind="stable")[: math.prod(s.size)]]


def permutation(s: Sampling, x: Any) -> Any:
    """The order of random 64-bit keys. Two of n keys are equal with probability below n**2 / 2**65; they keep order."""
    return x[_order(s, math.prod(s.size), x.shape[0])]


def _order(s: Sampling, rows: int, length: int) -> Any:
    return s.xp.argsort(s.number().reshape(rows, length), axis=-1, kind="stable")


# ---- normal vectors ----


def multivariate_normal(s: Sampling, mean: Any, cov: Any) -> Any:
    """``mean + L z`` with standard normals z and the Cholesky factor ``L L' = cov``; cov must be positive definite."""
    z = s.double().normal().reshape(mean.shape)
    factor = s.xp.cholesky(as_double(cov))
    return mean + s.xp.matmul(factor, z[..., None])[..., 0]
