"""Derivatives of graphs, under the names and in the place where Theano and PyTensor have them."""

from gpuscan.autodiff import (
    Lop,
    Rop,
    consider_constant,
    disconnected_grad,
    grad,
    grad_clip,
    grad_scale,
    hessian,
    jacobian,
    pullback,
    pushforward,
    zero_grad,
)
from gpuscan.errors import DisconnectedInputError, NullTypeGradError
from gpuscan.gradient.verify import GradientError, numeric_gradient, verify_grad

__all__ = [
    # backwards
    "Lop",
    "grad",
    "pullback",
    # forwards
    "Rop",
    "pushforward",
    # of every element
    "hessian",
    "jacobian",
    # derivatives stopped, scaled or held within bounds
    "consider_constant",
    "disconnected_grad",
    "grad_clip",
    "grad_scale",
    "zero_grad",
    # held against finite differences
    "numeric_gradient",
    "verify_grad",
    # errors
    "DisconnectedInputError",
    "GradientError",
    "NullTypeGradError",
]
