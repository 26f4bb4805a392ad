"""Verifies (1:1) that the face at the gate is the expected person's.

After a card or a PIN only one comparison is made, so that the threshold is that of one comparison
and the margin to other people does not count: twins are distinguished by their cards.
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
"""Denials after which an identity claim allows another try."""


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """A claim to be this person. Valid before `until`, in monotonic seconds."""

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
        """Make a claim with the person's templates in this gallery, of which there may be none."""
        own = gallery.only(person_id)
        return IdentityClaim(person_id, until, own, criteria_for(policy, own, calibration))

    def weigh(self, samples: Iterable[Sample]) -> Identification:
        """Weigh a track's samples, oldest first, against the claimed person."""
        seen = list(samples)
        matches = self.templates.match_all([sample.vector for sample in seen])
        return weigh(
            [replace(s, match=m) for s, m in zip(seen, matches, strict=True)], self.criteria
        )
