"""One loop of a compiled graph: planned when its shapes are known, launched at every call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, final

import numpy as np

from gpuscan.cuda.binding import BoundKernel, LastRow, Number, Origin, Output, Scratch, Source, Steps
from gpuscan.cuda.device import Device
from gpuscan.cuda.kernel import Launcher
from gpuscan.cuda.plan import KernelPlan, row_of
from gpuscan.cuda.prefix import LEAST_STEPS
from gpuscan.cuda.prefix_text import prefix_kernel
from gpuscan.cuda.residence import host_values
from gpuscan.cuda.strategies import choose
from gpuscan.cuda.thread_text import thread_kernel
from gpuscan.graph import Apply, Graph, Variable
from gpuscan.host import LoopProfile, Writer, write_function
from gpuscan.host.checks import BoundLoops, check_past, checked_length
from gpuscan.host.loops import write_loop
from gpuscan.loop import Loop, Result, open_loop
from gpuscan.loop.segments import explain_segments

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Prepared:
    """A planned loop that is ready to launch."""

    plan: KernelPlan
    bound: BoundKernel | None
    launch: Launcher | None


@final
class LoopRunner:
    """Runs the loop of one node.

    Parameters
    ----------
    node : Apply
        The loop.
    device : Device
        Where to run it.
    on_host : collection of Variable
        Which inputs of the node are scalars on the host.
    """

    def __init__(self, node: Apply, device: Device, on_host: Collection[Variable]) -> None:
        self.node = node
        self.device = device
        self.loop: Loop = open_loop(node)
        self.bound = BoundLoops(node)
        self.on_host = [v in on_host or v.known is not None for v in node.inputs]
        self.profile = LoopProfile(self.loop.title) if self.loop.options.profile else None
        self.prepared: dict[tuple[Shapes, bool], Prepared] = {}
        self._planning = threading.Lock()
        self.inner: list[LoopRunner] = []  # loops inside this one, where the host drives it
        self._host: Callable[..., list[Any]] | None = None

    def __call__(self, length: Any, *inputs: Any) -> list[Any]:
        """Return the results of the loop for the values of the node's inputs."""
        loop = self.loop
        count = len(loop.sequences)
        rows = [array.shape[0] for array in inputs[:count]]
        steps = checked_length(loop.title, length, [(s.name, s.margin) for s in loop.sequences], *rows)
        for state, init in zip(loop.states, inputs[count:], strict=False):
            check_past(loop.title, state.name, state.depth, init.shape[0])
        shapes = self._shapes(inputs)
        key = (shapes, steps >= LEAST_STEPS)
        prepared = self.prepared.get(key)
        if prepared is None:
            with self._planning:  # of two threads that meet new shapes, the first plans for both
                prepared = self.prepared.get(key) or self._prepare(shapes, steps)
                self.prepared[key] = prepared
        if self.profile is None:
            return self._run(prepared, steps, length, inputs)
        start = perf_counter()
        results = self._run(prepared, steps, length, inputs)
        self.device.wait()
        self.profile.add(self._steps_run(steps, results), perf_counter() - start)
        return results

    def _run(self, prepared: Prepared, steps: int, length: Any, inputs: Sequence[Any]) -> list[Any]:
        if prepared.launch is None:
            return self._run_on_host(length, *inputs)
        return self._launch(prepared, steps, inputs)

    def _steps_run(self, steps: int, results: Sequence[Any]) -> int:
        """Return how many steps ran, as far as the results tell; a condition may have ended the loop early."""
        for result, value in zip(self.loop.results, results, strict=True):
            if result.kind == "steps":
                return int(value)
            if result.kind == "history":
                return int(value.shape[0])
        return steps

    # ---- planning ----

    def _shapes(self, inputs: Sequence[Any]) -> Shapes:
        """Return what a plan depends on: not the number of steps, so not the sequences' lengths."""
        count = len(self.loop.sequences)
        return tuple(a.shape[1:] if i < count else a.shape for i, a in enumerate(inputs))

    def _prepare(self, shapes: Shapes, steps: int) -> Prepared:
        plan = choose(self.bound[shapes], self.device.gpu, steps)
        if plan.team == "host":
            return Prepared(plan, None, None)
        names = [n.name for n in self.loop.non_sequences]
        on_host = self.on_host[len(self.on_host) - len(names) :]
        by_value = frozenset(name for name, host in zip(names, on_host, strict=True) if host)
        bound = prefix_kernel(plan, by_value) if plan.team == "prefix" else thread_kernel(plan, by_value)
        return Prepared(plan, bound, self.device.load(bound.kernel, cooperative=bound.cooperative))

    def explain(self) -> Iterator[str]:
        """Yield lines about the plan of the last call, or where shapes suffice without a call, of any."""
        if not self.prepared and (shapes := self._static_shapes()) is not None:
            yield from choose(self.bound[shapes], self.device.gpu).explain()
        elif self.prepared:
            yield from next(iter(self.plans())).explain()
        else:
            yield f"{self.loop.title}: planned at the first call, when its shapes are known"
        yield from explain_segments(self.loop)
        for runner in self.inner:
            yield from (f"  {line}" for line in runner.explain())

    def _static_shapes(self) -> Shapes | None:
        """Return the shapes that a plan depends on, where the graph's types tell them all."""
        count = len(self.loop.sequences)
        shapes = [v.type.shape[1:] if i < count else v.type.shape for i, v in enumerate(self.node.inputs[1:])]
        return None if any(None in s for s in shapes) else tuple(tuple(n or 0 for n in s) for s in shapes)

    def plans(self) -> Iterator[KernelPlan]:
        """Yield the plan of the last call, and those of loops inside."""
        if self.prepared:
            yield list(self.prepared.values())[-1].plan
        for runner in self.inner:
            yield from runner.plans()

    def profiles(self) -> Iterator[LoopProfile]:
        """Yield what was measured of this loop, and of those inside."""
        if self.profile is not None:
            yield self.profile
        for runner in self.inner:
            yield from runner.profiles()

    def sources(self) -> Iterator[str]:
        """Yield the text of each kernel made so far."""
        for prepared in list(self.prepared.values()):
            if prepared.bound is not None:
                yield prepared.bound.kernel.source
        for runner in self.inner:
            yield from runner.sources()

    # ---- running ----

    def _launch(self, prepared: Prepared, steps: int, inputs: Sequence[Any]) -> list[Any]:
        plan, bound = prepared.plan, prepared.bound
        assert bound is not None
        assert prepared.launch is not None
        loop = self.loop
        names = [
            *(s.name for s in loop.sequences),
            *(s.name for s in loop.states),
            *(n.name for n in loop.non_sequences),
        ]
        sources = dict(zip(names, inputs, strict=True))
        outputs = {r: self._empty(plan.loop, r, steps) for r in plan.loop.results if r.kind != "steps"}
        arguments = [
            self._argument(origin, parameter.dtype, parameter.is_array, steps, sources, outputs)
            for origin, parameter in zip(bound.origins, bound.kernel.parameters, strict=True)
        ]
        if bound.grid:
            prepared.launch((bound.grid, 1, 1), (bound.block, 1, 1), bound.shared_bytes, arguments)
        return [np.int64(steps) if r.kind == "steps" else outputs[r] for r in plan.loop.results]

    def _empty(self, loop: Loop, result: Result, steps: int) -> Any:
        value = loop.value_of(result.record)
        state = loop.state(result.record)
        rows = steps if result.kind == "history" else min(result.rows, steps)
        rows = state.depth if result.kind == "final" and state is not None else rows
        return self.device.empty((rows, *row_of(value)), value.dtype)

    def _argument(
        self,
        origin: Origin,
        dtype: str,
        is_array: bool,
        steps: int,
        sources: dict[str, Any],
        outputs: dict[Result, Any],
    ) -> Any:
        if isinstance(origin, Number):
            return origin.value
        if isinstance(origin, Steps):
            return steps if origin.first_kept is None else max(steps - origin.first_kept, 0)
        if isinstance(origin, Output):
            return outputs[origin.result]
        if isinstance(origin, LastRow):
            margin = next(s.margin for s in self.loop.sequences if s.name == origin.record)
            return sources[origin.record].shape[0] - margin - 1
        if isinstance(origin, Scratch):
            return self._scratch(origin.elements(steps), dtype, zeroed=origin.zeroed)
        assert isinstance(origin, Source)
        value = sources[origin.record]
        return self.device.as_array(value, dtype) if is_array else value

    def _scratch(self, count: int, dtype: str, *, zeroed: bool) -> Any:
        array = self.device.empty((count,), dtype)
        if zeroed:
            array[...] = 0
        return array

    def _run_on_host(self, *inputs: Any) -> list[Any]:
        with self._planning:
            run = self._host or self._write_host()
        return run(*inputs)

    def _write_host(self) -> Callable[..., list[Any]]:
        variables = [Variable(v.type, v.name, known=v.known) for v in self.node.inputs]
        node = self.node.with_inputs(variables)
        graph = Graph(variables, node.outputs)
        scalars = [v for v, host in zip(variables, self.on_host, strict=True) if host]
        write = loop_writer(self.device, self.inner, by_hand=node)
        self._host = write_function(graph, self.device.arrays, write, host_values(graph, scalars)).run
        return self._host


def loop_writer(
    device: Device, runners: list[LoopRunner], by_hand: Apply | None = None
) -> Callable[[Writer, Apply], None]:
    """Return what writes the statements for loops: calls of runners, which are added to `runners`.

    Parameters
    ----------
    device : Device
        Where the loops run.
    runners : list of LoopRunner
        Gets the runner of each loop written.
    by_hand : Apply, optional
        The loop to write as a ``for`` on the host instead.
    """

    def write(w: Writer, node: Apply) -> None:
        if node is by_hand:
            write_loop(w, node)
            return
        runner = LoopRunner(node, device, {v for v in node.inputs if w.is_host(v)})
        runners.append(runner)
        results = w.fresh("r")
        w.line(f"{results} = {w.bind(runner, 'run_loop')}({', '.join(w.values(node.inputs))})")
        for i, output in enumerate(node.outputs):
            w.assign(output, f"{results}[{i}]")

    return write
