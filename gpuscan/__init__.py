"""Loops written as symbolic arithmetic, compiled: on a GPU to one kernel, elsewhere to NumPy."""

from gpuscan import compile, graph, printing, raise_op, tensor
from gpuscan import loop as scan_module
from gpuscan.compile import Function, In, Out, function
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
from gpuscan.graph import debugprint as dprint
from gpuscan.ifelse import ifelse
from gpuscan.loop import filter, foldl, foldr, map, reduce, scan, scan_steps, until
from gpuscan.mode import Mode, get_mode
from gpuscan.tensor import shared
from gpuscan.vectorize import vectorize_graph

__version__ = "0.1.0"

__all__ = [
    "Constant",
    "DtypeError",
    "Function",
    "GraphError",
    "In",
    "KernelError",
    "LoopError",
    "MissingInputError",
    "Mode",
    "OpFromGraph",
    "Out",
    "ShapeError",
    "SharedVariable",
    "TensorType",
    "UnusedInputError",
    "Variable",
    "clone_replace",
    "compile",
    "config",
    "debugprint",
    "dprint",
    "filter",
    "foldl",
    "foldr",
    "function",
    "get_mode",
    "graph",
    "ifelse",
    "map",
    "printing",
    "raise_op",
    "reduce",
    "scan",
    "scan_module",
    "scan_steps",
    "shared",
    "tensor",
    "until",
    "vectorize_graph",
]
