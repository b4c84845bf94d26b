"""Printing of graphs, and of values while they are computed, where Theano's and PyTensor's programs look for it."""

from gpuscan.graph import debugprint
from gpuscan.tensor.guards import Print

__all__ = ["Print", "debugprint"]
