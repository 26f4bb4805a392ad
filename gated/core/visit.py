"""Visits at the gate, and the evidence of their tracks.

`TABLE` has every transition of a visit: in these states, on this input, under this condition, to
that state. Anything else changes nothing. docs/architecture.md prints the table.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from gated.core.challenge import Challenge
from gated.core.evidence import Sample
from gated.core.messages import CredentialPresented
from gated.core.values import Box, Reason

STRANGE_FRAMES = 6
"""After this many usable frames that resembled nobody, more frames add little."""


class VisitState(StrEnum):
    WATCHING = "watching"
    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    CLOSED = "closed"


class VisitInput(StrEnum):
    """Inputs of a visit; the gate and the rules give them."""

    ASKED = "something is still asked for"
    GRANTED = "granted"
    REFUSED = "refused, may try again"
    REFUSED_FINALLY = "refused for good"
    CLAIMED = "somebody says who comes"
    OVER = "over"


class VisitWhen(StrEnum):
    """Conditions of transitions."""

    ALWAYS = ""
    UNDECIDED = "no final decision was made"


@dataclass(frozen=True, slots=True)
class VisitTransition:
    """One row of the table. final: no later decision changes this one."""

    states: tuple[VisitState, ...]
    input: VisitInput
    next: VisitState
    final: bool = False
    when: VisitWhen = VisitWhen.ALWAYS


_S, _I = VisitState, VisitInput
_BEFORE = (_S.WATCHING, _S.PENDING, _S.DENIED)
_UNDECIDED = VisitWhen.UNDECIDED

TABLE: tuple[VisitTransition, ...] = (
    VisitTransition(_BEFORE, _I.ASKED, _S.PENDING, when=_UNDECIDED),
    VisitTransition((*_BEFORE, _S.GRANTED), _I.GRANTED, _S.GRANTED, final=True),
    VisitTransition(_BEFORE, _I.REFUSED, _S.DENIED, when=_UNDECIDED),
    VisitTransition(_BEFORE, _I.REFUSED_FINALLY, _S.DENIED, final=True, when=_UNDECIDED),
    VisitTransition((_S.DENIED,), _I.CLAIMED, _S.WATCHING),
    VisitTransition((*_BEFORE, _S.GRANTED), _I.OVER, _S.CLOSED, final=True),
)


@dataclass(slots=True, eq=False)
class Visit:
    """The stay of one person at the gate."""

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
    shown: CredentialPresented | None = None
    """The credential presented, in a visit without a face."""

    def take(self, input_: VisitInput) -> None:
        """Make the transition of this input, if the table has one."""
        for row in TABLE:
            if row.input is not input_ or self.state not in row.states:
                continue
            if row.when is VisitWhen.ALWAYS or not self.final:
                self.state, self.final = row.next, row.final
                return


class Visits(dict[int, Visit]):
    """The open visits by number."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def of_track(self, track_id: int) -> Visit:
        """Open a visit of the face on this track."""
        return self._open(tracks={track_id})

    def of_credential(self, shown: CredentialPresented, now: float) -> Visit:
        """Return the open visit with the same credential that was not granted, or a new one."""
        for visit in self.values():
            if visit.shown == shown and visit.state is not VisitState.GRANTED:
                visit.left_at = now
                return visit
        return self._open(shown=shown, left_at=now)

    def close(self, visit: Visit) -> None:
        """Close a visit."""
        visit.take(VisitInput.OVER)
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
    """Begin of the time in which the face is close and no frame is usable."""
    flaws: tuple[str, ...] = ()
    dark: int = 0
    """Number of frames in which the face was close and too dark."""
    grey: bool = False
    """The last examined picture was without colour."""
    challenge: Challenge | None = None
    """The challenge in progress."""

    def is_strange(self, floor: float) -> bool:
        """Return whether all of the last usable frames since the last rest resembled nobody."""
        if self.attempts < STRANGE_FRAMES:
            return False
        last = islice(reversed(self.samples), STRANGE_FRAMES)
        return all(s.match is None or s.match.similarity < floor for s in last)
