"""The public arguments of `scan`, checked and turned into plain data before any graph is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, LoopError
from gpuscan.graph import Variable
from gpuscan.tensor import as_tensor_variable
from gpuscan.tensor.pointwise import kind


@dataclass(frozen=True)
class SequenceArgument:
    """One entry of `sequences`: what to read rows of, and its taps in the order the step function takes them."""

    source: Variable
    taps: tuple[int, ...]


@dataclass(frozen=True)
class StateArgument:
    """One entry of `outputs_info` with an initial value: its past values, oldest first, and its taps."""

    init: Variable
    taps: tuple[int, ...]


def as_list(value: Any) -> list[Any]:
    """Return an argument that may be one thing, several or None as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _label(what: str, position: int, variable: Variable | None = None) -> str:
    named = f" ({variable.name!r})" if variable is not None and variable.name else ""
    return f"scan: {what}[{position}]{named}"


def _variable(value: Any, label: str) -> Variable:
    try:
        return as_tensor_variable(value)
    except DtypeError as error:
        raise LoopError(f"{label} cannot be used: {error}") from None


def _taps(taps: Any, default: int, label: str) -> tuple[int, ...]:
    taps = [default] if taps is None else as_list(taps)
    for tap in taps:
        if isinstance(tap, bool) or not isinstance(tap, int | np.integer):
            raise LoopError(f"{label}: taps must be integers; found {tap!r}")
    if len(set(taps)) != len(taps):
        raise LoopError(f"{label}: taps {taps} name one twice")
    if not taps:
        raise LoopError(f"{label}: there are no taps; leave them out for the default [{default}]")
    return tuple(int(t) for t in taps)


def _only(entry: dict[str, Any], allowed: Iterable[str], label: str) -> None:
    if unknown := set(entry) - set(allowed):
        raise LoopError(f"{label}: unknown key {sorted(map(str, unknown))[0]!r}; allowed are {', '.join(allowed)}")


def read_sequences(sequences: Any) -> list[SequenceArgument]:
    """Return the entries of `sequences`: arrays, or dicts with ``input`` and ``taps``.

    Raises
    ------
    LoopError
        If an entry has no axis to loop over, or taps that are not distinct integers.
    """
    entries = []
    for position, entry in enumerate(as_list(sequences)):
        label = _label("sequences", position)
        taps = None
        if isinstance(entry, dict):
            _only(entry, ("input", "taps"), label)
            if "input" not in entry:
                raise LoopError(f"{label}: a dict needs the key 'input', the sequence itself")
            entry, taps = entry["input"], entry.get("taps")
        source = _variable(entry, label)
        if source.ndim == 0:
            raise LoopError(
                f"{_label('sequences', position, source)} is a scalar and has no rows to loop over; "
                "pass it in non_sequences if every step needs it"
            )
        entries.append(SequenceArgument(source, _taps(taps, 0, label)))
    return entries


def read_outputs_info(outputs_info: Any) -> list[StateArgument | None] | None:
    """Return the entries of `outputs_info`, None for outputs that no step reads back; None if it is left out.

    Raises
    ------
    LoopError
        If taps are not distinct negative integers, or an initial value is missing or too short for its taps.
    """
    if outputs_info is None:
        return None
    return [_read_output(entry, position) for position, entry in enumerate(as_list(outputs_info))]


def _read_output(entry: Any, position: int) -> StateArgument | None:
    label = _label("outputs_info", position)
    taps = None
    if isinstance(entry, dict):
        _only(entry, ("initial", "taps"), label)
        entry, taps = entry.get("initial"), entry.get("taps")
        if entry is None and taps:
            raise LoopError(f"{label}: taps {taps} need the key 'initial', the values before the first step")
    if entry is None:
        return None
    initial = _variable(entry, label)
    taps = _taps(taps, -1, label)
    if max(taps) >= 0:
        raise LoopError(f"{label}: taps of a state must be negative, as in [-2, -1]; found {max(taps)}")
    if taps == (-1,):
        return StateArgument(initial.dimshuffle("x", *range(initial.ndim)), taps)
    return StateArgument(_past_values(initial, -min(taps), _label("outputs_info", position, initial), taps), taps)


def _past_values(initial: Variable, depth: int, label: str, taps: tuple[int, ...]) -> Variable:
    if initial.ndim == 0:
        raise LoopError(f"{label}: taps {list(taps)} need {depth} past values along a first axis; found a scalar")
    rows = initial.type.shape[0]
    if rows is not None and rows < depth:
        raise LoopError(f"{label}: taps {list(taps)} need {depth} past values along its first axis; it has {rows}")
    return initial if rows == depth else initial[:depth]


def read_n_steps(n_steps: Any) -> Variable | None:
    """Return `n_steps` as an int64 scalar, None if it is left out.

    Raises
    ------
    LoopError
        If it is no integer scalar, or negative.
    """
    if n_steps is None:
        return None
    steps = _variable(n_steps, "scan: n_steps")
    if kind(steps.dtype) not in "iu" or steps.ndim != 0:
        raise LoopError(f"scan: n_steps must be an integer; found {n_steps!r} of type {steps.type}")
    if steps.known is not None and steps.known < 0:
        raise LoopError(f"scan: n_steps must not be negative; found {steps.known}")
    return steps.astype("int64")  # type: ignore[no-any-return]


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
    if not callable(fn):
        raise LoopError(f"scan: fn must be a function that computes one step; found {fn!r}")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # built-in functions may have none
        return [f"argument_{i}" for i in range(count)]
    try:
        bound = signature.bind(*range(count))
    except TypeError:
        raise LoopError(
            f"scan: the step function takes ({', '.join(signature.parameters)}), but scan passes {count} arguments: "
            f"{expected or 'none'}"
        ) from None
    names: list[str] = []
    for name, value in bound.arguments.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names.extend(f"{name}_{i}" for i in range(len(value))) if several else names.append(name)
    return names

