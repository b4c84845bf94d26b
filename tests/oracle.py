"""The oracle: what a loop means, as a plain Python loop over NumPy arrays that runs the very same step function.

NumPy's functions and Python's operators work on variables too, so a step written with them runs here on arrays and in
`gpuscan.scan` on variables, and the two must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt

Step = Callable[..., Any]


@dataclass(frozen=True)
class Run:
    """What a loop gives: for each output its values after every step, and how many steps there were."""

    outputs: list[np.ndarray]
    steps: int


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


class Rows:
    """A sequence: step k reads row ``k + tap - min(0, lowest tap)``, or backwards as the last step it has rows for."""

    def __init__(self, entry: Any, reverse: bool) -> None:
        entry = entry if isinstance(entry, dict) else {"input": entry}
        self.array = np.asarray(entry["input"])
        self.taps = as_list(entry.get("taps", 0))
        self.reverse = reverse
        self.lowest = min(0, *self.taps)
        self.usable = len(self.array) - (max(0, *self.taps) - self.lowest)

    def at(self, k: int) -> list[Any]:
        step = self.usable - 1 - k if self.reverse else k
        return [self.array[step + tap - self.lowest] for tap in self.taps]


class Past:
    """A state: its values so far, those before the first step among them."""

    def __init__(self, entry: Any) -> None:
        entry = entry if isinstance(entry, dict) else {"initial": entry}
        self.taps = as_list(entry.get("taps", -1))
        depth = -min(self.taps)
        initial = np.asarray(entry["initial"])
        self.values = [initial[()]] if self.taps == [-1] else list(initial[:depth])

    def read(self) -> list[Any]:
        return [self.values[tap] for tap in self.taps]


def run_loop(
    fn: Step,
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    go_backwards: bool = False,
) -> Run:
    """Run the loop that `gpuscan.scan` builds from the same arguments, arrays in place of variables."""
    rows = [Rows(entry, go_backwards) for entry in as_list(sequences)]
    infos = [None if is_fresh(entry) else Past(entry) for entry in as_list(outputs_info)]
    others = as_list(non_sequences)
    steps = min(r.usable for r in rows) if n_steps is None else int(n_steps)
    assert steps >= 0
    assert all(r.usable >= steps for r in rows), "the oracle has no errors to show"

    kept: list[list[Any]] = []
    ran = 0
    for k in range(steps):
        given = [v for r in rows for v in r.at(k)] + [v for s in infos if s for v in s.read()] + others
        with np.errstate(all="ignore"):
            outputs, stop = split(fn(*given))
        kept = kept or [[] for _ in outputs]
        infos = infos or [None] * len(outputs)
        for info, values, value in zip(infos, kept, outputs, strict=True):
            values.append(np.array(value))
            if info is not None:
                info.values.append(value)
        ran += 1
        if stop:
            break
    if not ran:
        return Run(_of_no_step(fn, rows, infos, others), 0)
    return Run([np.stack(values) for values in kept], ran)


def is_fresh(entry: Any) -> bool:
    """Whether an entry of outputs_info says that no step reads the output back."""
    return entry is None or (isinstance(entry, dict) and entry.get("initial") is None)


def split(returned: Any) -> tuple[list[Any], bool]:
    """Return what a step returned as outputs, and whether it is the last."""
    items = list(returned) if isinstance(returned, list | tuple) else [returned]
    if isinstance(items[-1], gs.until):
        return items[:-1], bool(items[-1].condition.data)
    return items, False


def _of_no_step(fn: Step, rows: Sequence[Rows], infos: Sequence[Past | None], others: list[Any]) -> list[np.ndarray]:
    """Return empty outputs, their shapes and dtypes found out by a step on made-up rows."""
    made_up = [np.ones(r.array.shape[1:], r.array.dtype)[()] for r in rows for _ in r.taps]
    with np.errstate(all="ignore"):
        outputs, _ = split(fn(*made_up, *(v for s in infos if s for v in s.read()), *others))
    return [np.empty((0, *np.shape(v)), np.asarray(v).dtype) for v in outputs]


# ---- the same loop on a device ----


def either(fn: Step, *args: Any, **kwargs: Any) -> list[Any]:
    """Return the outputs of a loop inside a step: of a graph on variables, of the oracle on arrays."""
    if any(isinstance(v, gs.Variable) for v in _leaves([args, kwargs])):
        return gs.scan(fn, *args, **kwargs, return_list=True)[0]
    return run_loop(fn, *args, **kwargs).outputs


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


class _Inputs:
    """Stands variables in for arrays."""

    def __init__(self) -> None:
        self.variables: list[gs.Variable] = []
        self.values: list[Any] = []

    def of(self, array: Any, name: str) -> gs.Variable:
        array = np.asarray(array)
        variable = gt.tensor(name, dtype=array.dtype.name, shape=(None,) * array.ndim)
        self.variables.append(variable)
        self.values.append(array)
        return variable

    def entries(self, entries: Any, key: str, name: str) -> list[Any]:
        found = []
        for i, entry in enumerate(as_list(entries)):
            if is_fresh(entry) and key == "initial":
                found.append(None)
            elif isinstance(entry, dict):
                found.append({**entry, key: self.of(entry[key], f"{name}{i}")})
            else:
                found.append(self.of(entry, f"{name}{i}"))
        return found


@dataclass(frozen=True)
class Symbolic:
    """A loop in a graph: its inputs, what is read of it, and the inputs' values."""

    inputs: list[gs.Variable]
    outputs: list[gs.Variable]
    values: list[Any]


Read = Callable[[Any], Any]


def as_graph(
    fn: Step,
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    go_backwards: bool = False,
    captured: Any = None,
    read: Read | Sequence[Read] = lambda history: history,
) -> Symbolic:
    """Return the loop that `gpuscan.scan` builds, an input for each array. The arguments are those of `check_loop`."""
    inputs = _Inputs()
    outer = [inputs.of(v, f"c{i}") for i, v in enumerate(as_list(captured))]
    histories = gs.scan(
        fn if captured is None else fn(*outer),
        inputs.entries(sequences, "input", "x"),
        inputs.entries(outputs_info, "initial", "s") or None,
        [inputs.of(v, f"w{i}") for i, v in enumerate(as_list(non_sequences))],
        n_steps if n_steps is None or type(n_steps) is int else inputs.of(n_steps, "n"),
        go_backwards=go_backwards,
        return_list=True,
    )[0]
    outputs = [gt.as_tensor_variable(value) for value in _read(read, histories)]  # one that reads nothing is a constant
    return Symbolic(inputs.variables, outputs, inputs.values)


def _read(read: Read | Sequence[Read], histories: Sequence[Any]) -> list[Any]:
    reads = read if isinstance(read, Sequence) else [read] * len(histories)
    return [one(history) for one, history in zip(reads, histories, strict=True)]


def check_loop(
    fn: Step,
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    go_backwards: bool = False,
    *,
    device: str,
    captured: Any = None,
    read: Read | Sequence[Read] = lambda history: history,
    rtol: float = 1e-12,
) -> gs.Function:
    """Assert that a loop gives on a device what the oracle says, and return the function.

    An `n_steps` that is a Python int is a constant of the graph, any other integer an input. Where there are values to
    be `captured`, `fn` takes them and returns the step function. What is compared is what `read` makes of each history;
    a sequence has one for each.
    """
    loop = as_graph(fn, sequences, outputs_info, non_sequences, n_steps, go_backwards, captured, read)
    f = gs.function(loop.inputs, loop.outputs, device=device, on_unused_input="ignore")
    step = fn if captured is None else fn(*captured)
    expected = run_loop(step, sequences, outputs_info, non_sequences, n_steps, go_backwards).outputs
    for found, value in zip(f(*loop.values), _read(read, expected), strict=True):
        assert_same(found, value, rtol)
    return f


def assert_same(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    """Assert equal dtypes, shapes and values: of integers exactly, of floats to `rtol` or what their dtype can hold."""
    expected = np.asarray(expected)
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind in "fc":
        rtol = max(rtol, 8 * float(np.finfo(expected.dtype).eps))
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(found, expected)
