"""Graphs made cheaper without changing what they mean: one pass a file, listed in order in `pipeline`."""

from gpuscan.rewrite.pipeline import PASSES, optimise
from gpuscan.rewrite.rebuild import rebuild

__all__ = ["PASSES", "optimise", "rebuild"]
