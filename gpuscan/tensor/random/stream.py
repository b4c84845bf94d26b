"""Streams: random states that functions advance by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, final

import numpy as np

from gpuscan.graph import SharedVariable, Variable
from gpuscan.tensor.random.functions import FUNCTIONS
from gpuscan.tensor.random.state import STATE_TYPE, is_generator, seeded_state, state_of_generator

_noting: ContextVar[list[SharedVariable] | None] = ContextVar("noting", default=None)


@contextmanager
def noted_states() -> Iterator[list[SharedVariable]]:
    """Give the list to which every state is added that a stream makes inside the ``with`` block.

    `scan` learns by it which draws belong to a step: a draw made outside of the step, and used in it, is made once.
    """
    states: list[SharedVariable] = []
    token = _noting.set(states)
    try:
        yield states
    finally:
        _noting.reset(token)


@final
class RandomStream:
    """Draws whose random states advance by themselves.

    It has a method for each function of `gpuscan.tensor.random` that draws, without `rng`. Every call of one makes a
    shared random state, whose key is a hash of the seed and of how many states the stream made before, and whose
    default update is the draw's next state. Functions apply default updates; inside `scan` the state is carried from
    step to step, and what `scan` returns as updates must be passed on.

    Parameters
    ----------
    seed : None, int, sequence of int or numpy.random.Generator, optional
        The same seed, and the same calls in the same order, give the same numbers. None takes entropy from the
        operating system.

    Attributes
    ----------
    state_updates : list of (SharedVariable, Variable)
        Each state it made, with the state after the draw.

    Examples
    --------
    >>> import gpuscan as gs, gpuscan.tensor as gt
    >>> stream = gt.random.RandomStream(seed=7)
    >>> draw = gs.function([], stream.normal(0, 1, size=3))
    >>> bool((draw() == draw()).any())
    False
    """

    def __init__(self, seed: Any = None) -> None:
        self.state_updates: list[tuple[SharedVariable, Variable]] = []
        self._entropy = _entropy(seed)

    def seed(self, seed: Any = None) -> None:
        """Start every state of the stream anew, from another seed; a stream made with that seed gives the same."""
        self._entropy = _entropy(seed)
        for index, (state, _) in enumerate(self.state_updates):
            state.set_value(seeded_state(self._entropy, index))

    def __getattr__(self, name: str) -> Callable[..., Variable]:
        if name not in FUNCTIONS:
            raise AttributeError(f"a RandomStream has no {name!r}; it draws {', '.join(FUNCTIONS)}")

        def method(*args: Any, **kwargs: Any) -> Variable:
            return self._draw(name, args, kwargs)

        method.__name__, method.__doc__ = name, FUNCTIONS[name].__doc__
        return method

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *FUNCTIONS]

    def _draw(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Variable:
        if "rng" in kwargs:
            raise TypeError(f"RandomStream.{name} takes no rng: the stream makes the random state itself")
        index = len(self.state_updates)
        state = SharedVariable(seeded_state(self._entropy, index), f"{name}_state_{index}", STATE_TYPE.shape)
        sample = FUNCTIONS[name](*args, rng=state, **kwargs)
        assert sample.owner is not None
        state.default_update = sample.owner.outputs[0]
        self.state_updates.append((state, state.default_update))
        if (noted := _noting.get()) is not None:
            noted.append(state)
        return sample


def _entropy(seed: Any) -> Any:
    """Return what NumPy hashes for a seed: of a Generator its key, for None new entropy."""
    if is_generator(seed):
        return int(state_of_generator(seed)[0])
    return np.random.SeedSequence(seed).entropy
