"""Batch axes added to graphs that were written for one element of the batch."""

from gpuscan.vectorize import rules as _rules
from gpuscan.vectorize import stacks as _stacks
from gpuscan.vectorize.batch import RULES, Batch, vectorize_rule
from gpuscan.vectorize.graph import vectorize_graph
from gpuscan.vectorize.signature import vectorize

__all__ = ["RULES", "Batch", "vectorize", "vectorize_graph", "vectorize_rule"]

assert _rules
assert _stacks  # importing them fills RULES
