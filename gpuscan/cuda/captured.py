"""A loop driven from the host whose steps are recorded once, a chunk of them, and replayed as one CUDA graph.

An array operation launched from Python takes ten times as long as one in a graph. A graph reads and writes the memory
that its recording did, so whatever steps read and write is in buffers of the loop's own: rows of sequences are copied
in before a chunk, rows of results out of them after it, states stay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from math import prod
from typing import Any, final

import numpy as np

from gpuscan.control import GraphCall
from gpuscan.cuda.device import Device
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import row_of
from gpuscan.cuda.strategies import choose
from gpuscan.graph import Apply, Graph, Op, Variable, sorted_nodes
from gpuscan.host import write_function
from gpuscan.host.checks import BoundLoops
from gpuscan.host.residence import host_values
from gpuscan.host.writer import ScanWriter
from gpuscan.loop import Loop, Result, Scan
from gpuscan.loop.sizes import has_computed_size
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.cumulative import Cumulate
from gpuscan.tensor.indexing import Index, Mask, WriteIndex
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.products import MatMul
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import Reduce, SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle, Join, Reshape, Stack

FEWEST_STEPS = 8
"""A shorter chunk spends its time on copies into buffers and out of them."""

MOST_STEPS = 64
MOST_NODES = 2048
"""Of a graph: recording one takes as long as running its operations one by one, and each takes memory."""

# Whatever else may stand in a step reads values on the host, or calls libraries that wait for the device.
RECORDED: tuple[type[Op], ...] = (
    *(Pointwise, Cast, Reduce, SumTo, MatMul, Cumulate, Draw, Index, WriteIndex, Join, Stack, Reshape, DimShuffle),
    *(BroadcastTo, Dim, Arange, Eye, Barrier, GraphCall, Scan),
)


def refuse_recording(loop: Loop, gpu: GPU) -> str | None:
    """Return why the steps of `loop` are not to be recorded, None if they are, as far as the graph tells.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps.
    gpu : GPU
        What loops inside are planned for.
    """
    if loop.stop is not None:
        return "the host reads at each step whether to stop"
    if has_computed_size(loop.outputs) or any(None in v.type.shape for v in loop.values.values()):
        return "the sizes of arrays depend on values"
    return _refuse(Graph(loop.reads, loop.outputs), gpu)


def _refuse(graph: Graph, gpu: GPU) -> str | None:
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, RECORDED):
            return f"{op} waits for the device, or may"
        if isinstance(op, Index | WriteIndex) and any(isinstance(item, Mask) for item in op.pattern):
            return "how many elements a mask selects is read by the host"
        reason = _refuse_loop(node, op, gpu) if isinstance(op, Scan) else None
        if isinstance(op, GraphCall):
            reason = _refuse(op.graph, gpu)
        if reason is not None:
            return reason
    return None


def _refuse_loop(node: Apply, op: Scan, gpu: GPU) -> str | None:
    """Return why a loop inside a step keeps the step from being recorded."""
    if op.stops or op.options.profile:
        return f"the host waits for {op.name}, a loop inside"
    loop = static_loop(node)
    if loop is None:
        return f"the sizes of arrays in {op.name}, a loop inside, depend on values"
    if choose(loop, gpu).team != "host":
        return None
    steps = node.inputs[0].known
    if steps is None or steps >= FEWEST_STEPS:
        return f"{op.name}, a loop inside, is driven from the host and recorded by itself"
    return refuse_recording(loop, gpu)


def static_loop(node: Apply) -> Loop | None:
    """Return the open loop of a node with the shapes that its inputs' types have, None where they leave one open."""
    bound = BoundLoops(node)
    inputs = node.inputs[1:]
    shapes = [v.type.shape[1:] if i < bound.sequences else v.type.shape for i, v in enumerate(inputs)]
    return None if any(None in s for s in shapes) else bound[tuple(tuple(n or 0 for n in s) for s in shapes)]


def chunk_steps(loop: Loop, steps: int) -> int:
    """Return how many steps to record where a call runs `steps`; 0 for none, as there are too few."""
    operations = max(len(sorted_nodes(loop.outputs, loop.reads)), 1)
    most = max(min(MOST_NODES // operations, MOST_STEPS), FEWEST_STEPS)
    return min(most, steps) if steps >= FEWEST_STEPS else 0


MakeOutputs = Callable[[], dict[Result, Any]]


@final
class CapturedLoop:
    """The buffers and the recording of one loop with one set of shapes.

    Parameters
    ----------
    loop : Loop
        Open, its shapes known but for the number of steps; `refuse_recording` has nothing against it.
    device : Device
        Where it runs.
    chunk : int
        How many steps are recorded.
    write_scan : callable
        Writes the statements for loops inside.
    """

    def __init__(self, loop: Loop, device: Device, chunk: int, write_scan: ScanWriter) -> None:
        self.loop = loop
        self.device = device
        self.chunk = chunk
        self._step = _write_step(loop, device, write_scan)
        self._names = list(loop.values)
        self._as_array = device.arrays.lookup("asarray")
        self._fence = device.fence()
        self._replay: Callable[[], None] | None = None
        kept = {r.record: loop.value_of(r.record) for r in loop.results if r.is_kept}
        self._rows = {
            s.name: device.empty((chunk + s.margin, *_sizes(s.source, 1)), s.source.dtype)
            for s in loop.sequences
            if s.reads
        }
        self._past = {s.name: device.empty((s.depth, *row_of(s.next)), s.next.dtype) for s in loop.states}
        self._fixed = {n.name: device.empty(_sizes(n.source), n.source.dtype) for n in loop.non_sequences}
        self._kept = {name: device.empty((chunk, *row_of(v)), v.dtype) for name, v in kept.items()}

    def run(self, steps: int, sources: Mapping[str, Any], outputs: Mapping[Result, Any]) -> None:
        """Run the loop.

        Parameters
        ----------
        steps : int
            How many.
        sources : mapping of str to array
            The arrays of sequences, states and non-sequences, or scalars on the host, by name.
        outputs : mapping of Result to array
            What to write the results to.
        """
        self._fence.wait()
        for state in self.loop.states:
            self._past[state.name][...] = sources[state.name][: state.depth]
        for name, place in self._fixed.items():
            place[...] = sources[name]
        for start in range(0, steps, self.chunk):
            count = min(self.chunk, steps - start)
            self._stage(start, count, sources)
            self._advance(count)
            self._collect(start, count, steps, outputs)
        for result, output in outputs.items():
            if result.kind == "final":
                output[...] = self._past[result.record]
        self._fence.mark()

    def _advance(self, count: int) -> None:
        if count < self.chunk:
            self._steps(count)
        elif self._replay is None:
            self._replay = self.device.record(lambda: self._steps(self.chunk))
        else:
            self._replay()

    def _stage(self, start: int, count: int, sources: Mapping[str, Any]) -> None:
        """Copy the rows that `count` steps from step `start` on read."""
        for s in self.loop.sequences:
            if s.reads:
                source = sources[s.name]
                first = source.shape[0] - s.margin - start - count if s.reverse else start
                self._rows[s.name][: count + s.margin] = source[first : first + count + s.margin]

    def _steps(self, count: int) -> None:
        """Run `count` steps from the buffers into the buffers."""
        loop = self.loop
        past = {s.name: [self._past[s.name][s.depth - lag] for lag in range(1, s.depth + 1)] for s in loop.states}
        fixed = list(self._fixed.values())
        for i in range(count):
            rows = [
                self._rows[s.name][offset + (count - 1 - i if s.reverse else i)]
                for s in loop.sequences
                for offset in s.reads
            ]
            lags = [past[s.name][lag - 1] for s in loop.states for lag in s.reads]
            # Some may be numbers on the host, which steps do not expect.
            computed = map(self._as_array, self._step(*rows, *lags, *fixed))
            values = dict(zip(self._names, computed, strict=True))
            for name, place in self._kept.items():
                place[i] = values[name]
            for name, older in past.items():
                past[name] = [values[name], *older[:-1]]
        for s in loop.states:
            # The oldest first: in few steps a value moves down within the buffer, to where one was read already.
            for lag in range(s.depth, 0, -1):
                self._past[s.name][s.depth - lag] = past[s.name][lag - 1]

    def _collect(self, start: int, count: int, steps: int, outputs: Mapping[Result, Any]) -> None:
        """Copy the rows that the results keep of these steps."""
        for result, output in outputs.items():
            if result.is_kept:
                to, of = result.places(start, count, steps)
                output[to] = self._kept[result.record][of]

    def wait(self) -> None:
        """Have what is started from here on wait for all runs."""
        self._fence.wait()

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        every = [*self._rows.values(), *self._past.values(), *self._fixed.values(), *self._kept.values()]
        return sum(prod(a.shape) * np.dtype(a.dtype).itemsize for a in every)


def _sizes(variable: Variable, start: int = 0) -> tuple[int, ...]:
    return tuple(size or 0 for size in variable.type.shape[start:])


def _write_step(loop: Loop, device: Device, write_scan: ScanWriter) -> Callable[..., list[Any]]:
    """Return one step as a function of what it reads: all of it in device memory, so that a graph reads it anew."""
    graph = Graph(loop.reads, loop.outputs)
    return write_function(graph, device.arrays, write_scan, host_values(graph.nodes, ())).run


@final
class Recorder:
    """Runs the calls of one loop by recordings where it can.

    It keeps the recording of the last set of shapes, whose buffers hold a copy of all that is the same at every step.

    Parameters
    ----------
    device : Device
        Where the loop runs.
    writer : callable
        Returns what writes the statements for loops inside.
    """

    def __init__(self, device: Device, writer: Callable[[], ScanWriter]) -> None:
        self.device = device
        self._writer = writer
        self._loop: Loop | None = None
        self._refused: str | None = None
        self._captured: CapturedLoop | None = None
        self._lock = threading.Lock()

    def run(self, loop: Loop, steps: int, sources: Mapping[str, Any], outputs: MakeOutputs) -> dict[Result, Any] | None:
        """Run the loop if it can be done by a recording.

        Parameters
        ----------
        loop : Loop
            Open, with concrete shapes; for the same shapes the same object.
        steps, sources
            As for `CapturedLoop.run`.
        outputs : callable
            Returns new arrays for the results.

        Returns
        -------
        dict of Result to array, or None
            The results; None where operations have to be called one by one.
        """
        # In a recording of the caller's own, operations become part of that.
        if not self.device.records or self.device.is_recording() or not self._lock.acquire(blocking=False):
            return None
        try:
            captured = self._find(loop, steps)
            if captured is None:
                return None
            made = outputs()
            captured.run(steps, sources, made)
            return made
        except Exception as error:
            # Whatever went wrong, operations called one by one do without it, or raise it as what it is.
            self._refused, self._captured = f"{type(error).__name__}: {error}", None
            return None
        finally:
            self._lock.release()

    def _find(self, loop: Loop, steps: int) -> CapturedLoop | None:
        """Return what is recorded of `loop`, in chunks that suit the number of steps."""
        if loop is not self._loop:
            self._let_go()
            self._loop, self._refused = loop, refuse_recording(loop, self.device.gpu)
        if self._refused is not None:
            return None
        chunk = chunk_steps(loop, steps)
        if chunk and (self._captured is None or chunk >= 4 * self._captured.chunk):
            self._let_go()  # first, for its memory
            self._captured = CapturedLoop(loop, self.device, chunk, self._writer())
        return self._captured if self._captured is not None and steps >= self._captured.chunk else None

    def _let_go(self) -> None:
        """Give the recording's memory back: to this stream, while on another one it may still be replayed."""
        if self._captured is not None:
            self._captured.wait()
            self._captured = None

    def explain(self, loop: Loop) -> str:
        """Return a line that says whether steps are recorded."""
        if (reason := self._refused if loop is self._loop else refuse_recording(loop, self.device.gpu)) is not None:
            return f"steps are not recorded: {reason}"
        if self._captured is None:
            return f"steps are recorded as a CUDA graph in calls of {FEWEST_STEPS} steps or more"
        return (
            f"{self._captured.chunk} steps are recorded and replayed as one CUDA graph; "
            f"its buffers take {self._captured.nbytes} bytes"
        )
