"""A graph as one Python function over an array module: NumPy for the CPU, CuPy for a GPU driven from the host."""

from gpuscan.host import linalg, running  # noqa: F401  # where rules are registered
from gpuscan.host.arrays import NUMPY, ArrayModule
from gpuscan.host.function import HostFunction, write_function
from gpuscan.host.profile import LoopProfile
from gpuscan.host.rows import row_function
from gpuscan.host.writer import Writer

__all__ = ["NUMPY", "ArrayModule", "HostFunction", "LoopProfile", "Writer", "row_function", "write_function"]
