"""The NumPy backend: one generated Python function, or node by node."""

from gpuscan.cpu.eager import EagerProgram, Interpreter, NodeRun
from gpuscan.cpu.program import CpuProgram

__all__ = ["CpuProgram", "EagerProgram", "Interpreter", "NodeRun"]
