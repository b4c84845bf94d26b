"""The numbers that docs/kernels.md names are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpuscan.cuda import captured, grids, prefix, runner, step_plan, strategies, tiles
from gpuscan.cuda.step import folds, groups, loops, memory, registers, resident, tensor_cores

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "kernels.md").read_text(encoding="utf-8").split())

NUMBERS = [
    ("inner axes up to {}", strategies.WIDEST_OF_WARP),
    ("values of more than {} elements, four for each thread", strategies.WIDEST_OF_WARP),
    ("the compiler spills more than {} bytes", runner.MOST_SPILLED),
    ("1 where a step has more than {} operations", strategies.MOST_AHEAD_OPS),
    ("those of more than {} registers and those without room are read", registers.MOST_AHEAD),
    ("a lane that carries more than {} registers", strategies.MOST_REGISTERS_PER_LANE),
    ("fixed arrays of up to {})", registers.MOST_HELD),
    ("a step of more than {} operations", strategies.MOST_UNROLLED),
    ("more than {} registers carried by a thread", step_plan.MOST_REGISTERS_PER_RANK),
    ("more than {} registers from step to step", step_plan.MOST_REGISTERS_PER_RANK),
    ("can be written out, up to {}, and registers suffice", resident.MOST_WRITTEN_OUT),
    ("registers suffice: {}, and those of states and sums", registers.KEPT_FREE),
    ("keeps its own elements, up to {} registers", registers.MOST_HELD),
    ("would take a thread more than {} registers is in shared memory", registers.MOST_OWN),
    ("sums of {} terms or more, a rank has a column", grids.LONG_SUM),
    ("dealt out to {} threads an SM", grids.GRID_BLOCK),
    ("(under {} for each SM)", prefix.LANES_PER_SM),
    ("and {} steps or more, for which one thread a lane", prefix.LEAST_STEPS),
    ("Up to {} steps are recorded", captured.MOST_STEPS),
    ("the call has fewer than {} steps", captured.FEWEST_STEPS),
    ("that have {} rows or more in the team", tensor_cores.FEWEST_ROWS),
    ("in the team, {} terms and", tensor_cores.FEWEST_TERMS),
    ("terms and {} columns; their operands", tensor_cores.FEWEST_COLUMNS),
    ("up to {} KB for a product", tensor_cores.MOST_BYTES // 1024),
    ("(of {} sums or more each of a pair", folds.FEWEST_TOGETHER),
    ("loads or stores up to {} bytes of a thread", groups.WIDEST_LOAD),
    ("a multiple of {} bytes apart are in one bank", memory.BANK_BYTES),
    ("each has {} bytes more", memory.ALIGNMENT),
    ("a loop inside keeps more than {} KiB of rows", loops.MOST_KEPT_BYTES // 1024),
    ("so that no tile is ragged, and is at most {}", tiles.MOST_LANES),
]


@pytest.mark.parametrize(("phrase", "number"), NUMBERS, ids=[phrase for phrase, _ in NUMBERS])
def test_a_number_is_the_codes(phrase, number):
    before, after = map(re.escape, phrase.split("{}"))
    found = re.findall(rf"{before}(\d+){after}", TEXT)
    assert found, f"docs/kernels.md does not say {phrase!r}"
    assert set(map(int, found)) == {number}
