"""Special functions, in SciPy's words."""

from gpuscan.tensor.elementwise import (
    betaln,
    digamma,
    erf,
    erfc,
    erfcx,
    erfinv,
    gamma,
    gammainc,
    gammaincc,
    gammaln,
    i0,
    i1,
    log1mexp,
    logit,
    ndtr,
    ndtri,
    psi,
    sigmoid,
    softplus,
)
from gpuscan.tensor.logsums import log_softmax, logsumexp, softmax

expit = sigmoid
log1pexp = softplus

__all__ = [
    # error functions and the normal distribution
    "erf", "erfc", "erfcx", "erfinv", "ndtr", "ndtri",
    # gamma functions
    "gamma", "gammaln", "gammainc", "gammaincc", "digamma", "psi", "betaln",
    # Bessel functions
    "i0", "i1",
    # exponentials and logarithms
    "expit", "logit", "sigmoid", "softplus", "log1pexp", "log1mexp", "logsumexp", "softmax", "log_softmax",
]  # fmt: skip
