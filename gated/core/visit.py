"""What the gate remembers of who stands before it: visits, and the evidence of their tracks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from gated.core.challenge import Challenge
from gated.core.evidence import Sample
from gated.core.model import Box, Credential, Reason

STRANGE_FRAMES = 6
"""So many usable frames that resembled nobody, and another one hardly says anything new."""


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
    shown: Credential | None = None
    """The card, PIN or badge that it is about, where it is not about a face."""


class Visits(dict[int, Visit]):
    """The open visits by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def of_track(self, track_id: int) -> Visit:
        """A new visit of the face on this track."""
        return self._open(tracks={track_id})

    def of_credential(self, shown: Credential, now: float) -> Visit:
        """The visit of who presents this; one that was not granted goes on."""
        for visit in self.values():
            if visit.shown == shown and visit.state is not VisitState.GRANTED:
                visit.left_at = now
                return visit
        return self._open(shown=shown, left_at=now)

    def close(self, visit: Visit) -> None:
        """Nothing comes of it any more."""
        visit.state, visit.final = VisitState.CLOSED, True
        self.pop(visit.number, None)

    def _open(self, **of: Any) -> Visit:
        self._count += 1
        visit = self[self._count] = Visit(self._count, **of)
        return visit


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

    def is_strange(self, floor: float) -> bool:
        """Whether the last usable frames since the last rest all resembled nobody."""
        if self.attempts < STRANGE_FRAMES:
            return False
        last = islice(reversed(self.samples), STRANGE_FRAMES)
        return all(s.match is None or s.match.similarity < floor for s in last)
