"""`scan`: a step function and what it runs over, turned into a loop in the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpuscan.errors import LoopError, counted
from gpuscan.graph import Apply, SharedVariable, Variable, leaves, nodes_made
from gpuscan.loop import records
from gpuscan.loop.arguments import (
    Argument,
    check_callable,
    check_long_enough,
    parameter_names,
    read_n_steps,
    read_non_sequences,
    read_outputs_info,
    read_sequences,
)
from gpuscan.loop.capture import capture
from gpuscan.loop.names import Names
from gpuscan.loop.op import close_loop, row_type
from gpuscan.loop.options import read_options
from gpuscan.loop.records import Emit, Loop, NonSequence, Result, State
from gpuscan.loop.returned import Returned, read_returned, until
from gpuscan.mode import Mode
from gpuscan.tensor.convert import constant
from gpuscan.tensor.elementwise import minimum
from gpuscan.tensor.random.stream import noted_states
from gpuscan.tensor.shaping import dim

__all__ = ["scan", "until"]


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int | None = -1,
    go_backwards: bool = False,
    mode: Mode | str | None = None,
    name: str | None = None,
    profile: bool = False,
    allow_gc: bool | None = None,
    strict: bool = False,
    return_list: bool = False,
    return_updates: bool = True,
    checkpoint: str | int | None = None,
) -> Any:
    """Build a loop that runs one step function over and over.

    Parameters
    ----------
    fn : callable
        Computes one step: takes the rows of each sequence in the order of its taps, then the past values of each state
        in the order of its taps, then the non-sequences; returns the outputs, then updates of shared variables (a dict
        or list of pairs), then ``until(condition)``, any of them missing. It is called once, with variables.
    sequences : array_like, dict or list of them, optional
        What the loop runs over. A dict has ``input`` and ``taps``: step k reads row ``k + tap - min(0, lowest tap)``
        for each tap. Without `n_steps` the shortest sequence decides the number of steps.
    outputs_info : array_like, dict, None or list of them, optional
        For each output, in order: its initial value if the steps read it back, or None. A dict has ``initial`` and
        negative ``taps``: ``[-2, -1]`` passes the values of two steps ago and of one step ago, and ``initial`` then
        holds the values before the first step along its first axis, oldest first. Left out: no output is read back.
    non_sequences : array_like or list of them, optional
        What every step gets whole. Other variables that `fn` uses are found without being listed.
    n_steps : int or integer scalar, optional
        How many steps to run; with ``until``, how many at most.
    truncate_gradient : int
        Through how many steps, the last ones, gradients go; -1 for all.
    go_backwards : bool
        Whether each sequence is read from its own last usable row down.
    mode : Mode or str, optional
        A device for functions that are compiled for none in particular, and which rewrites the step goes through.
    name : str, optional
        Name of the loop, for messages and printing.
    profile : bool
        Whether functions count the loop's calls, steps and seconds, for ``f.explain()`` and ``f.profile`` to show.
    allow_gc : bool, optional
        Whether memory that holds values of every step is given back after each call; ``config.scan__allow_gc`` by
        default. What a function returns is the caller's own in any case.
    strict : bool
        Whether to refuse shared variables that `fn` uses without their being passed.
    return_list : bool
        Whether to return a list also for one output.
    return_updates : bool
        Whether to return the updates too. False refuses a step function that has any.
    checkpoint : {"auto", "sqrt"} or int, optional
        What gradients keep: by default all states. A number of steps: the state at the end of each segment of so many
        steps, which is run again when the gradient needs what is inside it; ``"sqrt"``: segments of the square root of
        the number of steps; ``"auto"``: all states if they are known to fit ``config.gradient_memory``, else segments.

    Returns
    -------
    outputs : Variable, list of Variable, or None
        For each output of `fn` its values after every step, stacked along a new first axis of as many rows as steps
        ran; the initial values are not among them.
    updates : dict
        For each shared variable that `fn` updates, its value after the last step. Pass it to ``function(updates=)``.
        The random states of a `RandomStream` that `fn` draws from are among them.

    Raises
    ------
    LoopError
        If the arguments do not fit each other or `fn`, or a state's dtype or shape changes through a step.
    MissingInputError
        With `strict`, if `fn` uses a shared variable that is not passed.

    Examples
    --------
    >>> import numpy as np
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> x = gt.vector("x")
    >>> total, updates = gs.scan(lambda row, acc: acc + row, sequences=x, outputs_info=np.float64(0))
    >>> gs.function([x], total, updates=updates)([1.0, 2.0, 3.0])
    array([1., 3., 6.])
    """
    check_callable(fn)
    sequence_arguments = read_sequences(sequences)
    output_arguments = read_outputs_info(outputs_info)
    other_arguments = read_non_sequences(non_sequences)
    length = read_n_steps(n_steps)
    if length is None:
        length = _shortest(sequence_arguments)
    check_long_enough(sequence_arguments, length)

    options = read_options(truncate_gradient, mode, profile, allow_gc, checkpoint)
    step = _Step(fn, sequence_arguments, output_arguments, other_arguments, go_backwards)
    returned = step.call()
    if returned.updates and not return_updates:
        raise LoopError("scan: the step function updates shared variables, which return_updates=False would hide")
    loop = step.loop(returned, length, name, strict)
    results = list(close_loop(replace(loop, options=options)).outputs)
    count = len(returned.outputs)
    # With a stop condition the number of steps comes last: see `scan_steps`.
    updates = {shared: final[-1] for shared, final in zip(returned.updates, results[count:], strict=False)}
    outputs = results[:count] if return_list or count > 1 else results[0] if count else None
    return (outputs, updates) if return_updates else outputs


def _add_stream_updates(states: Sequence[SharedVariable], returned: Returned) -> None:
    """Add the updates of the random states that the step function's streams drew from to those that it returned.

    As default updates they would be computed outside of the loop, where what the draws depend on does not exist.
    """
    stop = [] if returned.stop is None else [returned.stop]
    used = set(leaves([*returned.outputs, *returned.updates.values(), *stop]))
    for state in states:
        if state in used and state.default_update is not None:
            returned.updates.setdefault(state, state.default_update)
        state.default_update = None


def _shortest(sequences: list[Argument]) -> Variable:
    """Return the number of steps that the shortest sequence allows, an int64 scalar."""
    if not sequences:
        raise LoopError("scan: there is nothing to tell the number of steps; pass n_steps or a sequence")
    usable = [dim(s.source, 0) - constant(np.int64(s.margin)) if s.margin else dim(s.source, 0) for s in sequences]
    known = [v.known for v in usable if v.known is not None]
    if len(known) == len(usable):
        return constant(np.int64(min(known)))
    length = usable[0]
    for other in usable[1:]:
        length = minimum(length, other)
    return length


class _Given:
    """One argument of `scan` as the step function gets it: a variable for each of its taps, in their order."""

    def __init__(self, argument: Argument) -> None:
        source = argument.source
        type_ = row_type(source) if argument.taps else source.type
        known = None if argument.taps else source.known
        self.argument = argument
        self.reads = {tap: Variable(type_, known=known) for tap in argument.taps or (0,)}
        self.name = ""

    @property
    def passed(self) -> list[Variable]:
        """What the step function gets: a shared variable itself, whose value it may want to update."""
        source = self.argument.source
        return [source] if not self.argument.taps and isinstance(source, SharedVariable) else list(self.reads.values())

    def take_names(self, parameters: Sequence[str], names: Names) -> None:
        """Name the variables after the step function's parameters, and the whole after that of the nearest tap."""
        for read, parameter in zip(self.reads.values(), parameters, strict=True):
            read.name = parameter
        nearest = self.reads[min(self.reads, key=abs)]
        self.name = names.unique(nearest.name or "")

    def __str__(self) -> str:
        taps = self.argument.taps
        return self.argument.label + (f" at taps {list(taps)}" if taps not in ((), (0,), (-1,)) else "")


class _Step:
    """One call of the step function: the variables it gets, and the records made of what it returns."""

    def __init__(
        self,
        fn: Callable[..., Any],
        sequences: Sequence[Argument],
        outputs: Sequence[Argument | None],
        non_sequences: Sequence[Argument],
        reverse: bool,
    ) -> None:
        self.fn = fn
        self.reverse = reverse
        self.made: list[Apply] = []
        self.names = Names()
        self.sequences = [_Given(s) for s in sequences]
        self.outputs = [_Given(o) if o is not None else None for o in outputs]
        self.non_sequences = [_Given(n) for n in non_sequences]

    def call(self) -> Returned:
        """Call the step function on variables named after its own parameters."""
        given = [*self.sequences, *(s for s in self.outputs if s is not None), *self.non_sequences]
        variables = [v for g in given for v in g.passed]
        parameters = iter(parameter_names(self.fn, len(variables), ", ".join(map(str, given))))
        for g in given:
            g.take_names([next(parameters) for _ in g.reads], self.names)
        with noted_states() as states, nodes_made() as self.made:
            returned = read_returned(self.fn(*variables))
        _add_stream_updates(states, returned)
        self._match_outputs(len(returned.outputs))
        return returned

    def _match_outputs(self, count: int) -> None:
        """Have an entry of `outputs_info` for each of `count` outputs; left out, no output is read back."""
        self.outputs = self.outputs or [None] * count
        if len(self.outputs) != count:
            raise LoopError(
                f"scan: the step function returns {counted(count, 'output')} but outputs_info has "
                f"{counted(len(self.outputs), 'entry', 'entries')}; it needs one for each output, None for one that no "
                "step reads back"
            )

    def loop(self, returned: Returned, length: Variable, name: str | None, strict: bool) -> Loop:
        """Return the loop as records; its results are every output's history, then every update's final value."""
        made = [
            self._emit(value, position) if given is None else self._state(given, value)
            for position, (given, value) in enumerate(zip(self.outputs, returned.outputs, strict=True))
        ]
        updates = {shared: self._update(shared, value) for shared, value in returned.updates.items()}
        loop = Loop(
            sequences=tuple(self._sequence(s) for s in self.sequences),
            states=tuple(r for r in (*made, *updates.values()) if isinstance(r, State)),
            emits=tuple(r for r in made if isinstance(r, Emit)),
            non_sequences=tuple(NonSequence(n.name, n.argument.source, n.reads[0]) for n in self.non_sequences),
            length=length,
            stop=returned.stop,
            results=(
                *(Result("history", r.name) for r in made),
                *(Result("final", s.name) for s in updates.values()),
                *([] if returned.stop is None else [Result("steps")]),
            ),
            name=name,
        )
        carried = {shared: state.reads[1] for shared, state in updates.items()}
        return capture(loop, carried, self.names.unique, strict, self.made)

    def _sequence(self, given: _Given) -> records.Sequence:
        argument = given.argument
        reads = {tap - argument.lowest: read for tap, read in given.reads.items()}
        return records.Sequence(given.name, argument.source, reads, argument.margin, self.reverse)

    def _state(self, given: _Given, value: Variable) -> State:
        return State(given.name, given.argument.source, {-tap: read for tap, read in given.reads.items()}, value)

    def _emit(self, value: Variable, position: int) -> Emit:
        return Emit(self.names.unique(value.name or f"output_{position}"), value)

    def _update(self, shared: SharedVariable, value: Variable) -> State:
        init = shared.dimshuffle("x", *range(shared.ndim))
        return State(self.names.unique(shared.name or "shared"), init, {1: Variable(shared.type, shared.name)}, value)
