"""`function`: from inputs and outputs in a graph to something that can be called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO, final

import numpy as np

from gpuscan.compile.arguments import (
    Structure,
    check_used,
    default_updates,
    find_shared,
    label,
    read_givens,
    read_inputs,
    read_updates,
)
from gpuscan.compile.devices import Program, make_eager, make_program, resolve
from gpuscan.compile.inputs import InputCheck
from gpuscan.config import config
from gpuscan.errors import LoopError, ShapeError, counted
from gpuscan.graph import Graph, SharedVariable, TensorType, Variable, substitute
from gpuscan.graph.operators import MEANING

PLACEMENTS = ("auto", "host", "device")


def function(
    inputs: Sequence[Variable],
    outputs: Any = None,
    *,
    updates: Mapping[SharedVariable, Any] | Iterable[tuple[SharedVariable, Any]] | None = None,
    givens: Mapping[Variable, Any] | Iterable[tuple[Variable, Any]] | None = None,
    no_default_updates: bool | Iterable[SharedVariable] = False,
    device: str | None = None,
    placement: str = "auto",
    on_unused_input: str = "raise",
    allow_input_downcast: bool | None = None,
    name: str | None = None,
) -> Function:
    """Compile a graph into something that can be called.

    Parameters
    ----------
    inputs : sequence of Variable
        What each call passes, in order; by keyword those that have a name.
    outputs : Variable, sequence or dict of Variable, optional
        What a call returns: one array, a list or a dict of arrays; without it, None.
    updates : mapping or pairs, optional
        For each shared variable its value after a call that succeeded.
    no_default_updates : bool or iterable of SharedVariable
        Whether, or for which shared variables, to leave out the updates that they have by themselves, as the random
        states of a `RandomStream` do.
    givens : mapping or pairs, optional
        What to compute with in place of variables of the graph.
    device : str, optional
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``emulator``; ``config.device`` by default.
    placement : str
        Where outputs are: ``auto`` (in GPU memory if an argument was, else NumPy), ``host`` or ``device``.
    on_unused_input : str
        ``raise``, ``warn`` or ``ignore``.
    allow_input_downcast : bool, optional
        Whether arguments may lose precision when converted to their inputs' dtypes. By default only Python floats.
    name : str, optional
        For people.

    Returns
    -------
    Function
        Call it with a value for each input.

    Raises
    ------
    MissingInputError
        If the outputs or updates need a variable that is no input.
    UnusedInputError
        If an input has no influence, unless `on_unused_input` says otherwise.
    DtypeError, ShapeError
        If an update does not fit its shared variable, or a given what it stands for.
    KernelError
        If the device cannot be used.
    """
    inputs = read_inputs(inputs)
    if placement not in PLACEMENTS:
        raise ValueError(f"function: placement must be one of {', '.join(PLACEMENTS)}; found {placement!r}")
    structure = Structure(outputs)
    pairs = read_updates(updates)
    pairs += default_updates(structure.variables, pairs, no_default_updates)
    wanted = substitute([*structure.variables, *(value for _, value in pairs)], read_givens(givens))
    shared = find_shared(wanted, inputs)
    check_used(inputs, wanted, on_unused_input)
    graph = Graph.close([*inputs, *shared], wanted)
    place = resolve(device or config.device)
    eager = config.nan_guard or not config.compile
    program = make_eager(graph) if eager else make_program(graph, place, len(inputs))
    on_host = not program.device.startswith("cuda")
    checks = [InputCheck(v, label(v, i), allow_input_downcast, on_host) for i, v in enumerate(inputs)]
    return Function(inputs, checks, shared, [s for s, _ in pairs], structure, program, placement, name)


@final
class Function:
    """A compiled graph. `function` makes it.

    Attributes
    ----------
    inputs : tuple of Variable
        What a call takes.
    graph : Graph
        What is computed, after rewriting.
    device : str
        Where it runs.
    name : str or None
        For people.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        checks: Sequence[InputCheck],
        shared: Sequence[SharedVariable],
        updated: Sequence[SharedVariable],
        structure: Structure,
        program: Program,
        placement: str,
        name: str | None,
    ) -> None:
        self.inputs = tuple(inputs)
        self.name = name
        self._checks = checks
        self._shared = shared
        self._updated = updated
        self._structure = structure
        self._program = program
        self._placement = placement

    @property
    def graph(self) -> Graph:
        """What is computed, after rewriting; shared variables are parameters after the inputs."""
        return self._program.graph

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``emulator`` or ``cuda:N``."""
        return self._program.device

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for values of the inputs, then update the shared variables.

        Raises
        ------
        TypeError
            If there are too few or too many values.
        DtypeError, ShapeError
            If a value does not fit its input, or values do not fit each other.
        LoopError
            If a loop cannot run on these values. No shared variable is changed by a call that fails.
        """
        values = [check(value) for check, value in zip(self._checks, self._bind(args, kwargs), strict=True)]
        # Scalars are passed as NumPy scalars, as they are computed with most quickly.
        stored = [s.storage if s.ndim else s.storage[()] for s in self._shared]
        results = self._run([*values, *stored])
        count = len(results) - len(self._updated)
        placed = [self._program.place(result, values, self._placement) for result in results[:count]]
        new = [self._new_value(s, value) for s, value in zip(self._updated, results[count:], strict=True)]
        # Last, and nothing here can fail, so that a call changes all of them or none.
        for shared, value in zip(self._updated, new, strict=True):
            shared.storage = value
        return self._structure.build(placed)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sequence[Any]:
        if not kwargs and len(args) == len(self.inputs):
            return args
        given: dict[int, Any] = dict(enumerate(args))
        positions = {v.name: i for i, v in enumerate(self.inputs) if v.name}
        for key, value in kwargs.items():
            if key not in positions:
                raise TypeError(f"{self._title()} has no input named {key!r}; it takes {self._listed_inputs()}")
            if positions[key] in given:
                raise TypeError(f"{self._title()} got input {key!r} twice, by position and by name")
            given[positions[key]] = value
        if sorted(given) != list(range(len(self.inputs))):
            raise TypeError(f"{self._title()} takes {self._listed_inputs()}; found {len(given)}")
        return [given[i] for i in range(len(self.inputs))]

    def _title(self) -> str:
        return f"function {self.name!r}" if self.name else "the function"

    def _listed_inputs(self) -> str:
        names = ", ".join(label(v, i) for i, v in enumerate(self.inputs))
        return counted(len(self.inputs), "value") + (f" ({names})" if names else "")

    def _run(self, arguments: list[Any]) -> list[Any]:
        try:
            return self._program(arguments)
        except ValueError as error:
            # What NumPy says of shapes that do not fit names neither the operation nor its operands.
            if not isinstance(error, LoopError | ShapeError):
                self._infer_shapes(arguments)
            raise

    def _infer_shapes(self, arguments: Sequence[Any]) -> None:
        """Raise ShapeError naming the operation, if one outside of loops cannot take the arguments' shapes."""
        known = [TensorType(p.dtype, tuple(a.shape)) for p, a in zip(self.graph.parameters, arguments, strict=True)]
        try:
            self.graph.specialise(known)
        except ShapeError as error:
            raise ShapeError(f"{self._title()}: {error}") from None

    def _new_value(self, shared: SharedVariable, value: Any) -> Any:
        """Return what to store in a shared variable."""
        array = np.asarray(value) if isinstance(value, np.generic) else value
        if any(size not in (None, found) for size, found in zip(shared.type.shape, array.shape, strict=True)):
            raise ShapeError(
                f"{self._title()}: the update of shared variable {shared.name!r}, {shared.type}, has shape "
                f"{tuple(array.shape)}"
            )
        return self._program.keep(array)

    def explain(self, file: TextIO | str | None = None) -> str | None:
        """Print how each loop runs: which kernel, where its state lives, and why nothing faster was chosen.

        Parameters
        ----------
        file : text file or "str", optional
            Where to print to, standard output by default; "str" returns the text.
        """
        text = "\n".join([f"{self._title()} takes {self._listed_inputs()}", *self._program.explain()]) + "\n"
        if file == "str":
            return text
        print(text, end="", file=sys.stdout if file is None or isinstance(file, str) else file)
        return None

    @property
    def plans(self) -> tuple[Any, ...]:
        """The plan of each loop that runs as kernels, in order, as the last call used it; none on the CPU."""
        return self._program.plans()

    def kernel_source(self) -> str:
        """Return the text generated for the device: CUDA C++ kernels, or on the CPU a Python function."""
        return self._program.source()

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<gpuscan function{name} on {self.device}: {self._listed_inputs()}>"


def _eval(variable: Variable, inputs_to_values: Mapping[Variable, Any] | None = None, **options: Any) -> Any:
    """Compile `variable` alone and return its value."""
    values = dict(inputs_to_values or {})
    return function(list(values), variable, **options)(*values.values())


MEANING["eval"] = _eval
