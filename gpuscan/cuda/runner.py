"""One loop of a compiled graph: planned when its shapes are known, launched at every call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, final

import numpy as np

from gpuscan.config import config
from gpuscan.cuda.binding import (
    BoundKernel,
    LastRow,
    Number,
    Origin,
    Output,
    Report,
    Scratch,
    Source,
    Steps,
    StepsRun,
    Strides,
)
from gpuscan.cuda.captured import Recorder, static_loop
from gpuscan.cuda.device import Device
from gpuscan.cuda.gpu import blocks_per_sm
from gpuscan.cuda.kernel import Launcher, Parameter
from gpuscan.cuda.launch import arch_of, resources
from gpuscan.cuda.memory import memory_error, result_shape
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.prefix import LEAST_STEPS
from gpuscan.cuda.reports import read_report, report_error
from gpuscan.cuda.step.writer import RefusalError
from gpuscan.cuda.strategies import choices, write_kernel
from gpuscan.errors import DeviceMemoryError, KernelError
from gpuscan.graph import Apply, Graph, Shape, Variable
from gpuscan.host import LoopProfile, Writer, write_function
from gpuscan.host.checks import BoundLoops, check_past, checked_length
from gpuscan.host.loops import write_loop
from gpuscan.host.residence import host_values
from gpuscan.host.writer import ScanWriter
from gpuscan.loop import Loop, Result, bind_loop, open_loop
from gpuscan.loop.segments import explain_segments
from gpuscan.loop.sizes import sizing_values
from gpuscan.tensor.pointwise import kind

MOST_SPILLED = 1024
"""Bytes of registers stored and loaded, in a kernel's text, up to which a plan is kept: some lie outside its loop."""

Shapes = tuple[tuple[int, ...], ...]
Key = tuple[Shapes, bool, tuple[int, ...]]
"""What a plan is for: shapes, whether there are many steps, and the values that sizes depend on."""


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
        self.prepared: dict[Key, Prepared] = {}
        self.last: Prepared | None = None  # what ran last
        self._sizing: tuple[int, ...] = ()  # positions of the inputs whose values plans depend on
        self._planning = threading.Lock()
        self.inner: list[LoopRunner] = []  # loops inside this one, where the host drives it
        self._host: Callable[..., list[Any]] | None = None
        self._recorder = Recorder(device, self._inner_writer)
        self._recorded_inner: list[LoopRunner] = []

    def __call__(self, length: Any, *inputs: Any) -> list[Any]:
        """Return the results of the loop for the values of the node's inputs."""
        loop = self.loop
        count = len(loop.sequences)
        rows = [array.shape[0] for array in inputs[:count]]
        steps = checked_length(loop.title, length, [(s.name, s.margin) for s in loop.sequences], *rows)
        for state, init in zip(loop.states, inputs[count:], strict=False):
            check_past(loop.title, state.name, state.depth, init.shape[0])
        prepared = self.prepared.get(self._key(steps, inputs))
        if prepared is None:
            with self._planning:  # of two threads that meet new shapes, the first plans for both
                prepared = self.prepared.get(self._key(steps, inputs)) or self._prepare(steps, inputs)
                self.prepared[self._key(steps, inputs)] = prepared
        self.last = prepared
        if self.profile is None:
            return self._run(prepared, steps, length, inputs)
        start = perf_counter()
        results = self._run(prepared, steps, length, inputs)
        self.device.wait()
        self.profile.add(self._steps_run(steps, results), perf_counter() - start)
        return results

    def _run(self, prepared: Prepared, steps: int, length: Any, inputs: Sequence[Any]) -> list[Any]:
        try:
            return self._run_planned(prepared, steps, length, inputs)
        except DeviceMemoryError:  # of a loop inside
            raise
        except MemoryError as error:  # NumPy's and CuPy's are
            free, device = self.device.free_memory(), self.device.name
            raise memory_error(device, free, prepared.plan.loop, prepared.bound, steps) from error

    def _run_planned(self, prepared: Prepared, steps: int, length: Any, inputs: Sequence[Any]) -> list[Any]:
        if prepared.launch is not None:
            return self._launch(prepared, steps, inputs)
        plan = prepared.plan
        made = self._recorder.run(plan.loop, steps, self._sources(inputs), lambda: self._outputs(plan, steps))
        return self._run_on_host(length, *inputs) if made is None else _in_order(plan.loop, made, steps)

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

    def _key(self, steps: int, inputs: Sequence[Any]) -> Key:
        return self._shapes(inputs), steps >= LEAST_STEPS, tuple(int(inputs[i]) for i in self._sizing)

    def _prepare(self, steps: int, inputs: Sequence[Any]) -> Prepared:
        shapes = self._shapes(inputs)
        plan, bound = self._planned(self._loop_for(shapes, inputs), steps)
        if bound is None and not self._sizing and (sizing := self._inputs_of_sizes()):
            self._sizing = sizing
            plan, bound = self._planned(self._loop_for(shapes, inputs), steps)
            if bound is None:  # it is not the numbers that keep it on the host
                self._sizing = ()
        launch = None if bound is None else self.device.load(bound.kernel, cooperative=bound.cooperative)
        return Prepared(plan, bound, launch)

    def _loop_for(self, shapes: Shapes, inputs: Sequence[Any]) -> Loop:
        """Return the loop for the shapes of its inputs, and for the values of those that sizes depend on."""
        loop = self.bound[shapes]
        if not self._sizing:
            return loop
        whole: list[Shape] = [(None, *s) if i < len(loop.sequences) else s for i, s in enumerate(shapes)]
        return bind_loop(self.node, whole, {i: int(inputs[i]) for i in self._sizing})

    def _inputs_of_sizes(self) -> tuple[int, ...]:
        """Return the positions of the integers on the host that sizes inside the loop depend on."""
        sizing = sizing_values(self.loop.outputs)
        first = len(self.loop.sequences) + len(self.loop.states)
        return tuple(
            first + i
            for i, n in enumerate(self.loop.non_sequences)
            if n.read in sizing and self.on_host[1 + first + i] and kind(n.read.dtype) in "iu"
        )

    def _planned(self, loop: Loop, steps: int | None = None) -> tuple[KernelPlan, BoundKernel | None]:
        """Return the best plan of which a kernel can be written, and the kernel; none where the host drives."""
        names = [n.name for n in self.loop.non_sequences]
        on_host = self.on_host[len(self.on_host) - len(names) :]
        by_value = frozenset(name for name, host in zip(names, on_host, strict=True) if host)
        refusals: dict[str, str] = {}
        for plan in choices(loop, self.device.gpu, steps):
            plan = replace(plan, refusals={**plan.refusals, **refusals})
            if plan.team == "host":
                return plan, None
            try:
                bound = write_kernel(plan, by_value, self.device.gpu)
            except RefusalError as refusal:
                refusals[plan.team] = str(refusal)
                continue
            if (spilled := self.device.spilled_bytes(bound.kernel)) > MOST_SPILLED and plan.team != config.strategy:
                refusals[plan.team] = f"its registers do not hold what a thread needs: {spilled} bytes are spilled"
                continue
            others = {team: reason for team, reason in plan.refusals.items() if team != plan.team}
            return replace(plan, places=bound.places, refusals=others), bound
        raise AssertionError("the host takes every loop")

    def explain(self) -> Iterator[str]:
        """Yield lines about the plan of the last call, or where shapes suffice without a call, of any."""
        planned = self._last() or self.static()
        if planned is not None:
            plan, bound = planned
            yield from plan.explain()
            if bound is not None:
                yield from self._resources(bound)
            elif self.device.records:
                yield f"  {self._recorder.explain(plan.loop)}"
        else:
            yield f"{self.loop.title}: planned at the first call, when its shapes are known"
        yield from explain_segments(self.loop)
        for runner in self._inside:
            yield from (f"  {line}" for line in runner.explain())

    def _last(self) -> tuple[KernelPlan, BoundKernel | None] | None:
        """Return the plan of the last call."""
        return None if self.last is None else (self.last.plan, self.last.bound)

    def static(self) -> tuple[KernelPlan, BoundKernel | None] | None:
        """Return the plan and the kernel of any call, where shapes are known without one."""
        loop = static_loop(self.node)
        return None if loop is None else self._planned(loop)

    def _resources(self, bound: BoundKernel) -> Iterator[str]:
        """Yield what a kernel takes of an SM, where NVRTC is there to tell."""
        try:
            taken = resources(bound.kernel, arch_of(self.device.gpu))
        except KernelError:
            return
        blocks = blocks_per_sm(self.device.gpu, taken, bound.block, bound.shared_bytes)
        yield (
            f"  registers {taken.registers} a thread, shared memory {bound.shared_bytes + taken.shared_bytes} bytes a "
            f"block, spilled {taken.spill_bytes} bytes; {blocks} blocks on an SM"
        )

    @property
    def _inside(self) -> list[LoopRunner]:
        """The loops inside this one, as they ran last."""
        return self._recorded_inner or self.inner

    def plans(self) -> Iterator[KernelPlan]:
        """Yield the plan of the last call, and those of loops inside."""
        if self.last is not None:
            yield self.last.plan
        for runner in self._inside:
            yield from runner.plans()

    def profiles(self) -> Iterator[LoopProfile]:
        """Yield what was measured of this loop, and of those inside."""
        if self.profile is not None:
            yield self.profile
        for runner in self._inside:
            yield from runner.profiles()

    def sources(self) -> Iterator[str]:
        """Yield the text of each kernel made so far."""
        for prepared in list(self.prepared.values()):
            if prepared.bound is not None:
                yield prepared.bound.kernel.source
        for runner in self._inside:
            yield from runner.sources()

    # ---- running ----

    def _launch(self, prepared: Prepared, steps: int, inputs: Sequence[Any]) -> list[Any]:
        plan, bound = prepared.plan, prepared.bound
        assert bound is not None
        assert prepared.launch is not None
        sources, outputs = self._sources(inputs), self._outputs(plan, steps)
        arguments = [
            self._argument(origin, parameter, steps, sources, outputs)
            for origin, parameter in zip(bound.origins, bound.kernel.parameters, strict=True)
        ]
        if blocks := bound.blocks(steps):
            prepared.launch((blocks, 1, 1), (bound.block, 1, 1), bound.shared_bytes, arguments)
        if bound.messages:
            self._raise_reported(plan, bound, arguments[bound.origins.index(Report())])
        if StepsRun() in bound.origins:
            steps = int(self.device.to_host(arguments[bound.origins.index(StepsRun())])[0])
            outputs = {r: self._that_ran(r, rows, steps) for r, rows in outputs.items()}
        return _in_order(plan.loop, outputs, steps)

    def _that_ran(self, result: Result, rows: Any, steps: int) -> Any:
        """Return the rows of a result that a condition left, in their order."""
        if result.kind in ("history", "part") or (result.kind == "last" and steps < result.rows):
            return rows[: result.count(steps)]
        if result.kind == "last" and (first := steps % result.rows):
            return self.device.arrays.lookup("concatenate")([rows[first:], rows[:first]])
        return rows

    def _sources(self, inputs: Sequence[Any]) -> dict[str, Any]:
        """Return the inputs but for the length, by the names of their records."""
        loop = self.loop
        names = [s.name for s in loop.sequences] + [s.name for s in loop.states] + [n.name for n in loop.non_sequences]
        return dict(zip(names, inputs, strict=True))

    def _outputs(self, plan: KernelPlan, steps: int) -> dict[Result, Any]:
        """Return new arrays for the results."""
        loop = plan.loop
        return {
            r: self.device.empty(result_shape(loop, r, steps), loop.value_of(r.record).dtype)
            for r in loop.results
            if r.kind != "steps"
        }

    def _raise_reported(self, plan: KernelPlan, bound: BoundKernel, status: Any) -> None:
        """Wait for the kernel, and raise what it reported."""
        reported = read_report(int(self.device.to_host(status)[0]))
        if reported is not None:
            raise report_error(self.loop.title, bound.messages, plan.lanes.sizes if plan.lanes else (), reported)

    def _argument(
        self,
        origin: Origin,
        parameter: Parameter,
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
            return self._scratch(origin.elements(steps), parameter.dtype, zeroed=origin.zeroed)
        if isinstance(origin, Strides):
            return origin.count(steps)
        if isinstance(origin, Report | StepsRun):
            return self._scratch(1, parameter.dtype, zeroed=True)
        assert isinstance(origin, Source)
        value = sources[origin.record]
        if not parameter.is_array:
            return value
        array = self.device.as_array(value, parameter.dtype)
        # New arrays begin at a multiple of what any kernel asks for; views of others need not.
        return array.copy() if self.device.address(array) % parameter.alignment else array

    def _scratch(self, count: int, dtype: str, *, zeroed: bool) -> Any:
        array = self.device.empty((count,), dtype)
        if zeroed:
            array[...] = 0
        return array

    def _inner_writer(self) -> ScanWriter:
        self._recorded_inner = []
        return loop_writer(self.device, self._recorded_inner)

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
        self._host = write_function(graph, self.device.arrays, write, host_values(graph.nodes, scalars)).run
        return self._host


def _in_order(loop: Loop, outputs: Mapping[Result, Any], steps: int) -> list[Any]:
    """Return the results as the node has them."""
    return [np.int64(steps) if r.kind == "steps" else outputs[r] for r in loop.results]


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
        runner = LoopRunner(node, device, {v for v in node.inputs if v.ndim == 0 and w.is_host(v)})
        runners.append(runner)
        results = w.fresh("r")
        w.line(f"{results} = {w.bind(runner, 'run_loop')}({', '.join(w.values(node.inputs))})")
        for i, output in enumerate(node.outputs):
            w.assign(output, f"{results}[{i}]")

    return write
