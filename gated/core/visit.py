"""What the gate remembers of who stands before it: visits, and the evidence of their tracks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from gated.core.challenge import Challenge
from gated.core.evidence import Sample
from gated.core.model import Box, Reason


class VisitState(StrEnum):
    WATCHING = "watching"
    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    CLOSED = "closed"


@dataclass(slots=True, eq=False)
class Visit:
    """What one person at the gate is going through."""

    number: int
    state: VisitState = VisitState.WATCHING
    person_id: int | None = None
    tracks: set[int] = field(default_factory=set)
    denials: int = 0
    denied_at: float | None = None
    reason: Reason | None = None
    """Of the last denial."""
    final: bool = False
    """No decision can change any more."""
    left_at: float | None = None


@dataclass(slots=True, eq=False)
class TrackState:
    """The evidence of one track."""

    id: int
    visit: Visit
    first_seen: float
    samples: deque[Sample]
    box: Box
    heard_at: float
    near: bool = False
    """The face has been close."""
    attempts: int = 0
    rests_until: float | None = None
    usable_since: float | None = None
    close_since: float | None = None
    poor_since: float | None = None
    """Since when the face is close and no frame of it was usable."""
    flaws: tuple[str, ...] = ()
    challenge: Challenge | None = None
    """The movements that are asked for."""
