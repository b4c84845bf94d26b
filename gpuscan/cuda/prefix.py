"""The team that is parallel along time: several threads for one lane, where lanes are too few to fill a GPU.

The floor is the bytes: inputs read once, results written once, so 12 a step for float32 ``h = a * h + b``. The rows of
a tile go through shared memory, so that loads and stores are coalesced whatever the number of lanes: one lane's
elements are neighbours along time, and a few lanes' along both. Short of the floor stay

- lanes that are no power of 2 under 32: a tile has threads for the next power of 2, and the rest of them idle;
- rows of which the loop uses a narrow part, as a sequence with a row for each lane beside states of more lanes: its
  elements are loaded once for each lane that reads them, from caches;
- several taps of one sequence: each is loaded by itself, from caches after the first;
- tiles that go step by step, because composing their steps would overflow or lose digits (see kernels/prefix.cuh).

What a run gives
----------------
Integers, booleans, maxima and minima are exactly what the serial loop gives. Sums and linear recurrences of floats are
rounded in another order: of ``s_t = a_t s_(t-1) + b_t`` the error stays below ``c t eps sum_j |a_t ... a_(j+1) b_j|``,
the initial state being b_0, with a small c, as it does in the serial loop; of float32 steps are composed in float64. A
run repeats to the last bit. Two things differ at the ends of the range. A float64 state that shrinks by over 2^1022
within a tile and grows again is taken to have been 0; and a float32 state that overflows on the way, but whose factors
or terms bring it back into range, is infinite until its thread's steps end and not from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from gpuscan.cuda.estimate import estimate_prefix
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.prefix_tiling import BLOCKS_PER_SM, MOST_BYTES, STEPS, THREADS, slots_of, tiling_of
from gpuscan.cuda.recurrences import HANDED_ON, find_stages
from gpuscan.cuda.step.analysis import Analysis, refuse_any_team
from gpuscan.cuda.step.body import operands_of
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.strategy import Strategy, traffic_of
from gpuscan.tensor.creation import Arange, Eye
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.shaping import DimShuffle, Reshape

LANES_PER_SM = 128
"""With this many lanes for each SM a thread a lane has all the GPU's arithmetic at work and enough loads under way to
reach most of its bandwidth; then nothing is won by more threads, and the work of composing steps is lost."""

LEAST_STEPS = 2048
"""A step of the thread team takes some 10 ns, however few the lanes; starting this team, waiting for the tile before
and composing take some 10 us, about a thousand steps. A number of steps that is not known yet is taken to be larger."""

OPS = (Pointwise, Cast, DimShuffle, Reshape, Arange, Eye, *HANDED_ON)
"""What a step may consist of: of one element of every operand all of them make one element."""


@final
class PrefixTeam(Strategy):
    """Threads along time: states whose steps can be composed, their values before each tile found by looking back.

    Whether it pays depends on the number of steps, which no plan knows: the runner asks at each call which side of
    `LEAST_STEPS` it is on, and keeps a plan for each side. A new length compiles nothing unless it is the first beyond
    that border. The kernel is right for any length.
    """

    team = "prefix"

    def refuse(self, analysis: Analysis, gpu: GPU) -> str | None:
        if analysis.loop.stop is not None:
            return "the loop stops on a condition"
        if not analysis.loop.states:
            return "no state is carried: steps need not wait for each other"
        if (reason := refuse_any_team(analysis) or _refuse_step(analysis)) is not None:
            return reason
        stages = find_stages(analysis.loop)
        if isinstance(stages, str):
            return stages
        if (size := slots_of(analysis.loop).size * THREADS * STEPS[-1]) > MOST_BYTES:
            return f"a block's rows take {size} bytes of shared memory; there is room for {MOST_BYTES}"
        return None

    def decline(self, analysis: Analysis, gpu: GPU, steps: int | None) -> str | None:
        lanes = analysis.lanes.count
        if lanes >= (enough := LANES_PER_SM * gpu.sms):
            return f"{lanes} lanes fill the GPU with a thread each; {enough} do"
        steps = analysis.loop.length.known if steps is None else steps
        if steps is not None and steps < LEAST_STEPS:
            return f"{steps} steps are done sooner one after the other; {LEAST_STEPS} are not"
        return None

    def plans(self, analysis: Analysis, gpu: GPU) -> Sequence[KernelPlan]:
        lanes, traffic = analysis.lanes.count, traffic_of(analysis.loop)
        tiling = tiling_of(analysis.loop, lanes)
        found = KernelPlan(
            team=self.team,
            loop=analysis.loop,
            opened=analysis.opened,
            lanes=analysis.lanes,
            shape=Team("thread", block=tiling.threads, blocks=gpu.sms * BLOCKS_PER_SM if lanes else 0),
            traffic=traffic,
            estimate=estimate_prefix(analysis, tiling.span, gpu, traffic.per_step),
        )
        return [found]


def _refuse_step(analysis: Analysis) -> str | None:
    if analysis.random:
        return "draws follow each other"
    if analysis.totals:
        return f"state {analysis.totals[0].state!r} adds up over lanes"
    for node in analysis.nodes():
        if not isinstance(node.op, OPS):
            return f"{node.op} is no arithmetic on one element"
    for v in (*analysis.loop.outputs, *(v for node in analysis.nodes() for v in (*operands_of(node), *node.outputs))):
        if (count := analysis.elements(v)) > 1:
            return f"a lane has {count} elements of {v!r}"
    return None
