"""The text of a kernel for the prefix team: the generated struct ``Step`` that ``kernels/prefix.cuh`` runs."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from typing import NoReturn

from gpuscan.cuda.binding import BoundKernel, LastRow, Number, Output, Place, Scratch, Source, Steps
from gpuscan.cuda.kernel import C_TYPES, Kernel
from gpuscan.cuda.names import Names
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.prefix_tiling import BLOCKS_PER_SM, kept_of, reads_of, slots_of, tiling_of
from gpuscan.cuda.recurrences import Folded, Recurrence, Stage, find_stages, is_number
from gpuscan.cuda.source import splice
from gpuscan.cuda.step.body import Body, needed_nodes
from gpuscan.cuda.step.frame import Frame
from gpuscan.cuda.step.history_parts import row_of_part
from gpuscan.cuda.step.literals import is_literal
from gpuscan.cuda.step.loops import write_body
from gpuscan.cuda.step.memory import Region
from gpuscan.cuda.step.parameters import Parameters
from gpuscan.cuda.step.sequences import step_row
from gpuscan.cuda.step.struct import indented, method, one_line
from gpuscan.cuda.step.team import ONE_THREAD
from gpuscan.cuda.step.team_arrays import TeamArrays
from gpuscan.cuda.step.values import Text, Value
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Variable, sorted_nodes
from gpuscan.loop import NonSequence, Result, Sequence, State
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
    """The text of one kernel in the making: the members of ``Step``, and the statements of its methods."""

    def __init__(self, plan: KernelPlan, by_value: frozenset[str]) -> None:
        assert plan.opened is not None
        assert plan.lanes is not None
        self.plan = plan
        self.loop = loop = plan.opened.loop
        stages = find_stages(loop)
        assert not isinstance(stages, str), stages
        self.stages = stages
        self.by_value = by_value
        self.tiling = tiling_of(loop, plan.lane_count)
        self.slots = slots_of(loop)
        self.names = Names()
        coefficients = [v for stage in stages for r in stage for v in r.coefficients]
        lanes = plan.lanes.followed(sorted_nodes(coefficients, loop.reads))
        self.given = Parameters(self.names, lanes)
        self.w = Writer(
            ONE_THREAD,
            loop,
            lanes,
            random=(),
            known=None,
            made={},
            first=self.given.coordinate,
            size=self.given.size,
            names=self.names,
            arrays=TeamArrays(ONE_THREAD, self.names, Region(0), _not_needed),
            status=_not_needed,
        )
        self.frame = Frame(plan, self.w, self.given)
        self.values: dict[Variable, Value] = {}  # what a step is given
        self.rows: dict[Variable, str] = {}  # members of Row
        self.states: dict[str, str] = {}  # members of State, by the state's name
        self.kept: dict[str, str] = {}  # members of Kept, by the record's name
        self.begin: list[str] = []
        self.initial: list[str] = []
        self.read: list[str] = []
        self.calls = False  # whether some expression calls a function of kernels/pointwise.cuh

    def build(self) -> BoundKernel:
        """Return the kernel, and where each of its arguments comes from."""
        for s in self.loop.sequences:
            self._sequence(s)
        for n in self.loop.non_sequences:
            self._non_sequence(n)
        for state in self.loop.states:
            self._state(state)
        for record in kept_of(self.loop):
            self.kept[record] = self.names.unique(f"k_{record}")
        composed = [self._compose(k, stage) for k, stage in enumerate(self.stages)]
        advance = self._advance()
        write = [self._write(r) for r in self.loop.results if r.is_kept]
        finish = [self._finish(r) for r in self.loop.results if r.kind == "final"]
        self._scratch()
        methods = [
            method("void begin(long long which)", ["lane = which;", *self.given.begin, *self.begin]),
            method("State initial() const", ["State state;", *self.initial, "return state;"]),
            method("void read(long long t, Row& row) const", self.read),
            *self._moves("Row", "row", list(self.rows.values()), reads_of(self.loop), self.slots.rows),
            *self._moves("Kept", "kept", list(self.kept.values()), self._kept_values(), self.slots.kept),
            *composed,
            method("void advance(Row const& row, State& state, Kept& kept) const", advance),
            method("void write(long long t, Kept const& kept) const", write),
            method("void finish(State const& state) const", finish),
        ]
        kernel = Kernel(KERNEL_NAME, splice(self._text(methods)), tuple(self.given.parameters))
        return BoundKernel(
            kernel,
            tuple(self.given.origins),
            self.plan.grid,
            self.tiling.threads,
            self.slots.size * self.tiling.threads * self.tiling.steps,
            places=tuple(self._places()),
        )

    # ---- what a step is given ----

    def _element(self, array: str, variable: Variable, row: str) -> str:
        """Return the lane's element in a row of an array whose rows are like `variable`."""
        return self.frame.row(array, variable, row).read(self.w, ("0",) * variable.ndim)

    def _sequence(self, s: Sequence) -> None:
        if not s.reads:
            return
        array = self.frame.array(f"seq_{s.name}", next(iter(s.reads.values())), Source(s.name))
        start = self.given.add(f"last_{s.name}", "int64", LastRow(s.name)) if s.reverse else ""
        for offset, variable in s.reads.items():
            member = self.names.unique(f"x_{s.name}_{offset}" if offset else f"x_{s.name}")
            self.rows[variable] = member
            self.read.append(f"row.{member} = {self._element(array, variable, step_row(start, 't', offset))};")
            self.values[variable] = Text(f"row.{member}")

    def _non_sequence(self, n: NonSequence) -> None:
        if is_literal(n.read):
            return
        if n.name in self.by_value:
            self.values[n.read] = Text(self.given.add(f"non_{n.name}", n.source.dtype, Source(n.name)))
            return
        array = self.frame.array(f"non_{n.name}", n.read, Source(n.name))
        held = self.given.field(C_TYPES[n.read.dtype], f"v_{n.name}")
        self.begin.append(f"{held} = {self._element(array, n.read, '0')};")
        self.values[n.read] = Text(held)

    def _state(self, state: State) -> None:
        array = self.frame.array(f"init_{state.name}", state.next, Source(state.name))
        member = self.names.unique(f"s_{state.name}")
        self.states[state.name] = member
        self.initial.append(f"state.{member} = {self._element(array, state.next, '0')};")
        self.values.update(dict.fromkeys(state.reads.values(), Text(f"state.{member}")))

    def _kept_values(self) -> list[Variable]:
        return [self.loop.value_of(record) for record in self.kept]

    # ---- what a step computes ----

    def _computed(self, values: SequenceOf[Variable]) -> list[str]:
        """Return the statements that compute values of a step, which can then be read."""
        w = self.w
        w.lines, w.values = [], dict(self.values)
        write_body(w, Body(tuple(needed_nodes(values, self.loop.reads)), tuple(values), {}, {}))
        self.calls |= any("gs::" in line for line in w.lines)
        return w.lines

    def _moved_on(self, states: SequenceOf[State]) -> list[str]:
        """Return the statements that give states their next values, all at once: one may become another's past."""
        following = [self.names.unique(f"next_{s.name}") for s in states]
        lines = [
            f"{C_TYPES[s.next.dtype]} const {name} = {self.w.read_one(s.next)};"
            for s, name in zip(states, following, strict=True)
        ]
        return lines + [f"state.{self.states[s.name]} = {name};" for s, name in zip(states, following, strict=True)]

    def _advance(self) -> list[str]:
        lines = self._computed(self.loop.outputs)
        for record, member in self.kept.items():
            lines.append(f"kept.{member} = {self.w.read_one(self.loop.value_of(record))};")
        return lines + self._moved_on(self.loop.states)

    def _compose(self, k: int, stage: Stage) -> list[str]:
        earlier = [r.state for solved in self.stages[:k] for r in solved]
        lines = self._computed([*(s.next for s in earlier), *(v for r in stage for v in _parts(r))])
        maps = [f"{{{_map(r)}{{{', '.join(map(self.w.read_one, _parts(r)))}}}}}" for r in stage]
        lines.append(f"maps = Maps{k}{{{', '.join(maps)}}};")
        head = f"void compose(Row const& row, State& state, Maps{k}& maps) const"
        return method(head, lines + self._moved_on(earlier))

    # ---- what is kept ----

    def _store(self, result: Result, row: str, text: str) -> str:
        value = self.loop.value_of(result.record)
        array = self.frame.array(f"out_{result.kind}_{result.record}", value, Output(result), writes=True)
        return f"{self.given.owner(value)}{self._element(array, value, row)} = {text};"

    def _write(self, result: Result) -> str:
        value = f"kept.{self.kept[result.record]}"
        if result.kind == "history":
            return self._store(result, "t", value)
        if result.kind == "part":
            row, condition = row_of_part(result, "t")
            return f"{condition}{self._store(result, row, value)}"
        first = self.given.add(f"first_{result.record}", "int64", Steps(first_kept=result.rows))
        return f"if (t >= {first}) {self._store(result, f't - {first}', value)}"

    def _finish(self, result: Result) -> str:
        return self._store(result, "0", f"state.{self.states[result.record]}")

    def _moves(
        self, struct: str, name: str, members: SequenceOf[str], values: SequenceOf[Variable], places: SequenceOf[int]
    ) -> list[list[str]]:
        """Return the methods that put a struct into a slot of shared memory, and get it from there."""
        count = self.tiling.threads * self.tiling.steps
        put, get = [], []
        for member, value, place in zip(members, values, places, strict=True):
            c_type = C_TYPES[value.dtype]
            declared = f"GPUSCAN_DYNAMIC_SHARED_AT({c_type}, all_{member}, {place * count}, {count});"
            put += [declared, f"all_{member}[slot] = {name}.{member};"]
            get += [declared, f"{name}.{member} = all_{member}[slot];"]
        return [
            method(f"void put(int slot, {struct} const& {name}) const", put),
            method(f"void get(int slot, {struct}& {name}) const", get),
        ]

    def _places(self) -> Iterable[Place]:
        """Yield where each record lives."""
        tile = f"tiles of {self.tiling.span} steps by {self.tiling.lanes} lanes"
        for s in self.loop.sequences:
            if s.reads:
                yield Place(s.name, f"rows read once from device memory, {tile} in shared memory")
        for k, stage in enumerate(self.stages, 1):
            for r in stage:
                yield Place(r.state.name, f"a register, known before each tile after look-back {k}")
        for n in self.loop.non_sequences:
            if not is_literal(n.read):
                how = "a number, passed by value" if n.name in self.by_value else "a register, read once a tile"
                yield Place(n.name, how)
        for result in self.loop.results:
            if result.kind != "steps":
                kept = result.is_kept
                yield Place(f"{result}", f"written after {'each tile' if kept else 'the last step'}")

    # ---- putting it together ----

    @property
    def _words(self) -> int:
        return sum(len(_parts(r)) + 1 for stage in self.stages for r in stage)

    def _scratch(self) -> None:
        groups = -(-self.plan.lane_count // self.tiling.lanes)
        flags, words = groups * len(self.stages), groups * self._words * self.tiling.lanes
        span = self.tiling.span
        progress, published = Scratch(1, flags, zeroed=True, span=span), Scratch(0, words, span=span)
        self.given.add("progress", "uint32", progress, array=True, writes=True)
        self.given.add("published", "uint64", published, array=True, writes=True)
        self.given.add("lanes", "int64", Number(self.plan.lane_count))
        self.given.add("length", "int64", Steps())

    def _stage_types(self) -> list[str]:
        lines = []
        for k, stage in enumerate(self.stages):
            parts = [f"gs::Part<&State::{self.states[r.state.name]}, {_map(r)}>" for r in stage]
            lines.append(f"using Maps{k} = gs::Maps<{', '.join(parts)}>;")
        return [*lines, f"using Stages = gs::Stages<{', '.join(f'Maps{k}' for k in range(len(self.stages)))}>;"]

    def _text(self, methods: SequenceOf[list[str]]) -> str:
        tiling = self.tiling
        tile = f"tiles of {tiling.span} steps by {tiling.lanes} lanes"
        return "\n".join(
            [
                f"// {one_line(self.loop.title)}: parallel along time, {tile}.",
                '#include "base.cuh"',
                *(['#include "pointwise.cuh"'] if self.calls else []),
                '#include "prefix.cuh"',
                "",
                *(line for stage in self.stages for r in stage for line in _fold(r)),
                *self._step(methods),
                "",
                *self._function(),
                "",
            ]
        )

    def _step(self, methods: SequenceOf[list[str]]) -> list[str]:
        """Return the struct ``Step``."""
        rows = [f"{C_TYPES[v.dtype]} {member};" for v, member in self.rows.items()]
        states = [f"{C_TYPES[s.next.dtype]} {self.states[s.name]};" for s in self.loop.states]
        kept = [f"{C_TYPES[v.dtype]} {m};" for m, v in zip(self.kept.values(), self._kept_values(), strict=True)]
        return [
            "struct Step {",
            *_struct("Row", rows),
            *_struct("State", states),
            *_struct("Kept", kept),
            "",
            "    // The kernel's parameters.",
            *indented([f"{text};" for text in self.given.declarations()], 1),
            "",
            "    // What this lane holds.",
            "    long long lane;",
            *indented(self.given.fields, 1),
            "",
            *indented(self._stage_types(), 1),
            f"    static constexpr int words = {self._words};",
            *(line for text in methods for line in ("", *text)),
            "};",
        ]

    def _function(self) -> list[str]:
        """Return the function that is launched."""
        tiling = self.tiling
        sizes = f"{tiling.threads}, {tiling.steps}, {tiling.lanes}"
        return [
            f'extern "C" __global__ void __launch_bounds__({tiling.threads}, {BLOCKS_PER_SM}) {KERNEL_NAME}(',
            ",\n".join(f"    {text}" for text in self.given.declarations()) + ") {",
            f"    Step step = {{{', '.join(p.name for p in self.given.parameters)}}};",
            f"    gs::prefix_loop<{sizes}>(step, lanes, length, progress, published);",
            "}",
        ]


# ---- recurrences as maps of kernels/prefix_maps.cuh ----


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
    """Return the definition of an associative operation of the pointwise table as one of kernels/prefix_maps.cuh."""
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


def _struct(name: str, members: Iterable[str]) -> list[str]:
    return [f"    struct {name} {{", *indented(members, 2), "    };"]


def _not_needed(*given: object) -> NoReturn:
    raise AssertionError("a step of one element a value needs no memory of its own")
