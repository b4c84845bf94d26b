"""The parameters of a loop's kernel, where their arguments come from, and the names of what they give."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from math import prod

from gpuscan.cuda.binding import Number, Origin
from gpuscan.cuda.kernel import C_TYPES, Parameter
from gpuscan.cuda.names import Names
from gpuscan.cuda.step.lanes import Lanes
from gpuscan.cuda.step.positions import plus, times
from gpuscan.graph import Variable


@dataclass
class Parameters:
    """Parameters in the order in which they were first needed.

    Attributes
    ----------
    names : Names
        Hands out their names, and those of everything else in the text.
    lanes : Lanes
        The axes of lanes, whose sizes are parameters, so that the text does not depend on them.
    """

    names: Names
    lanes: Lanes
    parameters: list[Parameter] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    numbers: dict[tuple[str, int], str] = field(default_factory=dict)
    places: dict[tuple[object, ...], tuple[str, str]] = field(default_factory=dict)
    coordinates: list[str] = field(default_factory=list)
    begin: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    def add(
        self, name: str, dtype: str, origin: Origin, *, array: bool = False, writes: bool = False, alignment: int = 1
    ) -> str:
        """Return the name of a new parameter."""
        name = self.names.unique(name)
        self.parameters.append(Parameter(name, dtype, array, writes, alignment))
        self.origins.append(origin)
        return name

    def number(self, name: str, value: int) -> str:
        """Return the name of a number that the plan fixes; numbers of one purpose and value share a parameter."""
        if (name, value) not in self.numbers:
            self.numbers[name, value] = self.add(name, "int64", Number(value))
        return self.numbers[name, value]

    def declarations(self) -> list[str]:
        """Return each parameter with its type."""
        return [f"{_c_parameter(p)} {p.name}" for p in self.parameters]

    # ---- where a lane is ----

    def size(self, label: int) -> str:
        """Return the name of the size of an axis of lanes."""
        return self.number(f"lanes_{label}", self.lanes.sizes[label])

    def teams(self, label: int) -> str:
        """Return the name of how many teams there are along an axis of lanes."""
        if self.lanes.each(label) == 1:
            return self.size(label)
        return self.number(f"tiles_{label}", self.lanes.teams[label])

    def coordinate(self, label: int) -> str:
        """Return the name of which of the teams along an axis of lanes this is."""
        long = self._long()
        if long == [label]:
            return "lane"
        if self.lanes.each(label) != 1 and label not in long:
            return "0"
        if not self.coordinates:
            rest = self.field("long long", "rest")
            self.begin.append(f"{rest} = lane;")
            for i in range(len(self.lanes.sizes) - 1, -1, -1):
                name = self.field("long long", f"along_{i}")
                self.begin += [f"{name} = {rest} % {self.teams(i)};", f"{rest} /= {self.teams(i)};"]
                self.coordinates.insert(0, name)
        return self.coordinates[label]

    def first(self, label: int) -> str:
        """Return the text of the first lane of this team along an axis of lanes."""
        return times(self.coordinate(label), self.lanes.each(label))

    def _long(self) -> list[int]:
        """Return the axes of lanes along which there are several teams."""
        return [i for i, teams in enumerate(self.lanes.teams) if teams != 1]

    def field(self, c_type: str, name: str) -> str:
        """Return the name of a new field of the step."""
        name = self.names.unique(name)
        self.fields.append(f"{c_type} {name};")
        return name

    def place(self, variable: Variable) -> tuple[str, str]:
        """Return where a team's part begins in a row like `variable`, and how many elements a row has."""
        labels = self.lanes.of(variable)
        sizes = tuple(size or 0 for size in variable.type.shape)
        key = (labels, sizes)
        if key not in self.places:
            self.places[key] = (self._start(labels, sizes), self._row_size(labels, sizes))
        return self.places[key]

    def owner(self, variable: Variable, random: Collection[Variable] = ()) -> str:
        """Return the condition under which a team writes a value: one team of those that share it."""
        has = set(() if variable in random else self.lanes.of(variable))
        long = self._long()
        missing = [i for i in long if i not in has]
        if not missing:
            return ""
        if missing == long:
            return "if (lane == 0) "
        return f"if ({' && '.join(f'{self.coordinate(i)} == 0' for i in missing)}) "

    def _row_size(self, labels: tuple[int | None, ...], sizes: tuple[int, ...]) -> str:
        total = prod(sizes)
        if total == 1 or not any(label is not None for label in labels):
            return str(total)
        return self.number("row_size", total)

    def _start(self, labels: tuple[int | None, ...], sizes: tuple[int, ...]) -> str:
        long = [(label, size) for label, size in zip(labels, sizes, strict=True) if size != 1]
        teams = [(i, count) for i, count in enumerate(self.lanes.teams) if count != 1]
        if not any(label is not None for label, _ in long):
            return "0"
        if long == teams:
            return "lane"
        text = "0"
        for axis, label in enumerate(labels):
            if label is not None and sizes[axis] != 1:
                text = plus(text, times(self.first(label), self._stride(labels, sizes, axis)))
        if text == "0":
            return text
        name = self.field("long long", "at")
        self.begin.append(f"{name} = {text};")
        return name

    def _stride(self, labels: tuple[int | None, ...], sizes: tuple[int, ...], axis: int) -> str:
        text, constant = "1", 1
        for label, size in zip(labels[axis + 1 :], sizes[axis + 1 :], strict=True):
            if label is None:
                constant *= size
            else:
                text = times(text, self.size(label))
        return times(text, constant)


def _c_parameter(parameter: Parameter) -> str:
    c_type = C_TYPES[parameter.dtype]
    if not parameter.is_array:
        return c_type
    return f"Global<{c_type}>" if parameter.writes else f"Global<const {c_type}>"
