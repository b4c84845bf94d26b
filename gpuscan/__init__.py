"""Loops written as symbolic arithmetic, compiled: on a GPU to one kernel, elsewhere to NumPy."""

from gpuscan import graph, printing, raise_op, tensor
from gpuscan.compile import Function, function
from gpuscan.config import config
from gpuscan.control import OpFromGraph
from gpuscan.errors import (
    DtypeError,
    GraphError,
    KernelError,
    LoopError,
    MissingInputError,
    ShapeError,
    UnusedInputError,
)
from gpuscan.graph import Constant, SharedVariable, TensorType, Variable, clone_replace, debugprint
from gpuscan.ifelse import ifelse
from gpuscan.loop import scan, until
from gpuscan.tensor import shared
from gpuscan.vectorize import vectorize_graph

__version__ = "0.1.0"

__all__ = [
    "Constant",
    "DtypeError",
    "Function",
    "GraphError",
    "KernelError",
    "LoopError",
    "MissingInputError",
    "OpFromGraph",
    "ShapeError",
    "SharedVariable",
    "TensorType",
    "UnusedInputError",
    "Variable",
    "clone_replace",
    "config",
    "debugprint",
    "function",
    "graph",
    "ifelse",
    "printing",
    "raise_op",
    "scan",
    "shared",
    "tensor",
    "until",
    "vectorize_graph",
]
