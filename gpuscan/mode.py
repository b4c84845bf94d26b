"""What `function` and `scan` can be told about where to run and how far to rewrite a graph first."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import final

from gpuscan.config import DEVICE_PATTERN, config

QUICK = frozenset(
    {"drop_barriers", "merge_equal", "count_steps", "keep_last", "drop_unread"}
)  # what "fast_compile" leaves of the rewrites
OPTIMIZERS = ("fast_run", "fast_compile", "None")


@final
@dataclass(frozen=True)
class Mode:
    """Where a function runs, and which rewrites its graph goes through.

    Attributes
    ----------
    device : str or None
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``emulator``; None leaves the choice to ``config.device``.
    optimizer : str
        ``fast_run`` for all rewrites, ``fast_compile`` for those that take next to no time, ``None`` for none.
    excluded, included : frozenset of str
        Rewrites to leave out of those, and to take besides. Names that are no rewrite's mean nothing, so that a
        program that leaves out one of another library's rewrites runs.
    eager : bool
        Whether to run step by step in Python, for a debugger to look at.
    """

    device: str | None = None
    optimizer: str | None = "fast_run"
    excluded: frozenset[str] = frozenset()
    included: frozenset[str] = frozenset()
    eager: bool = False

    def __post_init__(self) -> None:
        if self.device is not None and not re.fullmatch(DEVICE_PATTERN, self.device):
            raise ValueError(
                f"Mode: there is no device {self.device!r}; use 'auto', 'cpu', 'cuda', 'cuda:1' or 'emulator'"
            )
        if str(self.optimizer) not in OPTIMIZERS:
            raise ValueError(f"Mode: optimizer must be one of {', '.join(OPTIMIZERS)}; found {self.optimizer!r}")

    def excluding(self, *names: str) -> Mode:
        """Return a mode that leaves out the rewrites of these names."""
        return replace(self, excluded=self.excluded | set(names), included=self.included - set(names))

    def including(self, *names: str) -> Mode:
        """Return a mode that takes the rewrites of these names too."""
        return replace(self, excluded=self.excluded - set(names), included=self.included | set(names))

    def within(self, inner: Mode) -> Mode:
        """Return `inner`, the mode of a part of a graph of this mode, without what this mode leaves out by name."""
        return inner.excluding(*self.excluded)

    def allows(self, rewrite: str) -> bool:
        """Whether a graph goes through the rewrite of that name."""
        if rewrite in self.excluded or rewrite in self.included:
            return rewrite in self.included
        return self.optimizer == "fast_run" or (self.optimizer == "fast_compile" and rewrite in QUICK)


NAMED = {
    "FAST_RUN": Mode(),
    "FAST_COMPILE": Mode(optimizer="fast_compile"),
    "eager": Mode(eager=True),
}


def get_mode(mode: Mode | str | None = None) -> Mode:
    """Return the mode of that name; without one, the mode that ``config.mode`` names.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> import gpuscan as gs
    >>> gs.get_mode("FAST_RUN").excluding("keep_last").allows("keep_last")
    False
    """
    if isinstance(mode, Mode):
        return mode
    name = config.mode if mode is None else mode
    if isinstance(name, str) and re.fullmatch(DEVICE_PATTERN, name):
        return Mode(name)
    if name not in NAMED:
        raise ValueError(
            f"there is no mode {name!r}; use {', '.join(map(repr, NAMED))}, a device such as 'cpu', 'cuda' or "
            "'emulator', or a gpuscan.Mode"
        )
    return NAMED[name]
