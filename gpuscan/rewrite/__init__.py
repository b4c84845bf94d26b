"""Graphs made cheaper without changing what they mean: one pass a file, listed in order in `pipeline`."""

from gpuscan.rewrite.pipeline import MEANING, PASSES, optimise
from gpuscan.rewrite.rebuild import rebuild

__all__ = ["MEANING", "PASSES", "optimise", "rebuild"]
