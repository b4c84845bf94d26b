"""Which nodes a piece of the user's code made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuscan.graph.variable import Apply

MADE: ContextVar[list[Apply] | None] = ContextVar("MADE", default=None)
"""Where nodes are noted as they are made, in this thread; None: nowhere."""


@contextmanager
def nodes_made() -> Iterator[list[Apply]]:
    """Note the nodes made inside the ``with`` block, in order, in the list that it is given."""
    outer = MADE.get()
    made: list[Apply] = []
    token = MADE.set(made)
    try:
        yield made
    finally:
        MADE.reset(token)
        if outer is not None:
            outer.extend(made)
