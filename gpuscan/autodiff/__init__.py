"""Derivatives of graphs, as graphs: backwards (`grad`, `pullback`) and forwards (`pushforward`), through loops too."""

from gpuscan.autodiff import algebra as _algebra
from gpuscan.autodiff import draws as _draws
from gpuscan.autodiff import inner_graphs as _inner_graphs
from gpuscan.autodiff import ordering as _ordering
from gpuscan.autodiff.backward_loop import pull_loop as _pull_loop
from gpuscan.autodiff.barriers import consider_constant, disconnected_grad, grad_clip, grad_scale, zero_grad
from gpuscan.autodiff.forward import Rop, pushforward
from gpuscan.autodiff.forward_loop import push_loop as _push_loop
from gpuscan.autodiff.matrices import hessian, jacobian
from gpuscan.autodiff.reverse import Lop, grad, pullback
from gpuscan.autodiff.rules import DERIVATIVES as _DERIVATIVES
from gpuscan.autodiff.rules import Derivative as _Derivative
from gpuscan.loop import Scan as _Scan

# Importing them registers their rules.
assert _algebra
assert _draws
assert _inner_graphs
assert _ordering
# The rules for loops stand on those for everything else.
_DERIVATIVES[_Scan] = _Derivative(_pull_loop, _push_loop)

__all__ = [
    "Lop",
    "Rop",
    "consider_constant",
    "disconnected_grad",
    "grad",
    "grad_clip",
    "grad_scale",
    "hessian",
    "jacobian",
    "pullback",
    "pushforward",
    "zero_grad",
]
