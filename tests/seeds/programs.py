"""The seeds' programs by name, and what they compile."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import pytest

import gpuscan as gs
from tests.seeds import test_examples

Program = Callable[..., None]

PROGRAMS: dict[str, Program] = {
    name: function
    for name, function in vars(test_examples).items()
    if isinstance(function, FunctionType) and "device" in inspect.signature(function).parameters
}
"""Each takes a device, and checks its results itself."""


def run(name: str, device: str) -> None:
    """Run a program with the first of its parameters."""
    program = PROGRAMS[name]
    program(device=device, **{mark.args[0]: mark.args[1][0] for mark in getattr(program, "pytestmark", [])})


@dataclass
class Compiled:
    """What a program compiled: the function, what it is a function of, and its calls' arguments and results."""

    function: gs.Function
    inputs: list[gs.Variable]
    outputs: list[gs.Variable]
    arguments: list[tuple[Any, ...]] = field(default_factory=list)
    results: list[list[Any]] = field(default_factory=list)


@contextmanager
def recorded() -> Iterator[list[Compiled]]:
    """Note what is compiled and how it is called."""
    found: list[Compiled] = []
    compile_, call = gs.function, gs.Function.__call__

    def function(inputs: Any, outputs: Any, **options: Any) -> gs.Function:
        made = compile_(inputs, outputs, **options)
        found.append(Compiled(made, list(inputs), _listed(outputs)))
        return made

    def noted(self: gs.Function, *arguments: Any) -> Any:
        results = call(self, *arguments)
        for compiled in found:
            if compiled.function is self:
                compiled.arguments.append(arguments)
                compiled.results.append(_listed(results))
        return results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gs, "function", function)
        patch.setattr(gs.Function, "__call__", noted)
        yield found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
