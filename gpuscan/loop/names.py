"""Names for records, and for the values that they are made of."""

from __future__ import annotations

from collections.abc import Iterable

from gpuscan.graph import Variable


class Names:
    """Hands out names that differ from each other and from those taken already."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._used = set(taken)

    def unique(self, name: str) -> str:
        """Return `name`, numbered if it is taken."""
        candidate, count = name, 1
        while candidate in self._used:
            count += 1
            candidate = f"{name}_{count}"
        self._used.add(candidate)
        return candidate


def value_name(v: Variable, otherwise: str = "") -> str:
    """Return the name of a value, else that of the op that computes it, else `otherwise`."""
    return v.name or (v.owner.op.name if v.owner is not None else otherwise)
