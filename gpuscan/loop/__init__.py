"""Loops: their records, their closed form, and `scan`, which builds them."""

from types import SimpleNamespace

from gpuscan.loop.op import Scan, bind_loop, close_loop, open_loop, read_loop, result_type
from gpuscan.loop.records import Emit, Loop, NonSequence, Options, Result, Sequence, State
from gpuscan.loop.scan import scan, until
from gpuscan.loop.steps import scan_steps
from gpuscan.loop.views import filter, foldl, foldr, map, reduce, scan_checkpoints

# Where programs written for Theano and its successors find them: scan.utils.until, scan.views.map.
scan.__dict__.update(
    utils=SimpleNamespace(until=until),
    views=SimpleNamespace(map=map, reduce=reduce, foldl=foldl, foldr=foldr, filter=filter),
)

__all__ = [
    "Emit",
    "Loop",
    "NonSequence",
    "Options",
    "Result",
    "Scan",
    "Sequence",
    "State",
    "bind_loop",
    "close_loop",
    "filter",
    "foldl",
    "foldr",
    "map",
    "open_loop",
    "read_loop",
    "reduce",
    "result_type",
    "scan",
    "scan_checkpoints",
    "scan_steps",
    "until",
]
