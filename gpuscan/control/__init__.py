"""Ops that hold graphs and are no loops: the two sides of `ifelse`, and calls of `OpFromGraph`."""

from gpuscan.control.branches import IfElse, close_branches, ifelse, open_branches
from gpuscan.control.calls import GraphCall, OpFromGraph

__all__ = ["GraphCall", "IfElse", "OpFromGraph", "close_branches", "ifelse", "open_branches"]
