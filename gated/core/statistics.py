"""Statistics of a count or a sample: intervals, bootstrap, the tail of a distribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

CONFIDENCE = 0.95
REPLICATES = 200


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact interval of a probability from independent trials; (0, 1) without any.

    Coverage is at least `confidence`. Clopper & Pearson, Biometrika 26, 1934.
    """
    if not 0 <= successes <= trials:
        raise ValueError("0 <= successes <= trials is needed")
    tail = (1.0 - confidence) / 2.0
    low, high = 0.0, 1.0
    if successes > 0:
        low = _solve(lambda p: binomial_tail(successes, trials, p) - tail)
    if successes < trials:
        high = _solve(lambda p: binomial_tail(successes + 1, trials, p) - (1.0 - tail))
    return low, high


def binomial_tail(least: int, trials: int, p: float) -> float:
    """Return the probability of `least` or more successes in `trials` of probability `p`."""
    if least <= 0:
        return 1.0
    if least > trials or p <= 0.0:
        return 0.0
    if p >= 1.0:
        return 1.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    k = np.arange(least, trials + 1)
    terms = logs[trials] - logs[k] - logs[trials - k]
    terms = terms + k * np.log(p) + (trials - k) * np.log1p(-p)
    return min(1.0, float(np.exp(terms).sum()))


def bootstrap(
    groups: int,
    statistic: Callable[[Floats], float],
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile interval of a statistic, resampling whole groups of dependent data.

    statistic: given how often each group was drawn, (groups,) float64; NaN where it is undefined.
    Efron, "Bootstrap methods", 1979.
    """
    even = np.full(groups, 1.0 / groups)
    draws = (rng.multinomial(groups, even).astype(np.float64) for _ in range(replicates))
    values = np.array([statistic(draw) for draw in draws])
    tail = 100.0 * (1.0 - confidence) / 2.0
    low, high = np.nanpercentile(values, [tail, 100.0 - tail])
    return float(low), float(high)


def pareto_tail(excesses: Floats) -> tuple[float, float]:
    """Fit (shape, scale) of a generalised Pareto distribution to excesses over a threshold, >= 0.

    By probability-weighted moments, which always exist for shapes below 1/2 and are steadier than
    maximum likelihood. Hosking & Wallis, Technometrics 29, 1987. Raises: ValueError for fewer than
    two different values.
    """
    values = np.sort(np.asarray(excesses, np.float64))
    n = len(values)
    if n < 2 or values[0] == values[-1]:
        raise ValueError("a tail needs different values")
    ranks = (np.arange(1, n + 1) - 0.35) / n
    first = float(values.mean())
    second = float((values * (1.0 - ranks)).mean())
    return 2.0 - first / (first - 2.0 * second), 2.0 * first * second / (first - 2.0 * second)


def _solve(rising: Callable[[float], float]) -> float:
    """Find the zero of a rising function on [0, 1] by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0
