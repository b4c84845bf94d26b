"""`ifelse`, where Theano's and PyTensor's programs look for it."""

from gpuscan.control import ifelse

__all__ = ["ifelse"]
