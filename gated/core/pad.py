"""Liveness over a track. It can only refuse: no score makes a match better.

The score of a track is the mean live score of its usable frames; single frames of real people
dip below one half, so that one frame never decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Liveness(StrEnum):
    OFF = "off"
    LIVE = "live"
    ATTACK = "attack"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class PadPolicy:
    """frames: scores that a verdict needs. Mean at or above `live`: live; at or below `attack`:
    attack; between them undecided. Disabled: every verdict is OFF."""

    enabled: bool = False
    frames: int = 3
    live: float = 0.5
    attack: float = 0.3

    def verdict(self, scores: Sequence[float]) -> tuple[Liveness, float | None]:
        """Liveness of a track and its mean live score (None without scores)."""
        mean = sum(scores) / len(scores) if scores else None
        if not self.enabled:
            return Liveness.OFF, mean
        if mean is None or len(scores) < self.frames:
            return Liveness.UNDECIDED, mean
        if mean >= self.live:
            return Liveness.LIVE, mean
        return (Liveness.ATTACK if mean <= self.attack else Liveness.UNDECIDED), mean


PAD_LEVELS = {
    "off": PadPolicy(),
    "normal": PadPolicy(enabled=True),
    "strict": PadPolicy(enabled=True, frames=5, live=0.7, attack=0.4),
    "challenge": PadPolicy(enabled=True, frames=5, live=0.7, attack=0.4),
}
