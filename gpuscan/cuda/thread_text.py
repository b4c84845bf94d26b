"""The text of a kernel for the thread team: the generated struct ``Step`` that ``kernels/lane_loop.cuh`` runs."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from itertools import pairwise

from gpuscan.cuda.binding import BoundKernel, LastRow, Number, Origin, Output, Source, Steps
from gpuscan.cuda.expressions import STATE_TYPE, expression, literal, sample, state_literal
from gpuscan.cuda.kernel import C_TYPES, Kernel, Parameter
from gpuscan.cuda.lanes import is_literal, operands_of, random_states, step_nodes, strides_in
from gpuscan.cuda.names import Names
from gpuscan.cuda.plan import KernelPlan, row_of
from gpuscan.cuda.source import splice
from gpuscan.graph import Apply, Constant, Variable
from gpuscan.loop import Loop, NonSequence, Result, Sequence, State
from gpuscan.tensor.random.draw import Draw

KERNEL_NAME = "gpuscan_lane_loop"


def thread_kernel(plan: KernelPlan, by_value: frozenset[str]) -> BoundKernel:
    """Return the kernel for a plan of the thread team.

    Sizes and strides are parameters, so that the text depends on which axes broadcast and not on how long they are.

    Parameters
    ----------
    plan : KernelPlan
        What to write.
    by_value : frozenset of str
        Names of the non-sequences that are numbers on the host rather than arrays on the device.
    """
    return _ThreadText(plan, by_value).build()


@dataclass
class _Array:
    """One array of the kernel: the names of its parameter and of the sizes that lead to a lane's element."""

    name: str
    at: str  # expression: the lane's element in a row
    row: str  # expression: elements of a row
    states: bool = False  # whether a row is a random state, two elements that are one value


@dataclass
class _Sections:
    """Statements of the methods of Step, in order."""

    fields: list[str] = field(default_factory=list)  # what begin() computes
    row: list[str] = field(default_factory=list)  # members of Row
    begin: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    advance: list[str] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)


class _ThreadText:
    def __init__(self, plan: KernelPlan, by_value: frozenset[str]) -> None:
        self.plan = plan
        self.loop: Loop = plan.loop
        self.by_value = by_value
        self.names = Names()
        self.parameters: list[Parameter] = []
        self.origins: list[Origin] = []
        self.code = _Sections()
        self.texts: dict[Variable, str] = {}
        self.shifts: list[str] = []  # what moves windows and states on, after a step
        self.held: dict[tuple[str, int], str] = {}  # the register of each state's past value, by record and lag
        self.places: dict[tuple[int, ...], tuple[str, str]] = {}
        self.coordinates: list[str] = []
        self.random = random_states(plan.loop)

    def build(self) -> BoundKernel:
        for s in self.loop.sequences:
            if s.reads:
                self._sequence(s)
        for n in self.loop.non_sequences:
            self._non_sequence(n)
        for state in self.loop.states:
            self._state(state)
        for node in step_nodes(self.loop):
            self._node(node)
        for result in self.loop.results:
            if result.kind != "steps":
                self._result(result)
        self._advance_states()
        self._parameter("lanes", "int64", Number(self.plan.lane_count))
        self._parameter("length", "int64", Steps())
        kernel = Kernel(KERNEL_NAME, splice(self._text()), tuple(self.parameters))
        return BoundKernel(kernel, tuple(self.origins), self.plan.grid, self.plan.block)

    # ---- parameters ----

    def _parameter(self, name: str, dtype: str, origin: Origin, *, array: bool = False, writes: bool = False) -> str:
        name = self.names.unique(name)
        self.parameters.append(Parameter(name, dtype, array, writes))
        self.origins.append(origin)
        return name

    def _array(self, prefix: str, row: Variable, origin: Origin, *, writes: bool = False) -> _Array:
        """Return an array whose rows are like the value `row` of a step."""
        name = self._parameter(prefix, row.dtype, origin, array=True, writes=writes)
        return _Array(name, "", "", states=True) if row in self.random else _Array(name, *self._place(row_of(row)))

    def _c_type(self, variable: Variable) -> str:
        return STATE_TYPE if variable in self.random else C_TYPES[variable.dtype]

    def _place(self, shape: tuple[int, ...]) -> tuple[str, str]:
        """Return the expressions for a lane's element in a row of `shape`, and for the elements of such a row."""
        if shape not in self.places:
            strides = strides_in(shape, self.plan.lanes)
            size = 1
            for n in shape:
                size *= n
            if size == 1:
                self.places[shape] = ("0", "1")
            elif strides == strides_in(self.plan.lanes, self.plan.lanes):
                self.places[shape] = ("lane", self._parameter("row_size", "int64", Number(size)))
            else:
                self.places[shape] = (self._element(strides), self._parameter("row_size", "int64", Number(size)))
        return self.places[shape]

    def _element(self, strides: SequenceOf[int]) -> str:
        """Return the name of a field that holds the lane's element where axes have these strides."""
        terms = []
        for axis, stride in enumerate(strides):
            if stride:
                terms.append(f"{self._coordinate(axis)} * {self._parameter('stride', 'int64', Number(stride))}")
        name = self._field("long long", "at")
        self.code.begin.append(f"{name} = {' + '.join(terms)};")
        return name

    def _coordinate(self, axis: int) -> str:
        """Return the name of a field that holds where the lane is along one axis of the lanes."""
        if not self.coordinates:
            rest = self._field("long long", "rest")
            begin = [f"{rest} = lane;"]
            for i in range(len(self.plan.lanes) - 1, -1, -1):
                size = self._parameter(f"lanes_{i}", "int64", Number(self.plan.lanes[i]))
                name = self._field("long long", f"along_{i}")
                begin += [f"{name} = {rest} % {size};", f"{rest} /= {size};"]
                self.coordinates.insert(0, name)
            self.code.begin[:0] = begin
        return self.coordinates[axis]

    def _field(self, c_type: str, name: str) -> str:
        name = self.names.unique(name)
        self.code.fields.append(f"{c_type} {name};")
        return name

    # ---- what a step reads ----

    def _sequence(self, s: Sequence) -> None:
        read = next(iter(s.reads.values()))
        c_type = self._c_type(read)
        array = self._array(f"seq_{s.name}", read, Source(s.name))
        first, last = min(s.reads), max(s.reads)
        start = self._parameter(f"last_{s.name}", "int64", LastRow(s.name)) if s.reverse else ""
        # A window holds one row for each offset from the first to the last. Each step adds one row: at the window's end
        # going up through the rows, at its start going down.
        member = self.names.unique(f"x_{s.name}")
        new = first if s.reverse else last
        held = {
            offset: f"row.{member}" if offset == new else self._field(c_type, f"{member}_{offset}")
            for offset in range(first, last + 1)
        }
        self.code.row.append(f"{c_type} {member};")
        self.code.read.append(f"row.{member} = {self._load(array, _row(start, 't', new))};")
        for offset in held.keys() - {new}:
            row = _row(start, "0", offset)
            self.code.begin.append(f"if (length > 0) {held[offset]} = {self._load(array, row)};")
        self.shifts += _shifts(held, new)
        self.texts.update({variable: held[offset] for offset, variable in s.reads.items()})

    def _load(self, array: _Array, row: str) -> str:
        if array.states:
            return f"{STATE_TYPE}{{{array.name}[{row} * 2], {array.name}[{row} * 2 + 1]}}"
        return f"{array.name}[{row} * {array.row} + {array.at}]"

    def _store(self, array: _Array, row: str, value: str) -> str:
        if array.states:
            return f"{{ {array.name}[{row} * 2] = {value}.key; {array.name}[{row} * 2 + 1] = {value}.draws; }}"
        return f"{self._load(array, row)} = {value};"

    def _non_sequence(self, n: NonSequence) -> None:
        if is_literal(n.read):
            return
        if n.name in self.by_value:
            self.texts[n.read] = self._parameter(f"non_{n.name}", n.source.dtype, Source(n.name))
            return
        array = self._array(f"non_{n.name}", n.read, Source(n.name))
        held = self._field(self._c_type(n.read), f"v_{n.name}")
        only = self._load(array, "0") if array.states else f"{array.name}[{array.at}]"
        self.code.begin.append(f"{held} = {only};")
        self.texts[n.read] = held

    def _state(self, state: State) -> None:
        c_type = self._c_type(state.next)
        array = self._array(f"init_{state.name}", state.next, Source(state.name))
        for lag in range(1, state.depth + 1):
            held = self._field(c_type, f"s_{state.name}" if state.depth == 1 else f"s_{state.name}_{lag}")
            self.code.begin.append(f"{held} = {self._load(array, str(state.depth - lag))};")
            self.held[state.name, lag] = held
            if lag in state.reads:
                self.texts[state.reads[lag]] = held

    # ---- what a step computes ----

    def _text_of(self, variable: Variable) -> str:
        if variable not in self.texts:
            if variable in self.random:
                assert isinstance(variable, Constant)
                self.texts[variable] = state_literal(variable)
                return self.texts[variable]
            assert is_literal(variable), f"{variable!r} is used before it is computed"
            self.texts[variable] = literal(variable)
        return self.texts[variable]

    def _node(self, node: Apply) -> None:
        operands = [self._text_of(v) for v in operands_of(node)]
        if isinstance(node.op, Draw):
            following, drawn = node.outputs
            self._compute(following, f"gs::advanced({operands[0]})")
            self._compute(drawn, sample(node, operands, self._place(row_of(drawn))[0]))
        else:
            self._compute(node.outputs[0], expression(node, operands))

    def _compute(self, variable: Variable, text: str) -> None:
        name = self.names.unique(f"v_{variable.name}" if variable.name else "v")
        self.code.advance.append(f"{self._c_type(variable)} const {name} = {text};")
        self.texts[variable] = name

    def _advance_states(self) -> None:
        """Move all states on at once: what one becomes may be another's past value."""
        older, newest = [], []
        for state in self.loop.states:
            older += [
                f"{self.held[state.name, lag]} = {self.held[state.name, lag - 1]};" for lag in range(state.depth, 1, -1)
            ]
            text = self._text_of(state.next)
            if text in self.held.values():
                name = self.names.unique(f"next_{state.name}")
                self.code.advance.append(f"{self._c_type(state.next)} const {name} = {text};")
                text = name
            newest.append(f"{self.held[state.name, 1]} = {text};")
        self.code.advance += [*older, *newest, *self.shifts]

    # ---- what is kept ----

    def _result(self, result: Result) -> None:
        value = self.loop.value_of(result.record)
        array = self._array(f"out_{result.kind}_{result.record}", value, Output(result), writes=True)
        owner = self._owner(() if array.states else row_of(value))
        if result.kind == "final":
            state = self.loop.state(result.record)
            assert state is not None
            for lag in range(state.depth, 0, -1):
                value_then = self.held[state.name, lag]
                self.code.finish.append(f"{owner}{self._store(array, str(state.depth - lag), value_then)}")
            return
        row, text = "t", self._text_of(value)
        if result.kind == "last":
            first = self._parameter(f"first_{result.record}", "int64", Steps(first_kept=result.rows))
            owner = f"if (t >= {first}) {owner}"
            row = f"(t - {first})"
        self.code.advance.append(f"{owner}{self._store(array, row, text)}")

    def _owner(self, shape: tuple[int, ...]) -> str:
        """Return the condition under which a lane writes a value of `shape`: one lane of those that share it."""
        strides = strides_in(shape, self.plan.lanes)
        shared = [axis for axis, size in enumerate(self.plan.lanes) if size != 1 and not strides[axis]]
        if not shared:
            return ""
        if len(shared) == len([n for n in self.plan.lanes if n != 1]):
            return "if (lane == 0) "
        return f"if ({' && '.join(f'{self._coordinate(axis)} == 0' for axis in shared)}) "

    # ---- putting it together ----

    def _text(self) -> str:
        loop, plan = self.loop, self.plan
        declared = [f"{_c_parameter(p)} {p.name}" for p in self.parameters]
        members = [f"{text};" for text in declared]
        return "\n".join(
            [
                f"// {_one_line(loop.title)}: a lane a thread, rows loaded {plan.ahead} steps ahead.",
                '#include "base.cuh"',
                *(['#include "pointwise.cuh"'] if any("gs::" in line for line in self.code.advance) else []),
                *(['#include "random.cuh"'] if self.random else []),
                '#include "lane_loop.cuh"',
                "",
                "struct Step {",
                "    // What one step reads of the sequences.",
                "    struct Row {",
                *_indented(self.code.row, 2),
                "    };",
                "",
                "    // The kernel's parameters.",
                *_indented(members, 1),
                "",
                "    // What this lane holds.",
                "    long long lane;",
                *_indented(self.code.fields, 1),
                "",
                *_method("void begin(long long which)", ["lane = which;", *self.code.begin]),
                "",
                *_method("void read(long long t, Row& row)", self.code.read),
                "",
                *_method("void advance(long long t, Row const& row)", self.code.advance),
                "",
                *_method("void finish()", self.code.finish),
                "};",
                "",
                f'extern "C" __global__ void __launch_bounds__({plan.block}) {KERNEL_NAME}(',
                ",\n".join(f"    {text}" for text in declared) + ") {",
                "    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;",
                "    if (lane >= lanes) return;",
                f"    Step step = {{{', '.join(p.name for p in self.parameters)}}};",
                "    step.begin(lane);",
                f"    lane_loop<{plan.ahead}>(step, length);",
                "    step.finish();",
                "}",
                "",
            ]
        )


def _row(start: str, step: str, offset: int) -> str:
    """Return the expression of the row `offset` from a step's first; `start` is that of step 0, going backwards."""
    first = f"{start} - {step}" if start else step
    return f"({first} + {offset})" if offset or start else first


def _shifts(held: dict[int, str], new: int) -> list[str]:
    """Return the assignments that make a window ready for the next step, whose new row comes at offset `new`."""
    offsets = sorted(held, reverse=new == min(held))
    return [f"{held[to]} = {held[origin]};" for to, origin in pairwise(offsets)]


def _one_line(title: str) -> str:
    return title.encode("unicode_escape").decode()


def _c_parameter(parameter: Parameter) -> str:
    c_type = C_TYPES[parameter.dtype]
    if not parameter.is_array:
        return c_type
    return f"Global<{c_type}>" if parameter.writes else f"Global<const {c_type}>"


def _indented(lines: SequenceOf[str], depth: int) -> list[str]:
    return ["    " * depth + line for line in lines]


def _method(head: str, body: SequenceOf[str]) -> list[str]:
    return [f"    __device__ __forceinline__ {head} {{", *_indented(body, 2), "    }"]
