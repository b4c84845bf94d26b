"""Loops written as symbolic arithmetic, compiled: on a GPU to one kernel, elsewhere to NumPy."""

from gpuscan import compile, gradient, graph, printing, raise_op, tensor
from gpuscan import loop as scan_module
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
from gpuscan.compile import Function, In, Out, function
from gpuscan.config import config
from gpuscan.control import OpFromGraph
from gpuscan.errors import (
    DeviceMemoryError,
    DisconnectedInputError,
    DtypeError,
    GraphError,
    KernelError,
    LoopError,
    MissingInputError,
    NullTypeGradError,
    ShapeError,
    UnusedInputError,
)
from gpuscan.gradient import verify_grad
from gpuscan.graph import Constant, SharedVariable, TensorType, Variable, clone_replace, debugprint
from gpuscan.graph import debugprint as dprint
from gpuscan.ifelse import ifelse
from gpuscan.loop import filter, foldl, foldr, map, reduce, scan, scan_checkpoints, scan_steps, until
from gpuscan.mode import Mode, get_mode
from gpuscan.tensor import shared
from gpuscan.vectorize import vectorize_graph

__version__ = "0.1.0"

__all__ = [
    "Constant",
    "DeviceMemoryError",
    "DisconnectedInputError",
    "DtypeError",
    "Function",
    "GraphError",
    "In",
    "KernelError",
    "LoopError",
    "Lop",
    "MissingInputError",
    "Mode",
    "NullTypeGradError",
    "OpFromGraph",
    "Out",
    "Rop",
    "ShapeError",
    "SharedVariable",
    "TensorType",
    "UnusedInputError",
    "Variable",
    "clone_replace",
    "compile",
    "config",
    "consider_constant",
    "debugprint",
    "disconnected_grad",
    "dprint",
    "filter",
    "foldl",
    "foldr",
    "function",
    "get_mode",
    "grad",
    "gradient",
    "grad_clip",
    "grad_scale",
    "graph",
    "hessian",
    "ifelse",
    "jacobian",
    "map",
    "printing",
    "pullback",
    "pushforward",
    "raise_op",
    "reduce",
    "scan",
    "scan_checkpoints",
    "scan_module",
    "scan_steps",
    "shared",
    "tensor",
    "until",
    "vectorize_graph",
    "verify_grad",
    "zero_grad",
]
