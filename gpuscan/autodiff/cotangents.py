"""What has come in for a value while derivatives are collected backwards."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuscan import tensor as gt
from gpuscan.graph import Variable
from gpuscan.tensor.indexing import Index, Pattern, WriteIndex


class Missing:
    """Stands for a derivative that there is and that no rule gives; there is one, `MISSING`.

    None would say that nothing depends on the operand, and the gradient would be wrong without a word.
    """


MISSING = Missing()


@dataclass(frozen=True)
class Part:
    """A cotangent for a part of a value: what came in through ``value[pattern]``."""

    pattern: Pattern
    slots: tuple[Variable, ...]
    cotangent: Variable


@dataclass
class Cotangent:
    """The sum of what has come in for one value.

    What comes in through indexing is kept apart until the sum is asked for: many parts of one array are then added into
    one array of zeros, and a loop whose last row alone is read is told so.

    Attributes
    ----------
    of : Variable
        The value.
    whole : list of Variable
        Contributions of its shape.
    parts : list of Part
        Contributions to parts of it.
    """

    of: Variable
    whole: list[Variable] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def total(self) -> Variable:
        """Return the sum as one variable of the value's dtype and shape."""
        total = self.whole[0] if self.whole else gt.zeros_like(self.of)
        for other in self.whole[1:]:
            total = total + other
        for part in self.parts:
            total = WriteIndex(part.pattern, True)(total, part.cotangent, *part.slots)
        return total

    def add_part(self, op: Index, slots: tuple[Variable, ...], cotangent: Variable) -> None:
        """Add what came in through an index."""
        self.parts.append(Part(op.pattern, slots, cotangent))


def accumulate(given: dict[Variable, Variable], value: Variable, cotangent: Variable) -> None:
    """Add a cotangent to what a mapping has for a value."""
    given[value] = given[value] + cotangent if value in given else cotangent
