"""Loops: their records, their closed form, and `scan`, which builds them."""

from gpuscan.loop.op import Scan, bind_loop, close_loop, open_loop, result_type
from gpuscan.loop.records import Emit, Loop, NonSequence, Result, Sequence, State
from gpuscan.loop.scan import scan, until

__all__ = [
    "Emit",
    "Loop",
    "NonSequence",
    "Result",
    "Scan",
    "Sequence",
    "State",
    "bind_loop",
    "close_loop",
    "open_loop",
    "result_type",
    "scan",
    "until",
]
