"""What users call to draw. How each distribution is drawn stands in `samplers`.

All have these arguments besides a distribution's parameters:

size : int, sequence of int or integer vector, optional
    The sample's batch axes, to which the parameters are broadcast; by default those that they have together.
rng : Variable or numpy.random.Generator, optional
    The random state to draw from; by default a new one whose key comes from the operating system.
dtype : str, optional
    Of the sample. By default real numbers have the dtype that the parameters have together (floatX for integers and
    Python numbers), counts are int64, and chosen elements keep theirs.
name : str, optional
    Name of the sample.

They return the sample; ``sample.owner.outputs`` is the next state and the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import DtypeError
from gpuscan.graph import Constant, SharedVariable, Variable
from gpuscan.tensor.convert import as_tensor_variable, cast, operands
from gpuscan.tensor.creation import arange
from gpuscan.tensor.pointwise import kind, promote
from gpuscan.tensor.random.distributions import DISTRIBUTIONS
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.random.state import STATE_TYPE, check_state, is_generator, seeded_state, state_of_generator
from gpuscan.tensor.sizes import as_sizes


def default_rng(seed: Any = None, name: str | None = None) -> SharedVariable:
    """Return a shared random state, to draw from with ``rng=`` and to advance by ``updates``.

    Parameters
    ----------
    seed : None, int, sequence of int or numpy.random.Generator, optional
        The same seed gives the same numbers; None takes entropy from the operating system. A Generator's own state is
        read and not changed, and its numbers are others than these.
    name : str, optional
        For people.

    Examples
    --------
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> rng = gt.random.default_rng(7)
    >>> next_rng, x = rng.normal(size=3)
    >>> draw = gs.function([], x, updates={rng: next_rng})
    >>> draw().shape
    (3,)
    """
    value = state_of_generator(seed) if is_generator(seed) else state_of_generator(np.random.default_rng(seed))
    return SharedVariable(value, name, STATE_TYPE.shape)


def as_state(rng: Any, what: str) -> Variable:
    """Return what a caller passes as `rng` as a random state.

    Raises
    ------
    DtypeError, ShapeError
        If it cannot be one.
    """
    if rng is None:
        return SharedVariable(seeded_state(None), None, STATE_TYPE.shape)
    if is_generator(rng):
        return Constant(state_of_generator(rng))
    if not isinstance(rng, Variable):
        raise DtypeError(
            f"{what}: rng must be a random state, as gpuscan.tensor.random.default_rng(seed) makes them; found {rng!r}"
        )
    check_state(rng, what)
    return rng


def draw(which: str, values: tuple[Any, ...], size: Any, rng: Any, dtype: str | None, name: str | None) -> Variable:
    """Return a sample of row `which` of the table of distributions."""
    state = as_state(rng, which)
    sizes = None if size is None else as_sizes(size, which)
    parameters, dtype = _typed(which, values, dtype)
    op = Draw(which, dtype, None if sizes is None else len(sizes))
    sample = op.apply(state, *(sizes or ()), *parameters)[1]
    sample.name = name
    return sample


def _typed(which: str, values: tuple[Any, ...], dtype: str | None) -> tuple[list[Variable], str]:
    """Return the parameters in the dtypes that they are drawn with, and the dtype of the sample."""
    spec = DISTRIBUTIONS[which]
    variables = operands(*(_stacked(v) for v in values))
    reals = [p.real for p in spec.parameters]
    for i, (parameter, v) in enumerate(zip(spec.parameters, variables, strict=True)):
        if kind(v.dtype) == "c":
            raise DtypeError(f"{which}: {parameter.name} must be real; found {v.type}")
        if parameter.real and kind(v.dtype) in "biu":
            variables[i] = cast(v, config.floatX)
    given = None if dtype is None else config.floatX if dtype == "floatX" else np.dtype(dtype).name
    if spec.kind == "integer":
        return variables, _real_dtype(which, given or "int64", "biuf")
    if spec.kind == "same":
        return variables, _real_dtype(which, given or variables[0].dtype, "biuf")
    common = promote(*(v.dtype for v, real in zip(variables, reals, strict=True) if real)) if variables else None
    result = _real_dtype(which, given or common or config.floatX, "f")
    return [cast(v, result) if real else v for v, real in zip(variables, reals, strict=True)], result


def _stacked(value: Any) -> Any:
    """Return lists as one variable; numbers stay as they are, to take their dtype from what is beside them."""
    return as_tensor_variable(value) if isinstance(value, list | tuple) else value


def _real_dtype(which: str, dtype: str, kinds: str) -> str:
    if kind(dtype) not in kinds:
        raise DtypeError(f"{which}: the sample cannot be {dtype}; use a {'float' if kinds == 'f' else 'real'} dtype")
    return dtype


# ---- uniforms and integers ----


def uniform(
    low: Any = 0.0,
    high: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the uniform distribution on [low, high): the same bits on every device."""
    return draw("uniform", (low, high), size, rng, dtype, name)


def integers(
    low: Any,
    high: Any = None,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw integers from `low` up to, not with, `high`; from 0 up to `low` if one bound is given."""
    low, high = operands(*((0, low) if high is None else (low, high)))
    for bound in (low, high):
        if kind(bound.dtype) not in "iu":
            raise DtypeError(f"integers: bounds must be integers; found {bound.type}")
    return draw("integers", (cast(low, "int64"), cast(high, "int64")), size, rng, dtype, name)


def bernoulli(
    p: Any = 0.5, size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw 1 with probability `p`, else 0."""
    return draw("bernoulli", (p,), size, rng, dtype, name)


# ---- location and scale ----


def standard_normal(
    size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw from the normal distribution of mean 0 and standard deviation 1."""
    return draw("standard_normal", (), size, rng, dtype, name)


def normal(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the normal distribution of mean `loc` and standard deviation `scale`."""
    return draw("normal", (loc, scale), size, rng, dtype, name)


def halfnormal(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw ``loc + scale |z|`` with a standard normal z."""
    return draw("halfnormal", (loc, scale), size, rng, dtype, name)


def lognormal(
    mean: Any = 0.0,
    sigma: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw ``exp(mean + sigma z)`` with a standard normal z."""
    return draw("lognormal", (mean, sigma), size, rng, dtype, name)


def exponential(
    scale: Any = 1.0, size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw from the exponential distribution of mean `scale`."""
    return draw("exponential", (scale,), size, rng, dtype, name)


def laplace(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the Laplace distribution of density ``exp(-|x - loc| / scale) / (2 scale)``."""
    return draw("laplace", (loc, scale), size, rng, dtype, name)


def logistic(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the logistic distribution, whose cumulated probability is ``1 / (1 + exp(-(x - loc) / scale))``."""
    return draw("logistic", (loc, scale), size, rng, dtype, name)


def cauchy(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the Cauchy distribution of median `loc`, half of which lies within `scale` of it."""
    return draw("cauchy", (loc, scale), size, rng, dtype, name)


# ---- the gamma family ----


def gamma(
    shape: Any,
    rate: Any = None,
    scale: Any = None,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the gamma distribution of the given shape and of `scale`, or of `rate`, which is ``1 / scale``.

    The second positional argument is the rate, as in PyTensor; NumPy has the scale there.
    """
    if rate is not None and scale is not None:
        raise TypeError("gamma: give the rate or the scale, not both")
    if rate is not None:
        shape, rate = operands(_stacked(shape), _stacked(rate))
        scale = 1.0 / (cast(rate, config.floatX) if kind(rate.dtype) in "biu" else rate)
    return draw("gamma", (shape, 1.0 if scale is None else scale), size, rng, dtype, name)


def beta(
    alpha: Any,
    beta: Any,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw from the beta distribution of density proportional to ``x**(alpha - 1) (1 - x)**(beta - 1)``."""
    return draw("beta", (alpha, beta), size, rng, dtype, name)


def student_t(
    df: Any,
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw ``loc + scale t`` with t of Student's distribution of `df` degrees of freedom."""
    return draw("student_t", (df, loc, scale), size, rng, dtype, name)


def dirichlet(
    alphas: Any, size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw probabilities from the Dirichlet distribution; the last axis of `alphas` is that of the categories."""
    return draw("dirichlet", (alphas,), size, rng, dtype, name)


# ---- counts ----


def poisson(
    lam: Any = 1.0, size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw from the Poisson distribution of mean `lam`."""
    return draw("poisson", (lam,), size, rng, dtype, name)


def binomial(
    n: Any = 1,
    p: Any = 0.5,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw how many of `n` trials succeed, each with probability `p`."""
    return draw("binomial", (_count("binomial", n), p), size, rng, dtype, name)


def multinomial(
    n: Any,
    p: Any,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw how many of `n` trials fall into each category; the last axis of `p` is that of the categories."""
    return draw("multinomial", (_count("multinomial", n), p), size, rng, dtype, name)


def _count(which: str, n: Any) -> Variable:
    variable = as_tensor_variable(n)
    if kind(variable.dtype) not in "iu":
        raise DtypeError(f"{which}: n must be an integer; found {variable.type}")
    return cast(variable, "int64")


def categorical(
    p: Any, size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw a category's number; the last axis of `p` holds the categories' probabilities, or any multiple of them."""
    return draw("categorical", (p,), size, rng, dtype, name)


# ---- choices and orders ----


def choice(
    a: Any,
    size: Any = None,
    replace: bool = True,
    p: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw elements of `a` along its first axis; of ``arange(a)`` if it is an integer.

    `replace` says whether an element can be drawn twice, `p` has the elements' probabilities, or any multiple of them.
    """
    which = ("choice" if replace else "subset") if p is None else "weighted_choice" if replace else "weighted_subset"
    values = (_rows(a, which),) if p is None else (_rows(a, which), as_tensor_variable(p))
    return draw(which, values, () if size is None else size, rng, dtype, name)


def permutation(
    x: Any, size: Any = None, *, rng: Any = None, dtype: str | None = None, name: str | None = None
) -> Variable:
    """Draw an order of `x` along its first axis; of ``arange(x)`` if it is an integer."""
    return draw("permutation", (_rows(x, "permutation"),), () if size is None else size, rng, dtype, name)


def _rows(a: Any, which: str) -> Variable:
    variable = as_tensor_variable(a)
    if variable.ndim:
        return variable
    if kind(variable.dtype) not in "iu":
        raise DtypeError(f"{which}: what to draw from must be an integer or have an axis; found {variable.type}")
    return arange(cast(variable, "int64"))


# ---- vectors ----


def multivariate_normal(
    mean: Any,
    cov: Any,
    size: Any = None,
    *,
    rng: Any = None,
    dtype: str | None = None,
    name: str | None = None,
) -> Variable:
    """Draw normal vectors of the given mean and covariance matrix, which must be positive definite."""
    return draw("multivariate_normal", (mean, cov), size, rng, dtype, name)


FUNCTIONS: dict[str, Callable[..., Variable]] = {
    function.__name__: function
    for function in (
        *(uniform, integers, bernoulli),
        *(standard_normal, normal, halfnormal, lognormal, exponential, laplace, logistic, cauchy),
        *(gamma, beta, student_t, dirichlet),
        *(poisson, binomial, multinomial, categorical),
        *(choice, permutation, multivariate_normal),
    )
}
"""What can be drawn, by name: functions here, and methods of random states and of streams."""


def draw_method(state: Variable, name: str) -> Callable[..., tuple[Variable, Variable]]:
    """Return the method `name` of a random state: it returns the next state and the sample.

    Raises
    ------
    AttributeError
        If the variable is no random state.
    """
    if state.dtype != STATE_TYPE.dtype or state.ndim != 1 or state.type.shape[0] not in (None, 2):
        raise AttributeError(f"{state!r} has no attribute {name!r}; random states, {STATE_TYPE}, have")
    function = FUNCTIONS[name]

    def method(*args: Any, **kwargs: Any) -> tuple[Variable, Variable]:
        sample = function(*args, rng=state, **kwargs)
        assert sample.owner is not None
        following, sample = sample.owner.outputs
        return following, sample

    method.__name__, method.__doc__ = name, function.__doc__
    return method
