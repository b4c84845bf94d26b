"""`function`: from inputs and outputs in a graph to something that can be called."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO, final

from gpuscan.compile.devices import Program, make_program, resolve
from gpuscan.compile.inputs import InputCheck
from gpuscan.config import config
from gpuscan.errors import DtypeError, MissingInputError, ShapeError, UnusedInputError
from gpuscan.graph import Graph, SharedVariable, Variable, free_values, leaves, substitute
from gpuscan.graph.operators import MEANING
from gpuscan.rewrite import optimise
from gpuscan.tensor import as_tensor_variable, cast
from gpuscan.tensor.convert import operands
from gpuscan.tensor.pointwise import promote

PLACEMENTS = ("auto", "host", "device")


def function(
    inputs: Sequence[Variable],
    outputs: Any = None,
    *,
    updates: Mapping[SharedVariable, Any] | Iterable[tuple[SharedVariable, Any]] | None = None,
    givens: Mapping[Variable, Any] | Iterable[tuple[Variable, Any]] | None = None,
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
        If an update does not fit its shared variable.
    KernelError
        If the device cannot be used.
    """
    inputs = _check_inputs(inputs)
    if placement not in PLACEMENTS:
        raise ValueError(f"placement must be one of {', '.join(PLACEMENTS)}; found {placement!r}")
    structure = _Structure(outputs)
    update_pairs = [(shared, _fit_update(shared, value)) for shared, value in _pairs(updates, "updates")]
    wanted = structure.variables + [value for _, value in update_pairs]
    if givens is not None:
        wanted = substitute(wanted, {old: _fit_given(old, new) for old, new in _pairs(givens, "givens")})
    shared = _shared_inputs(wanted, inputs)
    _check_unused(inputs, wanted, on_unused_input)
    graph = optimise(Graph.close([*inputs, *shared], wanted))
    program = make_program(graph, resolve(device or config.device))
    checks = [InputCheck(v, _label(v, i), allow_input_downcast) for i, v in enumerate(inputs)]
    return Function(inputs, checks, shared, [s for s, _ in update_pairs], structure, program, placement, name)


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
        structure: _Structure,
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
            If a value does not fit its input.
        LoopError
            If a loop cannot run on these values. No shared variable is changed by a call that fails.
        """
        values = [check(value) for check, value in zip(self._checks, self._bind(args, kwargs), strict=True)]
        # Scalars are passed as NumPy scalars, as they are computed with most quickly.
        stored = [s.storage if s.ndim else s.storage[()] for s in self._shared]
        results = self._program([*values, *stored])
        count = len(results) - len(self._updated)
        for shared, value in zip(self._updated, results[count:], strict=True):
            shared.storage = value if hasattr(value, "flags") and value.ndim else as_array(value)
        return self._structure.build([self._place(r, values) for r in results[:count]])

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        if not kwargs and len(args) == len(self.inputs):
            return args
        given: dict[int, Any] = dict(enumerate(args))
        positions = {v.name: i for i, v in enumerate(self.inputs) if v.name}
        for key, value in kwargs.items():
            if key not in positions or positions[key] in given:
                raise TypeError(f"{self._title()} got {key!r} {'twice' if key in positions else 'which is no input'}")
            given[positions[key]] = value
        if sorted(given) != list(range(len(self.inputs))):
            names = ", ".join(_label(v, i) for i, v in enumerate(self.inputs))
            raise TypeError(f"{self._title()} takes {len(self.inputs)} values ({names}); found {len(given)}")
        return [given[i] for i in range(len(self.inputs))]

    def _title(self) -> str:
        return f"function {self.name!r}" if self.name else "the function"

    def _place(self, result: Any, values: Sequence[Any]) -> Any:
        """Return an output where it is wanted: a NumPy array, or an array in device memory."""
        if not self.device.startswith("cuda"):
            return as_array(result)
        from gpuscan.cuda import place

        return place(result, values, self._placement)

    def explain(self, file: TextIO | str | None = None) -> str | None:
        """Print how each loop runs: which kernel, where its state lives, and why nothing faster was chosen.

        Parameters
        ----------
        file : text file or "str", optional
            Where to print to, standard output by default; "str" returns the text.
        """
        head = f"{self._title()} of ({', '.join(_label(v, i) for i, v in enumerate(self.inputs))})"
        text = "\n".join([head, *self._program.explain()]) + "\n"
        if file == "str":
            return text
        print(text, end="", file=sys.stdout if file is None or isinstance(file, str) else file)
        return None

    def kernel_source(self) -> str:
        """Return the text generated for the device: CUDA C++ kernels, or on the CPU a Python function."""
        return self._program.source()

    def __repr__(self) -> str:
        return f"<gpuscan function {self.name or ''} on {self.device}: {len(self.inputs)} inputs>"


class _Structure:
    """The form in which outputs were asked for: none, one, a list or a dict."""

    def __init__(self, outputs: Any) -> None:
        self.keys = list(outputs) if isinstance(outputs, Mapping) else None
        self.single = outputs is not None and not isinstance(outputs, Mapping | list | tuple)
        self.none = outputs is None
        values = list(outputs.values()) if isinstance(outputs, Mapping) else outputs
        self.variables = [] if values is None else [as_tensor_variable(v) for v in ([values] if self.single else values)]

    def build(self, results: list[Any]) -> Any:
        """Return the results in that form."""
        if self.none:
            return None
        if self.keys is not None:
            return dict(zip(self.keys, results, strict=True))
        return results[0] if self.single else results


def as_array(value: Any) -> Any:
    """Return a NumPy array for a NumPy scalar; arrays stay as they are."""
    import numpy as np

    return value if hasattr(value, "__array_interface__") and isinstance(value, np.ndarray) else np.asarray(value)


def _label(variable: Variable, position: int) -> str:
    return f"input {variable.name!r}" if variable.name else f"input {position}"


def _check_inputs(inputs: Any) -> list[Variable]:
    if isinstance(inputs, Variable) or not isinstance(inputs, Sequence):
        raise TypeError("function: inputs must be a list of variables, as in function([x], y)")
    for position, v in enumerate(inputs):
        if not isinstance(v, Variable):
            raise TypeError(f"function: input {position} is {v!r}; inputs must be variables")
        if isinstance(v, SharedVariable):
            raise TypeError(f"function: the shared variable {v.name!r} cannot be an input; functions find it themselves")
    if len(set(inputs)) != len(inputs):
        raise ValueError("function: an input is listed twice")
    return list(inputs)


def _pairs(pairs: Any, what: str) -> list[tuple[Any, Any]]:
    listed = [] if pairs is None else list(pairs.items() if isinstance(pairs, Mapping) else pairs)
    keys = [key for key, _ in listed]
    for key in keys:
        if not isinstance(key, SharedVariable if what == "updates" else Variable):
            kind = "shared variables" if what == "updates" else "variables"
            raise TypeError(f"function: {what} must be for {kind}; found {key!r}")
    if len(set(keys)) != len(keys):
        raise ValueError(f"function: {what} has two entries for one variable")
    return listed


def _fit_update(shared: SharedVariable, value: Any) -> Variable:
    new = operands(shared, value)[1]
    label = f"function: the update of shared variable {shared.name!r}"
    if promote(shared.dtype, new.dtype) != shared.dtype:
        raise DtypeError(f"{label}, {shared.type}, is {new.type}, which does not fit without loss; cast it")
    new = cast(new, shared.dtype)
    if new.ndim != shared.ndim or any(None not in (a, b) and a != b for a, b in zip(shared.type.shape, new.type.shape)):
        raise ShapeError(f"{label}, {shared.type}, is {new.type}; a shared variable keeps its shape")
    return new


def _fit_given(old: Variable, value: Any) -> Variable:
    new = operands(old, value)[1]
    if promote(old.dtype, new.dtype) != old.dtype or new.ndim != old.ndim:
        raise DtypeError(f"function: givens puts {new.type} in place of {old.name or 'a variable'} of {old.type}")
    return cast(new, old.dtype)


def _shared_inputs(wanted: Sequence[Variable], inputs: Sequence[Variable]) -> list[SharedVariable]:
    shared = []
    for v in free_values(wanted, inputs):
        if not isinstance(v, SharedVariable):
            raise MissingInputError(
                f"function: the outputs need {v.name or 'an unnamed variable'!r} ({v.type}), which is not among the "
                "inputs; add it to them, or give it a value with givens"
            )
        shared.append(v)
    return shared


def _check_unused(inputs: Sequence[Variable], wanted: Sequence[Variable], action: str) -> None:
    if action not in ("raise", "warn", "ignore"):
        raise ValueError(f"on_unused_input must be 'raise', 'warn' or 'ignore'; found {action!r}")
    if action == "ignore":
        return
    used = {*leaves(wanted, inputs), *wanted}
    for position, v in enumerate(inputs):
        if v not in used:
            message = f"function: {_label(v, position)} is not used by any output; drop it, or on_unused_input='ignore'"
            if action == "raise":
                raise UnusedInputError(message)
            warnings.warn(message, stacklevel=3)


def _eval(variable: Variable, inputs_to_values: Mapping[Variable, Any] | None = None, **options: Any) -> Any:
    """Compile `variable` alone and return its value."""
    values = dict(inputs_to_values or {})
    return function(list(values), variable, **options)(*values.values())


MEANING["eval"] = _eval
