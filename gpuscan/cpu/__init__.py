"""The NumPy backend: the reference meaning of every op and loop."""

from gpuscan.cpu.program import CpuProgram

__all__ = ["CpuProgram"]
