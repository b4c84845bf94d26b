"""`scan`: a step function and what it runs over, turned into a loop in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, LoopError, MissingInputError
from gpuscan.graph import Constant, SharedVariable, TensorType, Variable, dependents, leaves, sorted_nodes, substitute
from gpuscan.loop.arguments import (
    SequenceArgument,
    StateArgument,
    as_list,
    parameter_names,
    read_n_steps,
    read_outputs_info,
    read_sequences,
)
from gpuscan.loop.op import close_loop
from gpuscan.loop.records import Emit, Loop, NonSequence, Result, Sequence, State
from gpuscan.loop.returned import Returned, read_returned, until
from gpuscan.tensor import as_tensor_variable, constant, minimum
from gpuscan.tensor.convert import operands
from gpuscan.tensor.shaping import dim

__all__ = ["scan", "until"]


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    go_backwards: bool = False,
    name: str | None = None,
    strict: bool = False,
    return_list: bool = False,
    return_updates: bool = True,
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
    go_backwards : bool
        Whether each sequence is read from its own last usable row down.
    name : str, optional
        Name of the loop, for messages and printing.
    strict : bool
        Whether to refuse shared variables that `fn` uses without their being passed.
    return_list : bool
        Whether to return a list also for one output.
    return_updates : bool
        Whether to return the updates too. False refuses a step function that has any.

    Returns
    -------
    outputs : Variable, list of Variable, or None
        For each output of `fn` its values after every step, stacked along a new first axis of as many rows as steps
        ran; the initial values are not among them.
    updates : dict
        For each shared variable that `fn` updates, its value after the last step. Pass it to ``function(updates=)``.

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
    sequence_arguments = read_sequences(sequences)
    output_arguments = read_outputs_info(outputs_info)
    constants = [as_tensor_variable(v) for v in as_list(non_sequences)]
    steps = read_n_steps(n_steps)
    if steps is None and not sequence_arguments:
        raise LoopError("scan: there is nothing to tell the number of steps; pass n_steps or a sequence")

    step = _Step(fn, sequence_arguments, output_arguments or [], constants, go_backwards)
    returned = step.call()
    if returned.updates and not return_updates:
        raise LoopError("scan: the step function updates shared variables, which return_updates=False would hide")
    outputs = _check_outputs(returned, output_arguments)
    loop = step.loop(returned, outputs, steps if steps is not None else _shortest(sequence_arguments), name, strict)

    results = list(close_loop(loop).outputs)
    stacked, finals = results[: len(outputs)], results[len(outputs) :]
    updates = {shared: final[-1] for shared, final in zip(returned.updates, finals, strict=True)}
    answer = stacked if return_list or len(stacked) > 1 else stacked[0] if stacked else None
    return (answer, updates) if return_updates else answer


def _shortest(sequences: list[SequenceArgument]) -> Variable:
    """Return the number of steps that the shortest sequence allows, an int64 scalar."""
    rows = [(dim(s.source, 0), _margin(s.taps)) for s in sequences]
    usable = [size - constant(np.int64(margin)) if margin else size for size, margin in rows]
    known = [v.known for v in usable if v.known is not None]
    if len(known) == len(usable):
        return constant(np.int64(min(known)))
    length = usable[0]
    for other in usable[1:]:
        length = minimum(length, other)
    return length


def _margin(taps: tuple[int, ...]) -> int:
    """How many rows more than steps a sequence needs. Tap 0 counts as used, so that step k is always at row k."""
    return max(0, *taps) - min(0, *taps)


def _check_outputs(returned: Returned, arguments: list[StateArgument | None] | None) -> list[Any]:
    """Return the outputs, one for each entry of `outputs_info`."""
    if arguments is not None and len(arguments) != len(returned.outputs):
        raise LoopError(
            f"scan: the step function returns {len(returned.outputs)} outputs but outputs_info has {len(arguments)} "
            "entries; it needs one for each output, None for one that no step reads back"
        )
    return returned.outputs


class _Names:
    """Hands out names that differ from each other."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self.used:
            count += 1
            candidate = f"{name}_{count}"
        self.used.add(candidate)
        return candidate


@dataclass
class _Read:
    """A variable that the step function gets: one tap of a sequence or state, or a non-sequence."""

    variable: Variable
    tap: int = 0


class _Step:
    """One call of the step function: the variables it gets, and the records made of what it returns."""

    def __init__(
        self,
        fn: Callable[..., Any],
        sequences: list[SequenceArgument],
        outputs: list[StateArgument | None],
        non_sequences: list[Variable],
        reverse: bool,
    ) -> None:
        self.fn = fn
        self.reverse = reverse
        self.names = _Names()
        self.sequences = [(s, _reads(TensorType(s.source.dtype, s.source.type.shape[1:]), s.taps)) for s in sequences]
        self.states = [
            None if o is None else (o, _reads(TensorType(o.init.dtype, o.init.type.shape[1:]), o.taps)) for o in outputs
        ]
        self.non_sequences = [(v, _Read(Variable(v.type, known=v.known))) for v in non_sequences]

    @property
    def reads(self) -> list[_Read]:
        """Everything the step function gets, in its order."""
        grouped = [reads for _, reads in self.sequences] + [s[1] for s in self.states if s is not None]
        return [read for reads in grouped for read in reads] + [read for _, read in self.non_sequences]

    def call(self) -> Returned:
        """Call the step function on variables named after its own parameters."""
        reads = self.reads
        names = parameter_names(self.fn, len(reads), self._expected())
        for read, name in zip(reads, names, strict=True):
            read.variable.name = name
        return read_returned(self.fn(*(read.variable for read in reads)))

    def _expected(self) -> str:
        parts = [_describe("sequence", s.source, s.taps) for s, _ in self.sequences]
        parts += [_describe("state", s[0].init, s[0].taps) for s in self.states if s is not None]
        return ", ".join(parts + [_describe("non-sequence", v, ()) for v, _ in self.non_sequences])

    def loop(
        self, returned: Returned, outputs: list[Any], length: Variable, name: str | None, strict: bool
    ) -> Loop:
        """Return the loop as records; its results are every output's history, then every update's final value."""
        # In this order, so that names of the step function's parameters are never altered by those of captured values.
        sequences = [self._sequence(s, reads) for s, reads in self.sequences]
        infos = self.states or [None] * len(outputs)
        records = [self._output(info, value, i) for i, (info, value) in enumerate(zip(infos, outputs, strict=True))]
        shared = [self._update(variable, value) for variable, value in returned.updates.items()]
        non_sequences = [NonSequence(self._name(read, "constant"), v, read.variable) for v, read in self.non_sequences]
        loop = Loop(
            sequences=tuple(sequences),
            states=tuple(r for r in (*records, *shared) if isinstance(r, State)),
            emits=tuple(r for r in records if isinstance(r, Emit)),
            non_sequences=tuple(non_sequences),
            length=length,
            stop=returned.stop,
            results=(*(Result("history", r.name) for r in records), *(Result("final", s.name) for s in shared)),
            name=name,
        )
        return _capture(loop, dict(zip(returned.updates, shared, strict=True)), self.names, strict)

    def _name(self, read: _Read, fallback: str) -> str:
        return self.names.unique(read.variable.name or fallback)

    def _sequence(self, argument: SequenceArgument, reads: list[_Read]) -> Sequence:
        lowest = min(0, *argument.taps)
        nearest = min(reads, key=lambda read: abs(read.tap))
        by_offset = {read.tap - lowest: read.variable for read in reads}
        return Sequence(
            self._name(nearest, "sequence"), argument.source, by_offset, _margin(argument.taps), self.reverse
        )

    def _output(self, info: tuple[StateArgument, list[_Read]] | None, value: Any, position: int) -> State | Emit:
        if info is None:
            variable = _symbolic(value, f"output {position}")
            return Emit(self.names.unique(variable.name or f"output_{position}"), variable)
        argument, reads = info
        nearest = max(reads, key=lambda read: read.tap)
        name = self._name(nearest, "state")
        variable = _symbolic(value, f"state {name!r}", beside=nearest.variable)
        return State(name, argument.init, {-read.tap: read.variable for read in reads}, variable)

    def _update(self, shared: SharedVariable, value: Any) -> State:
        name = self.names.unique(shared.name or "shared")
        read = Variable(shared.type, shared.name)
        init = shared.dimshuffle("x", *range(shared.ndim))
        return State(name, init, {1: read}, _symbolic(value, f"update of {name!r}", beside=shared))


def _reads(row: TensorType, taps: tuple[int, ...]) -> list[_Read]:
    return [_Read(Variable(row), tap) for tap in taps]


def _describe(what: str, variable: Variable, taps: tuple[int, ...]) -> str:
    tapped = f" at taps {list(taps)}" if taps not in ((), (0,), (-1,)) else ""
    return f"{what} {variable.name or variable.type}{tapped}"


def _symbolic(value: Any, what: str, beside: Variable | None = None) -> Variable:
    """Return what the step function returned for `what` as a variable; Python numbers fit themselves to `beside`."""
    try:
        return as_tensor_variable(value) if beside is None else operands(beside, value)[1]
    except DtypeError:
        kind = type(value).__name__
        raise LoopError(
            f"scan: the step function returned a {kind} for {what}; it must return variables or numbers"
        ) from None


def _capture(loop: Loop, updated: dict[SharedVariable, State], names: _Names, strict: bool) -> Loop:
    """Make the values from outside that the step uses without being passed them into non-sequences.

    What depends on nothing inside is captured where it is met, so that work on outer variables alone is done once.
    """
    outputs = [s.next for s in loop.states] + [e.value for e in loop.emits] + [v for v in [loop.stop] if v is not None]
    replaced = {shared: state.reads[1] for shared, state in updated.items()}
    for n in loop.non_sequences:
        replaced.setdefault(n.source, n.read)  # type: ignore[arg-type]
    own = [v for r in (*loop.sequences, *loop.states) for v in r.reads.values()] + [n.read for n in loop.non_sequences]
    captured = []
    for value in _boundary(outputs, {*own, *replaced}):
        if strict and (hidden := [v for v in leaves([value]) if isinstance(v, SharedVariable)]):
            raise MissingInputError(
                f"scan: the step function uses the shared variable {hidden[0].name!r} without its being passed; "
                "strict=True requires it in non_sequences"
            )
        read = Variable(value.type, value.name, known=value.known)
        captured.append(NonSequence(names.unique(value.name or "captured"), value, read))
        replaced[value] = read  # type: ignore[index]
    inside = iter(substitute(outputs, replaced))  # type: ignore[arg-type]
    return Loop(
        sequences=loop.sequences,
        states=tuple(State(s.name, s.init, s.reads, next(inside)) for s in loop.states),
        emits=tuple(Emit(e.name, next(inside)) for e in loop.emits),
        non_sequences=(*loop.non_sequences, *captured),
        length=loop.length,
        stop=next(inside) if loop.stop is not None else None,
        results=loop.results,
        name=loop.name,
    )


def _boundary(outputs: list[Variable], inner: set[Variable]) -> list[Variable]:
    """Return the values that `outputs` use and that depend on none of `inner`; constants stay where they are."""
    inside = dependents(outputs, inner)
    used = [v for node in sorted_nodes(outputs, inner) if node.outputs[0] in inside for v in node.inputs] + outputs
    return list(dict.fromkeys(v for v in used if v not in inside and not isinstance(v, Constant)))
