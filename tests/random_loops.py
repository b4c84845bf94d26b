"""Loops that nobody would write, for hypothesis to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import gpuscan as gs
from tests.oracle import either

BASE = (2, 3, 2)  # shapes are the last axes of this, so that all values broadcast against each other

INTEGERS = ("int64", "int32")

READS: dict[str, Callable[[Any], Any]] = {
    "all": lambda history: history,
    "last": lambda history: history[-1],
    "last two": lambda history: history[-2:],
    "last but one": lambda history: history[-2],
    "last three": lambda history: history[-3:],
    "every other": lambda history: history[::2],
    "none": lambda history: np.int64(0),
}


@dataclass(frozen=True)
class Value:
    """An array to draw, without the axis of time."""

    rank: int
    dtype: str

    def draw(self, rng: np.random.Generator, *rows: int) -> np.ndarray:
        shape = (*rows, *BASE[len(BASE) - self.rank :])
        values = rng.integers(-4, 5, shape) if self.dtype in INTEGERS else rng.normal(size=shape)
        return values.astype(self.dtype)


@dataclass(frozen=True)
class Sequence:
    value: Value
    taps: tuple[int, ...]
    extra: int  # rows more than the loop needs


@dataclass(frozen=True)
class Output:
    """A state, or without taps a fresh output; `weights` say how it is made of what the step gets."""

    value: Value
    taps: tuple[int, ...]
    weights: tuple[int, ...]
    read: str
    bounded: bool = True  # else it is the sum itself


@dataclass(frozen=True)
class RandomLoop:
    sequences: tuple[Sequence, ...]
    outputs: tuple[Output, ...]
    non_sequences: tuple[Value, ...]
    captured: tuple[Value, ...]
    steps: int
    says_steps: bool
    reverse: bool
    until: int | None  # a limit
    inner: int | None  # steps of a loop inside; 4 for a number that depends on a value
    inner_until: int | None  # a limit of its own
    seed: int

    def step(self, *captured: Any) -> Callable[..., Any]:
        """Return the step function, of variables or of arrays."""

        def step(*reads: Any) -> Any:
            values = [*captured, *reads]  # the last is an integer scalar
            if self.inner is not None:
                value = next((v for v in values if v.dtype == "float64"), values[-1] * 0.5)
                values.insert(0, self.inside(value, values[-1]))
            outputs, position = [], sum(len(s.taps) for s in self.sequences)
            for output in self.outputs:
                own = list(reads[position : position + len(output.taps)])
                position += len(output.taps)
                outputs.append(combine(output, own, values))
            if self.until is None:
                return outputs
            return [*outputs, gs.until(fit(outputs[0], 0) > self.until)]

        return step

    def inside(self, value: Any, count: Any) -> Any:
        """Return what a loop inside a step makes of a value; its length may be one that each step computes."""
        steps = abs(count) % 4 if self.inner == 4 else self.inner
        if self.inner_until is None:
            (history,) = either(lambda s: np.cos(s + value), None, value, None, steps)
            return history.sum(0)

        def until(s: Any, emitted: Any) -> Any:
            new = np.cos(s + emitted)
            return new, new * s, gs.until(fit(new, 0) > self.inner_until)

        states, emits = either(lambda s: until(s, value), None, [value, None], None, steps)
        return states.sum(0) + emits.sum(0)


def fit(value: Any, rank: int) -> Any:
    """Return `value` with at most `rank` axes."""
    while value.ndim > rank:
        value = value.sum(0)
    return value


def combine(output: Output, own: list[Any], values: list[Any]) -> Any:
    """Return an output of a step: its own past values, and others as their weights say."""
    dtype = output.value.dtype
    is_int = dtype in INTEGERS
    usable = [v for v in values if v.dtype in INTEGERS] if is_int else values
    terms = [fit(v, output.value.rank) * w for v, w in zip(usable, output.weights, strict=False) if w]
    terms = [*own, *terms] or [fit(usable[-1], output.value.rank)]
    total = sum(terms, np.int64(1) if is_int else np.float64(0.25))
    bounded = total if not output.bounded else total % 7 if is_int else np.sin(total)
    return bounded.astype(dtype)


def taps_of_sequences() -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(-3, 3), min_size=1, max_size=3, unique=True).map(tuple)


def taps_of_states() -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(-4, -1), min_size=1, max_size=3, unique=True).map(tuple)


VALUES = st.builds(
    Value,
    st.one_of(st.integers(0, 2), st.integers(0, 3)),
    st.sampled_from(["float64", "float64", "int64", "float32", "int32"]),
)
OUTPUTS = st.builds(
    Output,
    VALUES,
    st.one_of(taps_of_states(), taps_of_states(), st.just(())),
    st.tuples(*[st.integers(-2, 2)] * 6),
    st.sampled_from(list(READS)),
)
LOOPS = st.builds(
    RandomLoop,
    sequences=st.lists(st.builds(Sequence, VALUES, taps_of_sequences(), st.integers(0, 2)), max_size=3).map(tuple),
    outputs=st.lists(OUTPUTS, min_size=1, max_size=4).map(tuple),
    non_sequences=st.lists(VALUES, max_size=2).map(tuple),
    captured=st.lists(VALUES, max_size=2).map(tuple),
    steps=st.integers(0, 9),
    says_steps=st.booleans(),
    reverse=st.booleans(),
    until=st.one_of(st.none(), st.none(), st.integers(0, 3)),
    inner=st.one_of(st.none(), st.none(), st.integers(0, 4)),
    inner_until=st.one_of(st.none(), st.integers(-1, 2)),
    seed=st.integers(0, 999),
)


def running_sum(loop: RandomLoop) -> RandomLoop:
    """Return a loop that sums up what the first output of `loop` reads, so that steps need not wait for each other."""
    sources = [s.value for s in loop.sequences] + [o.value for o in loop.outputs]
    rank = max(v.rank for v in (*sources, *loop.non_sequences, *loop.captured))
    first = loop.outputs[0]
    total = replace(first, value=replace(first.value, rank=rank), taps=(-1,), bounded=False)
    return replace(loop, outputs=(total,), until=None, inner=None)


def arguments(loop: RandomLoop) -> dict[str, Any]:
    """Return what `tests.oracle.check_loop` and its kind take for a loop, with arrays drawn by its seed."""
    rng = np.random.default_rng(loop.seed)
    sequences = []
    for s in loop.sequences:
        margin = max(0, *s.taps) - min(0, *s.taps)
        sequences.append({"input": s.value.draw(rng, loop.steps + margin + s.extra), "taps": list(s.taps)})
    outputs_info: list[Any] = []
    for o in loop.outputs:
        depth = () if o.taps == (-1,) else (-min(o.taps, default=0) + o.value.rank,)  # sometimes more than needed
        outputs_info.append({"initial": o.value.draw(rng, *depth), "taps": list(o.taps)} if o.taps else None)
    says_steps = loop.says_steps or not sequences
    fewest = loop.steps if says_steps else min(loop.steps + s.extra for s in loop.sequences)
    fewest = min(fewest, 1) if loop.until is not None else fewest  # it may stop there
    return {
        "fn": loop.step,
        "sequences": sequences,
        "outputs_info": outputs_info,
        "non_sequences": [*(v.draw(rng) for v in loop.non_sequences), np.int64(rng.integers(-3, 4))],
        "n_steps": np.int64(loop.steps) if says_steps else None,
        "go_backwards": loop.reverse,
        "captured": [v.draw(rng) for v in loop.captured],
        "read": [READS[o.read if fewest > 1 or "last" not in o.read else "all"] for o in loop.outputs],
    }
