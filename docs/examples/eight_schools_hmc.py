"""Hamiltonian Monte Carlo as nested scans: the eight schools.

    python docs/examples/eight_schools_hmc.py --picture schools.png

Eight schools coached pupils for a test and each reports by how much that raised scores, with a standard error
(Rubin, 1981; Gelman et al., Bayesian Data Analysis, 3rd edition, section 5.5). The model says that the true effects
scatter around a common one: effect_j = mu + tau * z_j with z_j standard normal, mu normal with standard deviation 5,
tau half-Cauchy of scale 5. These are the priors under which the example is usually run; the posterior means are then
4.4 for mu and 3.6 for tau.

The outer loop makes one draw a step. The inner loop follows the Hamiltonian's path, and its step function calls
`gs.grad`. The axis in front is the chains', and no operation mixes them: they are lanes.

Momenta and the uniform numbers that decide about acceptance are drawn by NumPy and passed as sequences, so that all
devices walk the same chains. What the chains find is held against the exact posterior: given tau all else is
Gaussian, so a sum over a fine grid of tau is enough.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt

EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SCHOOLS = len(EFFECT)
SCALE = 5.0  # of the priors of mu and tau
NAMES = ["mu", "tau", *(f"school {letter}" for letter in "ABCDEFGH")]


@dataclass(frozen=True)
class Posterior:
    """Draws of mu, tau and the eight effects as (draw, chain, quantity), and what they are held against."""

    draws: np.ndarray
    means: np.ndarray
    standard_errors: np.ndarray
    shrinkage: np.ndarray  # split R-hat
    exact: np.ndarray
    accepted: float
    seconds: float


# ---- the model ----


def log_posterior(q: Any) -> Any:
    """Return the log density of each chain's point ``(mu, log tau, z_1, ..., z_8)``, up to a constant."""
    mu, log_tau, z = q[:, 0], q[:, 1], q[:, 2:]
    tau = gt.exp(log_tau)
    miss = (EFFECT - mu[:, None] - tau[:, None] * z) / ERROR
    # log_tau is added because it, not tau, is what moves: the logarithm of d tau / d log_tau.
    prior = log_tau - (mu / SCALE) ** 2 / 2 - gt.log1p((tau / SCALE) ** 2)
    return prior - (z**2).sum(axis=1) / 2 - (miss**2).sum(axis=1) / 2


def exact_means(points: int = 20_000) -> np.ndarray:
    """Return the posterior means of mu, tau and the effects, by a sum over tau.

    Given tau, effects are Gaussian with variance tau^2 around mu, and so are mu and each effect given the reports.
    """
    # tau = SCALE * tan(u) with u uniform on (0, pi/2) is half-Cauchy, so the prior is the grid itself.
    tau = SCALE * np.tan((np.arange(points) + 0.5) / points * np.pi / 2)[:, None]
    weight = 1 / (ERROR**2 + tau**2)
    precision = weight.sum(axis=1) + SCALE**-2
    mu = (weight * EFFECT).sum(axis=1) / precision
    log_evidence = 0.5 * (np.log(weight).sum(axis=1) - np.log(precision) - (weight * EFFECT**2).sum(axis=1))
    log_evidence += 0.5 * precision * mu**2
    p = np.exp(log_evidence - log_evidence.max())
    p /= p.sum()
    effects = weight * (tau**2 * EFFECT + ERROR**2 * mu[:, None])
    return np.concatenate([[p @ mu, p @ tau[:, 0]], p @ effects])


# ---- the sampler ----


def leapfrog(q: Any, p: Any, size: Any) -> tuple[Any, Any]:
    """One step of length `size` along the path: half a push, a move, half a push."""

    def push(q: Any) -> Any:
        return gs.grad(log_posterior(q).sum(), q)  # chains do not mix, so the sum's gradient is each chain's own

    p = p + size / 2 * push(q)
    q = q + size * p
    return q, p + size / 2 * push(q)


def draw_once(momentum: Any, uniform: Any, gain: Any, stretch: Any, q: Any, log_size: Any, leaps: Any) -> Any:
    """One draw of each chain: a path from `q` with fresh momentum, accepted or not."""
    size = (gt.exp(log_size) * stretch)[:, None]
    (ends, momenta), _ = gs.scan(
        leapfrog, outputs_info=[q, momentum], non_sequences=[size], n_steps=leaps, name="leapfrog"
    )
    end, end_momentum = ends[-1], momenta[-1]
    energy_before = (momentum**2).sum(axis=1) / 2 - log_posterior(q)
    energy_after = (end_momentum**2).sum(axis=1) / 2 - log_posterior(end)
    chance = gt.exp(gt.minimum(energy_before - energy_after, 0))
    moved = gt.where((uniform < chance)[:, None], end, q)
    # While a chain warms up its steps get longer if it accepts more than it should.
    return moved, log_size + gain * (chance - 0.8), chance


def compile_sampler(leaps: int, device: str) -> gs.Function:
    """Return a function of momenta, uniforms, gains, stretches and the chains' start: points, log sizes, chances."""
    momenta, uniforms = gt.tensor3("momenta"), gt.matrix("uniforms")
    gains, stretches = gt.vector("gains"), gt.matrix("stretches")
    start, log_size = gt.matrix("start"), gt.vector("log_size")
    outputs, _ = gs.scan(
        draw_once,
        sequences=[momenta, uniforms, gains, stretches],
        outputs_info=[start, log_size, None],
        non_sequences=[gt.constant(leaps)],
        name="chain",
    )
    inputs = [momenta, uniforms, gains, stretches, start, log_size]
    return gs.function(inputs, outputs, device=device, name="hmc")


# ---- what was found ----


def quantities(points: np.ndarray) -> np.ndarray:
    """Return mu, tau and the effects for points (..., mu, log tau, z)."""
    mu, tau, z = points[..., :1], np.exp(points[..., 1:2]), points[..., 2:]
    return np.concatenate([mu, tau, mu + tau * z], axis=-1)


def standard_errors(draws: np.ndarray) -> np.ndarray:
    """Return standard errors of the means, from how means of 20 pieces of each chain scatter."""
    pieces = np.concatenate([piece.mean(axis=0) for piece in np.array_split(draws, 20)])
    return pieces.std(axis=0, ddof=1) / len(pieces) ** 0.5


def split_r_hat(draws: np.ndarray) -> np.ndarray:
    """Return R-hat of half chains (Bayesian Data Analysis, section 11.4): near 1 where all of them tell the same."""
    half = len(draws) // 2
    halves = np.concatenate([draws[:half], draws[half : 2 * half]], axis=1)
    within = halves.var(axis=0, ddof=1).mean(axis=0)
    between = halves.mean(axis=0).var(axis=0, ddof=1)
    return np.sqrt((half - 1) / half + between / within)


def draw_picture(path: str, posterior: Posterior) -> None:
    """Write a picture of what each school reported and of what is believed of its effect."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    flat = posterior.draws.reshape(-1, len(NAMES))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", width_ratios=[3, 2])
    rows = np.arange(SCHOOLS)
    low, middle, high = np.quantile(flat[:, 2:], [0.05, 0.5, 0.95], axis=0)
    left.errorbar(EFFECT, rows - 0.16, xerr=1.6449 * ERROR, fmt="o", color="0.65", markersize=4, label="reported")
    left.errorbar(
        middle, rows + 0.16, xerr=[middle - low, high - middle], fmt="o", color="C0", markersize=4, label="posterior"
    )
    left.axvline(posterior.means[0], color="C0", linewidth=1, linestyle="--", alpha=0.6)
    label = f"mean of mu {posterior.means[0]:.1f}"
    left.annotate(label, (posterior.means[0], -0.75), (4, 0), color="C0", textcoords="offset points", fontsize=8)
    left.set(
        yticks=rows, yticklabels=NAMES[2:], ylim=(SCHOOLS - 0.5, -1.1), xlabel="points gained, with 90 % intervals"
    )
    left.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.99), ncols=2, fontsize=8)
    some = flat[:: max(1, len(flat) // 3000)]
    right.plot(some[:, 2], some[:, 1], ".", color="C0", markersize=2, alpha=0.35)
    right.set(yscale="log", ylim=(0.02, 60), xlabel="effect in school A", ylabel="tau: how effects scatter")
    right.set_title("the funnel", loc="left", fontsize=10)
    left.set_title("the eight schools", loc="left", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(
    draws: int = 2000,
    warm_up: int = 500,
    chains: int = 32,
    leaps: int = 12,
    seed: int = 1,
    device: str = "auto",
    picture: str = "",
) -> Posterior:
    """Sample, print what was found beside the exact means, and draw it if `picture` names a file."""
    rng = np.random.default_rng(seed)
    steps = warm_up + draws
    momenta = rng.normal(size=(steps, chains, 2 + SCHOOLS))
    uniforms = rng.uniform(size=(steps, chains))
    # Steps of unequal length, so that no path closes on itself.
    stretches = rng.uniform(0.7, 1.3, size=(steps, chains))
    gains = np.where(np.arange(steps) < warm_up, (1 + np.arange(steps)) ** -0.6, 0)
    start = rng.uniform(-1, 1, size=(chains, 2 + SCHOOLS))

    began = time.perf_counter()
    sample = compile_sampler(leaps, device)
    points, _, chances = sample(momenta, uniforms, gains, stretches, start, np.full(chains, np.log(0.1)))
    seconds = time.perf_counter() - began

    kept = quantities(points[warm_up:])
    posterior = Posterior(
        draws=kept,
        means=kept.mean(axis=(0, 1)),
        standard_errors=standard_errors(kept),
        shrinkage=split_r_hat(kept),
        exact=exact_means(),
        accepted=float(chances[warm_up:].mean()),
        seconds=seconds,
    )
    print(f"{'':10}{'mean':>8}{'+-':>8}{'exact':>8}{'R-hat':>8}")
    columns = (NAMES, posterior.means, posterior.standard_errors, posterior.exact, posterior.shrinkage)
    for name, mean, error, exact, r_hat in zip(*columns, strict=True):
        print(f"{name:10}{mean:8.3f}{error:8.3f}{exact:8.3f}{r_hat:8.4f}")
    print(f"{chains} chains of {draws} draws, {posterior.accepted:.0%} accepted, in {seconds:.1f} s")
    if picture:
        draw_picture(picture, posterior)
        print(f"drawn: {picture}")
    return posterior


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000, help="of each chain")
    parser.add_argument("--chains", type=int, default=32)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or emulator")
    parser.add_argument("--picture", default="", help="file to draw to")
    main(**vars(parser.parse_args()))
