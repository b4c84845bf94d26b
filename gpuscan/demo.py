"""The main job on real data: ``python -m gpuscan.demo`` filters a hundred years of the Nile's flow.

The local-level model says that the flow of year t is a level plus noise, and that the level walks at random:
y_t = a_t + e_t, a_(t+1) = a_t + n_t. The Kalman filter estimates the level from the years up to t. Variances, diffuse
start and log-likelihood are those of Durbin and Koopman, Time Series Analysis by State Space Methods, sections 2.2
to 2.10.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.data import nile

VARIANCE_OF_NOISE = 15099.0
VARIANCE_OF_LEVEL = 1469.1
PUBLISHED_LOG_LIKELIHOOD = -632.5456


def step(flow: Any, level: Any, variance: Any, noise: Any, drift: Any) -> tuple[Any, Any, Any]:
    """One year of the Kalman filter: what the level is believed to be next year, and how likely this year's flow was.

    Parameters
    ----------
    flow : scalar
        This year's flow.
    level, variance : scalar
        Mean and variance of the level before this year's flow is seen.
    noise, drift : scalar
        Variances of the flow around the level, and of the level's step to the next year.

    Returns
    -------
    level, variance, log_likelihood : scalar
    """
    error = flow - level
    spread = variance + noise
    gain = variance / spread
    log_likelihood = -0.5 * (math.log(2 * math.pi) + np.log(spread) + error * error / spread)
    return level + gain * error, variance * (1 - gain) + drift, log_likelihood


def compile_filter(device: str) -> gs.Function:
    """Return the filter over a vector of flows: levels, variances (one ahead), and the log-likelihood."""
    flow, noise, drift = gt.vector("flow"), gt.scalar("noise"), gt.scalar("drift")
    # Diffuse start: nothing is known of the level before the first year, which only sets the state.
    (levels, variances, terms), _ = gs.scan(
        step,
        sequences=[flow[1:]],
        outputs_info=[flow[0], noise + drift, None],
        non_sequences=[noise, drift],
        name="local level",
    )
    return gs.function([flow, noise, drift], [levels, variances, terms.sum()], device=device, name="nile filter")


def filter_by_hand(flow: np.ndarray, noise: float, drift: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Do the same as a plain Python loop over NumPy arrays."""
    years = len(flow) - 1
    levels, variances, terms = np.empty(years), np.empty(years), np.empty(years)
    level, variance = flow[0], np.float64(noise + drift)
    for t in range(years):
        level, variance, terms[t] = step(flow[t + 1], level, variance, noise, drift)
        levels[t], variances[t] = level, variance
    return levels, variances, terms.sum()


def seconds(call: Callable[[], Any], repeats: int = 30) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def draw(path: str, years: np.ndarray, flow: np.ndarray, levels: np.ndarray, variances: np.ndarray) -> None:
    """Write a picture of the flow and of the level as each year's flow leaves it, with its 90 % band."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    band = 1.6449 * np.sqrt(variances - VARIANCE_OF_LEVEL)  # the filter's variances are for the year after
    axes.plot(years, flow, "o", color="0.45", markersize=3.5, label="yearly flow")
    axes.plot(years[1:], levels, color="C0", linewidth=2, label="filtered level")
    axes.fill_between(years[1:], levels - band, levels + band, color="C0", alpha=0.15, linewidth=0, label="90 % band")
    axes.set(xlabel="year", ylabel="flow at Aswan / 10$^8$ m$^3$", xlim=(years[0] - 1, years[-1] + 1))
    axes.set_title("The Nile, 1871-1970: a local-level model filtered by gpuscan", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Filter, compare, time, and draw."""
    parser = argparse.ArgumentParser(prog="python -m gpuscan.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or emulator")
    parser.add_argument("--picture", default="nile.png", help="file to draw to; empty for none")
    options = parser.parse_args()

    years, flow = nile()
    variances_of = (VARIANCE_OF_NOISE, VARIANCE_OF_LEVEL)
    start = time.perf_counter()
    f = compile_filter(options.device)
    levels, variances, log_likelihood = f(flow, *variances_of)
    first = time.perf_counter() - start

    f.explain()
    print()
    print(f"log-likelihood of {years[1]:.0f} to {years[-1]:.0f}: {log_likelihood:.4f}")
    print(f"as Durbin and Koopman publish it: {PUBLISHED_LOG_LIKELIHOOD}")
    if abs(log_likelihood - PUBLISHED_LOG_LIKELIHOOD) > 5e-5:
        raise SystemExit("the log-likelihood is not the published one")
    expected = filter_by_hand(flow, *variances_of)
    print(f"largest difference from a plain loop: {max(abs(levels - expected[0])):.2g} in the level\n")

    by_hand = seconds(lambda: filter_by_hand(flow, *variances_of))
    compiled = seconds(lambda: f(flow, *variances_of))
    print(f"{'':30}{'ms':>9}{'us a step':>12}")
    for what, took in (
        ("compile and call once", first),
        (f"call again, {f.device}", compiled),
        ("plain loop", by_hand),
    ):
        per_step = "" if what.startswith("compile") else f"{took / len(levels) * 1e6:12.2f}"
        print(f"{what:30}{took * 1e3:9.3f}{per_step}")

    if options.picture:
        draw(options.picture, years, flow, levels, variances)
        print(f"\ndrawn: {options.picture}")


if __name__ == "__main__":
    main()
