"""What the parts of a kernel's text write to: its sections, its parameters, and rows of arrays in device memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import gcd, prod
from typing import final

from gpuscan.cuda.binding import Origin
from gpuscan.cuda.expressions import STATE_TYPE
from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.step.elements import C_BYTES
from gpuscan.cuda.step.groups import WIDEST_LOAD
from gpuscan.cuda.step.hazards import Pending
from gpuscan.cuda.step.parameters import Parameters
from gpuscan.cuda.step.positions import Position, plus, times
from gpuscan.cuda.step.values import InDeviceMemory
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Variable


@dataclass
class Sections:
    """Statements of the methods of Step, in order."""

    fields: list[str] = field(default_factory=list)
    row: list[str] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    advance: list[str] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)
    total: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)  # what is told of the arguments before all else


@final
@dataclass(eq=False)
class Frame:
    """One kernel while its text is written.

    Attributes
    ----------
    plan : KernelPlan
        What is written.
    w : Writer
        Writes statements.
    given : Parameters
        Of the kernel.
    code : Sections
        Where statements go.
    where : dict of str to str
        Where sequences and non-sequences are, by name, for people.
    """

    plan: KernelPlan
    w: Writer
    given: Parameters
    code: Sections = field(default_factory=Sections)
    where: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def into(self, lines: list[str]) -> Iterator[None]:
        """Have statements written to a section."""
        w = self.w
        outer, touches, pending = w.lines, w.touches_shared, w.pending
        w.lines, w.touches_shared, w.pending = [], False, Pending()
        yield
        w.close_group()
        lines += w.lines
        w.lines, w.touches_shared, w.pending = outer, touches or w.touches_shared, pending | w.pending

    def array(self, prefix: str, row: Variable, origin: Origin, *, writes: bool = False) -> str:
        """Return the name of a new array parameter whose elements are like those of `row`."""
        size, alignment = C_BYTES[C_TYPES[row.dtype]], self._alignment(row)
        name = self.given.add(prefix, row.dtype, origin, array=True, writes=writes, alignment=alignment)
        if alignment > 1:
            self.code.assumed.append(f"gpuscan_assume_aligned<{alignment}>({name});")
            _, row_size = self.given.place(row)
            if not row_size.isdigit():
                self.code.assumed.append(f"gpuscan_assume_multiple<{alignment // size}>({row_size});")
        return name

    def _alignment(self, row: Variable) -> int:
        """Return of how many bytes the place of each lane's part in an array of such rows is a multiple.

        A thread by itself has neighbouring elements of it. Told that, the compiler loads and stores several at once.
        """
        labels, sizes = self.w.lanes.of(row), row.type.shape
        along = [axis for axis, label in enumerate(labels) if label is not None and sizes[axis] != 1]
        inner = [axis for axis, n in enumerate(self.w.shape(row)) if n != 1]
        if self.plan.shape.kind != "thread" or not inner or (along and along[-1] > inner[0]):
            return 1
        size = C_BYTES[C_TYPES[row.dtype]]
        alignment = gcd(prod(self.w.shape(row)) * size, WIDEST_LOAD)
        return alignment if alignment > size else 1

    def row(self, array: str, variable: Variable, row: str, key: Hashable = None) -> InDeviceMemory:
        """Return row `row` of an array whose rows are like `variable`."""
        lane, size = self.given.place(variable)
        return self.w.in_device_memory(variable, array, times(f"({row})" if " " in row else row, size), lane, key)

    def load(self, array: str, variable: Variable, row: str, at: Position) -> str:
        """Return the text of an element of a row; a random state is one element."""
        if variable in self.w.random:
            place = times(f"({row})" if " " in row else row, 2)
            return f"{STATE_TYPE}{{{array}[{place}], {array}[{plus(place, '1')}]}}"
        return self.row(array, variable, row).read(self.w, at)
