"""Assertions inside graphs, where PyTensor's programs look for them."""

from gpuscan.tensor.guards import Assert, assert_op

__all__ = ["Assert", "assert_op"]
