"""Where older programs look for `RandomStream`."""

from gpuscan.tensor.random.stream import RandomStream

__all__ = ["RandomStream"]
