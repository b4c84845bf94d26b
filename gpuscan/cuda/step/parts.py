"""Where a step writes of what is kept of every few steps, or of the first ones."""

from __future__ import annotations

from gpuscan.loop import Result


def part_of(result: Result, step: str) -> tuple[str, str]:
    """Return the row of a ``part`` of a history that step `step` fills, and the ``if`` for the steps that fill one."""
    since = f"({step} - {result.first})" if result.first else step
    conditions = [f"{step} >= {result.first}"] if result.first else []
    conditions += [f"{step} < {result.stop}"] if result.stop is not None else []
    conditions += [f"{since} % {result.every} == 0"] if result.every > 1 else []
    return f"({since} / {result.every})" if result.every > 1 else since, f"if ({' && '.join(conditions)}) "
