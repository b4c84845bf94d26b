"""The figures that ship with the package, held to the result published for them."""

import numpy as np

from gpuscan.data import nile

# Durbin and Koopman's estimates for this series: of the observations about the level, and of the level's steps.
OBSERVATION_VARIANCE = 15099.0
LEVEL_VARIANCE = 1469.1


def local_level_log_likelihood(flow: np.ndarray, observation_variance: float, level_variance: float) -> float:
    """Kalman filter of y_t = a_t + e_t, a_(t+1) = a_t + n_t under a diffuse start.

    The first observation only sets the state, so the sum runs over the others.
    """
    level, variance = flow[0], observation_variance + level_variance
    total = 0.0
    for observed in flow[1:]:
        surprise = observed - level
        surprise_variance = variance + observation_variance
        total -= 0.5 * (np.log(2.0 * np.pi * surprise_variance) + surprise**2 / surprise_variance)
        gain = variance / surprise_variance
        level += gain * surprise
        variance = variance * (1.0 - gain) + level_variance
    return total


def test_nile_is_a_hundred_years_of_float64():
    years, flow = nile()
    assert years.dtype == flow.dtype == np.float64
    np.testing.assert_array_equal(years, np.arange(1871.0, 1971.0))
    assert flow.shape == (100,)
    # Both ends, the flood of 1879 and the drought of 1913.
    assert (flow[0], flow[-1]) == (1120.0, 740.0)
    assert (years[flow.argmax()], flow.max()) == (1879.0, 1370.0)
    assert (years[flow.argmin()], flow.min()) == (1913.0, 456.0)


def test_nile_gives_the_published_log_likelihood():
    _, flow = nile()
    found = local_level_log_likelihood(flow, OBSERVATION_VARIANCE, LEVEL_VARIANCE)
    assert round(found, 4) == -632.5456


def test_each_call_gives_arrays_of_its_own():
    _, flow = nile()
    flow[:] = 0.0
    assert nile()[1][0] == 1120.0
