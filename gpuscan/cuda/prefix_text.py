"""The text of a kernel for the prefix team: the generated struct ``Step`` that ``kernels/prefix.cuh`` runs."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import replace

from gpuscan.cuda.binding import BoundKernel, LastRow, Output, Scratch, Source, Steps
from gpuscan.cuda.binding import Number as Fixed
from gpuscan.cuda.expressions import expression, literal
from gpuscan.cuda.kernel import C_TYPES, Kernel
from gpuscan.cuda.lane_arrays import LaneArray, LaneArrays
from gpuscan.cuda.lanes import is_literal, operands_of, step_nodes
from gpuscan.cuda.names import Names
from gpuscan.cuda.plan import KernelPlan, row_of
from gpuscan.cuda.prefix_tiling import BLOCKS_PER_SM, kept_of, reads_of, slots_of, tiling_of
from gpuscan.cuda.recurrences import Folded, Recurrence, Stage, find_stages, is_number
from gpuscan.cuda.source import splice
from gpuscan.graph import Variable
from gpuscan.loop import Emit, Loop, Result, Sequence, State
from gpuscan.tensor.pointwise import POINTWISE

KERNEL_NAME = "gpuscan_prefix_loop"


def prefix_kernel(plan: KernelPlan, by_value: frozenset[str]) -> BoundKernel:
    """Return the kernel for a plan of the prefix team.

    Parameters
    ----------
    plan : KernelPlan
        What to write.
    by_value : frozenset of str
        Names of the non-sequences that are numbers on the host rather than arrays on the device.
    """
    return _PrefixText(plan, by_value).build()


class _PrefixText:
    def __init__(self, plan: KernelPlan, by_value: frozenset[str]) -> None:
        stages = find_stages(plan.loop)
        assert not isinstance(stages, str), stages
        self.plan = plan
        self.loop = plan.loop
        self.stages = stages
        self.by_value = by_value
        self.tiling = tiling_of(plan.loop)
        self.slots = slots_of(plan.loop)
        self.names = Names()
        self.arrays = LaneArrays(plan.lanes, self.names)
        self.texts: dict[Variable, str] = {}  # of what a step is given
        self.rows: dict[Variable, str] = {}  # members of Row
        self.states: dict[str, str] = {}  # members of State, by the state's name
        self.kept: dict[str, str] = {}  # members of Kept, by the record's name
        self.begin: list[str] = []
        self.initial: list[str] = []
        self.read: list[str] = []
        self.calls = False  # whether some expression calls a function of kernels/pointwise.cuh

    def build(self) -> BoundKernel:
        for s in self.loop.sequences:
            self._sequence(s)
        self._non_sequences()
        for state in self.loop.states:
            self._state(state)
        for record in kept_of(self.loop):
            self.kept[record] = self.names.unique(f"k_{record}")
        composed = [line for k, stage in enumerate(self.stages) for line in self._compose(k, stage)]
        advance = self._advance()
        write = [line for r in self.loop.results if r.kind in ("history", "last") for line in self._write(r)]
        finish = [line for r in self.loop.results if r.kind == "final" for line in self._finish(r)]
        self._scratch()
        methods = [
            *_method("void begin(long long which)", ["lane = which;", *self.arrays.begin, *self.begin]),
            *_method("State initial() const", ["State state;", *self.initial, "return state;"]),
            *_method("void read(long long t, Row& row) const", self.read),
            *self._moves("Row", "row", list(self.rows.values()), reads_of(self.loop), self.slots.rows),
            *self._moves("Kept", "kept", list(self.kept.values()), self._kept_values(), self.slots.kept),
            *composed,
            *_method("void advance(Row const& row, State& state, Kept& kept) const", advance),
            *_method("void write(long long t, Kept const& kept) const", write),
            *_method("void finish(State const& state) const", finish),
        ]
        kernel = Kernel(KERNEL_NAME, splice(self._text(methods)), tuple(self.arrays.parameters))
        shared = self.slots.size * self.tiling.threads * self.tiling.steps
        return BoundKernel(kernel, tuple(self.arrays.origins), self.plan.grid, self.tiling.threads, shared)

    # ---- what a step is given ----

    def _sequence(self, s: Sequence) -> None:
        if not s.reads:
            return
        array = self.arrays.array(f"seq_{s.name}", next(iter(s.reads.values())), Source(s.name))
        start = self.arrays.parameter(f"last_{s.name}", "int64", LastRow(s.name)) if s.reverse else ""
        for offset, variable in s.reads.items():
            member = self.names.unique(f"x_{s.name}_{offset}" if offset else f"x_{s.name}")
            row = f"({start} - t + {offset})" if start else f"(t + {offset})"
            self.rows[variable] = member
            self.read.append(f"row.{member} = {array.element(row)};")
            self.texts[variable] = f"row.{member}"

    def _non_sequences(self) -> None:
        for n in self.loop.non_sequences:
            if is_literal(n.read):
                continue
            if n.name in self.by_value:
                self.texts[n.read] = self.arrays.parameter(f"non_{n.name}", n.source.dtype, Source(n.name))
                continue
            array = self.arrays.array(f"non_{n.name}", n.read, Source(n.name))
            held = self.arrays.field(C_TYPES[n.read.dtype], f"v_{n.name}")
            self.begin.append(f"{held} = {array.element()};")
            self.texts[n.read] = held

    def _state(self, state: State) -> None:
        array = self.arrays.array(f"init_{state.name}", state.next, Source(state.name))
        member = self.names.unique(f"s_{state.name}")
        self.states[state.name] = member
        self.initial.append(f"state.{member} = {array.element()};")
        self.texts.update(dict.fromkeys(state.reads.values(), f"state.{member}"))

    def _kept_values(self) -> list[Variable]:
        return [self.loop.value_of(record) for record in self.kept]

    # ---- what a step computes ----

    def _computed(self, loop: Loop) -> tuple[list[str], dict[Variable, str]]:
        """Return the statements that compute a step of `loop`, and the text of every value."""
        texts = dict(self.texts)
        lines = []
        for node in step_nodes(loop):
            operands = [_text(v, texts) for v in operands_of(node)]
            output = node.outputs[0]
            name = self.names.unique(f"v_{output.name}" if output.name else "v")
            lines.append(f"{C_TYPES[output.dtype]} const {name} = {expression(node, operands)};")
            texts[output] = name
        self.calls |= any("gs::" in line for line in lines)
        return lines, texts

    def _moved_on(self, states: Iterable[State], texts: dict[Variable, str]) -> list[str]:
        """Return the statements that give states their next values, all at once: one may become another's past."""
        states = list(states)
        next_names = [self.names.unique(f"next_{s.name}") for s in states]
        lines = [
            f"{C_TYPES[s.next.dtype]} const {name} = {_text(s.next, texts)};"
            for s, name in zip(states, next_names, strict=True)
        ]
        return lines + [f"state.{self.states[s.name]} = {name};" for s, name in zip(states, next_names, strict=True)]

    def _advance(self) -> list[str]:
        lines, texts = self._computed(self.loop)
        for record, member in self.kept.items():
            lines.append(f"kept.{member} = {_text(self.loop.value_of(record), texts)};")
        return lines + self._moved_on(self.loop.states, texts)

    def _compose(self, k: int, stage: Stage) -> list[str]:
        earlier = tuple(r.state for solved in self.stages[:k] for r in solved)
        coefficients = [v for r in stage for v in r.coefficients]
        emits = tuple(Emit(str(i), v) for i, v in enumerate(coefficients))
        lines, texts = self._computed(replace(self.loop, states=earlier, emits=emits, stop=None))
        maps = []
        for r in stage:
            values = ", ".join(_text(v, texts) for v in _parts(r))
            maps.append(f"{{{_map(r)}{{{values}}}}}")
        lines.append(f"maps = Maps{k}{{{', '.join(maps)}}};")
        head = f"void compose(Row const& row, State& state, Maps{k}& maps) const"
        return _method(head, lines + self._moved_on(earlier, texts))

    # ---- what is kept ----

    def _output(self, result: Result) -> tuple[LaneArray, str]:
        value = self.loop.value_of(result.record)
        array = self.arrays.array(f"out_{result.kind}_{result.record}", value, Output(result), writes=True)
        return array, self.arrays.owner(row_of(value))

    def _write(self, result: Result) -> list[str]:
        array, owner = self._output(result)
        value = f"kept.{self.kept[result.record]}"
        if result.kind == "history":
            return [f"{owner}{array.element('t')} = {value};"]
        first = self.arrays.parameter(f"first_{result.record}", "int64", Steps(first_kept=result.rows))
        return [f"if (t >= {first}) {owner}{array.element(f'(t - {first})')} = {value};"]

    def _finish(self, result: Result) -> list[str]:
        array, owner = self._output(result)
        return [f"{owner}{array.element()} = state.{self.states[result.record]};"]

    def _moves(
        self, struct: str, name: str, members: SequenceOf[str], values: SequenceOf[Variable], places: SequenceOf[int]
    ) -> list[str]:
        """Return the methods that put a struct into a slot of shared memory, and get it from there."""
        count = self.tiling.threads * self.tiling.steps
        put, get = [], []
        for member, value, place in zip(members, values, places, strict=True):
            c_type = C_TYPES[value.dtype]
            declared = f"GPUSCAN_DYNAMIC_SHARED_AT({c_type}, all_{member}, {place * count}, {count});"
            put += [declared, f"all_{member}[slot] = {name}.{member};"]
            get += [declared, f"{name}.{member} = all_{member}[slot];"]
        return [
            *_method(f"void put(int slot, {struct} const& {name}) const", put),
            *_method(f"void get(int slot, {struct}& {name}) const", get),
        ]

    # ---- putting it together ----

    @property
    def _words(self) -> int:
        return sum(len(_parts(r)) + 1 for stage in self.stages for r in stage)

    def _scratch(self) -> None:
        groups = -(-self.plan.lane_count // self.tiling.lanes)
        flags, words = groups * len(self.stages), groups * self._words * self.tiling.lanes
        span = self.tiling.span
        progress, published = Scratch(1, flags, zeroed=True, span=span), Scratch(0, words, span=span)
        self.arrays.parameter("progress", "uint32", progress, array=True, writes=True)
        self.arrays.parameter("published", "uint64", published, array=True, writes=True)
        self.arrays.parameter("lanes", "int64", Fixed(self.plan.lane_count))
        self.arrays.parameter("length", "int64", Steps())

    def _stage_types(self) -> list[str]:
        lines = []
        for k, stage in enumerate(self.stages):
            parts = [f"gs::Part<&State::{self.states[r.state.name]}, {_map(r)}>" for r in stage]
            lines.append(f"using Maps{k} = gs::Maps<{', '.join(parts)}>;")
        return [*lines, f"using Stages = gs::Stages<{', '.join(f'Maps{k}' for k in range(len(self.stages)))}>;"]

    def _text(self, methods: SequenceOf[str]) -> str:
        declared = self.arrays.declared()
        rows = [f"{C_TYPES[v.dtype]} {member};" for v, member in self.rows.items()]
        states = [f"{C_TYPES[s.next.dtype]} {self.states[s.name]};" for s in self.loop.states]
        kept = [f"{C_TYPES[v.dtype]} {m};" for m, v in zip(self.kept.values(), self._kept_values(), strict=True)]
        folds = [line for stage in self.stages for r in stage for line in _fold(r)]
        tiling = self.tiling
        return "\n".join(
            [
                f"// {self.loop.title.encode('unicode_escape').decode()}: parallel along time, tiles of {tiling.span} "
                f"steps by {tiling.lanes} lanes.",
                '#include "base.cuh"',
                *(['#include "pointwise.cuh"'] if self.calls else []),
                '#include "prefix.cuh"',
                "",
                *folds,
                "struct Step {",
                *_struct("Row", rows),
                *_struct("State", states),
                *_struct("Kept", kept),
                "",
                "    // The kernel's parameters.",
                *_indented([f"{text};" for text in declared], 1),
                "",
                "    // What this lane holds.",
                "    long long lane;",
                *_indented(self.arrays.fields, 1),
                "",
                *_indented(self._stage_types(), 1),
                f"    static constexpr int words = {self._words};",
                *methods,
                "};",
                "",
                f'extern "C" __global__ void __launch_bounds__({tiling.threads}, {BLOCKS_PER_SM}) {KERNEL_NAME}(',
                ",\n".join(f"    {text}" for text in declared) + ") {",
                f"    Step step = {{{', '.join(p.name for p in self.arrays.parameters)}}};",
                f"    gs::prefix_loop<{tiling.threads}, {tiling.steps}, {tiling.lanes}>(step, lanes, length, progress, "
                "published);",
                "}",
                "",
            ]
        )


# ---- recurrences as maps of kernels/prefix.cuh ----


def _parts(r: Recurrence) -> tuple[Variable, ...]:
    """Return the coefficients that the recurrence's map is made of."""
    if isinstance(r.form, Folded):
        return (r.form.operand,)
    if is_number(r.form.scale, 0) or is_number(r.form.scale, 1):
        return (r.form.offset,)
    return (r.form.scale,) if is_number(r.form.offset, 0) else (r.form.scale, r.form.offset)


def _map(r: Recurrence) -> str:
    c_type = C_TYPES[r.state.next.dtype]
    if isinstance(r.form, Folded):
        return f"gs::Fold<{c_type}, {_fold_name(r)}>"
    if is_number(r.form.scale, 0):
        return f"gs::Fold<{c_type}, gs::Replacing>"
    if is_number(r.form.scale, 1):
        return f"gs::Fold<{c_type}, gs::Summing>"
    return f"gs::Fold<{c_type}, gs::Multiplying>" if is_number(r.form.offset, 0) else f"gs::Affine<{c_type}>"


def _fold_name(r: Recurrence) -> str:
    assert isinstance(r.form, Folded)
    return f"Fold_{r.form.row}_{'state_first' if r.form.state_first else 'state_last'}"


def _fold(r: Recurrence) -> list[str]:
    """Return the definition of an associative operation of the pointwise table as one of kernels/prefix.cuh."""
    if not isinstance(r.form, Folded):
        return []
    operands = ("earlier", "later") if r.form.state_first else ("later", "earlier")
    base = "Rounding" if r.form.row == "logaddexp" else "Harmless"
    return [
        f"struct {_fold_name(r)} : gs::{base} {{",
        "    template <class T>",
        "    static __device__ __forceinline__ T of(T earlier, T later) {",
        f"        return T({POINTWISE[r.form.row].c.format(*operands)});",
        "    }",
        "};",
        "",
    ]


# ---- text ----


def _text(variable: Variable, texts: dict[Variable, str]) -> str:
    if variable in texts:
        return texts[variable]
    assert is_literal(variable), f"{variable!r} is used before it is computed"
    return literal(variable)


def _indented(lines: Iterable[str], depth: int) -> list[str]:
    return ["    " * depth + line for line in lines]


def _struct(name: str, members: SequenceOf[str]) -> list[str]:
    return [f"    struct {name} {{", *_indented(members, 2), "    };"]


def _method(head: str, body: SequenceOf[str]) -> list[str]:
    return ["", f"    __device__ __forceinline__ {head} {{", *_indented(body, 2), "    }"]
