"""The public arguments of `scan`, checked and turned into plain data before any graph is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, LoopError, counted
from gpuscan.graph import Variable
from gpuscan.tensor.convert import as_tensor_variable
from gpuscan.tensor.pointwise import kind


@dataclass(frozen=True)
class Argument:
    """One entry of `sequences`, `outputs_info` or `non_sequences`.

    Attributes
    ----------
    label : str
        What messages call it, in the words of the caller: ``sequences[0] ('x')``.
    source : Variable
        The sequence; the values of a state before the first step, oldest first; or the non-sequence.
    taps : tuple of int
        In the order in which the step function takes them; none for a non-sequence.
    """

    label: str
    source: Variable
    taps: tuple[int, ...] = ()

    @property
    def lowest(self) -> int:
        """The tap that reads row 0 of a sequence at step 0. Tap 0 counts, so that step k is never at an earlier row."""
        return min(0, *self.taps)

    @property
    def margin(self) -> int:
        """How many rows more than steps a sequence must have."""
        return max(0, *self.taps) - self.lowest


def as_list(value: Any) -> list[Any]:
    """Return an argument that may be one thing, several or None as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | range) else [value]


# ---- one entry ----


def _label(what: str, position: int, variable: Variable | None = None) -> str:
    named = f" ({variable.name!r})" if variable is not None and variable.name else ""
    return f"{what}[{position}]{named}"


def _variable(value: Any, label: str) -> Variable:
    try:
        return as_tensor_variable(value)
    except DtypeError as error:
        raise LoopError(f"scan: {label} cannot be used: {error}") from None


def _taps(taps: Any, default: int, label: str) -> tuple[int, ...]:
    taps = [default] if taps is None else as_list(taps)
    for tap in taps:
        if isinstance(tap, bool) or not isinstance(tap, int | np.integer):
            raise LoopError(f"scan: {label}: taps must be integers; found {tap!r}")
    if len(set(taps)) != len(taps):
        raise LoopError(f"scan: {label}: taps {taps} name one twice")
    if not taps:
        raise LoopError(f"scan: {label}: there are no taps; leave them out for the default [{default}]")
    return tuple(int(t) for t in taps)


def _check_keys(entry: dict[str, Any], allowed: Iterable[str], label: str) -> None:
    if unknown := set(entry) - set(allowed):
        first = sorted(map(str, unknown))[0]
        raise LoopError(f"scan: {label}: unknown key {first!r}; allowed are {', '.join(allowed)}")


# ---- sequences ----


def read_sequences(sequences: Any) -> list[Argument]:
    """Return the entries of `sequences`: arrays, or dicts with ``input`` and ``taps``.

    Raises
    ------
    LoopError
        If an entry has no axis to loop over, or taps that are not distinct integers.
    """
    return [_read_sequence(entry, position) for position, entry in enumerate(as_list(sequences))]


def _read_sequence(entry: Any, position: int) -> Argument:
    label = _label("sequences", position)
    taps = None
    if isinstance(entry, dict):
        _check_keys(entry, ("input", "taps"), label)
        if "input" not in entry:
            raise LoopError(f"scan: {label}: a dict needs the key 'input', the sequence itself")
        entry, taps = entry["input"], entry.get("taps")
    source = _variable(entry, label)
    label = _label("sequences", position, source)
    if source.ndim == 0:
        raise LoopError(
            f"scan: {label} is a scalar and has no rows to loop over; pass it in non_sequences if every step needs it"
        )
    return Argument(label, source, _taps(taps, 0, label))


def check_long_enough(sequences: Iterable[Argument], steps: Variable) -> None:
    """Check that sequences have the rows that `steps` need.

    What is not known yet is checked when the loop runs.

    Raises
    ------
    LoopError
        If one has too few.
    """
    if steps.known is None:
        return
    for s in sequences:
        rows = s.source.type.shape[0]
        if rows is not None and rows < max(steps.known, 0) + s.margin:
            taps = "" if s.taps == (0,) else f" at taps {list(s.taps)}"
            asked = counted(steps.known, "step") + taps if rows >= s.margin else f"taps {list(s.taps)} alone"
            raise LoopError(
                f"scan: {s.label} has {counted(rows, 'row')} along its first axis; {asked} "
                f"need{'s' * (steps.known == 1)} {max(steps.known, 0) + s.margin}"
            )


# ---- outputs_info ----


def read_outputs_info(outputs_info: Any) -> list[Argument | None]:
    """Return the entries of `outputs_info`, None for outputs that no step reads back; nothing if it is left out.

    Raises
    ------
    LoopError
        If taps are not distinct negative integers, or an initial value is missing or too short for its taps.
    """
    return [_read_output(entry, position) for position, entry in enumerate(as_list(outputs_info))]


def _read_output(entry: Any, position: int) -> Argument | None:
    label = _label("outputs_info", position)
    taps = None
    if isinstance(entry, dict):
        _check_keys(entry, ("initial", "taps"), label)
        entry, taps = entry.get("initial"), entry.get("taps")
        if entry is None and taps:
            raise LoopError(f"scan: {label}: taps {taps} need the key 'initial', the values before the first step")
    if entry is None:
        return None
    initial = _variable(entry, label)
    label = _label("outputs_info", position, initial)
    taps = _taps(taps, -1, label)
    if max(taps) >= 0:
        raise LoopError(f"scan: {label}: taps of a state must be negative, as in [-2, -1]; found {max(taps)}")
    if taps == (-1,):
        return Argument(label, initial.dimshuffle("x", *range(initial.ndim)), taps)
    return Argument(label, _past_values(initial, -min(taps), label, taps), taps)


def _past_values(initial: Variable, depth: int, label: str, taps: tuple[int, ...]) -> Variable:
    needed = f"taps {list(taps)} need {counted(depth, 'past value')} along"
    if initial.ndim == 0:
        raise LoopError(f"scan: {label}: {needed} a first axis; found a scalar")
    rows = initial.type.shape[0]
    if rows is not None and rows < depth:
        raise LoopError(f"scan: {label}: {needed} its first axis; it has {rows}")
    past: Variable = initial if rows == depth else initial[:depth]
    return past


# ---- the others ----


def read_non_sequences(non_sequences: Any) -> list[Argument]:
    """Return the entries of `non_sequences`.

    Raises
    ------
    LoopError
        If one is no variable, number or array.
    """
    arguments = []
    for position, entry in enumerate(as_list(non_sequences)):
        source = _variable(entry, _label("non_sequences", position))
        arguments.append(Argument(_label("non_sequences", position, source), source))
    return arguments


def read_n_steps(n_steps: Any) -> Variable | None:
    """Return `n_steps` as an int64 scalar, None if it is left out.

    Raises
    ------
    LoopError
        If it is no integer scalar, or negative.
    """
    if n_steps is None:
        return None
    steps = _variable(n_steps, "n_steps")
    if kind(steps.dtype) not in "iu" or steps.ndim != 0:
        found = steps.type if isinstance(n_steps, Variable) else repr(n_steps)
        raise LoopError(f"scan: n_steps must be an integer; found {found}")
    if steps.known is not None and steps.known < 0:
        raise LoopError(f"scan: n_steps must not be negative; found {steps.known}")
    as_int64: Variable = steps.astype("int64")
    return as_int64


# ---- the step function ----


def check_callable(fn: Any) -> None:
    """Raise LoopError if `fn` cannot be a step function: first of all, as it and a sequence are easily exchanged."""
    if not callable(fn):
        raise LoopError(f"scan: fn must be a function that computes one step; found {fn!r}")


def parameter_names(fn: Callable[..., Any], count: int, expected: str) -> list[str]:
    """Return the names of the step function's parameters for `count` arguments.

    Parameters
    ----------
    fn : callable
        The step function.
    count : int
        How many arguments it will get.
    expected : str
        What they are, for the message.

    Raises
    ------
    LoopError
        If it does not take so many.
    """
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # built-in functions may have none
        return [f"argument_{i}" for i in range(count)]
    try:
        bound = signature.bind(*range(count))
    except TypeError:
        raise LoopError(
            f"scan: the step function takes ({', '.join(signature.parameters)}), but scan passes "
            f"{counted(count, 'argument')}{': ' * (count > 0)}{expected}"
        ) from None
    names: list[str] = []
    for name, value in bound.arguments.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names.extend(f"{name}_{i}" for i in range(len(value))) if several else names.append(name)
    return names
