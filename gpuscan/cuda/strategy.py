"""What a team is to the planner, and what goes through device memory whichever team runs a loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan, Traffic, row_of
from gpuscan.cuda.step.analysis import Analysis
from gpuscan.graph import TensorType
from gpuscan.loop import Loop, result_type


class Strategy(ABC):
    """One team: whether it takes a loop, and how."""

    team: ClassVar[str]

    @abstractmethod
    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        """Return why this team does not take a loop, None if it does."""

    def decline(self, analysis: Analysis, gpu: GPU, steps: int | None) -> str | None:
        """Return why others run a loop faster, None if that is for the estimates to say.

        Parameters
        ----------
        analysis : Analysis
            Of a loop that this team has not refused.
        gpu : GPU
            What to plan for.
        steps : int or None
            How many steps the call has, where that is known.
        """
        return None

    @abstractmethod
    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        """Return the ways in which this team runs a loop that it has not refused; any of them may find no room."""


def window(offsets: Collection[int]) -> int:
    """Return how many rows of a sequence a thread keeps, so that each is read from memory once."""
    return max(offsets) - min(offsets) + 1 if offsets else 0


def traffic_of(loop: Loop) -> Traffic:
    """Return the bytes of a loop that reads every input once and writes every result once."""
    once = sum(_bytes(s.init.type) for s in loop.states) + sum(_bytes(n.source.type) for n in loop.non_sequences)
    per_step = 0
    for s in loop.sequences:
        row = _row_bytes(s.source.dtype, s.source.type.shape[1:])
        per_step += row if s.reads else 0
        once += (window(s.reads) - 1) * row if s.reads else 0
    for result in loop.results:
        if result.kind == "steps":
            continue
        value = loop.value_of(result.record)
        row = _row_bytes(value.dtype, row_of(value))
        if result.kind == "history":
            per_step += row
        elif result.kind == "part" and result.stop is None:
            per_step += row // result.every
        elif result.kind == "part":
            once += row * result.count(result.stop or 0)
        elif result.kind == "last":
            once += row * result.rows
        else:
            once += _bytes(result_type(loop, result))
    return Traffic(once, per_step)


def _bytes(type_: TensorType) -> int:
    return _row_bytes(type_.dtype, type_.shape)


def _row_bytes(dtype: str, shape: tuple[int | None, ...]) -> int:
    return int(np.prod([n for n in shape if n is not None], dtype=np.int64)) * np.dtype(dtype).itemsize
