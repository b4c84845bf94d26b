"""The draws of a workload's random state, as an array: what its plain NumPy reference computes with."""

from __future__ import annotations

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt

SEED = 7


def state() -> gs.SharedVariable:
    """Return the random state that workloads draw from. No update of it is stored, so every call draws the same."""
    return gs.shared(np.random.default_rng(SEED), "rng")


def normals(steps: int, draws: int, lanes: int, dtype: str) -> np.ndarray:
    """Return the standard normals that `draws` draws a step give `lanes` lanes, of shape (steps, draws, lanes).

    That a draw is the same on every device is tested elsewhere, against published numbers.
    """

    def step(rng: gs.Variable) -> list[gs.Variable]:
        samples = []
        for _ in range(draws):
            rng, z = rng.normal(size=lanes, dtype=dtype)
            samples.append(z)
        return [rng, gt.stack(samples)]

    (_, samples), _ = gs.scan(step, None, [state(), None], n_steps=steps)
    return np.asarray(gs.function([], samples, device="cpu")())
