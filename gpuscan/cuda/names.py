"""Names in kernel text: the user's own where they can be kept."""

from __future__ import annotations

import re


class Names:
    """Hands out C identifiers that differ from each other."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def unique(self, name: str) -> str:
        """Return `name` as a C identifier, numbered if it is taken.

        Callers put a prefix of their own in front, so that no name is a keyword.
        """
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)
        candidate, count = base, 1
        while candidate in self._used:
            count += 1
            candidate = f"{base}_{count}"
        self._used.add(candidate)
        return candidate
