"""The parameters of a kernel whose threads carry lanes, and where in each array the elements of a thread's lane are.

Sizes and strides are parameters, so that a text depends on which axes broadcast and not on how long they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gpuscan.cuda.binding import Number, Origin
from gpuscan.cuda.kernel import C_TYPES, Parameter
from gpuscan.cuda.lanes import strides_in
from gpuscan.cuda.names import Names
from gpuscan.cuda.plan import row_of
from gpuscan.graph import Variable


@dataclass(frozen=True)
class LaneArray:
    """One array of a kernel: its parameter, and expressions for the lane's element in a row and for a row's size."""

    name: str
    at: str
    row: str

    def element(self, row: str = "") -> str:
        """Return the expression for the lane's element in a row, or in an array that is one row."""
        if not row:
            return f"{self.name}[{self.at}]"
        return f"{self.name}[{row} * {self.row} + {self.at}]"


@final
class LaneArrays:
    """Hands out parameters and members of a struct ``Step`` whose ``lane`` is that of its thread.

    Attributes
    ----------
    parameters, origins : list
        The kernel's, in order.
    fields : list of str
        Declarations of members that hold where the lane is.
    begin : list of str
        Statements that compute them.
    """

    def __init__(self, lanes: Sequence[int], names: Names) -> None:
        self.lanes = tuple(lanes)
        self.names = names
        self.parameters: list[Parameter] = []
        self.origins: list[Origin] = []
        self.fields: list[str] = []
        self.begin: list[str] = []
        self._places: dict[tuple[int, ...], tuple[str, str]] = {}
        self._coordinates: list[str] = []

    def parameter(self, name: str, dtype: str, origin: Origin, *, array: bool = False, writes: bool = False) -> str:
        """Add a parameter and return its name, `name` unless that is taken."""
        name = self.names.unique(name)
        self.parameters.append(Parameter(name, dtype, array, writes))
        self.origins.append(origin)
        return name

    def array(self, prefix: str, row: Variable, origin: Origin, *, writes: bool = False) -> LaneArray:
        """Add an array whose rows are like the value `row` of a step."""
        name = self.parameter(prefix, row.dtype, origin, array=True, writes=writes)
        return LaneArray(name, *self._place(row_of(row)))

    def field(self, c_type: str, name: str) -> str:
        """Add a member and return its name."""
        name = self.names.unique(name)
        self.fields.append(f"{c_type} {name};")
        return name

    def owner(self, shape: tuple[int, ...]) -> str:
        """Return the condition under which a lane writes a value of `shape`: one lane of those that share it."""
        strides = strides_in(shape, self.lanes)
        shared = [axis for axis, size in enumerate(self.lanes) if size != 1 and not strides[axis]]
        if not shared:
            return ""
        if len(shared) == len([n for n in self.lanes if n != 1]):
            return "if (lane == 0) "
        return f"if ({' && '.join(f'{self._coordinate(axis)} == 0' for axis in shared)}) "

    def declared(self) -> list[str]:
        """Return the declarations of the parameters."""
        return [f"{_c_type(p)} {p.name}" for p in self.parameters]

    def _place(self, shape: tuple[int, ...]) -> tuple[str, str]:
        if shape not in self._places:
            strides = strides_in(shape, self.lanes)
            size = 1
            for n in shape:
                size *= n
            if size == 1:
                self._places[shape] = ("0", "1")
            else:
                row = self.parameter("row_size", "int64", Number(size))
                whole = strides == strides_in(self.lanes, self.lanes)
                self._places[shape] = ("lane" if whole else self._element(strides), row)
        return self._places[shape]

    def _element(self, strides: Sequence[int]) -> str:
        terms = []
        for axis, stride in enumerate(strides):
            if stride:
                terms.append(f"{self._coordinate(axis)} * {self.parameter('stride', 'int64', Number(stride))}")
        name = self.field("long long", "at")
        self.begin.append(f"{name} = {' + '.join(terms)};")
        return name

    def _coordinate(self, axis: int) -> str:
        if not self._coordinates:
            rest = self.field("long long", "rest")
            begin = [f"{rest} = lane;"]
            for i in range(len(self.lanes) - 1, -1, -1):
                size = self.parameter(f"lanes_{i}", "int64", Number(self.lanes[i]))
                name = self.field("long long", f"along_{i}")
                begin += [f"{name} = {rest} % {size};", f"{rest} /= {size};"]
                self._coordinates.insert(0, name)
            self.begin[:0] = begin
        return self._coordinates[axis]


def _c_type(parameter: Parameter) -> str:
    c_type = C_TYPES[parameter.dtype]
    if not parameter.is_array:
        return c_type
    return f"Global<{c_type}>" if parameter.writes else f"Global<const {c_type}>"
