"""Functions by the class of op that they are for: what each consumer of graphs says of the ops that it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, final

Rule = TypeVar("Rule", bound=Callable[..., object])


@final
class RuleTable(dict[type, Rule]):
    """A consumer's rules; who reads it has to have imported the files whose functions are in it."""

    def rule(self, *ops: type) -> Callable[[Rule], Rule]:
        """Register the decorated function as the rule of ops."""

        def register(function: Rule) -> Rule:
            self.update(dict.fromkeys(ops, function))
            return function

        return register
