"""Distributions: one row of a table each.

A row says what the parameters are called and must satisfy, which of their axes are not batch axes, what is drawn, how
NumPy draws it and, where one thread can, how CUDA C++ does. Nothing else in gpuscan names a distribution, except
`functions`, for what users write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph import Shape, broadcast_shapes, merge_shapes
from gpuscan.tensor.random import samplers

Kind = Literal["real", "integer", "same"]


@dataclass(frozen=True)
class Domain:
    """What the values of a parameter must satisfy. `holds` looks at the smallest and the largest one."""

    words: str
    holds: Callable[[Any, Any], Any]


ANY = Domain("any number", lambda low, high: True)
POSITIVE = Domain("positive", lambda low, high: low > 0)
NOT_NEGATIVE = Domain("zero or more", lambda low, high: low >= 0)
PROBABILITY = Domain("between 0 and 1", lambda low, high: low >= 0 and high <= 1)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a distribution.

    Attributes
    ----------
    name : str
        As users write it.
    domain : Domain
        What its values must satisfy.
    rank : int or None
        How many of its last axes one element reads whole; None for all.
    real : bool
        Whether integers given for it become floatX.
    """

    name: str
    domain: Domain = ANY
    rank: int | None = 0
    real: bool = True

    def split(self, shape: Shape) -> tuple[Shape, Shape]:
        """Return the batch axes and the others of a shape.

        Raises
        ------
        ShapeError
            If there are too few.
        """
        rank = len(shape) if self.rank is None else self.rank
        if len(shape) < rank:
            raise ShapeError(f"{self.name} needs {rank} axes or more; its shape is {shape}")
        return shape[: len(shape) - rank], shape[len(shape) - rank :]


@dataclass(frozen=True)
class Distribution:
    """One distribution.

    Attributes
    ----------
    parameters : tuple of Parameter
        What it takes.
    sample : callable
        Draws over an array module; see `samplers`.
    kind : str
        What is drawn: ``real``, of the dtype that the parameters have; ``integer``, int64; ``same``, elements of the
        first parameter.
    core : callable
        From the axes that one element reads of each parameter to the axes it has in the sample.
    counted : callable or None
        From the batch axes, and the same, to the axes of the elements that take random numbers; by default those of the
        sample.
    c : str or None
        CUDA C++ of the sample of one thread, of type ``{T}``, from the state ``{state}``, the number of the element
        ``{element}`` and the parameters ``{0}``, ``{1}``, ... in ``{T}``, where `kind` is ``real``, else in their own
        types. ``gs::`` names are in ``kernels/random.cuh``. None: no thread can draw it by itself.
    check : callable or None
        From the batch axes of the sample and NumPy parameters to what is wrong with them together, None if nothing.
    """

    parameters: tuple[Parameter, ...]
    sample: Callable[..., Any]
    kind: Kind = "real"
    core: Callable[..., Shape] = lambda *cores: ()
    counted: Callable[..., Shape] | None = None
    c: str | None = None
    check: Callable[..., str | None] | None = None

    def shapes(self, size: Shape | None, parameters: Sequence[Shape]) -> tuple[Shape, Shape, Shape]:
        """Return the batch axes of a sample, its other axes, and the axes of the elements that take random numbers.

        Parameters
        ----------
        size : tuple or None
            The batch axes where they are given.
        parameters : sequence of tuple
            Shapes of the parameters.

        Raises
        ------
        ShapeError
            If the parameters do not fit each other or the size.
        """
        split = [p.split(shape) for p, shape in zip(self.parameters, parameters, strict=True)]
        batch = broadcast_shapes(outer for outer, _ in split)
        if size is not None:
            _check_size(size, batch)
            batch = size
        cores = [inner for _, inner in split]
        core = self.core(*cores)
        return batch, core, (*batch, *core) if self.counted is None else self.counted(batch, *cores)


def _check_size(size: Shape, batch: Shape) -> None:
    if any(n is not None and n < 0 for n in size):
        raise ShapeError(f"sizes must not be negative; found {size}")
    aligned = zip(reversed(batch), reversed(size), strict=False)
    if len(batch) > len(size) or any(old not in (1, None, new) and new is not None for old, new in aligned):
        raise ShapeError(f"size {size} does not hold parameters that have the shape {batch} together")


# ---- axes of an element ----


def _of_vector(*cores: Shape) -> Shape:
    """Return the axes of the last parameter, a vector."""
    return cores[-1]


def _of_normal(mean: Shape, cov: Shape) -> Shape:
    return merge_shapes([mean, cov[:1], cov[1:]])


def _rows(a: Shape, *weights: Shape) -> Shape:
    if not a:
        raise ShapeError("a must have an axis to choose along; it is a scalar")
    merge_shapes([a[:1], *weights])
    return a[1:]


def _all_rows(x: Shape) -> Shape:
    if not x:
        raise ShapeError("x must have an axis to permute; it is a scalar")
    return x


def _batch(batch: Shape, *cores: Shape) -> Shape:
    return batch


def _rows_of(batch: Shape, a: Shape, *weights: Shape) -> Shape:
    return a[:1]


def _rows_each(batch: Shape, x: Shape) -> Shape:
    return (*batch, *x[:1])


# ---- what is checked of several parameters ----


def _has_integers(size: tuple[int, ...], low: Any, high: Any) -> str | None:
    return None if np.all(np.less(low, high)) or 0 in size else "high must be above low"


def _has_category(size: tuple[int, ...], p: Any) -> str | None:
    return None if (p.shape[-1] and np.all(p.sum(-1) > 0)) or 0 in size else "p needs a probability above 0"


def _adds_up(size: tuple[int, ...], n: Any, p: Any) -> str | None:
    return None if np.all(p.sum(-1) < 1 + 1e-6) else "the probabilities p must add up to 1"


def _has_rows(size: tuple[int, ...], a: Any) -> str | None:
    return None if a.shape[0] or 0 in size else "there is nothing to choose from"


def _has_weighted_rows(size: tuple[int, ...], a: Any, p: Any) -> str | None:
    return _has_rows(size, a) or _has_category(size, p)


def _has_enough_rows(size: tuple[int, ...], a: Any, p: Any = None) -> str | None:
    wanted = int(np.prod(size, dtype=np.int64))
    there = a.shape[0] if p is None else int(np.count_nonzero(p))
    return None if wanted <= there else f"{wanted} elements without replacement are asked for; there are {there}"


LOC, SCALE = Parameter("loc"), Parameter("scale", NOT_NEGATIVE)
COUNT = Parameter("n", NOT_NEGATIVE, real=False)
WEIGHTS = Parameter("p", NOT_NEGATIVE, rank=1)
ROWS = Parameter("a", rank=None, real=False)
ROW_WEIGHTS = Parameter("p", NOT_NEGATIVE, rank=None)

DISTRIBUTIONS: dict[str, Distribution] = {
    # uniforms and integers
    "uniform": Distribution(
        (Parameter("low"), Parameter("high")), samplers.uniform, c="gs::uniform<{T}>({state}, {element}, {0}, {1})"
    ),
    "integers": Distribution(
        (Parameter("low", real=False), Parameter("high", real=False)), samplers.integers, "integer",
        c="gs::integers({state}, {element}, {0}, {1})", check=_has_integers,
    ),
    "bernoulli": Distribution(
        (Parameter("p", PROBABILITY),), samplers.bernoulli, "integer", c="gs::bernoulli({state}, {element}, {0})"
    ),
    # location and scale
    "standard_normal": Distribution((), samplers.standard_normal, c="gs::normal<{T}>({state}, {element})"),
    "normal": Distribution(
        (LOC, SCALE), samplers.normal, c="gs::shifted({0}, {1}, gs::normal<{T}>({state}, {element}))"
    ),
    "halfnormal": Distribution(
        (LOC, SCALE), samplers.halfnormal, c="gs::shifted({0}, {1}, fabs(gs::normal<{T}>({state}, {element})))"
    ),
    "lognormal": Distribution(
        (Parameter("mean"), Parameter("sigma", NOT_NEGATIVE)), samplers.lognormal,
        c="exp(gs::shifted({0}, {1}, gs::normal<{T}>({state}, {element})))",
    ),
    "exponential": Distribution((SCALE,), samplers.exponential, c="{0} * gs::exponential<{T}>({state}, {element})"),
    "laplace": Distribution(
        (LOC, SCALE), samplers.laplace, c="gs::shifted({0}, {1}, gs::laplace<{T}>({state}, {element}))"
    ),
    "logistic": Distribution(
        (LOC, SCALE), samplers.logistic, c="gs::shifted({0}, {1}, gs::logistic<{T}>({state}, {element}))"
    ),
    "cauchy": Distribution(
        (LOC, SCALE), samplers.cauchy, c="gs::shifted({0}, {1}, gs::cauchy<{T}>({state}, {element}))"
    ),
    # the gamma family
    "gamma": Distribution(
        (Parameter("shape", NOT_NEGATIVE), SCALE), samplers.gamma, c="gs::gamma<{T}>({state}, {element}, {0}, {1})"
    ),
    "beta": Distribution(
        (Parameter("alpha", POSITIVE), Parameter("beta", POSITIVE)), samplers.beta,
        c="gs::beta<{T}>({state}, {element}, {0}, {1})",
    ),
    "student_t": Distribution(
        (Parameter("df", POSITIVE), LOC, SCALE), samplers.student_t,
        c="gs::student_t<{T}>({state}, {element}, {0}, {1}, {2})",
    ),
    "dirichlet": Distribution((Parameter("alphas", POSITIVE, rank=1),), samplers.dirichlet, core=_of_vector),
    # counts
    "poisson": Distribution(
        (Parameter("lam", NOT_NEGATIVE),), samplers.poisson, "integer", c="gs::poisson({state}, {element}, {0})"
    ),
    "binomial": Distribution(
        (COUNT, Parameter("p", PROBABILITY)), samplers.binomial, "integer",
        c="gs::binomial({state}, {element}, {0}, {1})",
    ),
    "multinomial": Distribution(
        (COUNT, Parameter("p", PROBABILITY, rank=1)), samplers.multinomial, "integer", _of_vector, check=_adds_up
    ),
    "categorical": Distribution((WEIGHTS,), samplers.categorical, "integer", check=_has_category),
    # choices and orders
    "choice": Distribution((ROWS,), samplers.choice, "same", _rows, _batch, check=_has_rows),
    "weighted_choice": Distribution(
        (ROWS, ROW_WEIGHTS), samplers.weighted_choice, "same", _rows, _batch, check=_has_weighted_rows
    ),
    "subset": Distribution((ROWS,), samplers.subset, "same", _rows, _rows_of, check=_has_enough_rows),
    "weighted_subset": Distribution(
        (ROWS, ROW_WEIGHTS), samplers.weighted_subset, "same", _rows, _rows_of, check=_has_enough_rows
    ),
    "permutation": Distribution(
        (Parameter("x", rank=None, real=False),), samplers.permutation, "same", _all_rows, _rows_each
    ),
    # vectors
    "multivariate_normal": Distribution(
        (Parameter("mean", rank=1), Parameter("cov", rank=2)), samplers.multivariate_normal, core=_of_normal
    ),
    # what vectors, categories and orders are made of in kernels; no function of their own
    "bits": Distribution((), samplers.bits, "integer", c="gs::random_bits({state}, {element}).first"),
    "log_gamma": Distribution(
        (Parameter("alpha", POSITIVE),), samplers.log_gamma, c="gs::log_gamma<{T}>({state}, {element}, {0})"
    ),
    "numbered_binomial": Distribution(
        (COUNT, Parameter("p", PROBABILITY), Parameter("first", real=False), Parameter("stride", real=False)),
        samplers.numbered_binomial, "integer", c="gs::binomial({state}, {2} + {element} * {3}, {0}, {1})",
    ),
}  # fmt: skip
