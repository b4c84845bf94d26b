"""Writes the statements of a step: values get names and places, elementwise work is gathered into groups.

A step is written twice. The first time finds out which values are read by other threads than those that compute them;
the second is the text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import final

from gpuscan.cuda.expressions import STATE_TYPE, literal, state_literal
from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.names import Names
from gpuscan.cuda.reports import Failure
from gpuscan.cuda.step.elements import C_BYTES, registers_of
from gpuscan.cuda.step.groups import UNROLLED, Group, each, new_group
from gpuscan.cuda.step.hazards import Buffer, Pending
from gpuscan.cuda.step.lanes import Lanes
from gpuscan.cuda.step.memory import padded
from gpuscan.cuda.step.positions import Position, plus, spread, times
from gpuscan.cuda.step.registers import MOST_OWN
from gpuscan.cuda.step.team import Team, space_of
from gpuscan.cuda.step.team_arrays import TeamArrays
from gpuscan.cuda.step.values import InDeviceMemory, Kept, NotBesideError, Text, Value
from gpuscan.graph import Apply, Constant, Variable
from gpuscan.loop import Loop

MOST_TERMS_UNROLLED = 8
"""Terms up to which sums are unrolled that are not written out: enough loads are under way at once."""

MOST_UNDER_WAY = 128
"""Terms of all of a thread's sums up to which they are unrolled: each may hold a register while it is loaded."""


class RefusalError(Exception):
    """Why a team cannot carry a loop."""


@dataclass
class Notes:
    """How values turned out to be read: by the threads that have the elements, by any, or as whole arrays."""

    own: set[Hashable] = field(default_factory=set)
    shared: set[Hashable] = field(default_factory=set)
    whole: set[Hashable] = field(default_factory=set)


@final
class Writer:
    """Writes statements for one team.

    Parameters
    ----------
    team : Team
        Which threads run them.
    loop : Loop
        The loop.
    lanes : Lanes
        Which axes are lanes.
    random : collection of Variable
        The values that are random states.
    known : Notes or None
        What an earlier writing found out.
    made : dict
        Values that rules make for themselves, kept from one writing to the next.
    first, size : callable
        From an axis of the lanes to the texts of the team's first lane along it and of how long it is.
    names : Names
        Hands out names.
    arrays : TeamArrays
        Those that the team shares.
    status : callable
        Returns the name of the word in which failures are reported.
    precision : str
        What operands of products on tensor cores are rounded to.
    on_tensor_cores : collection of Apply
        Those products.
    """

    def __init__(
        self,
        team: Team,
        loop: Loop,
        lanes: Lanes,
        random: Collection[Variable],
        known: Notes | None,
        made: dict[Hashable, Variable],
        first: Callable[[int], str],
        size: Callable[[int], str],
        names: Names,
        arrays: TeamArrays,
        status: Callable[[], str],
        precision: str = "highest",
        on_tensor_cores: Collection[Apply] = (),
    ) -> None:
        self.team = team
        self.lanes = lanes
        self.random = random
        self.arrays = arrays
        self.known = known
        self.made = made
        self.noted = Notes()
        self.names = names
        self.values: dict[Variable, Value] = {}
        self.origins: dict[Variable, Value] = {}  # non-sequences in device memory
        self.group: Group | None = None
        self.outside = False  # whether what is being written stands before the open group
        self.touched_reads: set[Buffer] = set()
        self.pending = Pending()
        self.lines: list[str] = []
        self.status = status
        self.precision = precision
        self.on_tensor_cores = on_tensor_cores
        self.together: dict[Apply, tuple[Apply, ...]] = {}  # for each of them those that are computed with it
        self.failures: list[Failure] = []  # what the codes mean that the kernel may report
        self.touches_shared = False  # whether shared memory was touched since this was last unset
        self.loop = loop
        self.products = 1  # of a step
        self.busy_registers = 0  # of each thread, for states and the sums of products
        self.resident_registers = 0
        self.columns_of: set[str] = set()  # names of non-sequences of which threads hold columns
        self.columns: dict[Hashable, str] = {}  # how those of a matrix are read, by it and by which they are
        self.held: list[str] = []  # declarations of what is loaded before the first step
        self.at_start: list[str] = []  # statements that load it
        self.first = first
        self.size = size

    # ---- lines ----

    def line(self, text: str) -> None:
        """Write a statement."""
        self.lines.append(text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a statement with a body; groups end before and inside it."""
        self.close_group()
        outer, self.lines = self.lines, []
        yield
        self.close_group()
        self.lines = [*outer, f"{head} {{", *(f"    {line}" for line in self.lines), "}"]

    # ---- where things are ----

    def c_type(self, variable: Variable) -> str:
        """Return the C type of an element of a value; a random state is one element."""
        return STATE_TYPE if variable in self.random else C_TYPES[variable.dtype]

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """Return the shape of what one lane has of a value."""
        return () if variable in self.random else self.lanes.inner(variable)

    def space(self, variable: Variable) -> tuple[int, ...]:
        """Return the sizes along which one lane has more than one element."""
        return space_of(self.shape(variable))

    @property
    def slot(self) -> str:
        """Which of a thread's own elements the open group is at."""
        assert self.group is not None
        return self.group.slot

    def is_beside(self, shape: tuple[int, ...], at: Position) -> bool:
        """Whether a position is where the open group is, in arrays dealt out alike."""
        if self.group is None or self.outside or space_of(shape) != self.group.space:
            return False
        if self.group.extent and self.team.divides(self.group.space):  # these are the rank's elements
            return False
        return tuple(i for i, size in zip(at, shape, strict=True) if size != 1) == self.group.names

    def coordinates(self, variable: Variable, at: Position) -> Position:
        """Return a position of one team's part as one in the whole value."""
        labels = self.lanes.of(variable)
        return tuple(i if label is None else self._lane(label, i) for i, label in zip(at, labels, strict=True))

    def _lane(self, label: int, i: str) -> str:
        """Return which lane along an axis of lanes is number `i` of those that the team carries."""
        first = self.first(label)
        text = first if self.lanes.each(label) == 1 else plus(first, i)
        return f"({text})" if " " in text else text

    def sizes(self, variable: Variable) -> tuple[str, ...]:
        """Return the texts of a value's sizes; those of axes of lanes are parameters of the kernel."""
        labels = self.lanes.of(variable)
        return tuple(
            str(n) if label is None else self.size(label) for n, label in zip(variable.type.shape, labels, strict=True)
        )

    def number(self, variable: Variable, at: Position) -> str:
        """Return the number of an element among all of a value."""
        text = "0"
        for i, size in zip(self.coordinates(variable, at), self.sizes(variable), strict=True):
            text = plus(times(text, size), i) if size != "1" else text
        return text

    # ---- reading ----

    def read(self, variable: Variable, at: Position) -> str:
        """Return the text of an element of a value; along axes of lanes positions count from the team's first lane."""
        value = self.values.get(variable)
        if variable not in self.random:
            at = tuple("0" if n == 1 else i for i, n in zip(at, self.shape(variable), strict=True))
        if value is None:
            value = self.values[variable] = self._literal(variable)
        return value.read(self, at)

    def read_one(self, variable: Variable) -> str:
        """Return the text of a value of one element."""
        return self.read(variable, ("0",) * variable.ndim)

    def broadcast(self, variable: Variable, at: Position) -> str:
        """Return the text of the element of a value that meets position `at` of what it is broadcast to."""
        own = at[len(at) - variable.ndim :]
        return self.read(variable, own)

    def _literal(self, variable: Variable) -> Value:
        if variable in self.random:
            assert isinstance(variable, Constant)
            return Text(state_literal(variable))
        assert variable.known is not None or isinstance(variable, Constant), f"{variable!r} is read before it is there"
        return Text(literal(variable))

    # ---- groups ----

    def open_group(self, space: tuple[int, ...], extent: int = 0, vector: int = 1) -> Group:
        """Return the open group if it loops over `space`, else a new one."""
        if self.group is None or self.group.key != (space, extent, vector):
            self.close_group()
            self.group = new_group(space, extent, self.team, vector)
        return self.group

    def close_group(self) -> None:
        """Write the open group."""
        group, self.group = self.group, None
        if group is None:
            return
        self.barrier_before(group.reads, group.writes)
        if group.copies:  # other threads may still read what the copies were before
            self.lines += ["__syncthreads();", *group.copies.values(), "__syncthreads();"]
        self.lines += group.before
        if group.inside:
            self.lines += self._sums(group) if group.extent else each(group, self.team, group.inside)
        self.lines += group.after
        if group.publish:
            self.lines += each(group, self.team, group.publish)

    def _sums(self, group: Group) -> Iterator[str]:
        """Yield the loops of a group that sums: terms outermost, so that what elements share is read once."""
        team, parts = self.team, self.team.parts
        terms = -(-group.extent // parts)
        slots = team.sums(group.space)
        whole = group.unrolled or terms * slots <= UNROLLED
        unroll = terms if whole else min(MOST_TERMS_UNROLLED, max(MOST_UNDER_WAY // slots, 1))
        yield f"#pragma unroll {-(-unroll // group.vector)}"
        if group.vector > 1:
            yield from self._vectors_of_terms(group, terms // group.vector)
            return
        inside = each(group, team, group.inside, summing=True)
        if parts == 1:
            yield f"for (int r = 0; r < {group.extent}; ++r) {{"
            if group.numbered:
                yield "    int const rr = r;"
        else:
            yield f"for (int rr = 0; rr < {terms}; ++rr) {{"
            yield f"    int const r = rr * {parts} + team.part;"
            if group.extent % parts:
                yield f"    if (r >= {group.extent}) break;"
        yield from (f"    {line}" for line in inside)
        yield "}"

    def _vectors_of_terms(self, group: Group, vectors: int) -> Iterator[str]:
        """Yield the loop over the terms of a part where neighbouring ones are its own: one load brings all of them."""
        size, parts = group.vector, self.team.parts
        first = plus(f"rv * {size * parts}", f"team.part * {size}" if parts > 1 else "0")
        terms = ["#pragma unroll", f"for (int ri = 0; ri < {size}; ++ri) {{", f"    int const r = {first} + ri;"]
        terms += [*(f"    {line}" for line in group.inside), "}"]
        yield f"for (int rv = 0; rv < {vectors}; ++rv) {{"
        yield from (f"    {line}" for line in each(group, self.team, terms, summing=True))
        yield "}"

    def within(self, space: tuple[int, ...], write: Callable[[Group], None], extent: int = 0, vector: int = 1) -> None:
        """Have `write` add statements to a group over `space`, to the open one if it can be that."""
        for group in (self.open_group(space, extent, vector), None):
            if group is None:
                self.close_group()
                group = self.open_group(space, extent, vector)
            self.touched_reads = set()
            try:
                write(group)
            except NotBesideError:
                continue
            group.reads |= self.touched_reads
            return
        raise AssertionError("a value is read in the group that computes it")

    def alone(self, write: Callable[[], str]) -> str:
        """Return the text of one element that all threads compute, written before the open group."""
        for _ in range(2):
            self.outside, self.touched_reads = True, set()
            try:
                text = write()
            except NotBesideError:
                self.close_group()
                continue
            finally:
                self.outside = False
            self.barrier_before(self.touched_reads, ())
            return text
        raise AssertionError("a value is read in the group that computes it")

    def barrier_before(self, reads: Collection[Buffer], writes: Collection[Buffer]) -> None:
        """Write a barrier if what comes next must wait, and note what it touches."""
        if self.team.kind == "thread" or not (reads or writes):
            return
        self.touches_shared = True
        if self.pending.needs_barrier(reads, writes):
            self.barrier()
        self.pending = self.pending.after(reads, writes)

    def barrier(self) -> None:
        """Write a barrier."""
        if self.team.kind != "thread":
            self.line("team.sync();")
            self.pending = Pending()

    # ---- computing ----

    def name(self, variable: Variable, prefix: str = "v") -> str:
        """Return a new name for a value."""
        return self.names.unique(f"{prefix}_{variable.name}" if variable.name else prefix)

    def compute(self, variable: Variable, element: Callable[[Position], str]) -> None:
        """Compute a value element by element."""
        shape, space, c_type = self.shape(variable), self.space(variable), self.c_type(variable)
        name = self.name(variable)
        if not space:
            text = self.alone(lambda: element(("0",) * len(shape)))
            self.line(f"{c_type} const {name} = {text};")
            self.values[variable] = Text(name)
            return

        def write(group: Group) -> None:
            text = element(spread(group.names, shape))
            group.inside.append(f"{c_type} const {name} = {text};")
            self.values[variable] = self.keep(variable, name, shape, c_type, group)

        self.within(space, write)

    def keep(self, key: Hashable, name: str, shape: tuple[int, ...], c_type: str, group: Group) -> Kept:
        """Return a value whose element the open group has as `name`, kept as later groups read it."""
        kept = Kept(key, shape, group=group, element=name)
        if self.is_own(key, group.space, c_type):
            kept.own = self.names.unique(f"{name}_own")
            group.before.append(f"{c_type} {kept.own}[{max(self.team.slots(group.space), 1)}];")
            group.inside.append(f"{kept.own}[{group.slot}] = {name};")
        if self.is_shared(key):
            self.share(kept, name, c_type)
            group.inside.append(self.publish(kept, group, name))
        return kept

    def is_own(self, key: Hashable, space: tuple[int, ...], c_type: str) -> bool:
        """Whether threads keep their own elements of a value in registers: they read them, and there is room."""
        return (self.known is None or key in self.known.own) and self.has_room(space, c_type)

    def has_room(self, space: tuple[int, ...], c_type: str, *, summing: bool = False) -> bool:
        """Whether a thread has registers for its elements of an array; alone it has nowhere else to put them."""
        registers = registers_of(c_type) * (self.team.sums(space) if summing else self.team.slots(space))
        return self.team.kind == "thread" or registers <= MOST_OWN

    def is_shared(self, key: Hashable) -> bool:
        """Whether threads read elements that others have."""
        return self.known is not None and key in self.known.shared and self.team.kind != "thread"

    def publish(self, kept: Kept, group: Group, text: str) -> str:
        """Return the statement that gives other threads the element at hand, `text`."""
        assert kept.buffer is not None
        group.writes.add(kept.buffer)
        place = kept.place(spread(group.names, kept.shape))
        return f"{self.writing()}{self.arrays.store(kept.shared, place, text)}"

    def writing(self) -> str:
        """Return the condition under which a thread writes its elements: one of those that share them."""
        assert self.group is not None
        alone = self.team.parts == 1 or self.team.divides(self.group.space)
        return "" if alone else "if (team.part == 0) "

    def share(self, kept: Kept, name: str, c_type: str) -> None:
        """Give a value shared memory."""
        kept.storage = self.storage([kept.key], kept.shape, c_type)
        kept.shared = self.allocate(name, c_type, max(prod(kept.storage), 1))
        kept.buffer = (kept.shared, 0)

    def storage(self, keys: Collection[Hashable], shape: tuple[int, ...], c_type: str) -> tuple[int, ...]:
        """Return the shape in which a value, known by `keys`, lies in the memory that the team shares."""
        whole = self.known is not None and any(key in self.known.whole for key in keys)
        return shape if whole or self.team.kind in ("thread", "grid") else padded(shape, C_BYTES[c_type])

    def allocate(self, name: str, c_type: str, count: int) -> str:
        """Return the name of a new array that the team shares.

        Raises
        ------
        RefusalError
            If there is no room.
        """
        if (array := self.arrays.allocate(name, c_type, count)) is None:
            raise RefusalError(self.arrays.too_small(f"{name}_shared", c_type, count))
        return array

    def local(self, name: str, c_type: str, count: int) -> str:
        """Return the name of a new array in shared memory, also for a grid; raises RefusalError as `allocate` does."""
        if (array := self.arrays.local(name, c_type, count)) is None:
            raise RefusalError(self.arrays.too_small(name, c_type, count))
        return array

    def block_copy(self, array: str, start: str, count: int) -> str | None:
        """Return the block's own copy of what a grid shares, made before the open group; None without room."""
        assert self.group is not None
        if (found := self.arrays.block_copy(array, start, count)) is None:
            return None
        copy, statement = found
        self.group.copies[copy] = statement
        return copy

    def like(self, key: Hashable, variable: Variable, dtype: str) -> Variable:
        """Return a value of the shape and the lanes of another, the same one at every writing."""
        if key not in self.made:
            self.made[key] = Variable(variable.type.with_dtype(dtype))
            self.lanes.labels[self.made[key]] = self.lanes.of(variable)
        return self.made[key]

    # ---- what can fail ----

    def report(self, failure: Failure) -> str:
        """Return the statement that reports a failure of the step at hand; the host raises it after the launch."""
        if failure not in self.failures:
            self.failures.append(failure)
        return f"gs::report({self.status()}, {self.failures.index(failure)}, t, lane);"

    # ---- what is loaded before the first step ----

    def hold(self, c_type: str, name: str, count: int) -> str:
        """Return the name of a new array of registers that a thread has for the whole loop."""
        name = self.names.unique(name)
        self.held.append(f"{c_type} {name}[{count}];")
        return name

    def before_start(self, write: Callable[[], str]) -> str:
        """Return a text that stands before the first step: it reads non-sequences where they come from."""
        noted, values = self.noted, self.values
        self.noted, self.values = Notes(), {**self.values, **self.origins}
        text = write()
        self.noted, self.values = noted, values
        return text

    # ---- arrays in device memory ----

    def in_device_memory(
        self, variable: Variable, array: str, row: str, lane: str, key: Hashable = None
    ) -> InDeviceMemory:
        """Return a row of an array in device memory whose lane's part begins at `lane` from the row's start."""
        shape = self.shape(variable)
        sizes = self.sizes(variable)
        strides = []
        for axis in range(variable.ndim):
            text = "1"
            for size in sizes[axis + 1 :]:
                text = times(text, size)
            strides.append(text if shape[axis] != 1 else "0")
        return InDeviceMemory(array, plus(row, lane), tuple(strides), shape, key)
