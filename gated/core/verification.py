"""Verification (1:1): is the face at the gate that of the one person who is expected?

After a card or a PIN only one comparison is made, so that the threshold is that of one comparison
and the margin to other people does not count: twins can be told apart by their cards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gated.core.calibration import Calibration
from gated.core.evidence import Criteria, Identification, Sample, weigh
from gated.core.gallery import Gallery
from gated.core.policy import GatePolicy, criteria_for
from gated.core.values import Reason

REOPENED = frozenset({Reason.NO_MATCH, Reason.AMBIGUOUS, Reason.LOW_QUALITY})
"""Denials that say nothing about somebody who says afterwards who they are."""


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """Somebody says to be this person. Valid before `until`, in monotonic seconds."""

    person_id: int
    until: float
    templates: Gallery
    criteria: Criteria

    @staticmethod
    def of(
        person_id: int,
        until: float,
        gallery: Gallery,
        policy: GatePolicy,
        calibration: Calibration,
    ) -> IdentityClaim:
        """A claim against the person's templates in this gallery, of which there may be none."""
        own = gallery.only(person_id)
        return IdentityClaim(person_id, until, own, criteria_for(policy, own, calibration))

    def weigh(self, samples: Iterable[Sample]) -> Identification:
        """Return what a track's samples, oldest first, say to the claim."""
        seen = list(samples)
        matches = self.templates.match_all([sample.vector for sample in seen])
        return weigh(
            [replace(s, match=m) for s, m in zip(seen, matches, strict=True)], self.criteria
        )
