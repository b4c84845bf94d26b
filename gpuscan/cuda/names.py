"""Names in kernel text: the user's own where they can be kept."""

from __future__ import annotations

import re

from gpuscan.loop import names


class Names(names.Names):
    """Hands out C identifiers that differ from each other."""

    def unique(self, name: str) -> str:
        """Return `name` as a C identifier, numbered if it is taken.

        Callers put a prefix of their own in front, so that no name is a keyword.
        """
        return super().unique(re.sub(r"[^A-Za-z0-9_]", "_", name))
