"""Values of a generated function let go of after their last use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

NAME = r"[vxsh]\d+"
"""Names of values, rows, states and histories, by the prefixes that `Writer.fresh` is asked for them."""

TARGETS = re.compile(rf" +(?:for k\d+, )?((?:{NAME}, )*{NAME})(?: = | in )")
"""The names that a line gives: those before its ``=``, or the rows of a ``for``."""


def free_early(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a function that lets go of each value after its last use, so that its memory is given back.

    Rows that a loop read last are such values too, and the buffers of its histories: each is, or is a view of, an array
    for all steps. They are set to None, as there may be none of them where a loop ran no step.
    """
    targets = [m[1] for line in lines if (m := TARGETS.match(line))]
    yield from _freed(lines, 4, {name for several in targets for name in several.split(", ")})


def _freed(lines: Sequence[str], indent: int, names: Collection[str]) -> Iterator[str]:
    """Yield lines of one indentation, with `names` let go of that nothing after these lines uses."""
    statements = _statements(lines, indent)
    last: dict[str, int] = {}
    for position, statement in enumerate(statements):
        last.update(dict.fromkeys(re.findall(rf"\b{NAME}\b", "\n".join(statement)), position))
    ends: dict[int, list[str]] = {}
    for name, position in last.items():
        if name in names:
            ends.setdefault(position, []).append(name)
    for position, statement in enumerate(statements):
        dead = ends.get(position, [])
        if statement[0].startswith(" " * indent + "if "):
            yield statement[0]
            yield from _freed(statement[1:], indent + 4, dead)
        else:
            yield from statement
        if dead and position < len(statements) - 1:
            yield f"{' ' * indent}{' = '.join(dead)} = None"


def _statements(lines: Sequence[str], indent: int) -> list[list[str]]:
    """Return the lines in groups that each start at this indentation."""
    groups: list[list[str]] = []
    margin = " " * indent
    for line in lines:
        if groups and line.startswith((f"{margin} ", f"{margin}except", f"{margin}else")):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups
