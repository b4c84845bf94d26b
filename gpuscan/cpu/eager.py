"""Graphs run node by node and loops step by step, in Python on NumPy arrays.

Nothing is generated: a debugger stops inside a step, and what goes wrong is named with the op, the step and the line of
the user's program. It is chosen with ``config.compile = False``.

To look at values, set a function as ``config.on_node``. It is called after every node with a `NodeRun`, and a
breakpoint in it stands inside the step:

>>> import gpuscan as gs, gpuscan.tensor as gt
>>> def look(run):
...     if str(run.node.op) == "mul":
...         print(run.steps, run.outputs)  # or breakpoint()
>>> x = gt.vector("x")
>>> products, _ = gs.scan(lambda row, p: p * row, x, gt.constant(1.0), name="product")
>>> with gs.config.change_flags(compile=False, on_node=look):
...     total = gs.function([x], products[-1])([2.0, 5.0])
(('scan[product]', 0),) [array(2.)]
(('scan[product]', 1),) [array(10.)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.linalg import LinAlgError

from gpuscan.config import config
from gpuscan.control import GraphCall, IfElse
from gpuscan.cpu.meaning import compute
from gpuscan.cpu.nan_guard import check_finite
from gpuscan.graph import Apply, Constant, Graph, Nested, Variable, sorted_nodes
from gpuscan.host import LoopProfile
from gpuscan.host.checks import check_past, check_state, checked_length, empty_rows, failed_step, stack_rows
from gpuscan.loop import Loop, Result, Scan, bind_loop

Steps = tuple[tuple[str, int], ...]
"""Which step of which loops, from the outermost in."""


@dataclass(frozen=True)
class NodeRun:
    """A node that was just computed.

    Attributes
    ----------
    node : Apply
        The node; ``node.op`` is what it does and ``node.where`` the user's line that made it.
    inputs, outputs : list of numpy.ndarray
        Values.
    steps : tuple of (str, int)
        Title and step number of each loop around it, from the outermost in.
    """

    node: Apply
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    steps: Steps


@dataclass(frozen=True)
class Interpreter:
    """Runs graphs.

    Attributes
    ----------
    nan_guard : bool
        Whether to stop at the first NaN or infinity that a node makes.
    on_node : callable or None
        Called with a `NodeRun` after every node.
    steps : tuple of (str, int)
        Where in which loops this is.
    """

    nan_guard: bool = False
    on_node: Callable[[NodeRun], Any] | None = None
    steps: Steps = ()

    def run(self, graph: Graph, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of a graph for values of its parameters."""
        return self.evaluate(graph.outputs, dict(zip(graph.parameters, arguments, strict=True)))

    def evaluate(self, outputs: Sequence[Variable], given: Mapping[Variable, np.ndarray]) -> list[np.ndarray]:
        """Return the values of `outputs` where `given` has the values of what they depend on."""
        values = dict(given)
        for node in sorted_nodes(outputs, given.keys()):
            results = self.node(node, [_value(v, values) for v in node.inputs])
            values.update(zip(node.outputs, results, strict=True))
        return [_value(v, values) for v in outputs]

    def node(self, node: Apply, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Return the values of a node's outputs."""
        outputs = self._nested(node, inputs) if isinstance(node.op, Nested) else _computed(node, inputs)
        if self.on_node is not None:
            self.on_node(NodeRun(node, inputs, outputs, self.steps))
        if self.nan_guard and not isinstance(node.op, Nested):
            check_finite(node, inputs, outputs)
        return outputs

    def _nested(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        op = node.op
        if isinstance(op, IfElse):
            return self.run(op.then if inputs[0] else op.otherwise, inputs[1:])
        if isinstance(op, GraphCall):
            return self.run(op.graph, inputs)
        assert isinstance(op, Scan)
        return self.loop(node, inputs)

    # ---- loops ----

    def loop(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the results of a loop."""
        length, *sources = inputs
        loop = bind_loop(node, [value.shape for value in sources])
        names = [s.name for s in loop.sequences] + [s.name for s in loop.states] + [n.name for n in loop.non_sequences]
        of = dict(zip(names, sources, strict=True))
        margins = [(s.name, s.margin) for s in loop.sequences]
        most = checked_length(loop.title, length, margins, *(of[name].shape[0] for name, _ in margins))
        for s in loop.states:
            check_past(loop.title, s.name, s.depth, of[s.name].shape[0])
        past = {s.name: list(of[s.name][: s.depth]) for s in loop.states}  # oldest first
        rows: dict[str, list[np.ndarray]] = {name: [] for name in loop.values}
        steps = 0
        stopped = False
        while steps < most and not stopped:
            new, stopped = self._step(loop, steps, self._reads(loop, steps, of, past), past)
            for name, value in new.items():
                rows[name].append(value)
            for s in loop.states:
                past[s.name].append(new[s.name])
            steps += 1
        return [_result(loop, r, rows.get(r.record, []), past.get(r.record, []), steps) for r in loop.results]

    @staticmethod
    def _reads(
        loop: Loop, step: int, of: Mapping[str, np.ndarray], past: Mapping[str, Sequence[np.ndarray]]
    ) -> dict[Variable, np.ndarray]:
        """Return the values of what a step is given."""
        given = {n.read: of[n.name] for n in loop.non_sequences}
        for s in loop.sequences:
            first = of[s.name].shape[0] - 1 - s.margin - step if s.reverse else step
            given.update({read: of[s.name][first + offset] for offset, read in s.reads.items()})
        for state in loop.states:
            given.update({read: past[state.name][-lag] for lag, read in state.reads.items()})
        return {v: np.asarray(value) for v, value in given.items()}

    def _step(
        self,
        loop: Loop,
        step: int,
        given: Mapping[Variable, np.ndarray],
        past: Mapping[str, Sequence[np.ndarray]],
    ) -> tuple[dict[str, np.ndarray], bool]:
        """Return what a step computes for each record, and whether it is the last."""
        inside = replace(self, steps=(*self.steps, (loop.title, step)))
        try:
            values = inside.evaluate(loop.outputs, given)
            new = dict(zip(loop.values, values, strict=False))
            for name, before in past.items():
                check_state(name, before[-1].shape, new[name].shape)
        except (ValueError, IndexError, AssertionError, FloatingPointError) as error:
            raise failed_step(loop.title, step, error) from error
        return new, loop.stop is not None and bool(values[-1])


def _value(variable: Variable, values: Mapping[Variable, np.ndarray]) -> np.ndarray:
    return values[variable] if variable in values or not isinstance(variable, Constant) else variable.data


def _computed(node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    try:
        return compute(node, inputs)
    except (ValueError, IndexError, TypeError) as error:
        kind = next(kind for kind in (IndexError, TypeError, LinAlgError, ValueError) if isinstance(error, kind))
        raise kind(f"{node.op} (made at {node.where}): {error}") from error


def _result(
    loop: Loop, result: Result, rows: Sequence[np.ndarray], past: Sequence[np.ndarray], steps: int
) -> np.ndarray:
    if result.kind == "steps":
        return np.asarray(steps, "int64")
    if result.kind == "final":
        state = loop.state(result.record)
        assert state is not None
        return np.stack(past[-state.depth :])
    kept = rows[result.part]
    if not kept:
        return np.asarray(empty_rows(loop, result.record, np.empty))
    return np.asarray(stack_rows(np.array, loop.title, result.record, kept))


@final
class EagerProgram:
    """Runs a graph node by node.

    Parameters
    ----------
    graph : Graph
        What to run.
    nan_guard : bool
        Whether to stop at the first NaN or infinity made.
    """

    device = "cpu"

    def __init__(self, graph: Graph, nan_guard: bool) -> None:
        self.graph = graph
        self.nan_guard = nan_guard

    def __call__(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the outputs for the parameters' values, NumPy arrays."""
        with np.errstate(all="ignore"):
            interpreter = Interpreter(self.nan_guard, config.on_node)
            return [np.array(v) for v in interpreter.run(self.graph, [np.asarray(a) for a in arguments])]

    def keep(self, value: Any) -> Any:
        """Return the value of a shared variable as it is best kept between calls: as it is."""
        return value

    def place(self, result: Any, arguments: Sequence[Any], placement: str) -> Any:
        """Return an output as a NumPy array; there is no other memory to place it in."""
        return np.asarray(result)

    def explain(self) -> Iterator[str]:
        """Yield lines that say how the graph runs."""
        guarded = ", stopping at the first NaN or infinity made" if self.nan_guard else ""
        yield f"device cpu, not compiled: node by node in Python{guarded}"

    def plans(self) -> tuple[Any, ...]:
        """Return the plans of kernels: there are none."""
        return ()

    def profiles(self) -> Iterator[LoopProfile]:
        """Yield what was measured of each loop: nothing is, as the time is the interpreter's."""
        return iter(())

    def source(self) -> str:
        """Return the generated text: there is none."""
        return ""
