"""Graphs made callable: rewritten, then compiled for a device."""

from gpuscan.compile.function import Function, function

__all__ = ["Function", "function"]
