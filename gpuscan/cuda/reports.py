"""What a kernel reported while it ran, as the error that the host raises: the other end of ``kernels/report.cuh``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MOST_CODES = 255
"""How many different failures one kernel can report."""

ALL_BITS = 2**64 - 1
LAST_LANE = 2**24 - 1


@dataclass(frozen=True)
class Failure:
    """What one code of a kernel's report means.

    Attributes
    ----------
    error : type
        What is raised: AssertionError for an assertion.
    message : str
        What it says, as the other devices say it: ``"the rate must be positive (asserted at model.py:7)"``.
    """

    error: type[Exception]
    message: str


class Reported(NamedTuple):
    """The first failure of a launch: the index of its meaning, the step and the lane."""

    code: int
    step: int
    lane: int


def read_report(word: int) -> Reported | None:
    """Return what the word that a launch left says, None if nothing failed."""
    if not word:
        return None
    key = ALL_BITS - int(word)
    return Reported(key & 0xFF, key >> 32, key >> 8 & LAST_LANE)


def report_error(title: str, meanings: Sequence[Failure], lanes: tuple[int, ...], reported: Reported) -> Exception:
    """Return the error to raise for a failure.

    Parameters
    ----------
    title : str
        What messages call the loop.
    meanings : sequence of Failure
        What each code means.
    lanes : tuple of int
        Sizes of the axes that the lanes are counted along; of a loop of one lane none is named.
    reported : Reported
        What failed first.
    """
    meaning = meanings[reported.code]
    return meaning.error(f"{title}, step {reported.step}{_lane(lanes, reported.lane)}: {meaning.message}")


def _lane(lanes: tuple[int, ...], lane: int) -> str:
    if not lanes:
        return ""
    if lane == LAST_LANE:
        return f", lane {lane} or a later one"
    where = [int(i) for i in np.unravel_index(lane, lanes)]
    return f", lane {where[0] if len(where) == 1 else tuple(where)}"
