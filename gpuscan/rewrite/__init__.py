"""Graphs made cheaper without changing what they mean: one pass a file, listed in order in `pipeline`."""

from gpuscan.rewrite.pipeline import MEANING, PASSES, Pass, optimise
from gpuscan.rewrite.rebuild import rebuild
from gpuscan.rewrite.report import Cost, PassRun, describe, loop_costs

__all__ = ["MEANING", "PASSES", "Cost", "Pass", "PassRun", "describe", "loop_costs", "optimise", "rebuild"]
