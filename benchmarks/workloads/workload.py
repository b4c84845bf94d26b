"""What a workload is: one program in several sizes, what it should compute, and how fast that can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gpuscan as gs

Sizes = Mapping[str, int]
Arrays = list[Any]


@dataclass(frozen=True)
class Program:
    """A graph as a user writes it: what `gpuscan.function` is called with."""

    inputs: Sequence[gs.Variable]
    outputs: Sequence[gs.Variable]

    def compile(self, device: str, placement: str = "auto") -> gs.Function:
        """Return the function of `inputs` on a device."""
        return gs.function(list(self.inputs), list(self.outputs), device=device, placement=placement)


@dataclass(frozen=True)
class Floor:
    """The least time in which one H200 can do the work, and what sets it."""

    seconds: float
    bound: str


@dataclass(frozen=True)
class Lanes:
    """Where independent lanes stand in the inputs and outputs, so that some of a large run can be computed again.

    Attributes
    ----------
    inputs, outputs : tuple of int or None
        An axis for each; None for one that all lanes share.
    size : str
        Which of the sizes counts the lanes.
    anywhere : bool
        Whether any lanes will do, so that they are taken from all over; random draws repeat for the first lanes only.
    """

    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    size: str = "lanes"
    anywhere: bool = True

    def picked(self, count: int, lanes: int) -> slice:
        """Return where `count` of the lanes stand, or some more, or all if there are no more."""
        return slice(None, None, max(lanes // count, 1)) if self.anywhere else slice(count)


def take_lanes(
    arrays: Sequence[Any], axes: Sequence[int | None], lanes: slice, to_host: Callable[[Any], np.ndarray]
) -> Arrays:
    """Return only these lanes of arrays, on the host, and whole what has none."""
    return [
        to_host(a if axis is None else a[(*[slice(None)] * axis, lanes)]) for a, axis in zip(arrays, axes, strict=True)
    ]


@dataclass(frozen=True)
class Peer:
    """The same computation in another library, or in CUDA by hand.

    Attributes
    ----------
    name : str
        For people: library and way.
    library : {"jax", "torch", "cupy"}
        What is imported, and how its calls are timed.
    make : callable
        From sizes and the workload's inputs as that library's arrays to a call without arguments, which returns the
        outputs as a list in the workload's order and shapes; fewer if the others are by-products.
    dtype : str
        Of the arithmetic. 16-bit peers are faster than what runs in float32 may be, and are listed apart.
    same_draws : bool
        Whether it computes the same numbers; libraries draw different ones.
    """

    name: str
    library: str
    make: Callable[[Sizes, Arrays], Callable[[], Arrays]]
    dtype: str = "float32"
    same_draws: bool = True


@dataclass(frozen=True)
class Workload:
    """One computation that people run.

    Attributes
    ----------
    row : int
        Its number in the list of workloads; variants of one have the same.
    name : str
        Unique, in lower case.
    maths : str
        What is computed.
    build : callable
        From sizes and a dtype to the program.
    make_inputs : callable
        From a random generator, sizes and a dtype to the program's inputs. It draws by ``rng.standard_normal(shape,
        dtype)`` and ``rng.random(shape, dtype)`` alone, which NumPy's and CuPy's generators both have.
    reference : callable
        From sizes and inputs in float64 to the outputs: plain NumPy.
    floor : callable
        From sizes to a `Floor`.
    full, test : mapping of str to int
        Sizes worth measuring, and sizes that take the emulator seconds.
    check : Lanes or mapping of str to int
        How the results of a large run are checked: on some of its lanes, or, where lanes meet as they do in the
        gradient of weights, by another run of these sizes.
    tolerance : float
        What float32 may differ by from the reference, relative to the largest value of an output; see the file for why.
    checked_lanes : int
        How many lanes of the full number of steps NumPy computes again in about a second. Odd, so that they do not
        all stand in one column of a picture.
    peers : tuple of Peer
    """

    row: int
    name: str
    maths: str
    build: Callable[[Sizes, str], Program]
    make_inputs: Callable[[Any, Sizes, str], Arrays]
    reference: Callable[..., Arrays]
    floor: Callable[[Sizes], Floor]
    full: Sizes
    test: Sizes
    check: Lanes | Sizes
    tolerance: float
    checked_lanes: int = 61
    peers: tuple[Peer, ...] = field(default=())


def in_double(arrays: Sequence[Any]) -> Arrays:
    """Return arrays on the host with their floats in float64."""
    return [a.astype(np.float64) if a.dtype.kind == "f" else a for a in map(np.asarray, arrays)]


def worst_error(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the largest difference, relative to the largest value of each array."""
    return max(_error(f, e) for f, e in zip(found, expected, strict=True))


def _error(found: Any, expected: Any) -> float:
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        raise ValueError(f"found shape {found.shape}, expected {expected.shape}")
    scale = max(float(np.abs(expected).max()), 1e-300) if expected.size else 1.0
    difference = np.abs(found.astype(np.float64) - expected)
    return float(difference.max() / scale) if expected.size else 0.0


def scaled(sizes: Sizes, factor: int) -> Sizes:
    """Return sizes of a run that is shorter by a factor: fewer steps, or lanes of what has no steps."""
    which = next(name for name in ("segments", "steps", "lanes") if name in sizes)
    unit = sizes.get("width", 1)  # a picture has whole rows
    return {**sizes, which: max(sizes[which] // factor // unit, 1) * unit}
