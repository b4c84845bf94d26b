"""The arithmetic of recurrent cells, the same text for gpuscan, NumPy, JAX and PyTorch.

Each cell gets its library's functions; gates stand side by side along the last axis, in the order in which PyTorch has
them, so that the weights of all libraries are the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuscan.tensor as gt


@dataclass(frozen=True)
class Functions:
    """A library's words for what cells compute with."""

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


GPUSCAN = Functions(gt.tanh, gt.sigmoid)
NUMPY = Functions(np.tanh, _sigmoid)


def jax_functions() -> Functions:
    import jax
    import jax.numpy as jnp

    return Functions(jnp.tanh, jax.nn.sigmoid)


def lstm(f: Functions, size: int, z: Any, c: Any) -> tuple[Any, Any]:
    """Return h and c after a step: `z` holds the input, forget, cell and output gates before their functions."""
    i, forget, g, o = (z[..., k * size : (k + 1) * size] for k in range(4))
    c = f.sigmoid(forget) * c + f.sigmoid(i) * f.tanh(g)
    return f.sigmoid(o) * f.tanh(c), c


def gru(f: Functions, size: int, zx: Any, zh: Any, h: Any) -> Any:
    """Return h after a step, of reset, update and new gates, in Cho's form as PyTorch and cuDNN have it."""
    reset = f.sigmoid(zx[..., :size] + zh[..., :size])
    update = f.sigmoid(zx[..., size : 2 * size] + zh[..., size : 2 * size])
    new = f.tanh(zx[..., 2 * size :] + reset * zh[..., 2 * size :])
    return (1 - update) * new + update * h
