"""A loop as a loop over segments of itself, so that its gradient keeps the states at segment ends alone.

The steps are run in segments of equal length inside an outer loop, and what is left over in a tail of its own. The
derivative of such a pair needs no rule: the outer loop's backward steps read its own history, which are the states at
segment ends, and run a segment again, forwards with its histories and then backwards. For segments of the square root
of the number of steps this keeps twice that many states at a time and costs one more forward run: Chen, Xu, Zhang and
Guestrin, "Training deep nets with sublinear memory cost", arXiv 1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace

import numpy as np

from gpuscan.config import config
from gpuscan.graph import Variable, sorted_nodes
from gpuscan.loop.capture import capture
from gpuscan.loop.names import Names
from gpuscan.loop.op import close_loop, row_type
from gpuscan.loop.records import Emit, Loop, Options, Result, Sequence, State
from gpuscan.tensor.convert import cast, constant
from gpuscan.tensor.creation import arange
from gpuscan.tensor.elementwise import ceil, maximum, sqrt
from gpuscan.tensor.joining import join
from gpuscan.tensor.layout import expand_dims
from gpuscan.tensor.shaping import Reshape, dims


def segment_length(loop: Loop) -> Variable:
    """Return how many steps a segment of `loop` has, an int64 scalar: its ``options.checkpoint``."""
    if isinstance(loop.options.checkpoint, int):
        return constant(np.int64(loop.options.checkpoint))
    if loop.length.known is not None:
        return constant(np.int64(max(math.ceil(math.sqrt(loop.length.known)), 1)))
    root = cast(ceil(sqrt(cast(loop.length, "float64"))), "int64")
    return maximum(root, constant(np.int64(1)))


def in_parts(loop: Loop) -> bool:
    """Whether the gradient of `loop` is to keep the states at segment ends alone."""
    checkpoint = loop.options.checkpoint
    if checkpoint != "auto":
        return checkpoint is not None and loop.options.truncate_gradient is None
    size = [s.init.type.size for s in loop.states]
    if loop.length.known is None or None in size:
        return True
    bytes_ = sum((n or 0) * np.dtype(s.init.dtype).itemsize // s.depth for n, s in zip(size, loop.states, strict=True))
    return bytes_ * loop.length.known > float(config.gradient_memory)


def in_segments(loop: Loop) -> dict[Result, Variable]:
    """Return the results of `loop` run in segments; it has no stop condition, and hands out no last rows alone.

    Parameters
    ----------
    loop : Loop
        Open; its sources and initial values are used as they are.
    """
    plain = replace(loop, options=Options(), sequences=tuple(_upwards(s) for s in loop.sequences))
    size = segment_length(loop)
    count = loop.length // size
    done = count * size
    ends, rows = _segments(plain, size, count)
    tail = _tail(plain, done, ends)
    results: dict[Result, Variable] = {}
    for result in loop.results:
        if result.kind == "history":
            # Of no segment the sizes of a row may be told by the tail alone.
            steps = Reshape()(rows[result.record], done, *dims(tail[result], 1))
            results[result] = join(0, steps, tail[result])
        else:
            results[result] = tail[result]
    return results


def _upwards(s: Sequence) -> Sequence:
    """Return a sequence that is read from its last usable row down as one that is read up, of its rows turned over."""
    if not s.reverse:
        return s
    return replace(
        s, source=s.source[::-1], reads={s.margin - offset: read for offset, read in s.reads.items()}, reverse=False
    )


def _segments(loop: Loop, size: Variable, count: Variable) -> tuple[dict[str, Variable], dict[str, Variable]]:
    """Run all full segments.

    Returns
    -------
    ends : dict of str to Variable
        By state, its past values after the last segment.
    rows : dict of str to Variable
        By state or emit whose history is wanted, its values: axes are segments, steps, and those of a value.
    """
    names = Names(r.name for group in (loop.sequences, loop.states, loop.emits) for r in group)
    outer, inner = _of_segments(loop.sequences, names, size, count)
    past = {s.name: Variable(s.init.type, f"{s.name}_past") for s in loop.states}
    kept = [r for r in loop.results if r.kind == "history"]
    results = (*(Result("final", s.name) for s in loop.states), *kept)
    states = tuple(replace(s, init=past[s.name]) for s in loop.states)
    segment = replace(loop, sequences=tuple(inner), states=states, length=size, results=results)
    made = dict(zip(results, close_loop(segment).outputs, strict=True))
    emits = {r.record: Emit(names.unique(f"{r.record}_rows"), made[r]) for r in kept}
    carried = {
        s.name: State(
            names.unique(f"{s.name}_past"), expand_dims(s.init, 0), {1: past[s.name]}, made[Result("final", s.name)]
        )
        for s in loop.states
    }
    whole = Loop(
        sequences=tuple(outer),
        states=tuple(carried.values()),
        emits=tuple(emits.values()),
        non_sequences=(),
        length=count,
        results=(
            *(Result("final", s.name) for s in carried.values()),
            *(Result("history", e.name) for e in emits.values()),
        ),
        name=f"segments of {loop.title}",
        options=Options(part="segments"),
    )
    outputs = dict(zip(whole.results, close_loop(capture(whole, {}, names.unique, strict=False)).outputs, strict=True))
    ends = {name: outputs[Result("final", s.name)][0] for name, s in carried.items()}
    return ends, {record: outputs[Result("history", e.name)] for record, e in emits.items()}


def _of_segments(
    sequences: SequenceOf[Sequence], names: Names, size: Variable, count: Variable
) -> tuple[list[Sequence], list[Sequence]]:
    """Return the sequences of the loop over segments, and those of a segment, which are made of their rows."""
    outer: list[Sequence] = []
    inner: list[Sequence] = []
    for s in sequences:
        parts = _cut(s, size, count)
        reads = [Variable(row_type(part), s.name) for part in parts]
        outer += [Sequence(names.unique(s.name), part, {0: read}) for part, read in zip(parts, reads, strict=True)]
        inner.append(replace(s, source=join(0, *reads) if len(reads) > 1 else reads[0]))
    return outer, inner


def _cut(s: Sequence, size: Variable, count: Variable) -> list[Variable]:
    """Return the rows of a sequence for each segment: those of its steps, and those that its taps read beyond."""
    head = s.source[: count * size]
    parts = [Reshape()(head, count, size, *dims(s.source, 1))]
    if s.margin:
        ends = (arange(count) + 1) * size
        parts.append(s.source[ends.dimshuffle(0, "x") + arange(s.margin)])
    return parts


def _tail(loop: Loop, done: Variable, ends: Mapping[str, Variable]) -> dict[Result, Variable]:
    """Run the steps that are left over after the full segments."""
    rest = replace(
        loop,
        sequences=tuple(replace(s, source=s.source[done:]) for s in loop.sequences),
        states=tuple(replace(s, init=ends[s.name]) for s in loop.states),
        length=loop.length - done,
        name=f"tail of {loop.title}",
        options=Options(part="tail"),
    )
    return dict(zip(rest.results, close_loop(rest).outputs, strict=True))


def explain_segments(loop: Loop) -> Iterator[str]:
    """Yield what a gradient keeps and runs again of a loop in segments, as far as sizes tell before anything runs."""
    if loop.options.part != "segments":
        return
    inner = [node.inputs[0].known for node in sorted_nodes(loop.outputs, loop.reads) if node.op.name in loop.title]
    count, steps = loop.length.known, inner[0] if inner else None
    rows = [s.init.type.with_shape(s.init.type.shape[1:]) for s in loop.states]
    if count is None or steps is None or any(row.size is None for row in rows):
        yield "  a gradient keeps the states at the ends of segments, and runs each segment again"
        return
    bytes_ = sum((row.size or 0) * np.dtype(row.dtype).itemsize for row in rows)
    yield f"  a gradient keeps the states at the ends of {count} segments of {steps} steps: {count * bytes_} bytes for"
    yield f"  {count * steps * bytes_}; it runs {count * steps} steps again, a segment at a time"
