"""The arguments of `scan` that change how a loop is run, not what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuscan.config import config
from gpuscan.errors import LoopError
from gpuscan.loop.records import Options
from gpuscan.mode import Mode, get_mode


def read_options(truncate_gradient: Any, mode: Any, profile: Any, allow_gc: Any, checkpoint: Any) -> Options:
    """Return how a loop is to be run and differentiated.

    Raises
    ------
    LoopError
        If `truncate_gradient` is neither -1, None nor a positive integer, `checkpoint` is none of "auto", "sqrt", a
        positive integer and None, or there is no such mode.
    """
    return Options(
        truncate_gradient=_truncation(truncate_gradient),
        mode=None if mode is None else _mode(mode),
        checkpoint=_checkpoint(checkpoint),
        profile=bool(profile),
        keep_buffers=not (config.scan__allow_gc if allow_gc is None else allow_gc),
    )


def _truncation(steps: Any) -> int | None:
    if steps is None:
        return None
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < -1 or steps == 0:
        raise LoopError(
            "scan: truncate_gradient must be the number of steps that gradients go back through, at least 1, or -1 for "
            f"all; found {steps!r}"
        )
    return None if steps == -1 else int(steps)


def _checkpoint(steps: Any) -> Any:
    if steps in (None, "auto", "sqrt"):
        return steps
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise LoopError(
            f'scan: checkpoint must be "auto", "sqrt", a number of steps, at least 1, or None; found {steps!r}'
        )
    return int(steps)


def _mode(mode: Any) -> Mode:
    try:
        return get_mode(mode)
    except (TypeError, ValueError) as error:
        raise LoopError(f"scan: {error}") from None
