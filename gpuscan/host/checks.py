"""What the generated text of a loop calls: checks before, while and after it runs, and the stacking of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numpy.linalg import LinAlgError

from gpuscan.errors import DtypeError, LoopError, counted
from gpuscan.graph import Apply, Shape, TensorType
from gpuscan.loop import Loop, Scan, bind_loop

MOST_BOUND = 256  # sets of shapes remembered for one loop; a program that meets more pays again for some


def checked_length(title: str, length: Any, margins: Sequence[tuple[str, int]], *rows: int) -> int:
    """Return the number of steps as an int.

    Parameters
    ----------
    title : str
        What messages call the loop.
    length : integer scalar
        The number of steps asked for.
    margins : sequence of (str, int)
        Name and margin of each sequence.
    *rows : int
        How many rows each sequence has.

    Raises
    ------
    LoopError
        If it is negative, or a sequence has too few rows for it.
    """
    steps = int(length)
    for (name, margin), available in zip(margins, rows, strict=True):
        if available < margin:
            raise _too_short(title, name, available, f"its taps need {margin} or more")
        if available < steps + margin:
            asked = "1 step needs" if steps == 1 else f"{steps} steps need"
            raise _too_short(title, name, available, f"{asked} {steps + margin}")
    if steps < 0:
        raise LoopError(f"{title}: n_steps must not be negative; found {steps}")
    return steps


def _too_short(title: str, name: str, rows: int, needed: str) -> LoopError:
    return LoopError(f"{title}: sequence {name!r} has {counted(rows, 'row')} along its first axis; {needed}")


def check_past(title: str, name: str, depth: int, rows: int) -> None:
    """Raise LoopError if a state has fewer initial values than its taps need."""
    if rows < depth:
        raise LoopError(
            f"{title}: the initial value of state {name!r} has {counted(rows, 'row')} along its first axis; its taps "
            f"need {depth}"
        )


class BoundLoops(dict[tuple[tuple[int, ...], ...], Loop]):
    """The loop of a node for each set of shapes that its inputs had: rows' shapes for sequences, whole ones for others.

    A set met for the first time is checked: nothing has to be while the loop runs.
    """

    def __init__(self, node: Apply) -> None:
        super().__init__()
        assert isinstance(node.op, Scan)
        self.node = node
        self.sequences = len(node.op.sequences)

    def __missing__(self, shapes: tuple[tuple[int, ...], ...]) -> Loop:
        whole: list[Shape] = [(None, *s) if i < self.sequences else s for i, s in enumerate(shapes)]
        loop = bind_loop(self.node, whole)
        if len(self) >= MOST_BOUND:
            self.clear()
        self[shapes] = loop
        return loop


def check_state(name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Raise LoopError if a step changed the shape of a state whose sizes depend on values."""
    if expected != found:
        raise LoopError(
            f"state {name!r} has shape {expected} before the step and {found} after it. A state keeps its shape; give "
            "it an initial value of the shape that the step returns."
        )


def check_emit(name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Raise LoopError if an output has not the shape it had at an earlier step."""
    if expected != found:
        raise LoopError(f"output {name!r} has shape {found}, but {expected} at an earlier step; rows have one shape")


def check_type(name: str, value: Any, expected: TensorType) -> None:
    """Raise an error if a value computed by a step is not of the type inferred for it, a fault of gpuscan's own.

    Raises
    ------
    DtypeError
        Naming the record and both types.
    """
    if value.dtype.name != expected.dtype or value.ndim != expected.ndim:
        raise DtypeError(f"{name!r} should be {expected}; a step computed {value.dtype}{list(value.shape)}")


def failed_step(title: str, step: int, error: Exception) -> Exception:
    """Return the error to raise where a step failed: which step of which loop, and what NumPy or a loop inside said."""
    kinds = (IndexError, LinAlgError, AssertionError, FloatingPointError)
    return next((kind for kind in kinds if isinstance(error, kind)), LoopError)(f"{title}, step {step}: {error}")


def stack_rows(join: Callable[[list[Any]], Any], title: str, name: str, rows: Iterable[Any]) -> Any:
    """Return rows kept one by one as one array.

    Raises
    ------
    LoopError
        If they have different shapes.
    """
    rows = list(rows)
    for row in rows[1:]:
        if row.shape != rows[0].shape:
            raise LoopError(
                f"{title}: output {name!r} has shape {rows[0].shape} at one step and {row.shape} at another; rows have "
                "one shape"
            )
    return join(rows)


def empty_rows(loop: Loop, name: str, empty: Callable[[tuple[int, ...], str], Any]) -> Any:
    """Return the rows of a loop that ran no step, of the shape that they would have had."""
    value = loop.value_of(name)
    # A size that depends on values of steps that never ran is 0.
    return empty((0, *(size or 0 for size in value.type.shape)), value.dtype)
