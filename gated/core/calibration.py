"""Converts similarity to false match rate and back, per model.

A calibration interpolates log10(FMR), which falls with the similarity, linearly between measured
knots; beyond the last knot it continues with the slope of the last two. Similarity is the cosine,
or minus the Euclidean distance: larger for more similar faces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gated.core.statistics import pareto_tail

FMR_FLOOR = 1e-4
"""Highest false match rate at which a gate opens, however few people are enrolled."""

TOLERANCE_LIMIT = 1e-3
"""A tolerance above this false match rate is refused unless the configuration accepts it."""

TAIL = 1e-2
"""Below this rate the tail is fitted; above it the measured quantiles are used."""

SUPPORT = 10
"""A knot needs at least this many impostor comparisons above it."""

SECONDS_PER_YEAR = 365.25 * 86_400


@dataclass(frozen=True, slots=True)
class Calibration:
    """False match rate per comparison of one model; `knots` are (similarity, log10 FMR).

    pools: factor by which the mean embedding of several frames matches strangers more often than a
    single embedding at the same similarity; None where not measured.
    """

    model: str
    source: str
    knots: tuple[tuple[float, float], ...]
    pools: float | None = None

    def __post_init__(self) -> None:
        scores = [s for s, _ in self.knots]
        rates = [r for _, r in self.knots]
        if (
            len(self.knots) < 2
            or scores != sorted(set(scores))
            or rates[::-1] != sorted(set(rates))
        ):
            raise ValueError("knots must rise in similarity and fall in rate")

    def log10_fmr(self, similarity: float) -> float:
        """Return log10 of the false match rate at this similarity; at most 0."""
        knots = self.knots
        upper = next((i for i, (s, _) in enumerate(knots) if s >= similarity), len(knots) - 1)
        upper = max(upper, 1)
        (s0, r0), (s1, r1) = knots[upper - 1], knots[upper]
        return min(0.0, r0 + (similarity - s0) * (r1 - r0) / (s1 - s0))

    def fmr(self, similarity: float) -> float:
        """Return the false match rate per comparison, in (0, 1]."""
        return float(10.0 ** self.log10_fmr(similarity))

    def similarity_at(self, fmr: float) -> float:
        """Return the similarity whose false match rate is `fmr` (0 < fmr < 1)."""
        want = math.log10(fmr)
        knots = self.knots
        upper = next((i for i, (_, r) in enumerate(knots) if r <= want), len(knots) - 1)
        upper = max(upper, 1)
        (s0, r0), (s1, r1) = knots[upper - 1], knots[upper]
        return s0 + (want - r0) * (s1 - s0) / (r1 - r0)

    @property
    def decade(self) -> float:
        """Rise in similarity for a tenth of the rate, at the rates of a gate."""
        return (self.similarity_at(1e-5) - self.similarity_at(1e-3)) / 2.0

    @property
    def pool_shift(self) -> float | None:
        """Additional similarity that a mean embedding needs over a single one."""
        return None if self.pools is None else self.decade * math.log10(self.pools)

    def likeness(self, similarity: float, same: float) -> float:
        """Return how alike two templates are: 1 the same, 0 no more than strangers at FMR 1e-3.

        same: similarity of a template to itself. In [0, 1], in proportion to the similarity.
        """
        strangers = self.similarity_at(1e-3)
        return max(0.0, min(1.0, (similarity - strangers) / (same - strangers)))

    def confidence(self, similarity: float) -> float:
        """Return `clip(-log10(FMR) / 6, 0, 1)`: 0.5 is an FMR of 1e-3, 1.0 one of 1e-6."""
        return max(0.0, min(1.0, -self.log10_fmr(similarity) / 6.0))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for `from_dict`."""
        return {"model": self.model, "source": self.source, "knots": [list(k) for k in self.knots]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Calibration:
        """Make a calibration from the values of `as_dict`. Raises: ValueError for other values."""
        try:
            knots = tuple((float(s), float(r)) for s, r in values["knots"])
            return Calibration(str(values["model"]), str(values["source"]), knots)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no calibration ({error})") from None

    def threshold(self, fpir: float, templates: int, chances: float = 1.0) -> float:
        """Return the similarity for a false positive identification rate over `templates`.

        Solves FPIR = 1 - (1 - FMR)^N for the FMR, which is at most FMR_FLOOR. chances: the number
        of independent comparisons with each template that a visit amounts to.
        """
        fmr = -math.expm1(math.log1p(-fpir) / max(1, templates))
        return self.similarity_at(min(FMR_FLOOR, fmr) / chances)


def fit(impostors: npt.NDArray[np.floating], model: str, source: str) -> Calibration:
    """Fit a calibration to the similarities of impostor comparisons, at least 100, in any order.

    Measured quantiles down to the rate TAIL, then a generalised Pareto tail (peaks over threshold;
    Pickands, "Statistical inference using extreme order statistics", 1975) as far as SUPPORT
    comparisons reach, then a straight line; as cosines are bounded, the true rate falls more
    steeply. Raises: ValueError when there are too few comparisons or all are equal.
    """
    scores = np.asarray(impostors, np.float64)
    if len(scores) < 10 * SUPPORT:
        raise ValueError(f"a calibration needs {10 * SUPPORT} impostor comparisons or more")
    least = SUPPORT / len(scores)
    body = [rate for rate in (0.5, 0.3, 0.1, 0.03, TAIL) if rate >= least]
    knots = [
        (float(s), math.log10(rate))
        for s, rate in zip(np.quantile(scores, 1.0 - np.array(body)), body, strict=True)
    ]
    if len(scores) * TAIL >= 10 * SUPPORT:
        start = knots[-1][0]
        shape, scale = pareto_tail(scores[scores > start] - start)
        steps = np.arange(0.5, math.log10(TAIL / least) + 1e-9, 0.5)
        knots += [(start + _excess(shape, scale, 10.0**-k), math.log10(TAIL) - k) for k in steps]
    return Calibration(model, source, tuple((s, float(r)) for s, r in knots))


def _excess(shape: float, scale: float, rate: float) -> float:
    """Return the excess over the threshold at this rate of a generalised Pareto tail."""
    if abs(shape) < 1e-9:
        return -scale * math.log(rate)
    return scale * math.expm1(-shape * math.log(rate)) / shape


def fpir_of(fmr: float, templates: int, chances: float = 1.0) -> float:
    """Return the probability that a stranger matches one of `templates` in one visit."""
    return -math.expm1(templates * chances * math.log1p(-min(fmr, 1.0 - 1e-12)))


def per_year(visits: int, seconds: float) -> float:
    """Return visits per year at the rate of `visits` in `seconds`; 0 for no time."""
    return visits * SECONDS_PER_YEAR / seconds if seconds > 0 else 0.0
