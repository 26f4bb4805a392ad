"""From similarity to false match rate and back, per model.

A calibration is a falling line of log10(FMR) over the similarity, through measured knots; beyond
the last knot it goes on with the slope of the last two. Similarity is larger for more alike
faces: the cosine, or minus the Euclidean distance.
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
"""No gate opens at a laxer false match rate than this, however few people are enrolled."""

TOLERANCE_LIMIT = 1e-3
"""A tolerance laxer than this false match rate is refused unless accepted in words."""

TAIL = 1e-2
"""Below this rate the tail is fitted; above it the measured quantiles are taken as they are."""

SUPPORT = 10
"""A knot needs so many impostor comparisons above it."""

SECONDS_PER_YEAR = 365.25 * 86_400


@dataclass(frozen=True, slots=True)
class Calibration:
    """False match rate per comparison of one model; `knots` are (similarity, log10 FMR).

    pools: how much more often the mean embedding of several frames matches a stranger than a single
    one does, at the same similarity; None where that was not measured.
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
        """log10 of the false match rate at this similarity; at most 0."""
        knots = self.knots
        upper = next((i for i, (s, _) in enumerate(knots) if s >= similarity), len(knots) - 1)
        upper = max(upper, 1)
        (s0, r0), (s1, r1) = knots[upper - 1], knots[upper]
        return min(0.0, r0 + (similarity - s0) * (r1 - r0) / (s1 - s0))

    def fmr(self, similarity: float) -> float:
        """False match rate per comparison in (0, 1]."""
        return float(10.0 ** self.log10_fmr(similarity))

    def similarity_at(self, fmr: float) -> float:
        """The similarity whose false match rate is `fmr` (0 < fmr < 1)."""
        want = math.log10(fmr)
        knots = self.knots
        upper = next((i for i, (_, r) in enumerate(knots) if r <= want), len(knots) - 1)
        upper = max(upper, 1)
        (s0, r0), (s1, r1) = knots[upper - 1], knots[upper]
        return s0 + (want - r0) * (s1 - s0) / (r1 - r0)

    @property
    def decade(self) -> float:
        """By how much similarity rises where the rate falls tenfold, at the rates of a gate."""
        return (self.similarity_at(1e-5) - self.similarity_at(1e-3)) / 2.0

    @property
    def pool_shift(self) -> float | None:
        """By how much more alike a mean embedding has to be than a single one."""
        return None if self.pools is None else self.decade * math.log10(self.pools)

    def confidence(self, similarity: float) -> float:
        """`clip(-log10(FMR) / 6, 0, 1)`: 0.5 is a false match rate of 1e-3, 1.0 one of 1e-6."""
        return max(0.0, min(1.0, -self.log10_fmr(similarity) / 6.0))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` reads them."""
        return {"model": self.model, "source": self.source, "knots": [list(k) for k in self.knots]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Calibration:
        """ValueError for anything that `as_dict` did not make."""
        try:
            knots = tuple((float(s), float(r)) for s, r in values["knots"])
            return Calibration(str(values["model"]), str(values["source"]), knots)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no calibration ({error})") from None

    def threshold(self, fpir: float, templates: int, chances: float = 1.0) -> float:
        """Similarity for a false positive identification rate over a gallery of `templates`.

        Solves FPIR = 1 - (1 - FMR)^N for the FMR, never laxer than FMR_FLOOR. `chances`: how many
        independent comparisons with each template a visit amounts to.
        """
        fmr = -math.expm1(math.log1p(-fpir) / max(1, templates))
        return self.similarity_at(min(FMR_FLOOR, fmr) / chances)


def fit(impostors: npt.NDArray[np.floating], model: str, source: str) -> Calibration:
    """Calibration from the similarities of impostor comparisons, at least 100, in any order.

    Measured quantiles down to the rate TAIL, then a generalised Pareto tail (peaks over threshold;
    Pickands, "Statistical inference using extreme order statistics", 1975) as far as SUPPORT
    comparisons reach. Beyond, the line goes on straight; cosines have an end, so that the truth
    falls more steeply. ValueError when there are too few or all alike.
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
    """By how much the threshold is exceeded at this rate, of a generalised Pareto tail."""
    if abs(shape) < 1e-9:
        return -scale * math.log(rate)
    return scale * math.expm1(-shape * math.log(rate)) / shape


def fpir_of(fmr: float, templates: int, chances: float = 1.0) -> float:
    """Return how probable it is that a stranger resembles one of so many templates in one visit."""
    return -math.expm1(templates * chances * math.log1p(-min(fmr, 1.0 - 1e-12)))


def per_year(visits: int, seconds: float) -> float:
    """Visits a year at the rate of so many in so many seconds; 0 without any time."""
    return visits * SECONDS_PER_YEAR / seconds if seconds > 0 else 0.0
