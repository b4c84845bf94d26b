"""Parts of a history, as every tenth row or the first few: which steps write a row, and which row that is."""

from __future__ import annotations

from gpuscan.loop import Result


def row_of_part(result: Result, step: str) -> tuple[str, str]:
    """Return the row of a ``part`` of a history that step `step` fills, and the ``if`` for the steps that fill one."""
    since = f"({step} - {result.first})" if result.first else step
    conditions = [f"{step} >= {result.first}"] if result.first else []
    conditions += [f"{step} < {result.stop}"] if result.stop is not None else []
    conditions += [f"{since} % {result.every} == 0"] if result.every > 1 else []
    return f"({since} / {result.every})" if result.every > 1 else since, f"if ({' && '.join(conditions)}) "
