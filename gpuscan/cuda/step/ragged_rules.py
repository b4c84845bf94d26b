"""The rules for rows whose number only a run tells, by op: `ragged` and `ragged_parts` write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuscan.cuda.step.room import Room, Rows
from gpuscan.graph import Apply, RuleTable, Variable

Found = Rows | Variable | None
"""What stands for a result: an array with room and a count, a value of known shape, or nothing where no rule holds."""

Rule = Callable[[Room, Any, Apply], Found]
RULES: RuleTable[Rule] = RuleTable()
rule = RULES.rule
