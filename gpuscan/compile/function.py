"""`function`: from inputs and outputs in a graph to something that can be called."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter
from typing import Any, TextIO, final

import numpy as np

from gpuscan.compile.arguments import (
    Structure,
    check_used,
    default_updates,
    find_shared,
    read_givens,
    read_inputs,
    read_updates,
)
from gpuscan.compile.devices import Program, asked_device, available_device, make_eager, make_program
from gpuscan.compile.ends import In
from gpuscan.compile.profiling import profiled
from gpuscan.compile.recipe import Recipe, swapped
from gpuscan.compile.takes import Arguments
from gpuscan.config import config
from gpuscan.errors import LoopError, ShapeError
from gpuscan.graph import Graph, SharedVariable, TensorType, Variable, operators, substitute
from gpuscan.host import LoopProfile
from gpuscan.mode import Mode, get_mode
from gpuscan.rewrite import MEANING, Pass, PassRun, describe, loop_costs, optimise

PLACEMENTS = ("auto", "host", "device")

# Held for the moment in which a call reads the values of its shared variables or stores new ones, so that no other call
# sees some of them changed and others not.
_values = threading.Lock()


def function(
    inputs: Sequence[Variable | In],
    outputs: Any = None,
    mode: Mode | str | None = None,
    updates: Mapping[SharedVariable, Any] | Iterable[tuple[SharedVariable, Any]] | None = None,
    givens: Mapping[Variable, Any] | Iterable[tuple[Variable, Any]] | None = None,
    no_default_updates: bool | Iterable[SharedVariable] = False,
    *,
    device: str | None = None,
    placement: str = "auto",
    on_unused_input: str = "raise",
    allow_input_downcast: bool | None = None,
    profile: bool | None = None,
    name: str | None = None,
) -> Function:
    """Compile a graph into something that can be called.

    Parameters
    ----------
    inputs : sequence of Variable or In
        What each call passes, in order; by keyword those that have a name. An `In` may say a value for calls that leave
        it out.
    outputs : Variable, Out, sequence or dict of them, optional
        What a call returns: one array, a list or a dict of arrays; without it, None.
    mode : Mode or str, optional
        Which rewrites the graph goes through, and where it runs: ``FAST_RUN``, ``FAST_COMPILE``, ``eager``, a device or
        a `Mode`; ``config.mode`` by default.
    updates : mapping or pairs, optional
        For each shared variable its value after a call that succeeded.
    no_default_updates : bool or iterable of SharedVariable
        Whether, or for which shared variables, to leave out the updates that they have by themselves, as the random
        states of a `RandomStream` do.
    givens : mapping or pairs, optional
        What to compute with in place of variables of the graph.
    device : str, optional
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``emulator``; by default what `mode` says, then what the modes of
        loops say, then ``config.device``.
    placement : str
        Where outputs are: ``auto`` (in GPU memory if an argument was, else NumPy), ``host`` or ``device``.
    on_unused_input : str
        ``raise``, ``warn`` or ``ignore``.
    allow_input_downcast : bool, optional
        Whether arguments may lose precision when converted to their inputs' dtypes. By default only Python floats.
    profile : bool, optional
        Whether to count the calls, steps and seconds of every loop, which ``f.explain()`` then shows;
        ``config.profile`` by default. Loops that `scan` was told to profile are counted anyway.
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
    started = perf_counter()
    given = read_inputs(inputs, allow_input_downcast)
    variables = [i.variable for i in given]
    if placement not in PLACEMENTS:
        raise ValueError(f"function: placement must be one of {', '.join(PLACEMENTS)}; found {placement!r}")
    structure = Structure(outputs)
    pairs = read_updates(updates, given)
    pairs += default_updates(structure.variables, pairs, no_default_updates)
    wanted = substitute([*structure.variables, *(value for _, value in pairs)], read_givens(givens))
    shared = find_shared(wanted, variables)
    check_used(given, wanted, on_unused_input)
    graph = Graph.close([*variables, *shared], wanted)
    recipe = Recipe(
        inputs=tuple(replace(i, update=None) for i in given),
        shared=tuple(shared),
        updated=tuple(s for s, _ in pairs),
        structure=structure,
        graph=profiled(graph) if (config.profile if profile is None else profile) else graph,
        mode=_mode(mode),
        device=asked_device(device, mode, graph),
        placement=placement,
        name=name,
        written=loop_costs(graph),
    )
    compiled = make(_rewritten(recipe, MEANING if recipe.mode.eager else None))
    compiled.compile_seconds = perf_counter() - started
    return compiled


def _rewritten(recipe: Recipe, passes: Sequence[Pass] | None = None) -> Recipe:
    """Return a recipe with its graph after the passes, and what they did."""
    runs: list[PassRun] = []
    graph = optimise(recipe.graph, recipe.mode, passes, runs)
    return replace(recipe, graph=graph, rewrites=(*recipe.rewrites, *runs))


def _mode(mode: Mode | str | None) -> Mode:
    """Return the mode to compile with; flags may ask for functions that are not compiled."""
    mode = get_mode(mode)
    return replace(mode, eager=True) if config.nan_guard or not config.compile else mode


def make(recipe: Recipe) -> Function:
    """Compile a graph that has been rewritten, for the device of its recipe, or for another if there is no such."""
    if recipe.mode.eager:
        return Function(recipe, make_eager(recipe.graph))
    return Function(recipe, make_program(recipe.graph, available_device(recipe.device), len(recipe.inputs)))


@final
class Function:
    """A compiled graph. `function` makes it.

    It may be pickled, and is compiled again when it is opened: for the device it was compiled for, or where there is
    none like it, for the one that ``config.device`` and the machine offer. Several threads may call it at once.

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
    compile_seconds : float or None
        How long `function` took; None for a copy.
    """

    def __init__(self, recipe: Recipe, program: Program) -> None:
        self.compile_seconds: float | None = None
        self.inputs = tuple(i.variable for i in recipe.inputs)
        self.name = recipe.name
        self._recipe = recipe
        self._program = program
        self._takes = Arguments(recipe.inputs, self._title(), not program.device.startswith("cuda"))
        self._held = sorted(set(recipe.updated), key=id)  # in an order that is the same for all functions
        # Whether no other call can change what a call reads, or read what it changes.
        self._is_pure = not (recipe.shared or recipe.updated or any(i.default is not None for i in recipe.inputs))

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
        if self._is_pure:  # no lock, and no list of nothing: of a small graph that would be a part of what a call takes
            given = self._takes.bind(args, kwargs)
            return self._built(self._run(self._takes.checked(given)), args, kwargs)
        with ExitStack() as held:
            for shared in self._held:
                held.enter_context(shared.lock)
            return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        updated = self._recipe.updated
        with _values:
            given = self._takes.bind(args, kwargs)
            # Scalars are passed as NumPy scalars, as they are computed with most quickly.
            stored = [s.storage if s.ndim else s.storage[()] for s in self._recipe.shared]
        results = self._run([*self._takes.checked(given), *stored])
        count = len(results) - len(updated)
        built = self._built(results[:count], args, kwargs)
        new = [self._new_value(s, value) for s, value in zip(updated, results[count:], strict=True)]
        # Last, and nothing here can fail, so that a call changes all of them or none.
        with _values:
            for shared, value in zip(updated, new, strict=True):
                shared.storage = value
        return built

    def _built(self, results: Sequence[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what the caller gets: outputs where they were asked for, in the form in which they were."""
        passed = (*args, *kwargs.values())  # not what inputs have of their own, wherever a call left that
        place, placement = self._program.place, self._recipe.placement
        return self._recipe.structure.build([place(result, passed, placement) for result in results])

    def _title(self) -> str:
        return f"function {self.name!r}" if self.name else "the function"

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

    def explain(self, file: TextIO | str | None = None, *, rewrites: bool = False) -> str | None:
        """Print how each loop runs: which kernel, where its state lives, and why nothing faster was chosen.

        Parameters
        ----------
        file : text file or "str", optional
            Where to print to, standard output by default; "str" returns the text.
        rewrites : bool
            Whether to say too how long each rewrite took, what it left in loops because all steps' values would have
            taken too much memory, and which of them changed what a loop costs: nodes and matrix products of its step,
            histories that it keeps.
        """
        lines = [f"{self._title()} takes {self._takes}", *self._program.explain()]
        lines += [f"profile of {p}" for p in self.profile]
        if rewrites:
            lines += describe(self._recipe.written, self._recipe.rewrites, self.compile_seconds)
        text = "\n".join(lines) + "\n"
        if file == "str":
            return text
        print(text, end="", file=sys.stdout if file is None or isinstance(file, str) else file)
        return None

    # ---- values of inputs that calls may leave out ----

    def __getitem__(self, which: Variable | str) -> np.ndarray:
        """Return the value that an input has in calls that leave it out."""
        return self._default(which).get_value()

    def __setitem__(self, which: Variable | str, value: Any) -> None:
        self._default(which).set_value(value)

    def _default(self, which: Variable | str) -> SharedVariable:
        for i in self._recipe.inputs:
            if i.default is not None and which in (i.variable, i.name):
                return i.default
        raise KeyError(f"{self._title()} has no input {which!r} with a value of its own; it takes {self._takes}")

    # ---- copies ----

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
    ) -> Function:
        """Return a function that computes the same, and may differ in what it reads, changes and is called.

        Parameters
        ----------
        share_memory : bool
            Whether the copy uses what is compiled, buffers included, in place of compiling its own.
        swap : mapping, optional
            For shared variables, the shared variables to use in their place.
        delete_updates : bool
            Whether the copy changes no shared variable.
        name : str, optional
            For people; the same by default.

        Raises
        ------
        ValueError
            If a variable of `swap` is none of this function's.
        DtypeError
            If what is to take its place is of another type.
        """
        recipe = swapped(self._recipe.with_own_defaults(), swap or {})
        recipe = replace(recipe, name=name or self.name)
        if delete_updates and recipe.updated:
            outputs = recipe.graph.outputs[: len(recipe.graph.outputs) - len(recipe.updated)]
            smaller = replace(recipe, graph=Graph(recipe.graph.parameters, outputs), updated=())
            return make(_rewritten(smaller))
        return Function(recipe, self._program) if share_memory else make(recipe)

    def __reduce__(self) -> tuple[Any, ...]:
        return make, (self._recipe,)

    # ---- looking into it ----

    @property
    def profile(self) -> tuple[LoopProfile, ...]:
        """Calls, steps and seconds of each loop that is profiled."""
        return tuple(self._program.profiles())

    @property
    def plan(self) -> tuple[Any, ...]:
        """The same as `plans`: what `explain` prints, as objects."""
        return self.plans

    @property
    def plans(self) -> tuple[Any, ...]:
        """The plan of each loop that runs as kernels, in order, as the last call used it; none on the CPU."""
        return self._program.plans()

    def kernel_source(self) -> str:
        """Return the text generated for the device: CUDA C++ kernels, or on the CPU a Python function."""
        return self._program.source()

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<gpuscan function{name} on {self.device}: {self._takes}>"


def _eval(variable: Variable, inputs_to_values: Mapping[Variable, Any] | None = None, **options: Any) -> Any:
    """Compile `variable` alone and return its value."""
    values = dict(inputs_to_values or {})
    return function(list(values), variable, **options)(*values.values())


operators.MEANING["eval"] = _eval
