"""Limits the recorded refusals of faces that stay in one place, such as on a poster."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gated.core.tracking import overlap
from gated.core.values import Box, Vector

REFUSALS, WITHIN_S = 3, 600.0
"""Recorded refusals of one unknown face at one place within this time, at most."""

SAME_PLACE = 0.3
"""Least overlap of two boxes in one place."""
REMEMBERED = 64
"""Refusals; at the bound the oldest is forgotten, and a face may be recorded once more."""


@dataclass(slots=True)
class StaticFaces:
    """Unknown faces that were refused, and their places; times in monotonic seconds."""

    _refused: deque[tuple[float, Box, Vector]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED)
    )

    def refused(self, box: Box, face: Vector, alike: float, now: float) -> bool:
        """Return whether to record one more refusal of this face there; counts it if so.

        face: unit vector. alike: least cosine of one face.
        """
        while self._refused and now - self._refused[0][0] >= WITHIN_S:
            self._refused.popleft()
        before = sum(
            overlap(b, box) >= SAME_PLACE and float(v @ face) >= alike for _, b, v in self._refused
        )
        if before >= REFUSALS:
            return False
        self._refused.append((now, box, face))
        return True
