"""Random programs of many steps: the same text on arrays and on variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tensor.agree import agree

STEPS: list[Callable[[Any], Any]] = [
    lambda x: x.T,
    lambda x: x.reshape(-1),
    lambda x: x.reshape((x.shape[0], -1)),
    lambda x: np.reshape(x, (*x.shape[1:], x.shape[0])),
    lambda x: x.flatten()[: x.size // 2 + 1],
    lambda x: np.tile(x, 2),
    lambda x: np.repeat(x, 2, axis=0),
    lambda x: np.concatenate([x, 2 * x], axis=-1),
    lambda x: np.stack([x, -x], axis=1),
    lambda x: np.expand_dims(x, 0),
    lambda x: x[::2],
    lambda x: x[..., ::-1],
    lambda x: x[x.shape[0] // 2 :],
    lambda x: x[[0, -1]],
    lambda x: x[:1],
    lambda x: x[-1],
    lambda x: x[None, :, [0, 0]] if np.ndim(x) > 1 else x[None],
    lambda x: x[None].sum(axis=-1),
    lambda x: np.max(x[None], axis=-1, keepdims=True) + x,
    lambda x: x - x.mean(),
    lambda x: np.argmax(x[None], axis=-1) * 0.5,
    lambda x: np.where(x > 0, x, 0.25),
    lambda x: np.broadcast_to(x, (2, *x.shape)),
    lambda x: np.zeros_like(x[:1]) + x,
    lambda x: np.outer(x, x[0]),
    lambda x: np.dot(x, np.swapaxes(x, -1, 0)),
    lambda x: np.split(x, 1, axis=0)[0],
    lambda x: np.moveaxis(x, 0, -1),
    lambda x: np.tanh(x),
    lambda x: x * np.linspace(0, 1, 3)[:, None, None],
]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.lists(st.sampled_from(range(len(STEPS))), max_size=8))
@settings(max_examples=200)
def test_a_program_of_many_steps(shape: list[int], steps: list[int]) -> None:
    """Also: the types of the specialised graph say every size of the result."""
    x = np.sin(1.0 + np.arange(np.prod(shape, dtype=int))).reshape(shape)
    program, array = [], x
    for step in steps:
        try:
            after = np.asarray(STEPS[step](array))
        except (ValueError, IndexError):  # this step does not fit what the ones before made
            continue
        if 0 < after.size < 1000 and 0 < after.ndim < 6:
            array = after
            program.append(STEPS[step])

    def build(value: Any) -> Any:
        for step in program:
            value = step(value)
        return value

    agree(build, array, x)
