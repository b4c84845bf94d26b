"""Maximum likelihood by gradient: the two variances of the Nile's local-level model.

    python docs/examples/nile_likelihood.py

The flow of year t is a level plus noise, and the level walks at random: y_t = a_t + e_t, a_(t+1) = a_t + n_t. How
likely a hundred years of flows are for given variances of e and n comes out of the Kalman filter, a loop over the
years. `gs.grad` differentiates that loop, so that SciPy's optimisers climb with exact gradients; `gs.hessian`
differentiates it twice, which gives standard errors.

Durbin and Koopman (Time Series Analysis by State Space Methods, 2nd edition, section 2.10.2) estimate 15099 for the
noise, 0.0973 for the ratio of the two variances, and publish their product, 1469.1, for the level. The product of
the unrounded estimates is 1469.18; at either the log-likelihood is -632.5456.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.data import nile


@dataclass(frozen=True)
class Fit:
    """What was found: variances, standard errors of their logarithms, and how likely the flows are with them."""

    noise: float
    level: float
    log_errors: np.ndarray
    log_likelihood: float
    calls: int


def year(flow: Any, level: Any, variance: Any, noise: Any, drift: Any) -> tuple[Any, Any, Any]:
    """One year of the Kalman filter: mean and variance of next year's level, and how likely this year's flow was."""
    error = flow - level
    spread = variance + noise
    gain = variance / spread
    log_likelihood = -0.5 * (math.log(2 * math.pi) + gt.log(spread) + error * error / spread)
    return level + gain * error, variance * (1 - gain) + drift, log_likelihood


def compile_likelihood(device: str) -> tuple[gs.Function, gs.Function]:
    """Return functions of the log variances and the flows: minus log-likelihood with its gradient, and the Hessian."""
    flow, log_variances = gt.vector("flow"), gt.vector("log_variances")
    noise, drift = gt.exp(log_variances[0]), gt.exp(log_variances[1])
    # Diffuse start: the first year only says where the level begins.
    (_, _, terms), _ = gs.scan(
        year,
        sequences=[flow[1:]],
        outputs_info=[flow[0], noise + drift, None],
        non_sequences=[noise, drift],
        name="local level",
    )
    cost = -terms.sum()
    inputs = [log_variances, flow]
    slope = gs.function(inputs, [cost, gs.grad(cost, log_variances)], device=device)
    return slope, gs.function(inputs, gs.hessian(cost, log_variances), device=device)


def main(device: str = "auto", years: int = 100) -> Fit:
    """Fit the variances to the first `years` years, and print them."""
    flow = nile()[1][:years]
    slope, curvature = compile_likelihood(device)
    # Nothing is known: all the scatter as noise, and as much again as drift. Logarithms keep variances positive.
    start = np.log([flow.var(), flow.var()])
    found = minimize(slope, start, args=(flow,), jac=True, method="BFGS", options={"gtol": 1e-7})
    noise, level = np.exp(found.x)
    log_errors = np.sqrt(np.diag(np.linalg.inv(curvature(found.x, flow))))
    fit = Fit(noise, level, log_errors, -found.fun, found.nfev)

    print(f"{'':24}{'start':>10}{'estimate':>12}{'+- 1 standard error':>25}")
    rows = [("variance of the noise", noise), ("variance of the level", level)]
    for (name, variance), first, error in zip(rows, np.exp(start), log_errors, strict=True):
        interval = f"{variance * math.exp(-error):.0f} to {variance * math.exp(error):.0f}"
        print(f"{name:24}{first:10.0f}{variance:12.2f}{interval:>25}")
    print(f"{'their ratio':24}{1:10.0f}{level / noise:12.4f}")
    print(f"log-likelihood {fit.log_likelihood:.4f}, gradient below {abs(found.jac).max():.0e}, {fit.calls} calls")
    return fit


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or emulator")
    main(**vars(parser.parse_args()))
