"""What a random state is: a key and the number of draws made from it, as an ordinary array of two uint64."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import TensorType, Variable

STATE_TYPE = TensorType("uint64", (2,))


def new_state(key: int) -> np.ndarray:
    """Return the state of a key from which nothing was drawn yet."""
    return np.array([key, 0], dtype=np.uint64)


def seeded_state(seed: Any, *path: int) -> np.ndarray:
    """Return a state whose key is NumPy's hash of a seed.

    Parameters
    ----------
    seed : None, int or sequence of int
        As for ``numpy.random.SeedSequence``; None takes entropy from the operating system.
    *path : int
        Which of the independent states that belong to this seed.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    return new_state(int(sequence.generate_state(1, np.uint64)[0]))


def is_generator(value: Any) -> bool:
    """Whether `value` is a NumPy Generator. NumPy imports its random module late, and this does not import it."""
    return hasattr(value, "bit_generator")


def state_of_generator(generator: Any) -> np.ndarray:
    """Return the state that stands for a NumPy Generator.

    Its key is a hash (BLAKE2b) of the bit generator's state, which is only read: the same Generator gives the same
    key until numbers are drawn from it. The numbers themselves are not those of NumPy.
    """
    text = json.dumps(_plain(generator.bit_generator.state), sort_keys=True)
    return new_state(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def check_state(variable: Variable, what: str) -> None:
    """Raise DtypeError or ShapeError if a variable cannot be a random state.

    Its length may be unknown; then it is checked when a draw runs.
    """
    make = "make one with gpuscan.tensor.random.default_rng(seed) or shared(numpy.random.default_rng(seed))"
    if variable.dtype != "uint64":
        raise DtypeError(f"{what}: rng must be a random state, {STATE_TYPE}; found {variable!r}; {make}")
    if variable.ndim != 1 or variable.type.shape[0] not in (None, 2):
        raise ShapeError(f"{what}: rng must be a random state, {STATE_TYPE}; found {variable!r}; {make}")
