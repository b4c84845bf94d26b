"""What `function` and `scan` can be told about where to run and how far to rewrite a graph first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

from gpuscan.config import DEVICE_PATTERN, config

QUICK = frozenset(
    {"drop_barriers", "merge_equal", "count_steps", "keep_last", "drop_unread"}
)  # what "fast_compile" leaves of the rewrites
REWRITES: dict[str, None] = {}
"""The names of all rewrites, in their order; `gpuscan.rewrite` fills it when it is imported."""

FOREIGN = frozenset(
    {"fusion", "inplace", "merge", "blas", "BlasOpt", "canonicalize", "stabilize", "specialize", "scan", "gpuarray"}
    | {"fast_run", "fast_compile", "cxx_only", "elemwise_fusion", "local_elemwise_fusion", "constant_folding"}
    | {"scan_pushout", "scan_save_mem", "scan_merge", "scan_make_inplace", "ShapeOpt", "uncanonicalize"}
)
"""Names that programs written for Theano and its successors leave out or take in; they mean nothing here."""

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
        Rewrites to leave out of those, and to take besides. The best known names of Theano's and PyTensor's rewrites,
        `FOREIGN`, mean nothing, so that programs with them run; any other unknown name is an error.
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
        check_rewrites((self.excluded | self.included) - FOREIGN, "Mode")

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


def check_rewrites(names: Iterable[str], what: str) -> None:
    """Raise ValueError, listing all rewrites, if one of `names` is no rewrite's; `what` said it."""
    if unknown := sorted(name for name in names if name not in REWRITES):
        raise ValueError(f"{what}: there is no rewrite {unknown[0]!r}; there are {', '.join(REWRITES)}")


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
