"""How a thread's registers are shared out: what each kind of value may have, for plans and for texts alike.

The compiler is not asked: the bounds leave it enough for what it computes in between, so that nothing is spilled.
"""

from __future__ import annotations

from gpuscan.cuda.step.team import Team

REGISTERS_PER_THREAD = 255
"""32-bit registers of a thread."""

REGISTERS_PER_SM = 65536
"""32-bit registers of an SM, on every architecture since Maxwell."""

KEPT_FREE = 88
"""Registers of a thread that states, sums and weights leave for everything else."""

MOST_OWN = 64
"""32-bit registers of a value up to which a thread of a larger team keeps its elements there."""

MOST_HELD = 32
"""32-bit registers of a non-sequence up to which a thread keeps it for the whole loop."""

MOST_AHEAD = 8
"""32-bit registers of a row of a sequence up to which a thread loads it ahead of its use."""


def most_per_thread(team: Team) -> int:
    """Return how many 32-bit registers each thread of a team can have."""
    return min(REGISTERS_PER_THREAD, REGISTERS_PER_SM // team.block)


def registers_for_weights(team: Team, busy: int) -> int:
    """Return how many 32-bit registers of each thread weights may take, where `busy` ones hold states and sums."""
    return most_per_thread(team) - KEPT_FREE - busy
