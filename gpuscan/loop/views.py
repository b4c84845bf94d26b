"""Loops of a narrower kind, each written with `scan`: map, reduce, foldl, foldr, filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuscan.errors import LoopError
from gpuscan.graph import Variable
from gpuscan.loop.arguments import as_list, read_sequences
from gpuscan.loop.scan import scan
from gpuscan.mode import Mode
from gpuscan.tensor.shaping import dim


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int | None = -1,
    go_backwards: bool = False,
    mode: Mode | str | None = None,
    name: str | None = None,
    return_updates: bool = True,
) -> Any:
    """Apply a function to every row of sequences and stack what it returns.

    Parameters
    ----------
    fn : callable
        Takes a row of each sequence, then the non-sequences; no step sees another's result.
    sequences, non_sequences, truncate_gradient, go_backwards, mode, name, return_updates
        See `scan`. Going backwards, the last row's result is first.

    Returns
    -------
    outputs : Variable or list of Variable
        For each output of `fn` its values for all rows.
    updates : dict
        See `scan`; left out with ``return_updates=False``.
    """
    return scan(
        fn,
        sequences,
        None,
        non_sequences,
        truncate_gradient=truncate_gradient,
        go_backwards=go_backwards,
        mode=mode,
        name=name,
        return_updates=return_updates,
    )


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Mode | str | None = None,
    name: str | None = None,
    return_updates: bool = True,
) -> Any:
    """Combine the rows of sequences, one after another, into one value, the last that `fn` returns.

    Parameters
    ----------
    fn : callable
        Takes a row of each sequence, then the values so far, then the non-sequences; returns the new values.
    outputs_info
        The values before the first row; see `scan`. After no row they are the result.
    sequences, non_sequences, go_backwards, mode, name, return_updates
        See `scan`.

    Returns
    -------
    outputs : Variable or list of Variable
        For each output of `fn` its value at the last step.
    updates : dict
        See `scan`; left out with ``return_updates=False``.

    Examples
    --------
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> x = gt.vector("x")
    >>> horner, _ = gs.reduce(lambda digit, value: 10 * value + digit, x, gt.constant(0.0))
    >>> gs.function([x], horner)([1, 2, 3])
    array(123.)
    """
    found = scan(
        fn,
        sequences,
        outputs_info,
        non_sequences,
        go_backwards=go_backwards,
        mode=mode,
        name=name,
        return_updates=return_updates,
    )
    if return_updates:
        outputs, updates = found
        return _last(outputs), updates
    return _last(found)


def _last(outputs: Any) -> Any:
    """Return the last value of each history, in the form that `scan` gave them."""
    if outputs is None:
        return None
    return [history[-1] for history in outputs] if isinstance(outputs, list) else outputs[-1]


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Mode | str | None = None,
    name: str | None = None,
    return_updates: bool = True,
) -> Any:
    """Combine the rows of sequences into one value, from the first row to the last; see `reduce`."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name, return_updates)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Mode | str | None = None,
    name: str | None = None,
    return_updates: bool = True,
) -> Any:
    """Combine the rows of sequences into one value, from the last row to the first; see `reduce`."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name, return_updates)


def filter(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Mode | str | None = None,
    name: str | None = None,
) -> Any:
    """Keep the rows of sequences for which a condition holds.

    Parameters
    ----------
    fn : callable
        Takes a row of each sequence, then the non-sequences; returns one condition, a boolean scalar, for all
        sequences, or one for each.
    sequences, non_sequences, go_backwards, mode, name
        See `scan`; sequences have no taps. Going backwards, the last row kept is first.

    Returns
    -------
    Variable or list of Variable
        The rows kept of each sequence: a list if `sequences` is one. Rows past the end of the shortest are not kept.

    Raises
    ------
    LoopError
        If `fn` returns anything but conditions.
    """
    whole = [argument.source for argument in read_sequences(sequences)]
    if any(isinstance(entry, dict) for entry in as_list(sequences)):
        raise LoopError("filter: sequences have no taps; pass the sequences themselves")
    keep, updates = scan(
        fn, whole, None, non_sequences, go_backwards=go_backwards, mode=mode, name=name, return_list=True
    )
    if updates:
        raise LoopError("filter: the function must return conditions alone; it returned updates too")
    if len(keep or ()) not in (1, len(whole)) or any(k.ndim != 1 or k.dtype != "bool" for k in keep):
        found = ", ".join(str(k.type) for k in keep or ())
        raise LoopError(
            f"filter: the function must return one boolean scalar, or one for each of {len(whole)} sequences; over all "
            f"rows it returned {found or 'nothing'}"
        )
    keep = keep * len(whole) if len(keep) == 1 else keep
    kept = [_rows(source, go_backwards, k)[k] for source, k in zip(whole, keep, strict=True)]
    return kept if isinstance(sequences, list | tuple) else kept[0]


def _rows(source: Variable, backwards: bool, keep: Variable) -> Variable:
    """Return the rows of a sequence that have a condition, in the order of the conditions."""
    rows: Variable = source[::-1] if backwards else source
    same = source.type.shape[0] is not None and source.type.shape[0] == keep.type.shape[0]
    shorter: Variable = rows if same else rows[: dim(keep, 0)]
    return shorter


def scan_checkpoints(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    name: str = "checkpointscan_fn",
    n_steps: Any = None,
    save_every_N: int = 10,
    padding: bool = True,
) -> Any:
    """Build a loop whose gradient keeps one state in `save_every_N` and runs the steps between them again.

    ``scan(..., checkpoint=save_every_N)`` by an older name: any number of steps, taps, several states, conditions to
    stop and every output are possible.

    Parameters
    ----------
    fn, sequences, outputs_info, non_sequences, name, n_steps
        As for `scan`.
    save_every_N : int
        Of how many steps the gradient keeps one state.
    padding : bool
        Without effect: the number of steps need not be a multiple of `save_every_N`.

    Returns
    -------
    outputs, updates
        As for `scan`: the values after every step.

    Raises
    ------
    LoopError
        As `scan`.
    """
    return scan(fn, sequences, outputs_info, non_sequences, n_steps=n_steps, name=name, checkpoint=save_every_N)
