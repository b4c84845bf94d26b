"""Graphs made callable: rewritten, then compiled for a device."""

from gpuscan.compile.ends import In, Out
from gpuscan.compile.function import Function, function
from gpuscan.mode import Mode, get_mode

__all__ = ["Function", "In", "Mode", "Out", "function", "get_mode"]
