"""From similarity to false match rate and back, per model.

A calibration is a falling line of log10(FMR) over the similarity, through measured knots; beyond
the last knot it goes on with the slope of the last two. Similarity is larger for more alike
faces: the cosine, or minus the Euclidean distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FMR_FLOOR = 1e-4
"""No gate opens at a laxer false match rate than this, however few people are enrolled."""

TOLERANCE_LIMIT = 1e-3
"""A tolerance laxer than this false match rate is refused unless accepted in words."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """False match rate per comparison of one model; `knots` are (similarity, log10 FMR)."""

    model: str
    source: str
    knots: tuple[tuple[float, float], ...]

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

    def confidence(self, similarity: float) -> float:
        """`clip(-log10(FMR) / 6, 0, 1)`: 0.5 is a false match rate of 1e-3, 1.0 one of 1e-6."""
        return max(0.0, min(1.0, -self.log10_fmr(similarity) / 6.0))

    def threshold(self, fpir: float, people: int, chances: float = 1.0) -> float:
        """Similarity for a false positive identification rate over a gallery of `people`.

        Solves FPIR = 1 - (1 - FMR)^N for the FMR, never laxer than FMR_FLOOR. `chances`: how many
        independent comparisons with each person a visit amounts to.
        """
        fmr = -math.expm1(math.log1p(-fpir) / max(1, people))
        return self.similarity_at(min(FMR_FLOOR, fmr) / chances)
